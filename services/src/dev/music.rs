//! A short piece of music, made from nothing but arithmetic, for `kiln demo` and the tests.
//!
//! Pads over four chords, a plucked arpeggio that echoes from side to side, a bass, drums that duck the rest, and a
//! room around it all. It begins quietly, builds up, drops in its middle, and fades, so that a picture has something to follow.
//! No randomness but a fixed one: the same length gives the same bytes.

use std::f32::consts::TAU;
use std::io::Cursor;

/// Samples per second of [`wav`].
pub const SAMPLE_RATE: u32 = 44_100;

const RATE: f32 = 44_100.0;
/// 96 beats a minute, four to the bar: eight bars are 20 seconds.
const BEAT: f32 = 0.625;
const BAR: f32 = 4.0 * BEAT;
/// F major 7, A minor 7, C major 7, G 6; as MIDI notes, from the lowest.
const CHORDS: [[f32; 4]; 4] =
    [[53.0, 57.0, 60.0, 64.0], [57.0, 60.0, 64.0, 67.0], [55.0, 60.0, 64.0, 71.0], [55.0, 59.0, 62.0, 64.0]];
const ROOTS: [f32; 4] = [29.0, 33.0, 36.0, 31.0];
/// Which note of the chord each sixteenth plays, and how many octaves above it.
const ARPEGGIO: [(usize, f32); 8] = [(0, 1.0), (2, 1.0), (1, 2.0), (3, 1.0), (2, 2.0), (1, 1.0), (3, 2.0), (2, 1.0)];

/// The piece, `seconds` long, as a WAV file: 44.1 kHz, stereo, 16 bits.
///
/// Its sections are shares of the length, so that a clip of two seconds has its build-up and its drop as well.
///
/// ```
/// let song = kiln::dev::music::wav(0.5);
/// assert_eq!(&song[..4], b"RIFF");
/// assert_eq!(song.len(), 44 + 22_050 * 4);
/// ```
pub fn wav(seconds: f32) -> Vec<u8> {
    encode(&Piece::new(seconds).play())
}

type Stereo = [f32; 2];

fn encode(samples: &[Stereo]) -> Vec<u8> {
    let spec = hound::WavSpec {
        channels: 2,
        sample_rate: SAMPLE_RATE,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut file = Cursor::new(Vec::with_capacity(44 + samples.len() * 4));
    let mut writer = hound::WavWriter::new(&mut file, spec).expect("a header fits into memory");
    for sample in samples.iter().flatten() {
        writer.write_sample(quantise(*sample)).expect("memory takes every sample");
    }
    writer.finalize().expect("memory can be sought");
    file.into_inner()
}

#[expect(clippy::cast_possible_truncation, reason = "`tanh` stays within one, times 32 000 within 16 bits")]
fn quantise(sample: f32) -> i16 {
    (sample.tanh() * 32_000.0) as i16
}

/// How loud each instrument is at one moment.
struct Levels {
    pad: f32,
    pluck: f32,
    bass: f32,
    drums: f32,
    riser: f32,
}

impl Levels {
    /// `share` is how much of the piece has passed, 0 to 1.
    fn at(share: f32) -> Self {
        let drop = if (0.5..0.875).contains(&share) { 1.0 } else { 0.0 };
        let build = ramp(share, 0.2, 0.5);
        let end = 1.0 - ramp(share, 0.85, 1.0);
        Self {
            pad: ramp(share, 0.0, 0.12).mul_add(0.6, 0.25 * build) * end,
            pluck: (0.25 + 0.45 * build + 0.3 * drop) * ramp(share, 0.06, 0.2) * end,
            bass: (0.35 * ramp(share, 0.25, 0.3)).max(drop) * end,
            drums: if share < 0.5 { 0.35 * ramp(share, 0.25, 0.48) } else { drop },
            riser: if share < 0.5 { ramp(share, 0.36, 0.5).powi(2) } else { 0.0 },
        }
    }
}

struct Piece {
    frames: usize,
    noise: Noise,
    echo: Echo,
    room: [Room; 2],
}

impl Piece {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a length in samples is small and positive"
    )]
    fn new(seconds: f32) -> Self {
        Self {
            frames: (seconds.max(0.0) * RATE).round() as usize,
            noise: Noise(0x9e37_79b9),
            echo: Echo::new(0.75 * BEAT),
            room: [Room::new(0.0), Room::new(0.0007)],
        }
    }

    fn play(mut self) -> Vec<Stereo> {
        (0..self.frames).map(|frame| self.frame(frame)).collect()
    }

    #[expect(clippy::cast_precision_loss, reason = "a frame's number is far below 2^24 for any demo")]
    fn frame(&mut self, frame: usize) -> Stereo {
        let time = frame as f32 / RATE;
        let share = frame as f32 / self.frames as f32;
        let levels = Levels::at(share);
        let hiss = self.noise.next();
        let duck = 1.0 - 0.65 * levels.drums * (-6.0 * (time % BEAT)).exp();
        let pluck = self.echo.next(pluck(time) * levels.pluck);
        let (bright, drums) = (0.25 + levels.drums, drums(time, hiss).map(|part| part * levels.drums));
        let low = bass(time) * levels.bass * duck;
        let mut out = [0.0; 2];
        for (side, sample) in out.iter_mut().enumerate() {
            let pad = pad(time, side, bright) * levels.pad * duck;
            let wet = pad + 0.8 * pluck[side] + 0.25 * drums[1] + 0.22 * levels.riser * hiss;
            let dry = 0.5 * pad + 0.7 * pluck[side] + drums[0] + drums[1] + low;
            *sample = 0.8 * (dry + 0.55 * duck * self.room[side].next(wet)) * edges(share);
        }
        out
    }
}

