//! The `framecrc` format: `#key stream: value` lines, then `stream, dts, pts, duration, size, checksum`.

use std::collections::BTreeMap;

use super::{Audio, Video};

/// What was read so far.
#[derive(Debug, Default)]
pub(super) struct Packets(BTreeMap<u32, Stream>);

/// One stream.
#[derive(Debug, Default)]
pub(super) struct Stream {
    /// By key: `codec_id`, `dimensions`, ….
    facts: BTreeMap<String, String>,
    packets: u64,
    /// When the first packet is to be shown, in units of `tb`.
    first: Option<i64>,
    /// When the last one is over.
    end: i64,
}

impl Packets {
    /// The streams, in their order.
    pub(super) fn streams(&self) -> impl Iterator<Item = &Stream> {
        self.0.values()
    }

    /// Takes one line; one that is neither a fact nor a packet says nothing.
    pub(super) fn read(&mut self, line: &str) {
        match line.strip_prefix('#') {
            Some(fact) => self.fact(fact),
            None => self.packet(line),
        }
        .unwrap_or_default();
    }

    fn fact(&mut self, fact: &str) -> Option<()> {
        let (name, value) = fact.split_once(": ")?;
        let (key, stream) = name.split_once(' ')?;
        self.0.entry(stream.parse().ok()?).or_default().facts.insert(key.to_owned(), value.trim().to_owned());
        Some(())
    }

    fn packet(&mut self, line: &str) -> Option<()> {
        let mut fields = line.split(',').map(str::trim);
        let stream = self.0.get_mut(&fields.next()?.parse().ok()?)?;
        let _dts = fields.next()?;
        let shown: i64 = fields.next()?.parse().ok()?;
        let duration: i64 = fields.next()?.parse().ok()?;
        stream.packets += 1;
        stream.first = Some(stream.first.map_or(shown, |first| first.min(shown)));
        stream.end = stream.end.max(shown + duration);
        Some(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "times and counts of a media file")]
impl Stream {
    /// It, if it is a video.
    pub(super) fn video(&self) -> Option<Video> {
        let (width, height) = self.fact("dimensions")?.split_once('x')?;
        let duration_seconds = self.seconds(self.end)?;
        let shown = duration_seconds - self.seconds(self.first?.max(0))?;
        Some(Video {
            codec: self.fact("codec_id")?.to_owned(),
            width: width.parse().ok()?,
            height: height.parse().ok()?,
            fps: self.packets as f64 / shown,
            frames: self.packets,
            duration_seconds,
        })
    }

    /// It, if it is a sound.
    pub(super) fn audio(&self) -> Option<Audio> {
        Some(Audio {
            codec: self.fact("codec_id")?.to_owned(),
            sample_rate: self.fact("sample_rate")?.parse().ok()?,
            channels: self.channels(),
            duration_seconds: self.seconds(self.end)?,
        })
    }

    fn fact(&self, key: &str) -> Option<&str> {
        self.facts.get(key).map(String::as_str)
    }

    fn seconds(&self, time: i64) -> Option<f64> {
        let (part, whole) = self.fact("tb")?.split_once('/')?;
        Some(time as f64 * part.parse::<f64>().ok()? / whole.parse::<f64>().ok()?)
    }

    /// ffmpeg 5.0 tells a mask of the channels, a newer one the layout's name.
    fn channels(&self) -> u32 {
        let mask = || self.fact("channel_layout")?.parse::<u64>().ok().map(u64::count_ones);
        let counted = |name: &str| name.split_once(" channels").and_then(|(count, _)| count.parse().ok());
        let named = || match self.fact("channel_layout_name")? {
            "mono" => Some(1),
            "stereo" | "downmix" => Some(2),
            "quad" => Some(4),
            name => counted(name).or_else(|| {
                let (full, low) = name.split(['(', ' ']).next()?.split_once('.')?;
                Some(full.parse::<u32>().ok()? + low.parse::<u32>().ok()?)
            }),
        };
        named().or_else(mask).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::{Packets, Stream};

    const NEW: &str = "#software: Lavf63\n#tb 0: 1/15360\n#media_type 0: video\n#codec_id 0: h264\n#dimensions 0: 1920x1080\n\
        #sar 0: 1/1\n#tb 1: 1/48000\n#media_type 1: audio\n#codec_id 1: aac\n#sample_rate 1: 48000\n\
        #channel_layout_name 1: 5.1(side)\n0, -512, 0, 512, 9, 0x1\n1, -1024, -1024, 1024, 9, 0x1\n\
        0, 0, 1024, 512, 9, 0x1, F=0x0\n0, 512, 512, 512, 9, 0x1, S=1, 8\n1, 0, 0, 1024, 9, 0x1\n";

    fn read(text: &str) -> Packets {
        let mut packets = Packets::default();
        text.lines().for_each(|line| packets.read(line));
        packets
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "all of these are exact")]
    fn streams_are_read_from_facts_and_packets() {
        let packets = read(NEW);
        let video = packets.streams().find_map(Stream::video).expect("a video");
        assert_eq!((video.codec.as_str(), video.width, video.height, video.frames), ("h264", 1920, 1080, 3));
        assert_eq!((video.fps, video.duration_seconds), (30.0, 0.1));
        let audio = packets.streams().find_map(Stream::audio).expect("a sound");
        assert_eq!((audio.codec.as_str(), audio.sample_rate, audio.channels), ("aac", 48_000, 6));
        assert_eq!(audio.duration_seconds, 1024.0 / 48_000.0);
    }

    #[test]
    fn channels_are_counted_as_old_and_new_releases_tell_them() {
        for (fact, channels) in [
            ("layout 0: 3", 2),
            ("layout 0: 4", 1),
            ("layout_name 0: mono", 1),
            ("layout_name 0: stereo", 2),
            ("layout_name 0: 7.1", 8),
            ("layout_name 0: 3 channels (FL+FR+LFE)", 3),
            ("layout_name 0: strange", 0),
        ] {
            let packets =
                read(&format!("#tb 0: 1/1\n#codec_id 0: aac\n#sample_rate 0: 1\n#channel_{fact}\n0, 0, 0, 1, 1, 0"));
            assert_eq!(packets.streams().find_map(Stream::audio).expect("a sound").channels, channels, "{fact}");
        }
    }

    #[test]
    fn what_is_no_media_says_nothing() {
        assert_eq!(read("hello\n# 1\n#\n0, 0\n7, 1, 1, 1, 1, 1\n").streams().count(), 0);
    }
}
