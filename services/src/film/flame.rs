//! Fire over dark water: the spectrum rises as flames from a burning line, low tones in the middle, and is mirrored below.

use super::canvas::{Canvas, even};
use super::filters::{SOUND, Size, clouds, mirror, sparks, spectrum, still};
use super::settings::Settings;

/// The graph from `[0:a:0]` to `[near]` and `[far]`.
pub(super) fn graph(canvas: &Canvas, settings: &Settings) -> String {
    let (width, unit, volume) = (canvas.half(), canvas.unit(), 11.0 * settings.intensity);
    // On a sphere, the line is a little below the horizon, and the flames end well before the zenith.
    let (line, chill) = if canvas.is_spherical { (0.55, (1.5, 0.9)) } else { (0.72, (1.05, 1.1)) };
    let up = Size(width, canvas.rows(line));
    let down = Size(width, canvas.height - up.1);
    let cells = Size((width / scaled(40.0, unit)).max(6), (canvas.height / scaled(64.0, unit)).max(5));
    let fine = Size(cells.0 * 3, cells.1 * 2);
    let columns = even(width / 2).min(480);
    let push = (0.36 * unit).min(1.0);
    [
        format!("{SOUND},asplit=2[sound1][sound2]"),
        format!(
            "[sound1]{},vflip,split[spectrum1][spectrum2]",
            spectrum(canvas, columns, canvas.steps(0.9), (30, 7000), volume)
        ),
        // Heat is the spectrum minus a cold that grows with height: so the louder a tone, the taller its flame.
        format!(
            "[spectrum1]scale={}:{}:flags=bicubic,gblur=sigma={}:sigmaV={}[hot]",
            up.0,
            up.1,
            3.0 * unit,
            11.0 * unit
        ),
        still(canvas, up, &format!("255*({}*pow(1-Y/H,{})+0.25*pow(X/W,2))", chill.0, chill.1), "cold"),
        "[hot][cold]blend=all_mode=subtract[heat]".into(),
        clouds(canvas, up, cells, (7, 0.8), push, "gustx"),
        clouds(canvas, up, cells, (99, 0.65), push, "gusty"),
        clouds(canvas, up, fine, (5, 1.2), 0.9, "wisp"),
        "[heat][gustx][gusty]displace=edge=smear[lick];[wisp]lut=c0='clip(val+90,0,255)'[wisps]".into(),
        format!("[lick][wisps]blend=all_mode=multiply,gblur=sigma={},split[fire1][fire2]", 1.2 * unit),
        format!(
            "[fire2]scale={}:{},gblur=sigma={},lagfun=decay=0.9,scale={}:{}:flags=bicubic,setsar=1,split[glow1][glow2]",
            up.0 / 4,
            up.1 / 4,
            9.0 * unit,
            up.0,
            up.1
        ),
        sparks(canvas, up, (21, 0.22), 47, "dust"),
        "[dust][glow2]blend=all_mode=multiply,lut=c0='min(val*3,255)'[embers]".into(),
        "[fire1]setsar=1[fire];[fire][glow1]blend=all_mode=screen:all_opacity=0.75[lit]".into(),
        "[lit][embers]blend=all_mode=screen,split[above][mirrored]".into(),
        format!("[mirrored]vflip,scale={}:{},gblur=sigma={}:sigmaV={}[sunk]", down.0, down.1, 10.0 * unit, 2.0 * unit),
        still(canvas, down, "190*pow(1-Y/H,1.6)", "depth"),
        "[sunk][depth]blend=all_mode=multiply[below];[above][below]vstack,setsar=1[burning]".into(),
        wave(canvas, up.1),
        "[burning][wave]blend=all_mode=screen[half]".into(),
        mirror("half", "near"),
        halo(canvas, up.1, settings.intensity),
        mirror("halo", "far"),
    ]
    .join(";")
}

fn scaled(pixels: f64, unit: f64) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few pixels")]
    ((pixels * unit) as u32).max(1)
}

/// The burning line: the waveform, thin.
fn wave(canvas: &Canvas, line: u32) -> String {
    let (width, height, tall) = (canvas.half(), canvas.height, even(scaled(38.0, canvas.unit())));
    format!(
        "[sound2]showwaves=s={width}x{tall}:mode=cline:rate={}:colors=white:draw=full:scale=sqrt,format=gray,lut=c0='val*0.5',\
         gblur=sigma={}:sigmaV={},pad={width}:{height}:0:{},setsar=1[wave]",
        canvas.fps,
        0.8 * canvas.unit(),
        2.0 * canvas.unit(),
        line - tall / 2
    )
}

/// A glow behind the fire, as bright as the lowest tones are loud just now.
fn halo(canvas: &Canvas, line: u32, intensity: f64) -> String {
    let (width, height) = (canvas.half(), canvas.height);
    let shape =
        still(canvas, Size(width, height), &format!("230*exp(-pow(X/(0.8*W),2)-pow((Y-{line})/(0.30*H),2))"), "halo1");
    format!(
        "[spectrum2]crop=iw/5:4:0:ih-4,scale=1:1:flags=area,scale={width}:{height}:flags=neighbor,setsar=1[beat];{shape};\
         [beat][halo1]blend=all_mode=multiply,lut=c0='min(val*{:.2},255)'[halo]",
        0.5 * intensity
    )
}
