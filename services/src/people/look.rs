//! How a video is to look.

use ::events::wire::client::RenderRequest;
use ::events::{Mode, OutputFormat};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde::de::value::{Error, StrDeserializer};
use serde::de::{DeserializeOwned, IntoDeserializer};

const FORMATS: [&str; 9] = [
    "flat-1080p-landscape",
    "flat-1080p-portrait",
    "flat-1080p-square",
    "flat-4k-landscape",
    "flat-4k-portrait",
    "360-mono-4k",
    "360-mono-6k",
    "360-mono-8k",
    "360-stereo-8k",
];

/// Settings that `submit` and `demo` share.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Look {
    /// Shape and size of the video [default: flat-1080p-landscape]
    #[arg(long, value_parser = words::<OutputFormat>(&FORMATS))]
    format: Option<OutputFormat>,
    /// The look [default: flame]
    #[arg(long, value_parser = words::<Mode>(&["flame", "mist"]))]
    mode: Option<Mode>,
    /// Frames per second [default: 30]
    #[arg(long, value_parser = PossibleValuesParser::new(["30", "60"]).try_map(|text| text.parse::<u32>()))]
    fps: Option<u32>,
}

impl Look {
    /// A request that asks for it.
    pub(crate) fn request(&self) -> RenderRequest {
        RenderRequest { output_format: self.format, mode: self.mode, fps: self.fps, ..RenderRequest::default() }
    }
}

/// Words as the wire spells them.
fn words<T>(spelled: &'static [&'static str]) -> impl TypedValueParser<Value = T>
where
    T: DeserializeOwned + Clone + Send + Sync + 'static,
{
    let read = |text: String| {
        let text: StrDeserializer<'_, Error> = text.as_str().into_deserializer();
        T::deserialize(text)
    };
    PossibleValuesParser::new(spelled).try_map(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_of_the_wire_can_be_chosen_by_its_name() {
        let spelled = OutputFormat::ALL.map(|format| serde_json::to_value(format).expect("a word"));
        assert_eq!(spelled.map(|word| word.as_str().unwrap_or_default().to_owned()), FORMATS);
    }
}
