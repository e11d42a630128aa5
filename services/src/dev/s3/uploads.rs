//! Uploads in parts. All parts of an upload lie in one file, each where it belongs if all are as long as the first one that
//! came, and only the last is shorter. If they are, the file is the object, and nothing has to be put together at the end.
//! What was begun is forgotten when the server ends.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use events::hex;
use futures_util::{Stream, StreamExt};
use s3s::crypto::{Checksum, Md5};
use s3s::dto::{
    CompleteMultipartUploadInput, CompletedPart, ETag, ListMultipartUploadsOutput, MultipartUpload, StreamingBlob,
};
use s3s::stream::ByteStream;
use s3s::{S3Error, S3Result, s3_error};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

/// S3's bound for every part but the last.
const SMALLEST: u64 = 5 << 20;
/// The highest number of a part.
const LAST: i32 = 10_000;
/// Chunks that wait for the disk.
const WAITING: usize = 4;

/// The uploads that were begun and have not ended.
#[derive(Debug)]
pub(super) struct Uploads {
    root: PathBuf,
    begun: Mutex<HashMap<String, Upload>>,
}

#[derive(Debug)]
pub(super) struct Upload {
    bucket: String,
    key: String,
    begun: SystemTime,
    /// The length of the part that came first.
    unit: Option<u64>,
    /// Numbers whose places somebody has written to, or does.
    taken: BTreeSet<i32>,
    /// How many bytes are kept apart, since their places were taken, or too small.
    apart: u64,
    parts: BTreeMap<i32, Part>,
}

#[derive(Clone, Copy, Debug)]
struct Part {
    offset: u64,
    length: u64,
    md5: [u8; 16],
}

impl Uploads {
    /// Removes what an earlier server left of uploads: nobody can go on with them.
    pub(super) fn new(root: &Path) -> io::Result<Self> {
        for entry in fs::read_dir(root)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(".upload") || (name.starts_with(".bucket-") && name.contains(".upload-")) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(Self { root: root.to_owned(), begun: Mutex::default() })
    }

    pub(super) fn begin(&self, id: &str, bucket: String, key: String) {
        let (taken, parts) = (BTreeSet::new(), BTreeMap::new());
        let upload = Upload { bucket, key, begun: SystemTime::now(), unit: None, taken, apart: 0, parts };
        self.begun().insert(id.to_owned(), upload);
    }

    pub(super) fn list(&self, bucket: &str) -> ListMultipartUploadsOutput {
        let begun = self.begun();
        let uploads = begun.iter().filter(|(_, upload)| upload.bucket == bucket).map(|(id, upload)| MultipartUpload {
            key: Some(upload.key.clone()),
            upload_id: Some(id.clone()),
            initiated: Some(upload.begun.into()),
            ..MultipartUpload::default()
        });
        let uploads = Some(uploads.collect());
        ListMultipartUploadsOutput { bucket: Some(bucket.to_owned()), uploads, ..Default::default() }
    }

    /// Stores a part that says how long it is, and returns its tag.
    pub(super) async fn put(&self, id: &str, number: i32, body: StreamingBlob) -> S3Result<ETag> {
        let length = body.remaining_length().exact().ok_or_else(|| s3_error!(MissingContentLength))?;
        self.put_sized(id, number, length as u64, body).await
    }

    /// The same for bytes of which it is known how many there are.
    pub(super) async fn put_sized<S, E>(&self, id: &str, number: i32, length: u64, bytes: S) -> S3Result<ETag>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
    {
        if !(1..=LAST).contains(&number) {
            return Err(s3_error!(InvalidArgument, "a part's number is from 1 to 10000"));
        }
        let offset = self.change(id, |upload| upload.reserve(number, length))?;
        let file = File::options().write(true).create(true).truncate(false).open(self.file(id)).map_err(failed)?;
        match write(file, offset, length, bytes).await {
            Ok(md5) => {
                let part = Part { offset, length, md5 };
                self.change(id, |upload| upload.parts.insert(number, part))?;
                Ok(ETag::Strong(hex(&md5)))
            }
            Err(error) => {
                self.change(id, |upload| upload.give_back(number, offset))?;
                Err(error)
            }
        }
    }

    /// Makes the object of the parts that are named, and returns its tag.
    pub(super) async fn complete(&self, input: CompleteMultipartUploadInput) -> S3Result<ETag> {
        let (id, object) = (input.upload_id, self.object(&input.bucket, &input.key)?);
        if input.if_match.is_some() {
            return Err(s3_error!(NotImplemented, "only `If-None-Match` is known here"));
        }
        let named = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
        let parts = self.change(&id, |upload| upload.named(&named))??;
        if input.if_none_match.is_some_and(|condition| condition.is_any()) && object.exists() {
            return Err(s3_error!(PreconditionFailed));
        }
        // Of two who end it at once, one finds it here.
        let upload = self.forget(&id)?;
        let is_in_order = upload.is_in_order(&parts);
        let mut md5 = Md5::new();
        for part in &parts {
            md5.update(&part.md5);
        }
        let e_tag = format!("{}-{}", hex(&md5.finalize()), parts.len());
        let beside = beside(&input.bucket, &input.key);
        let (file, owner) = (self.file(&id), self.root.join(format!(".upload-{id}.json")));
        let attributes = (format!("{beside}.upload-{id}.metadata.json"), format!("{beside}.metadata.json"));
        let attributes = (self.root.join(attributes.0), self.root.join(attributes.1));
        let info =
            (self.root.join(format!("{beside}.internal.json")), serde_json::json!({ "e_tag": e_tag }).to_string());
        let ended = spawn_blocking(move || {
            if !is_in_order {
                put_in_order(&file, &parts)?;
            }
            fs::rename(attributes.0, attributes.1)?;
            fs::write(info.0, info.1)?;
            fs::create_dir_all(object.parent().unwrap_or(&object))?;
            fs::rename(&file, &object)?;
            fs::remove_file(owner)
        });
        ended.await.map_err(|error| s3_error!(error, InternalError))?.map_err(failed)?;
        Ok(ETag::Strong(e_tag))
    }

