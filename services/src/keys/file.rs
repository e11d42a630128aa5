//! The file of keys: read often, written whole by `kiln keys`.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use events::{Secret, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Scope, hash};
use crate::clock;

/// What stands in the file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Book {
    /// All keys, oldest first, revoked ones too.
    pub keys: Vec<Record>,
}

/// A key, without its secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Record {
    /// Its name in logs; owns the idempotency keys that come with it.
    pub id: String,
    /// Whose it is, for people.
    pub label: String,
    /// SHA-256 of the secret, in hexadecimal.
    pub sha256: String,
    /// What it may be used for.
    pub scopes: Vec<Scope>,
    /// How many requests it may make in a minute; without it, any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_per_minute: Option<u32>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Since when it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
}

/// What is wrong with the file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read or written.
    #[error("the file of keys `{path}` cannot be used")]
    File {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// It is not what `kiln keys` writes.
    #[error("the file of keys `{0}` is not valid (line {1}, column {2})")]
    Invalid(String, usize, usize),
    /// A record cannot be used.
    #[error("key {0} in the file of keys {1}")]
    Record(String, &'static str),
    /// Nobody has this id.
    #[error("there is no key `{0}`; `kiln keys list` shows all")]
    NoSuchKey(String),
}

impl Error {
    fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        |source| Self::File { path: path.display().to_string(), source }
    }
}

/// Reads it, and refuses what cannot be meant.
pub fn read(path: &Path) -> Result<Book, Error> {
    let bytes = fs::read(path).map_err(Error::file(path))?;
    let book: Book = serde_json::from_slice(&bytes)
        .map_err(|error| Error::Invalid(path.display().to_string(), error.line(), error.column()))?;
    for (n, record) in book.keys.iter().enumerate() {
        let wrong = |what| Err(Error::Record(format!("{:?}", record.id), what));
        let is_hash = record.sha256.len() == 64 && record.sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_hash || record.sha256.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return wrong("has no SHA-256 of 64 hexadecimal digits in lower case");
        }
        if record.id.is_empty() || record.id == "anonymous" || book.keys[..n].iter().any(|other| other.id == record.id)
        {
            return wrong("needs an id of its own");
        }
        if record.rate_per_minute == Some(0) {
            return wrong("has a rate of 0; revoke it instead");
        }
    }
    Ok(book)
}

/// Makes a key, and gives its id and its secret: the only time that anybody sees it.
pub fn create(
    path: &Path,
    label: &str,
    scopes: Vec<Scope>,
    rate_per_minute: Option<u32>,
) -> Result<(String, Secret), Error> {
    let id = format!("key-{}", &clock::random_hex()[..12]);
    let secret = format!("kiln_{}{}", clock::random_hex(), clock::random_hex());
    let record = Record {
        id: id.clone(),
        label: label.to_owned(),
        sha256: hash(&secret),
        scopes,
        rate_per_minute,
        created_at: clock::now(),
        revoked_at: None,
    };
    change(path, |book| {
        book.keys.push(record);
        Ok(())
    })?;
    Ok((id, Secret::new(secret)))
}

/// Refuses a key from now on. One that is revoked already stays as it is.
pub fn revoke(path: &Path, id: &str) -> Result<(), Error> {
    change(path, |book| {
        let record = book.keys.iter_mut().find(|record| record.id == id);
        let record = record.ok_or_else(|| Error::NoSuchKey(id.to_owned()))?;
        record.revoked_at.get_or_insert_with(clock::now);
        Ok(())
    })
}

/// One writer at a time, and readers see the file before or after, never between.
fn change(path: &Path, change: impl FnOnce(&mut Book) -> Result<(), Error>) -> Result<(), Error> {
    let failed = || Error::file(path);
    let lock = File::create(with_suffix(path, ".lock")).map_err(failed())?;
    lock.lock().map_err(failed())?;
    let mut book = if path.exists() { read(path)? } else { Book::default() };
    change(&mut book)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // It is readable to its owner alone from the beginning.
    let mut new = tempfile::NamedTempFile::new_in(folder).map_err(failed())?;
    let text = serde_json::to_string_pretty(&book).expect("a book is plain JSON") + "\n";
    new.write_all(text.as_bytes()).and_then(|()| new.as_file().sync_all()).map_err(failed())?;
    new.persist(path).map_err(|error| Error::file(path)(error.error))?;
    Ok(())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
