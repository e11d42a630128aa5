//! Where a picture is drawn: smaller than the video, since its light is soft, and enlarged at the end.

use events::OutputFormat;

/// One view: the whole flat picture, or what one eye sees of a sphere.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Canvas {
    /// Pixels, even.
    pub width: u32,
    /// Pixels, even.
    pub height: u32,
    /// Frames per second.
    pub fps: u32,
    /// Whether left and right meet, and top and bottom are points.
    pub is_spherical: bool,
    /// Whether each eye gets its own view.
    pub is_stereo: bool,
}

impl Canvas {
    pub(super) fn new(format: OutputFormat, fps: u32) -> Self {
        let (width, height) = format.size();
        let height = if format.is_stereo() { height / 2 } else { height };
        let (share, whole) = match width.max(height) {
            0..=1080 => (2, 3),
            1081..=4096 => (1, 2),
            4097..=6144 => (1, 3),
            _ => (1, 4),
        };
        let shrink = |side: u32| even(side * share / whole);
        Self {
            width: shrink(width),
            height: shrink(height),
            fps,
            is_spherical: format.is_spherical(),
            is_stereo: format.is_stereo(),
        }
    }

    /// Half of the width: pictures are symmetrical, so one half is drawn and mirrored. It also makes a sphere seamless.
    pub(super) fn half(&self) -> u32 {
        even(self.width / 2)
    }

    /// How much larger it is than the one that blurs and waves were tuned on (960×540).
    pub(super) fn unit(&self) -> f64 {
        f64::from(self.width.min(self.height)) / 540.0
    }

    /// A share of the height, even.
    pub(super) fn rows(&self, share: f64) -> u32 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a small height")]
        even((f64::from(self.height) * share) as u32)
    }

    /// As many steps of a spectrum's history as last for so many seconds, at two steps a frame.
    pub(super) fn steps(&self, seconds: f64) -> u32 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few seconds")]
        even((f64::from(self.fps) * 2.0 * seconds) as u32)
    }
}

/// The even number at or below, but at least two: colours are stored for pairs of pixels.
pub(super) fn even(number: u32) -> u32 {
    (number / 2 * 2).max(2)
}

#[cfg(test)]
mod tests {
    use super::Canvas;
    use events::OutputFormat;

    #[test]
    fn every_canvas_is_a_whole_fraction_of_its_video_and_fits_two_halves() {
        for format in OutputFormat::ALL {
            let canvas = Canvas::new(format, 30);
            let (width, height) = format.size();
            let eyes = if format.is_stereo() { 2 } else { 1 };
            assert_eq!(canvas.width * height, canvas.height * eyes * width, "{format:?} keeps its shape");
            assert_eq!(canvas.half() * 2, canvas.width, "{format:?}");
            assert!(canvas.width <= 2048, "{format:?} stays small");
        }
    }
}