    /// Forgets an upload that ended, or was given up.
    pub(super) fn forget(&self, id: &str) -> S3Result<Upload> {
        self.begun().remove(id).ok_or_else(|| s3_error!(NoSuchUpload))
    }

    /// Where an object lies.
    pub(super) fn object(&self, bucket: &str, key: &str) -> S3Result<PathBuf> {
        let path = Path::new(bucket).join(key);
        let is_within = path.components().all(|part| matches!(part, Component::Normal(_)));
        if is_within { Ok(self.root.join(path)) } else { Err(s3_error!(InvalidArgument, "the key is no path")) }
    }

    fn change<T>(&self, id: &str, change: impl FnOnce(&mut Upload) -> T) -> S3Result<T> {
        self.begun().get_mut(id).map(change).ok_or_else(|| s3_error!(NoSuchUpload))
    }

    fn begun(&self) -> MutexGuard<'_, HashMap<String, Upload>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `s3s-fs` removes files whose names begin so when it gives an upload up.
    fn file(&self, id: &str) -> PathBuf {
        self.root.join(format!(".upload_id-{id}.parts"))
    }
}

impl Upload {
    /// Where to write a part. Nobody else writes there: who has lost his connection may be at it still.
    fn reserve(&mut self, number: i32, length: u64) -> u64 {
        let unit = *self.unit.get_or_insert(length);
        if length <= unit && self.taken.insert(number) {
            return place(number, unit);
        }
        self.apart += length;
        place(LAST + 1, unit) + self.apart - length
    }

    /// The place of a part that broke off, of which nobody writes any more.
    fn give_back(&mut self, number: i32, offset: u64) {
        if self.unit.is_some_and(|unit| offset == place(number, unit)) {
            self.taken.remove(&number);
        }
    }

    /// Whether the file holds these parts in this order and nothing else, nor will: no part is on its way.
    fn is_in_order(&self, parts: &[Part]) -> bool {
        let is_all = self.apart == 0 && self.taken.len() == parts.len();
        let mut end = 0;
        is_all && parts.iter().all(|part| std::mem::replace(&mut end, part.offset + part.length) == part.offset)
    }

    fn named(&self, named: &[CompletedPart]) -> S3Result<Vec<Part>> {
        if !named.is_sorted_by(|one, next| one.part_number < next.part_number) {
            return Err(s3_error!(InvalidPartOrder));
        }
        let parts = named.iter().map(|name| {
            let part = name.part_number.and_then(|number| self.parts.get(&number)).copied();
            part.filter(|part| name.e_tag.as_ref().is_none_or(|tag| tag.value() == hex(&part.md5)))
        });
        let parts: Option<Vec<Part>> = parts.collect();
        let parts = parts.filter(|parts| !parts.is_empty()).ok_or_else(|| s3_error!(InvalidPart))?;
        let is_small = parts.iter().rev().skip(1).any(|part| part.length < SMALLEST);
        if is_small { Err(s3_error!(EntityTooSmall)) } else { Ok(parts) }
    }
}

/// Where a part belongs.
fn place(number: i32, unit: u64) -> u64 {
    u64::from(number.unsigned_abs() - 1) * unit
}

/// Writes bytes to their place, and hashes them, beside those who read them from the network.
async fn write<S, E>(file: File, offset: u64, length: u64, mut bytes: S) -> S3Result<[u8; 16]>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
{
    let (chunks, mut coming) = mpsc::channel::<Bytes>(WAITING);
    let writing = spawn_blocking(move || -> io::Result<_> {
        let (mut md5, mut written) = (Md5::new(), 0);
        while let Some(chunk) = coming.blocking_recv() {
            let next = written + chunk.len() as u64;
            if next > length {
                return Err(io::ErrorKind::InvalidData.into());
            }
            file.write_all_at(&chunk, offset + written)?;
            md5.update(&chunk);
            written = next;
        }
        if written == length { Ok(md5.finalize()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    });
    while let Some(chunk) = bytes.next().await {
        let Ok(chunk) = chunk else { break };
        if chunks.send(chunk).await.is_err() {
            break;
        }
    }
    drop(chunks);
    let written = writing.await.map_err(|error| s3_error!(error, InternalError))?;
    written.map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => s3_error!(error, IncompleteBody),
        _ => failed(error),
    })
}

/// Makes of a file the one that holds these parts and nothing else. It is a new one: somebody may still write to the other.
fn put_in_order(path: &Path, parts: &[Part]) -> io::Result<()> {
    let ordered = path.with_extension("ordered");
    let (mut from, mut to) = (File::open(path)?, File::create(&ordered)?);
    for part in parts {
        from.seek(SeekFrom::Start(part.offset))?;
        io::copy(&mut io::Read::take(&from, part.length), &mut to)?;
    }
    fs::rename(ordered, path)
}

/// How the names begin of the files in which `s3s-fs` keeps what else there is of an object.
fn beside(bucket: &str, key: &str) -> String {
    let (bucket, key) = (BASE64_URL_SAFE_NO_PAD.encode(bucket), BASE64_URL_SAFE_NO_PAD.encode(key));
    format!(".bucket-{bucket}.object-{key}")
}

pub(super) fn failed(error: io::Error) -> S3Error {
    s3_error!(error, InternalError)
}
