//! A ring of light in drifting mist: the spectrum streams outwards from it like an aurora, low tones above.
//!
//! It is drawn on a sphere, around the horizon. A flat picture is that sphere seen from above (a stereographic
//! projection), which makes the horizon a ring.

use super::canvas::{Canvas, even};
use super::filters::{SOUND, Size, clouds, mirror, sparks, spectrum, still};
use super::settings::Settings;

/// The graph from `[0:a:0]` to `[near]` and `[far]`.
pub(super) fn graph(canvas: &Canvas, settings: &Settings) -> String {
    let sphere = sphere(canvas);
    let (Size(width, height), unit) = (Size(sphere.half(), sphere.height), f64::from(sphere.height) / 480.0);
    let up = Size(width, sphere.rows(0.62));
    let down = Size(width, height - up.1);
    let cells = Size(12, 9);
    let columns = even(width / 2).min(480);
    [
        format!("{SOUND},asplit=2[sound1][sound2]"),
        format!(
            "[sound1]{},split=3[spectrum1][spectrum2][spectrum3]",
            spectrum(canvas, columns, canvas.steps(1.8), (40, 6000), 10.0 * settings.intensity)
        ),
        format!(
            "[spectrum1]vflip,scale={}:{}:flags=bicubic,gblur=sigma={}:sigmaV={}[stream]",
            up.0,
            up.1,
            3.0 * unit,
            8.0 * unit
        ),
        clouds(canvas, up, cells, (7, 0.3), (0.5 * unit).min(1.0), "gustx"),
        clouds(canvas, up, cells, (99, 0.24), (0.5 * unit).min(1.0), "gusty"),
        still(canvas, up, "255*pow(Y/H,1.7)", "fade1"),
        "[stream][gustx][gusty]displace=edge=smear[veil];[veil][fade1]blend=all_mode=multiply[outside]".into(),
        format!(
            "[spectrum2]scale={}:{}:flags=bicubic,crop={}:{}:0:0,gblur=sigma={}[flow]",
            down.0,
            down.1 * 2,
            down.0,
            down.1,
            6.0 * unit
        ),
        still(canvas, down, "190*pow(1-Y/H,2.6)", "fade2"),
        "[flow][fade2]blend=all_mode=multiply[inside]".into(),
        // Blurred, or one would see where they meet.
        format!("[outside][inside]vstack,gblur=sigma={unit}:sigmaV={},setsar=1[sheet]", 3.0 * unit),
        wave(&sphere, up.1, unit),
        "[sheet][wave]blend=all_mode=screen,lagfun=decay=0.8,split[sharp][blurred]".into(),
        format!(
            "[blurred]scale={}:{},gblur=sigma={},scale={width}:{height}:flags=bicubic,setsar=1[soft]",
            width / 4,
            height / 4,
            6.0 * unit
        ),
        "[sharp][soft]blend=all_mode=screen:all_opacity=0.75[half]".into(),
        mirror("half", "ring"),
        seen(canvas),
        mist(canvas),
    ]
    .join(";")
}

/// The canvas of the whole sphere.
fn sphere(canvas: &Canvas) -> Canvas {
    let width = canvas.width.max(canvas.height);
    if canvas.is_spherical { *canvas } else { Canvas { width, height: even(width / 2), ..*canvas } }
}

/// From `[ring]` to `[near]`: as it is on a sphere, else from above, the shorter side spanning 236 degrees.
fn seen(canvas: &Canvas) -> String {
    if canvas.is_spherical {
        return "[ring]null[near]".into();
    }
    let (width, height) = (canvas.width, canvas.height);
    let degrees = |side: u32| {
        let share = f64::from(side) / f64::from(width.min(height));
        4.0 * (share * (236.0_f64 / 4.0).to_radians().tan()).atan().to_degrees()
    };
    format!(
        "[ring]v360=e:sg:pitch=-90:h_fov={:.3}:v_fov={:.3}:w={width}:h={height}:interp=linear,setsar=1,format=gray[near]",
        degrees(width),
        degrees(height)
    )
}

/// The ring itself: the waveform.
fn wave(sphere: &Canvas, line: u32, unit: f64) -> String {
    let (width, height, tall) = (sphere.half(), sphere.height, sphere.rows(0.14));
    format!(
        "[sound2]showwaves=s={width}x{tall}:mode=p2p:rate={}:colors=white:draw=full:scale=lin,format=gray,gblur=sigma={},\
         lut=c0='min(val*1.6,255)',pad={width}:{height}:0:{},setsar=1[wave]",
        sphere.fps,
        1.3 * unit,
        line - tall / 2
    )
}

/// Two layers of clouds through each other, breathing with the low tones, and stars behind them.
fn mist(canvas: &Canvas) -> String {
    let (half, whole) = (Size(even(canvas.half() / 2), even(canvas.height / 2)), Size(canvas.width, canvas.height));
    // The poles of a sphere are points: what is wide there would be a whirl.
    let calm = if canvas.is_spherical { "255*pow(sin(PI*(Y+0.5)/H),1.5)" } else { "255" };
    [
        clouds(canvas, half, Size(6, 5), (31, 0.06), 1.0, "mist1"),
        clouds(canvas, half, Size(9, 7), (57, 0.1), 1.0, "mist2"),
        still(canvas, whole, calm, "calm"),
        format!(
            "[spectrum3]crop=iw/4:6:0:0,scale=1:1:flags=area,scale={}:{}:flags=neighbor,lagfun=decay=0.93,\
             lut=c0='70+val*0.7',setsar=1[beat]",
            half.0, half.1
        ),
        "[mist1][mist2]blend=all_mode=multiply,lut=c0='clip((val-22)*0.85,0,255)'[mist3]".into(),
        "[mist3][beat]blend=all_mode=multiply[mist4]".into(),
        mirror("mist4", "mist5"),
        format!("[mist5]scale={}:{}:flags=bicubic,setsar=1[mist]", whole.0, whole.1),
        sparks(canvas, whole, (11, 0.003), 62, "stars"),
        "[mist][stars]blend=all_mode=screen:all_opacity=0.6[sky];[sky][calm]blend=all_mode=multiply[far]".into(),
    ]
    .join(";")
}
