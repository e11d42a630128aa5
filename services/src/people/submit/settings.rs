//! What is asked for, beside the audio.

use std::time::Duration;

use ::events::wire::client::RenderRequest;
use serde_json::{Map, Value};

use crate::clock;
use crate::people::error::Error;
use crate::people::look::Look;

/// The settings of a render. Bounds are kiln's to judge: it names each field that breaks one.
#[derive(clap::Args, Debug)]
pub(in crate::people) struct Order {
    #[command(flatten)]
    look: Look,
    /// Settings of the renderer: a JSON object, or a file that holds one
    #[arg(long = "settings", value_name = "JSON|FILE")]
    render_settings: Option<String>,
    /// Your own notes, a JSON object, given back with each answer; `filename` is added
    #[arg(long, value_name = "JSON|FILE")]
    metadata: Option<String>,
    /// How many attempts may be made before the job fails [default: 3]
    #[arg(long, value_name = "NUMBER")]
    max_attempts: Option<u16>,
    /// How long the job may take from its first dispatch, such as 90s, 15m or 2h [default: 1d]
    #[arg(long, value_name = "TIME", value_parser = time)]
    deadline: Option<Duration>,
    /// Cancel the job if it still waits in the queue after this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    expires_in: Option<Duration>,
}

impl Order {
    /// The request.
    pub(super) fn request(&self) -> Result<RenderRequest, Error> {
        let object = |flag, text: &Option<String>| text.as_deref().map(|text| object(flag, text)).transpose();
        Ok(RenderRequest {
            render_settings: object("--settings", &self.render_settings)?,
            metadata: object("--metadata", &self.metadata)?,
            max_attempts: self.max_attempts,
            deadline_seconds: self.deadline.map(|time| u32::try_from(time.as_secs()).unwrap_or(u32::MAX)),
            expires_at: self.expires_in.map(|time| clock::now() + time),
            ..self.look.request()
        })
    }
}

/// An object that stands there, or in the file of that name.
fn object(flag: &str, text: &str) -> Result<Map<String, Value>, Error> {
    let read;
    let json = if text.trim_start().starts_with('{') {
        text
    } else {
        read = std::fs::read_to_string(text)
            .map_err(|error| Error::File(format!("{flag} is neither a JSON object nor a file: `{text}`: {error}")))?;
        &read
    };
    serde_json::from_str(json).map_err(|error| Error::Usage(format!("{flag} is no JSON object: {error}")))
}

/// `90`, `90s`, `15m`, `2h`, `7d`.
fn time(text: &str) -> Result<Duration, String> {
    let number = text.trim_end_matches(|unit: char| unit.is_ascii_alphabetic());
    let seconds = match &text[number.len()..] {
        "" | "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err("a time is a number with s, m, h or d, such as 90s or 2h".into()),
    };
    let number: u64 = number.parse().map_err(|_| "a time is a whole number with s, m, h or d, such as 90s or 2h")?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(|| "that is longer than time can be".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_units_and_nothing_else() {
        let rows = [("90", 90), ("90s", 90), ("15m", 900), ("2min", 120), ("2h", 7200), ("7d", 604_800), ("0", 0)];
        for (text, seconds) in rows {
            assert_eq!(time(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "h", "-1", "1.5h", "2 h", "2w", "99999999999999999999", "9999999999999999999d"] {
            assert!(time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_object_stands_in_the_flag_or_in_a_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("settings.json");
        std::fs::write(&file, r#"{"intensity": 2}"#).expect("written");
        assert_eq!(object("--settings", &file.display().to_string()).expect("read")["intensity"], 2);
        assert_eq!(object("--settings", r#" {"intensity": 1}"#).expect("read")["intensity"], 1);
        let codes = ["{", "{\"a\":1,}", "/nowhere/at/all", "[1]"]
            .map(|text| object("--settings", text).map_err(|error| error.code()).err());
        assert_eq!(codes, [Some(2), Some(2), Some(7), Some(7)]);
    }
}
