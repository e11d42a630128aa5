//! Tells players that a video is a sphere.
//!
//! ffmpeg has no option for it, but it reads the older of the two ways (Google's Spherical Video V1: a `uuid` box with
//! a little XML, in the video's `trak`) and, when it copies a stream, writes the newer one (V2: `st3d` and `sv3d`).
//! So the video is first written with its `moov` box last, where a box more moves nothing; the box is put in; and the copy
//! that puts `moov` to the front (`+faststart`) carries it over.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

const UUID: [u8; 16] = [0xff, 0xcc, 0x82, 0x63, 0xf8, 0x55, 0x4a, 0x93, 0x88, 0x14, 0x58, 0x7a, 0x02, 0x52, 0x1f, 0xdd];

/// Marks the first track of an MP4 file whose `moov` box is its last.
pub(super) fn mark(file: &Path, is_stereo: bool) -> io::Result<()> {
    let mut file = File::options().read(true).write(true).open(file)?;
    let (start, mut moov) = last_box(&mut file)?;
    insert(&mut moov, &spherical_box(is_stereo)).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
    file.seek(SeekFrom::Start(start))?;
    file.write_all(&moov)
}

/// Where the last box begins, and its bytes.
fn last_box(file: &mut File) -> io::Result<(u64, Vec<u8>)> {
    let (mut start, end) = (0, file.metadata()?.len());
    loop {
        file.seek(SeekFrom::Start(start))?;
        // The last box may be shorter than that; what it lacks counts as zero.
        let mut header = [0; 16];
        let most = usize::try_from(end - start).unwrap_or(16).min(16);
        file.read_exact(&mut header[..most])?;
        let next = start + length(&header).filter(|length| *length >= 8).ok_or(io::ErrorKind::InvalidData)?;
        if next >= end {
            let mut last = Vec::new();
            file.seek(SeekFrom::Start(start))?;
            file.read_to_end(&mut last)?;
            return Ok((start, last));
        }
        start = next;
    }
}

/// A box's length by its first 16 bytes: 32 bits, or 1 and then 64.
fn length(header: &[u8; 16]) -> Option<u64> {
    match u32::from_be_bytes(header[..4].try_into().ok()?) {
        1 => Some(u64::from_be_bytes(header[8..].try_into().ok()?)),
        short => Some(short.into()),
    }
}

/// Puts `addition` at the end of the first `trak` in `moov`, and corrects the lengths of both.
fn insert(moov: &mut Vec<u8>, addition: &[u8]) -> Option<()> {
    let mut at = 8;
    while moov.get(at + 4..at + 8)? != b"trak" {
        at += usize::try_from(read_length(moov, at)?).ok().filter(|length| *length >= 8)?;
    }
    let end = at + usize::try_from(read_length(moov, at)?).ok()?;
    let more = u32::try_from(addition.len()).ok()?;
    for start in [0, at] {
        let length = read_length(moov, start)?.checked_add(more)?;
        moov[start..start + 4].copy_from_slice(&length.to_be_bytes());
    }
    (moov.get(4..8)? == b"moov" && end <= moov.len()).then(|| drop(moov.splice(end..end, addition.iter().copied())))
}

fn read_length(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn spherical_box(is_stereo: bool) -> Vec<u8> {
    let stereo = if is_stereo { "<GSpherical:StereoMode>top-bottom</GSpherical:StereoMode>" } else { "" };
    let text = format!(
        "<?xml version=\"1.0\"?><rdf:SphericalVideo xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\" \
         xmlns:GSpherical=\"http://ns.google.com/videos/1.0/spherical/\"><GSpherical:Spherical>true</GSpherical:Spherical>\
         <GSpherical:Stitched>true</GSpherical:Stitched><GSpherical:StitchingSoftware>kiln</GSpherical:StitchingSoftware>\
         <GSpherical:ProjectionType>equirectangular</GSpherical:ProjectionType>{stereo}</rdf:SphericalVideo>"
    );
    let length = u32::try_from(24 + text.len()).expect("a short text");
    [&length.to_be_bytes()[..], b"uuid", &UUID, text.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::insert;

    #[test]
    fn a_box_more_makes_its_parents_longer() {
        let boxed = |kind: &[u8; 4], inner: &[u8]| {
            [&u32::try_from(8 + inner.len()).expect("short").to_be_bytes()[..], kind, inner].concat()
        };
        let mut moov = boxed(b"moov", &[boxed(b"mvhd", b"12"), boxed(b"trak", b"345"), boxed(b"trak", b"6")].concat());
        insert(&mut moov, &boxed(b"uuid", b"789")).expect("there is a track");
        let trak = boxed(b"trak", &[b"345".to_vec(), boxed(b"uuid", b"789")].concat());
        assert_eq!(moov, boxed(b"moov", &[boxed(b"mvhd", b"12"), trak, boxed(b"trak", b"6")].concat()));
        assert_eq!(insert(&mut boxed(b"moov", &boxed(b"mvhd", b"")), b""), None);
    }
}
