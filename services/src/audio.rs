//! What kind of sound a file holds, by its first bytes. Names and `Content-Type` are not believed.

mod intake;

use events::{AudioKey, JobId, key};

use crate::bucket::{self, Bucket};

pub use intake::{Refused, Stored, digest, store};

/// Largest audio, in bytes: 2 GiB.
pub const MAX_BYTES: u64 = 2 * 1024 * 1024 * 1024;

/// A kind of audio file that is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// What its key ends with.
    pub extension: &'static str,
    /// What it is stored as.
    pub content_type: &'static str,
}

/// How many bytes are enough to tell.
pub const SNIFF_BYTES: usize = 64;

/// What is taken, for people.
pub const TAKEN: &str = "wav, flac, mp3, ogg, opus, m4a, aac and webm";

/// Whether a file with this extension may be taken; its first bytes still decide.
pub fn is_taken(extension: &str) -> bool {
    matches!(extension, "wav" | "flac" | "mp3" | "ogg" | "oga" | "opus" | "m4a" | "mp4" | "aac" | "webm")
}

/// The audio of a job that was to be fetched, if it is in the bucket.
pub async fn find(bucket: &Bucket, job: JobId) -> Result<Option<AudioKey>, bucket::Error> {
    let listed = bucket.folder(&key::folder(job)).await?;
    let keys = listed.iter().filter_map(|listed| AudioKey::parse(&listed.key).ok());
    Ok(keys.into_iter().find(|key| is_taken(key.extension())))
}

/// What a file with this extension is stored as.
pub fn content_type(extension: &str) -> &'static str {
    match extension {
        "wav" => "audio/wav",
        "flac" => "audio/flac",
        "mp3" => "audio/mpeg",
        "ogg" | "oga" | "opus" => "audio/ogg",
        "m4a" | "mp4" => "audio/mp4",
        "aac" => "audio/aac",
        "webm" => "audio/webm",
        _ => "application/octet-stream",
    }
}

fn kind(extension: &'static str) -> Kind {
    Kind { extension, content_type: content_type(extension) }
}

/// The kind of audio that begins like this. The signatures are those of the formats' own specifications.
pub fn sniff(bytes: &[u8]) -> Option<Kind> {
    Some(match bytes {
        [b'R', b'I', b'F' | b'6', b'F' | b'4', _, _, _, _, b'W', b'A', b'V', b'E', ..] => kind("wav"),
        [b'f', b'L', b'a', b'C', ..] => kind("flac"),
        [b'O', b'g', b'g', b'S', ..] if bytes.windows(8).any(|window| window == b"OpusHead") => kind("opus"),
        [b'O', b'g', b'g', b'S', ..] => kind("ogg"),
        [b'I', b'D', b'3', ..] => kind("mp3"),
        [0x1a, 0x45, 0xdf, 0xa3, ..] => kind("webm"),
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => kind("m4a"),
        // ADTS: twelve sync bits, layer 0.
        [0xff, second, ..] if second & 0xf6 == 0xf0 => kind("aac"),
        // MPEG audio: eleven sync bits, a layer, a real bit rate and sampling rate.
        [0xff, second, third, ..]
            if second & 0xe0 == 0xe0 && second & 0x06 != 0 && third & 0xf0 != 0xf0 && third & 0x0c != 0x0c =>
        {
            kind("mp3")
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::sniff;

    #[test]
    fn first_bytes_tell_the_kind() {
        let rows: [(&[u8], Option<&str>); 12] = [
            (b"RIFF\x24\0\0\0WAVEfmt ", Some("wav")),
            (b"fLaC\0\0\0\x22", Some("flac")),
            (b"OggS\0\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x13OpusHead", Some("opus")),
            (b"OggS\0\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x1e\x01vorbis", Some("ogg")),
            (b"ID3\x04\0\0\0\0\0\0", Some("mp3")),
            (b"\xff\xfb\x90\x64\0\0", Some("mp3")),
            (b"\xff\xf1\x50\x80\0\0", Some("aac")),
            (b"\0\0\0\x20ftypM4A ", Some("m4a")),
            (b"\x1a\x45\xdf\xa3\x01", Some("webm")),
            (b"#EXTM3U\n", None),
            (b"<html>", None),
            (b"", None),
        ];
        for (bytes, extension) in rows {
            assert_eq!(sniff(bytes).map(|kind| kind.extension), extension, "{bytes:?}");
        }
    }
}
