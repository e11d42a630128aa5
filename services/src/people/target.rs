//! Which kiln is meant, and the key for it.

use std::io;
use std::path::Path;

use ::events::Secret;
use reqwest::Url;

use super::error::Error;
use crate::client::kiln::Client;
use crate::{beacon, config};

/// An address, and the key that belongs to it.
#[derive(Debug)]
pub(super) struct Target {
    url: String,
    key: Option<Secret>,
}

/// What can be known of either.
#[derive(Default)]
struct Known {
    /// By flag or variable.
    url: Option<String>,
    key: Option<String>,
    /// By the file `.env`.
    file_url: Option<String>,
    file_key: Option<String>,
}

/// The one that was named, else that of `.env`, else the `kiln dev` that runs here.
pub(super) fn find(url: Option<&str>) -> Result<Target, Error> {
    let key = std::env::var("KILN_API_KEY").ok();
    let (file_url, file_key) = read_file(Path::new(".env"))?;
    let known = Known { url: url.map(str::to_owned), key, file_url, file_key };
    match choose(known)? {
        Some(target) => Ok(target),
        None => local(&beacon::running()),
    }
}

fn read_file(path: &Path) -> Result<(Option<String>, Option<String>), Error> {
    let (mut url, mut key) = (None, None);
    let lines = match dotenvy::from_path_iter(path) {
        Ok(lines) => lines,
        Err(dotenvy::Error::Io(error)) if error.kind() == io::ErrorKind::NotFound => return Ok((None, None)),
        Err(_) => return Err(Error::File("`.env` is there and cannot be read".into())),
    };
    for (n, line) in lines.enumerate() {
        // The error would repeat the line, which may be a secret.
        let (name, value) =
            line.map_err(|_| Error::Usage(format!("entry {} of `.env` is not of the form NAME=VALUE", n + 1)))?;
        match name.as_str() {
            "KILN_URL" => url = Some(value),
            "KILN_API_KEY" => key = Some(value),
            _ => {}
        }
    }
    Ok((url, key))
}

/// A key goes only where its owner sent it: an address that a folder's `.env` names does not get the key of the
/// environment.
fn choose(known: Known) -> Result<Option<Target>, Error> {
    let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
    let Known { url, key, file_url, file_key } = known;
    let (url, key) = match (filled(url), filled(file_url)) {
        (Some(url), _) => (url, filled(key).or_else(|| filled(file_key))),
        (None, Some(url)) => (url, filled(file_key)),
        (None, None) => return Ok(None),
    };
    let url = config::checked_url("KILN_URL", &url).map_err(|error| Error::Usage(error.to_string()))?;
    if key.is_some() && !is_private(&url) {
        return Err(Error::Usage(
            "KILN_URL is http://, so that anybody on the way could read your API key: use https://".into(),
        ));
    }
    Ok(Some(Target { url, key: key.map(Secret::new) }))
}

/// Whether nobody can listen on the way.
fn is_private(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let is_loopback = host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback()) || host == "localhost";
    url.scheme() == "https" || is_loopback
}

fn local(running: &[String]) -> Result<Target, Error> {
    match running {
        [] => Err(Error::Nowhere),
        [url] => Ok(Target { url: url.clone(), key: None }),
        several => {
            let several = several.join(" and ");
            Err(Error::Usage(format!("several `kiln dev` run here, at {several}: choose one with --url")))
        }
    }
}

impl Target {
    pub(super) fn client(&self) -> Client {
        Client::new(&self.url).with_key(self.key.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(url: &str, key: &str, file_url: &str, file_key: &str) -> Result<Option<(String, Option<String>)>, u8> {
        let [url, key, file_url, file_key] = [url, key, file_url, file_key].map(|text| Some(text.to_owned()));
        let chosen = choose(Known { url, key, file_url, file_key }).map_err(|error| error.code())?;
        Ok(chosen.map(|target| (target.url, target.key.map(|key| key.expose().to_owned()))))
    }

    #[test]
    fn what_was_said_last_holds_and_a_key_goes_only_where_it_belongs() {
        let target = |url: &str, key: Option<&str>| Ok(Some((url.to_owned(), key.map(str::to_owned))));
        let (local, remote) = ("http://127.0.0.1:7700", "https://kiln.example.com");
        assert_eq!(chosen("", "k", "", "f"), Ok(None));
        assert_eq!(chosen(remote, "k", local, "f"), target(remote, Some("k")));
        assert_eq!(chosen(remote, "", local, "f"), target(remote, Some("f")));
        assert_eq!(chosen("", "k", remote, "f"), target(remote, Some("f")));
        assert_eq!(chosen("", "k", remote, ""), target(remote, None), "a file may not send the key of the environment");
        assert_eq!(chosen("https://kiln.example.com/", "", "", ""), target(remote, None));
        for private in [local, "http://localhost:1", "http://[::1]:1", "http://127.8.9.1"] {
            assert_eq!(chosen(private, "k", "", ""), target(private, Some("k")));
        }
        for open in
            ["http://kiln.example.com", "http://127.0.0.1.example.com", "http://10.0.0.1", "http://localhost.evil"]
        {
            assert_eq!(chosen(open, "k", "", ""), Err(2), "{open}");
            assert_eq!(chosen(open, "", "", ""), target(open, None), "{open}");
        }
        for wrong in ["127.0.0.1:7700", "ftp://x", "https://user:password@x", "https://x/?a=b", "nonsense"] {
            assert_eq!(chosen(wrong, "", "", ""), Err(2), "{wrong}");
        }
    }

    #[test]
    fn a_file_is_read_for_two_names_and_its_errors_repeat_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(".env");
        assert_eq!(read_file(&path).ok(), Some((None, None)));
        std::fs::write(&path, "# mine\nOTHER=1\nexport KILN_URL='https://k'\nKILN_API_KEY=kiln_a_b\n")
            .expect("written");
        assert_eq!(read_file(&path).ok(), Some((Some("https://k".into()), Some("kiln_a_b".into()))));
        std::fs::write(&path, "KILN_URL=https://k\nkiln_secret here\n").expect("written");
        let error = read_file(&path).expect_err("no line like that").sentence();
        assert!(error.contains("entry 2") && !error.contains("secret"), "{error}");
    }
}
