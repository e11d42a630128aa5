//! The pieces that both pictures are made of, as text for ffmpeg's `-filter_complex`.
//!
//! A picture is drawn in grey, one half of it, and coloured at the very end through a table. Filters are those of ffmpeg 5.0.
//! Every branch ends in the picture: one that ended elsewhere would let endless sources run ahead and fill the memory.

use super::canvas::Canvas;
use super::settings::{Rgb, Settings};

/// Size of something that is drawn.
#[derive(Clone, Copy)]
pub(super) struct Size(pub u32, pub u32);

/// The sound for the eye: one rate, two channels, quiet songs raised a little, and silence after the end.
pub(super) const SOUND: &str =
    "[0:a:0]aresample=44100,aformat=channel_layouts=stereo,dynaudnorm=f=500:g=31:m=4:p=0.9,apad";

/// The spectrum's recent history, grey, newest line on top: `columns` tones from `lowest` to `highest` Hz.
pub(super) fn spectrum(canvas: &Canvas, columns: u32, steps: u32, tones: (u32, u32), volume: f64) -> String {
    let (lowest, highest) = tones;
    format!(
        "showcqt=s={columns}x{steps}:fps={}:bar_h=0:axis_h=0:sono_h={steps}:sono_v={volume:.2}:sono_g=4:basefreq={lowest}:\
         endfreq={highest}:tc=0.1:count=2:cscheme=1|1|1|1|1|1,format=gray",
        canvas.fps
    )
}

/// A picture that stands still, each pixel's grey computed once from X, Y, W and H.
pub(super) fn still(canvas: &Canvas, Size(width, height): Size, grey: &str, name: &str) -> String {
    let fps = canvas.fps;
    format!(
        "color=black:s={width}x{height}:r={fps},trim=end_frame=1,format=gray,geq=lum='clip({grey},0,255)',loop=-1:1,fps={fps}[{name}]"
    )
}

/// Clouds that drift upwards: `speed` heights a second, about `cells` clouds in each direction, contrast 0 to 1.
pub(super) fn clouds(
    canvas: &Canvas,
    size: Size,
    cells: Size,
    motion: (u32, f64),
    contrast: f64,
    name: &str,
) -> String {
    let (Size(width, height), Size(columns, rows), (seed, speed)) = (size, cells, motion);
    let (fps, step) = (canvas.fps, speed / 2.0 / f64::from(canvas.fps));
    // Enlarged so much, each cell would show its edges.
    let soft = height / rows / 6;
    format!(
        "color=gray:s={columns}x{rows}:r={fps},trim=end_frame=1,format=gray,noise=c0s=100:c0_seed={seed},\
         scale={width}:{height}:flags=bicubic,gblur=sigma={soft},\
         lut=c0='128+(val-128)*{contrast:.3}',split[{name}1][{name}2];\
         [{name}2]vflip[{name}3];[{name}1][{name}3]vstack,loop=-1:1,fps={fps},scroll=v={step:.6},\
         crop={width}:{height}:0:0,setsar=1[{name}]"
    )
}

/// Small lights at random places, rising at `speed` heights a second; the higher the `threshold`, the fewer.
pub(super) fn sparks(
    canvas: &Canvas,
    Size(width, height): Size,
    motion: (u32, f64),
    threshold: u32,
    name: &str,
) -> String {
    let ((seed, speed), fps) = (motion, canvas.fps);
    format!(
        "color=black:s={width}x{height}:r={fps},trim=end_frame=1,format=gray,noise=c0s=100:c0_seed={seed},gblur=sigma=0.9,\
         lut=c0='clip((val-{threshold})*9,0,255)',loop=-1:1,fps={fps},scroll=v={:.6}[{name}]",
        speed / f64::from(fps)
    )
}

/// Mirrors a half to the left of itself.
pub(super) fn mirror(half: &str, whole: &str) -> String {
    format!("[{half}]split[{half}l][{half}r];[{half}l]hflip[{half}m];[{half}m][{half}r]hstack,setsar=1[{whole}]")
}

/// Brings what is near and what is far together and colours it: from `[near]` and `[far]` to `[video]`.
///
/// Each eye sees the near things a little to the side, the left eye to the right: so they stand before the far ones.
pub(super) fn finish(canvas: &Canvas, settings: &Settings, Size(width, height): Size) -> String {
    let seen = if canvas.is_stereo {
        "[near]split[near1][near2];[far]split[far1][far2];[near1]scroll=hpos=0.996[left];[near2]scroll=hpos=0.004[right];\
         [far1][left]blend=all_mode=screen[eye1];[far2][right]blend=all_mode=screen[eye2];[eye1][eye2]vstack"
    } else {
        "[far][near]blend=all_mode=screen"
    };
    let frame = if canvas.is_spherical { "" } else { ",vignette=PI/4.6" };
    format!(
        "{seen},setsar=1,format=gray,noise=c0s=7:c0f=t,format=gbrp,{}{frame},\
         scale={width}:{height}:flags=bicubic:out_color_matrix=bt709:out_range=tv,setsar=1,format=yuv420p[video]",
        palette(settings)
    )
}

/// A table from grey to colour: darkness is the background, then come the three colours.
fn palette(settings: &Settings) -> String {
    let [first, second, third] = settings.colors;
    let stops =
        [(0, settings.background), (56, dim(first, settings.background)), (124, first), (192, second), (255, third)];
    let table: Vec<String> = ["r", "g", "b"]
        .iter()
        .enumerate()
        .map(|(part, name)| format!("{name}='{}'", slope(&stops.map(|(grey, color)| (grey, color[part])))))
        .collect();
    format!("lutrgb={}", table.join(":"))
}

/// A fifth of a colour over half of the background.
fn dim(color: Rgb, background: Rgb) -> Rgb {
    let mut dimmed = [0; 3];
    for (part, dimmed) in dimmed.iter_mut().enumerate() {
        *dimmed = color[part] / 5 + background[part] / 2;
    }
    dimmed
}

/// Straight lines between the stops, as an expression of `val`.
fn slope(stops: &[(i32, u8)]) -> String {
    let last = stops.last().map_or(0, |stop| stop.1);
    stops.windows(2).rev().fold(last.to_string(), |rest, pair| {
        let ((from, low), (to, high)) = (pair[0], pair[1]);
        format!("if(lt(val,{to}),{low}+({})*(val-{from})/{},{rest})", i32::from(high) - i32::from(low), to - from)
    })
}

#[cfg(test)]
mod tests {
    use super::slope;

    #[test]
    fn a_slope_goes_through_its_stops() {
        assert_eq!(
            slope(&[(0, 7), (50, 5), (255, 9)]),
            "if(lt(val,50),7+(-2)*(val-0)/50,if(lt(val,255),5+(4)*(val-50)/205,9))"
        );
    }
}
