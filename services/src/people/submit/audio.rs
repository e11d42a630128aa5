//! The audio that is sent: files, or what comes from standard input.

use std::io::{self, IsTerminal, Read, stdin};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::audio::MAX_BYTES;
use crate::people::error::Error;

/// A file that can be read as often as need be.
pub(super) struct Audio {
    /// Its name, for people.
    pub(super) name: String,
    path: PathBuf,
    /// What came from standard input, and goes away with this.
    _kept: Option<NamedTempFile>,
}

impl Audio {
    /// All of them, or what is wrong with the first that is no good.
    pub(super) async fn open_all(files: &[PathBuf], stdin_name: &str) -> Result<Vec<Self>, Error> {
        if files.iter().filter(|file| is_stdin(file)).count() > 1 {
            return Err(Error::Usage("standard input can be read once: give `-` once".into()));
        }
        for file in files.iter().filter(|file| !is_stdin(file)) {
            check(file)?;
        }
        let mut all = Vec::with_capacity(files.len());
        for file in files {
            all.push(if is_stdin(file) { Self::of_stdin(stdin_name).await? } else { Self::of_file(file) });
        }
        Ok(all)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn of_file(path: &Path) -> Self {
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        Self { name: ::events::clean(&name, 200), path: path.to_owned(), _kept: None }
    }

    /// Kept on disk meanwhile: it may have to be sent again.
    async fn of_stdin(name: &str) -> Result<Self, Error> {
        if stdin().is_terminal() {
            return Err(Error::Usage(
                "`-` is standard input: send audio into it, as in `kiln submit - < song.flac`".into(),
            ));
        }
        let failed = |error: io::Error| Error::File(format!("standard input cannot be kept: {error}"));
        let kept = NamedTempFile::new().map_err(failed)?;
        let mut file = kept.reopen().map_err(failed)?;
        let copy = move || io::copy(&mut stdin().lock().take(MAX_BYTES + 1), &mut file);
        let length = tokio::task::spawn_blocking(copy).await.expect("reading does not panic").map_err(failed)?;
        match length {
            0 => Err(Error::Usage("standard input is empty".into())),
            length if length > MAX_BYTES => {
                Err(Error::Usage("standard input is longer than the 2 GiB that are taken".into()))
            }
            _ => Ok(Self { name: ::events::clean(name, 200), path: kept.path().to_owned(), _kept: Some(kept) }),
        }
    }
}

fn is_stdin(file: &Path) -> bool {
    file == Path::new("-")
}

fn check(file: &Path) -> Result<(), Error> {
    let shown = file.display();
    let facts = std::fs::metadata(file).map_err(|error| Error::File(format!("cannot read `{shown}`: {error}")))?;
    match facts.len() {
        _ if facts.is_dir() => Err(Error::File(format!("`{shown}` is a folder: name the files in it"))),
        0 if facts.is_file() => Err(Error::File(format!("`{shown}` is empty"))),
        length if length > MAX_BYTES => Err(Error::File(format!("`{shown}` is longer than the 2 GiB that are taken"))),
        _ if !facts.is_file() => Err(Error::File(format!("`{shown}` is no file; send it into `kiln submit -`"))),
        _ => Ok(()),
    }
}
