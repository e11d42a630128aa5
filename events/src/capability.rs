//! The callback secret: a capability for one attempt of one job.
//!
//! `kiln1.{kid}.{job}.{attempt}.{exp}.{mac}`: `exp` is in seconds since 1970, `mac` is HMAC-SHA256 in hexadecimal over
//! everything before it, under a key derived from the root `kid`. It travels in the `Authorization` header alone, is
//! verified from the header alone, and is never stored.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::{Attempt, JobId, Secret, Timestamp, hex};

const VERSION: &str = "kiln1";
/// Longest header that is looked at; a real capability has about 130 bytes.
const MAX_LEN: usize = 256;
/// Shortest root, in bytes: as long as the hash, as RFC 2104 section 3 advises.
const MIN_ROOT_LEN: usize = 32;

/// What a capability allows: reports about one attempt of one job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The job.
    pub job: JobId,
    /// The attempt.
    pub attempt: Attempt,
    /// When it ends, to the second.
    pub expires: Timestamp,
}

/// The roots that capabilities are made and checked with; the first one mints.
pub struct Roots(Vec<Root>);

struct Root {
    kid: String,
    mac: Hmac<Sha256>,
}

/// What is wrong with a text of roots. It never holds the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRoots {
    /// There is none.
    #[error("there is no secret in it")]
    Empty,
    /// One of them is too short.
    #[error("every secret in it must have at least {MIN_ROOT_LEN} characters")]
    TooShort,
    /// One of the names is not allowed.
    #[error("the name before a `:` must have 1 to 16 characters of `a-z`, `A-Z`, `0-9`, `-` and `_`")]
    BadName,
    /// Two have one name.
    #[error("two secrets in it have the same name")]
    Repeated,
}

/// A capability that is refused. There is one reason only, so that its sender learns nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the capability is refused")]
pub struct Denied;

impl Roots {
    /// Reads `kid:secret,kid:secret`, or one bare secret, whose name is `1`.
    pub fn parse(text: &str) -> Result<Self, BadRoots> {
        let mut roots: Vec<Root> = Vec::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (kid, secret) = part.split_once(':').unwrap_or(("1", part));
            if !is_kid(kid) {
                return Err(BadRoots::BadName);
            }
            if secret.len() < MIN_ROOT_LEN {
                return Err(BadRoots::TooShort);
            }
            if roots.iter().any(|root| root.kid == kid) {
                return Err(BadRoots::Repeated);
            }
            roots.push(Root { kid: kid.to_owned(), mac: derive(secret.as_bytes()) });
        }
        if roots.is_empty() { Err(BadRoots::Empty) } else { Ok(Self(roots)) }
    }

    /// Makes a capability with the first root.
    pub fn mint(&self, grant: &Grant) -> Secret {
        let Root { kid, mac } = &self.0[0];
        let Grant { job, attempt, expires } = grant;
        let body = format!("{VERSION}.{kid}.{job}.{attempt}.{}", expires.unix_ms() / 1000);
        let tag = mac.clone().chain_update(body.as_bytes()).finalize().into_bytes();
        Secret::new(format!("{body}.{}", hex(&tag)))
    }

    /// Checks a capability, in a time that does not depend on what is wrong with a well-formed one.
    pub fn verify(&self, text: &str, now: Timestamp) -> Result<Grant, Denied> {
        let (body, tag) = text.rsplit_once('.').filter(|_| text.len() <= MAX_LEN).ok_or(Denied)?;
        let tag = unhex(tag).ok_or(Denied)?;
        let (kid, grant) = parse(body).ok_or(Denied)?;
        let known = self.0.iter().find(|root| root.kid == kid);
        let mac = known.unwrap_or(&self.0[0]).mac.clone();
        let is_genuine = mac.chain_update(body.as_bytes()).verify_slice(&tag).is_ok();
        if is_genuine && known.is_some() && now < grant.expires { Ok(grant) } else { Err(Denied) }
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|root| &root.kid)).finish()
    }
}

/// The root itself never signs: what signs is a key made from it for this one purpose.
fn derive(secret: &[u8]) -> Hmac<Sha256> {
    let purpose = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
    let key = purpose.chain_update(b"kiln1 callback capability").finalize().into_bytes();
    Hmac::new_from_slice(&key).expect("HMAC takes keys of any length")
}

fn is_kid(text: &str) -> bool {
    (1..=16).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

fn parse(body: &str) -> Option<(&str, Grant)> {
    let mut parts = body.split('.');
    if parts.next() != Some(VERSION) {
        return None;
    }
    let kid = parts.next().filter(|kid| is_kid(kid))?;
    let job = JobId::parse(parts.next()?).ok()?;
    let attempt = Attempt::parse(parts.next()?).ok()?;
    let expires = parts.next()?;
    if parts.next().is_some() || expires.len() > 12 || !expires.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let expires = Timestamp::from_unix_ms(expires.parse::<i64>().ok()?.checked_mul(1000)?);
    Some((kid, Grant { job, attempt, expires }))
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)) {
        return None;
    }
    (0..64).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).ok()).collect()
}
