//! Whether the bucket does what is asked of it.

use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use nats::inspect;

use super::{Finding, log};
use crate::bucket::{self, Bucket};
use crate::{client, clock};

/// How long a signed address has to work.
const LIFETIME: Duration = Duration::from_mins(1);
const BODY: &[u8] = b"kiln doctor";

/// Writes, reads and removes an object of its own.
pub(super) async fn findings(bucket: &Bucket) -> Vec<Finding> {
    let key = format!("kiln/doctor/{}", clock::new_id());
    let mut found = match objects(bucket, &key).await {
        Ok(found) => found,
        Err(error) => {
            let mend = "check `R2_ENDPOINT` or `R2_ACCOUNT_ID`, `R2_BUCKET_NAME` and the keys; they need object read and write";
            return vec![Finding::wrong("bucket", crate::chain(error.as_ref()), mend)];
        }
    };
    if let Err(error) = bucket.delete(&key).await {
        found.push(Finding::wrong("bucket", crate::chain(&error), "let the key delete objects"));
    }
    found
}

async fn objects(bucket: &Bucket, key: &str) -> anyhow::Result<Vec<Finding>> {
    bucket.put(key, "text/plain", Bytes::from_static(BODY)).await?;
    let head = bucket.head(key).await?.context("the object that was just written is not there")?;
    let whole = bucket.read(key).await?.is_some_and(|found| found.body == BODY);
    anyhow::ensure!(whole, "the store gives back something else than it was given");
    let mut found = vec![Finding::ok("bucket", "objects can be written and read")];
    found.push(signed(bucket, key).await?);
    found.push(if bucket.replace(key, Bytes::from_static(BODY), None).await? {
        let mend = "use a store that knows `If-None-Match`: without it two requests with one key can replace audio";
        Finding::wrong("conditions", "the store replaces an object that it was told not to replace", mend)
    } else {
        Finding::ok("conditions", "an object that is there is not replaced")
    });
    found.push(log::clock_offset("clock", "the store", head.modified));
    Ok(found)
}

async fn signed(bucket: &Bucket, key: &str) -> Result<Finding, bucket::Error> {
    let address = bucket.sign_get(key, LIFETIME);
    let answer = client::http_client(LIFETIME).get(address.expose()).timeout(LIFETIME).send().await;
    Ok(match answer {
        Ok(answer) if answer.status().is_success() => Finding::ok("addresses", "signed addresses work"),
        Ok(answer) => {
            let message = format!("a signed address gives HTTP {}", answer.status().as_u16());
            Finding::wrong("addresses", message, "check the clock, the keys and `R2_ENDPOINT`")
        }
        Err(error) => {
            Finding::wrong("addresses", error.without_url().to_string(), "check `R2_ENDPOINT` and the network")
        }
    })
}

/// Whether browsers can send large files straight to the store.
pub(super) async fn pages(bucket: &Bucket) -> Finding {
    match bucket.takes_uploads_of_pages().await {
        Ok(true) => Finding::ok("cors", "pages may upload"),
        Ok(false) => Finding::warning(
            "cors",
            "pages cannot upload: the bucket has no CORS rule that allows PUT",
            "add one, if browsers are to upload to the addresses of `POST /api/uploads`",
        ),
        Err(error) => Finding::skipped("cors", crate::chain(&error)),
    }
}

/// A video must be there as long as its job can be asked for.
pub(super) async fn lifecycle(bucket: &Bucket, room: Option<&inspect::Room>) -> Finding {
    let expiries = match bucket.expiries().await {
        Ok(expiries) => expiries,
        Err(error) => return Finding::skipped("lifecycle", crate::chain(&error)),
    };
    let kept_days = room.map_or(30, |room| room.max_age_nanos.div_ceil(86_400_000_000_000));
    let touches = |prefix: &str| "renders/".starts_with(prefix) || prefix.starts_with("renders/");
    let early = expiries.iter().find(|rule| touches(&rule.prefix) && (kept_days == 0 || rule.days < kept_days));
    match early {
        Some(rule) => {
            let message = format!("videos are deleted after {} days, and jobs are kept for {kept_days}", rule.days);
            Finding::wrong(
                "lifecycle",
                message,
                "lengthen the bucket's rule, or shorten `kiln provision --max-age-days`",
            )
        }
        None => Finding::ok("lifecycle", "no rule of the bucket deletes a video before its job"),
    }
}