/// Silence at both ends, so that nothing clicks.
fn edges(share: f32) -> f32 {
    ramp(share, 0.0, 0.01) * (1.0 - ramp(share, 0.94, 1.0))
}

/// From 0 at `from` to 1 at `to`, smoothly.
fn ramp(value: f32, from: f32, to: f32) -> f32 {
    let x = ((value - from) / (to - from)).clamp(0.0, 1.0);
    x * x * (3.0 - 2.0 * x)
}

fn hertz(note: f32) -> f32 {
    440.0 * ((note - 69.0) / 12.0).exp2()
}

/// The chord's number at a time, and the time since it began.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bars are few and positive")]
fn bar(time: f32) -> (usize, f32) {
    ((time / BAR) as usize % CHORDS.len(), time % BAR)
}

/// Soft saws, three harmonics each, a little detuned on each side.
fn pad(time: f32, side: usize, bright: f32) -> f32 {
    let (chord, since) = bar(time);
    let detune = if side == 0 { 1.0 - 0.0025 } else { 1.0 + 0.0025 };
    let swell = ramp(since, 0.0, 0.25) * (1.0 - 0.5 * ramp(since, BAR - 0.15, BAR));
    let voice = |note: &f32| {
        let phase = TAU * time * hertz(*note) * detune;
        phase.sin() + bright * (0.5 * (2.0 * phase).sin() + 0.33 * (3.0 * phase).sin() + 0.2 * (5.0 * phase).sin())
    };
    0.12 * swell * CHORDS[chord].iter().map(voice).sum::<f32>()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "sixteenths are few and positive")]
fn pluck(time: f32) -> f32 {
    let (chord, since) = bar(time);
    let step = BEAT / 4.0;
    let (note, octave) = ARPEGGIO[(since / step) as usize % ARPEGGIO.len()];
    let age = since % step;
    let phase = TAU * hertz(12.0f32.mul_add(octave, CHORDS[chord][note])) * age;
    let body =
        phase.sin() + 0.6 * (2.0 * phase).sin() * (-18.0 * age).exp() + 0.4 * (4.0 * phase).sin() * (-40.0 * age).exp();
    0.32 * body * (-9.0 * age).exp() * ramp(age, 0.0, 0.002) * (1.0 - ramp(age, 0.9 * step, step))
}

fn bass(time: f32) -> f32 {
    let (chord, since) = bar(time);
    let age = since % (BEAT / 2.0);
    let phase = TAU * hertz(ROOTS[chord] + 12.0) * since;
    0.3 * (phase.sin() + 0.5 * (2.0 * phase).sin() + 0.2 * (3.0 * phase).sin())
        * (-2.5 * age).exp()
        * ramp(age, 0.0, 0.006)
}

