//! Which job is meant.

use std::str::FromStr;

use ::events::JobId;

use super::error::Error;
use crate::client::kiln::{self, Client};

/// How many of the newest jobs are looked through for a part of an id.
const PAGES: usize = 10;
const PAGE: usize = 100;
/// A part with fewer digits fits too many.
const LEAST: usize = 4;

/// A job's id, or the beginning or the end of one.
#[derive(Clone, Debug)]
pub(super) enum Job {
    Whole(JobId),
    Part(String),
}

impl FromStr for Job {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let part = text.to_ascii_lowercase();
        if let Ok(id) = JobId::parse(&part) {
            return Ok(Self::Whole(id));
        }
        let is_part = part.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-') && part.len() < 36;
        if is_part && part.len() >= LEAST {
            Ok(Self::Part(part))
        } else {
            Err(format!("a job's id is a UUID; at least {LEAST} digits from its beginning or end will do"))
        }
    }
}

impl Job {
    /// The one job that it names, among the newest ones if it is a part.
    pub(super) async fn find(&self, client: &Client) -> Result<JobId, Error> {
        let part = match self {
            Self::Whole(id) => return Ok(*id),
            Self::Part(part) => part,
        };
        let found = named(part, client).await?;
        match found.as_slice() {
            [id] => Ok(*id),
            [] => Err(Error::NotFound(format!(
                "no job's id begins or ends with `{part}` among the newest {}; `kiln list` shows them",
                PAGES * PAGE
            ))),
            [one, other, ..] => {
                Err(Error::Usage(format!("`{part}` is part of {one} and of {other}: give more digits")))
            }
        }
    }
}

async fn named(part: &str, client: &Client) -> Result<Vec<JobId>, kiln::Error> {
    let (mut found, mut cursor) = (Vec::new(), None);
    for _ in 0..PAGES {
        let page = client.list(None, PAGE, cursor.as_deref()).await?;
        let ids = page.jobs.iter().map(|job| job.job_id);
        found.extend(ids.filter(|id| {
            let id = id.to_string();
            id.starts_with(part) || id.ends_with(part)
        }));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    Ok(found)
}

/// The end of an id: it tells jobs apart, where the beginning is a time.
pub(super) fn short(id: JobId) -> String {
    let id = id.to_string();
    id.rsplit('-').next().unwrap_or(&id).to_owned()
}
