//! What `renderSettings` may say about the picture.

use events::Mode;
use serde_json::{Map, Value};

/// A colour, red green blue.
pub type Rgb = [u8; 3];

/// The settings that the built-in pictures know. All are optional; other names are left to a renderer of one's own.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// `colors`: from the faintest light to the brightest; one to three of `#rrggbb`.
    pub colors: [Rgb; 3],
    /// `background`: where there is no light; `#rrggbb`.
    pub background: Rgb,
    /// `intensity`: how strongly the picture answers to the music, 0 to 2; 1 if not given.
    pub intensity: f64,
}

/// A setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`renderSettings.{field}` must be {expected}")]
pub struct Error {
    /// Its name.
    pub field: &'static str,
    /// What would do.
    pub expected: &'static str,
}

impl Settings {
    /// Reads them; what is not given is the mode's own.
    pub fn parse(settings: &Map<String, Value>, mode: Mode) -> Result<Self, Error> {
        let (colors, background) = defaults(mode);
        Ok(Self {
            colors: settings.get("colors").map_or(Ok(colors), parse_colors)?,
            background: settings.get("background").map_or(Ok(background), parse_background)?,
            intensity: settings.get("intensity").map_or(Ok(1.0), parse_intensity)?,
        })
    }
}

fn defaults(mode: Mode) -> ([Rgb; 3], Rgb) {
    match mode {
        Mode::Flame => ([[0xff, 0x2d, 0x16], [0xff, 0x9a, 0x1f], [0xff, 0xf1, 0xc9]], [0x07, 0x03, 0x0c]),
        Mode::Mist => ([[0x3a, 0x4f, 0xc4], [0x4f, 0xd1, 0xc5], [0xf4, 0xec, 0xff]], [0x04, 0x08, 0x18]),
    }
}

fn parse_colors(value: &Value) -> Result<[Rgb; 3], Error> {
    let colors: Option<Vec<Rgb>> = value.as_array().and_then(|list| list.iter().map(rgb).collect());
    match colors.as_deref() {
        Some([one]) => Ok([*one, mix(*one, 0.35), mix(*one, 0.85)]),
        Some([one, two]) => Ok([*one, *two, mix(*two, 0.8)]),
        Some([one, two, three]) => Ok([*one, *two, *three]),
        _ => Err(Error { field: "colors", expected: "a list of one to three colours like `#ff8800`" }),
    }
}

fn parse_background(value: &Value) -> Result<Rgb, Error> {
    rgb(value).ok_or(Error { field: "background", expected: "a colour like `#07030c`" })
}

fn parse_intensity(value: &Value) -> Result<f64, Error> {
    let intensity = value.as_f64().filter(|number| (0.0..=2.0).contains(number));
    intensity.ok_or(Error { field: "intensity", expected: "a number from 0 to 2" })
}

fn rgb(value: &Value) -> Option<Rgb> {
    let digits = value.as_str()?.strip_prefix('#')?;
    if digits.len() != 6 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let [_, red, green, blue] = u32::from_str_radix(digits, 16).ok()?.to_be_bytes();
    Some([red, green, blue])
}

/// `share` of the way from a colour to white.
fn mix(color: Rgb, share: f64) -> Rgb {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between two bytes")]
    color.map(|part| (f64::from(part) + (255.0 - f64::from(part)) * share) as u8)
}

#[cfg(test)]
mod tests {
    use super::{Error, Settings};
    use events::Mode;
    use serde_json::{Value, json};

    fn parse(settings: &Value) -> Result<Settings, Error> {
        Settings::parse(settings.as_object().expect("an object"), Mode::Flame)
    }

    #[test]
    fn what_is_not_given_is_the_modes_own() {
        let flame = parse(&json!({"somebody": "else's"})).expect("unknown names are left alone");
        assert_eq!((flame.colors[0], flame.intensity), ([0xff, 0x2d, 0x16], 1.0));
        let mist = Settings::parse(&serde_json::Map::new(), Mode::Mist).expect("nothing is fine");
        assert_ne!(flame.colors, mist.colors);
    }

    #[test]
    fn fewer_colours_are_completed_towards_white() {
        let settings = parse(&json!({"colors": ["#000000"], "background": "#0A0b0c", "intensity": 2})).expect("valid");
        assert_eq!(settings.colors, [[0, 0, 0], [89, 89, 89], [216, 216, 216]]);
        assert_eq!((settings.background, settings.intensity), ([10, 11, 12], 2.0));
    }

    #[test]
    fn a_wrong_setting_is_named() {
        let rows = [
            (json!({"colors": []}), "colors"),
            (json!({"colors": ["#fff"]}), "colors"),
            (json!({"colors": ["#ffffff", 3]}), "colors"),
            (json!({"colors": ["#111111", "#111111", "#111111", "#111111"]}), "colors"),
            (json!({"colors": ["#+12345"]}), "colors"),
            (json!({"background": "black"}), "background"),
            (json!({"background": "#0000é"}), "background"),
            (json!({"intensity": 2.01}), "intensity"),
            (json!({"intensity": "1"}), "intensity"),
        ];
        for (settings, field) in rows {
            assert_eq!(parse(&settings).expect_err(field).field, field, "{settings}");
        }
    }
}