/// The kick on every beat, and beside it what is made of `hiss`: a clap on two and four, hats between.
fn drums(time: f32, hiss: f32) -> Stereo {
    let age = time % BEAT;
    let kick = 0.85 * (TAU * (48.0 * age + 7.0 * (1.0 - (-22.0 * age).exp()))).sin() * (-7.0 * age).exp();
    let clap = if time % (2.0 * BEAT) >= BEAT { 0.3 * (-22.0 * age).exp() } else { 0.0 };
    let hat = 0.11 * (-45.0 * ((time + BEAT / 2.0) % (BEAT / 2.0))).exp();
    [kick * ramp(age, 0.0, 0.001), hiss * (clap + hat)]
}

/// White noise, brightened by taking the last value from the next one; xorshift32.
struct Noise(u32);

impl Noise {
    #[expect(clippy::cast_precision_loss, reason = "noise needs no precision")]
    fn next(&mut self) -> f32 {
        let last = self.0;
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        (self.0 as f32 - last as f32) / u32::MAX as f32
    }
}

/// A ring of samples: what goes in comes out some time later.
struct Delay {
    ring: Vec<f32>,
    at: usize,
}

impl Delay {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a delay is a few thousand samples")]
    fn new(seconds: f32) -> Self {
        Self { ring: vec![0.0; (seconds * RATE) as usize], at: 0 }
    }

    /// The sample that was put in `seconds` ago.
    fn past(&self) -> f32 {
        self.ring[self.at]
    }

    fn put(&mut self, sample: f32) {
        self.ring[self.at] = sample;
        self.at = (self.at + 1) % self.ring.len();
    }
}

/// Echoes that go from side to side.
struct Echo([Delay; 2]);

impl Echo {
    fn new(seconds: f32) -> Self {
        Self([Delay::new(seconds), Delay::new(seconds)])
    }

    fn next(&mut self, sample: f32) -> Stereo {
        let [left, right] = [self.0[0].past(), self.0[1].past()];
        self.0[0].put(sample + 0.45 * right);
        self.0[1].put(0.7 * left);
        [sample + 0.5 * left, 0.8 * sample + 0.5 * right]
    }
}

/// A room after Schroeder: four combs side by side, softened.
struct Room {
    combs: [Delay; 4],
    soft: [f32; 4],
}

impl Room {
    /// `spread` seconds longer than another one, which makes two of them wide.
    fn new(spread: f32) -> Self {
        Self {
            combs: [0.0297, 0.0371, 0.0411, 0.0437].map(|seconds| Delay::new(seconds * 1.6 + spread)),
            soft: [0.0; 4],
        }
    }

    fn next(&mut self, sample: f32) -> f32 {
        let mut sum = 0.0;
        for (comb, soft) in self.combs.iter_mut().zip(&mut self.soft) {
            let past = comb.past();
            *soft += 0.45 * (past - *soft);
            comb.put(sample + 0.86 * *soft);
            sum += past;
        }
        0.16 * sum
    }
}

#[cfg(test)]
mod tests {
    use super::{Piece, wav};

    #[test]
    fn it_is_the_same_every_time_and_as_long_as_asked() {
        assert_eq!(wav(0.3), wav(0.3));
        assert_eq!([wav(0.0).len(), wav(-1.0).len(), wav(2.0).len()], [44, 44, 44 + 88_200 * 4]);
    }

    #[test]
    fn it_begins_and_ends_in_silence_and_is_loudest_after_the_drop() {
        let piece = Piece::new(4.0).play();
        let loudness = |share: std::ops::Range<usize>| -> f32 {
            let part = &piece[share.start * piece.len() / 100..share.end * piece.len() / 100];
            part.iter().flatten().map(|sample| sample * sample).sum::<f32>()
                / 2.0
                / f32::from(u16::try_from(part.len() / 64).expect("a short part"))
        };
        let [start, build, drop, end] = [0..1, 30..48, 52..80, 99..100].map(loudness);
        assert!(start < build / 100.0 && end < build / 100.0, "{start} {build} {end}");
        assert!(drop > build * 2.0, "{build} {drop}");
    }
}
