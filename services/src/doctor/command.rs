//! `kiln doctor`: all checks, for people or as JSON.

use nats::{Log, inspect};

use super::{Finding, Level, log, outside, store};
use crate::bucket::Bucket;
use crate::fence::{self, Fences};
use crate::{config, modal, roles};

/// Settings of `kiln doctor`.
#[derive(clap::Args, Clone, Debug)]
#[command(mut_args(|arg| arg.required(false)))]
pub struct Args {
    /// Whose rights are checked: api, webhook, worker, projector; the log's user must be this role's
    #[arg(long, default_value = "operator")]
    pub role: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// The log.
    #[command(flatten)]
    pub nats: config::Nats,
    /// The store, if it is to be checked.
    #[command(flatten)]
    pub bucket: Option<config::Bucket>,
    /// The Modal app, if it is to be checked.
    #[command(flatten)]
    pub modal: Option<config::Modal>,
    /// Where containers report, if that is to be checked.
    #[command(flatten)]
    pub public: config::Public,
    /// Whether `http://` will do on the own machine.
    #[command(flatten)]
    pub strictness: config::Strictness,
}

/// Makes every check for which there are settings.
pub async fn examine(args: &Args) -> Vec<Finding> {
    let mut found = Vec::new();
    let bucket = match args.bucket.as_ref().map(Bucket::new) {
        Some(Ok(bucket)) => Some(bucket),
        Some(Err(error)) => {
            found.push(Finding::wrong("bucket", error.to_string(), "set it right"));
            None
        }
        None => None,
    };
    match roles::connect(&args.nats, &args.role).await {
        Ok(bus) => {
            found.extend(log::findings(&args.nats, &bus).await);
            found.push(log::rights(&bus, &args.role).await);
            if let Some(bucket) = &bucket {
                found.push(fence(&Log::new(bus.clone()), bucket).await);
                let room = inspect::room(&bus).await.ok().flatten();
                found.push(store::lifecycle(bucket, room.as_ref()).await);
            }
        }
        Err(error) => {
            found.push(Finding::wrong("nats", crate::chain(&error), "start it, or set `NATS_URL` and the login right"));
        }
    }
    match &bucket {
        Some(bucket) => {
            found.extend(store::findings(bucket).await);
            found.push(store::pages(bucket).await);
        }
        None if args.bucket.is_none() => {
            found.push(Finding::skipped("bucket", "`R2_BUCKET_NAME` and its keys are not set"));
        }
        None => {}
    }
    found.push(match args.modal.as_ref().map(modal::Client::new) {
        Some(Ok(client)) => outside::modal(&client).await,
        Some(Err(error)) => Finding::wrong("modal", error.to_string(), "set it right"),
        None => Finding::skipped("modal", "`MODAL_ENDPOINT_URL` is not set"),
    });
    found.push(public(&args.public, args.strictness).await);
    found
}

async fn public(public: &config::Public, strictness: config::Strictness) -> Finding {
    if public.public_url.is_none() && public.callback_url.is_none() {
        return Finding::skipped("webhook", "neither `PUBLIC_URL` nor `CALLBACK_URL` is set");
    }
    match public.callback(strictness) {
        Ok(url) => outside::webhook(&url).await,
        Err(error) => {
            Finding::wrong("webhook", error.to_string(), "put something that speaks TLS in front of the webhook role")
        }
    }
}

async fn fence(log: &Log, bucket: &Bucket) -> Finding {
    let verdict = async {
        let fence = Fences::new(bucket.clone()).read().await?;
        let head = log.head().await?;
        anyhow::Ok(fence::compare(log, fence.as_ref(), head.as_ref()).await?)
    };
    match Box::pin(verdict).await {
        Ok(verdict) if verdict.is_fine() => Finding::ok("fence", verdict.to_string()),
        Ok(verdict) => Finding::wrong("fence", verdict.to_string(), "look with `kiln fence show`"),
        Err(error) => {
            Finding::wrong("fence", crate::chain(error.as_ref()), "mend what is wrong with the store or the log")
        }
    }
}

/// What is printed, and whether nothing is wrong.
pub fn report(found: &[Finding], json: bool) -> (String, bool) {
    let is_well = found.iter().all(|finding| finding.level != Level::Wrong);
    if json {
        return (serde_json::to_string_pretty(found).expect("findings are plain data"), is_well);
    }
    let mut lines = Vec::new();
    for Finding { check, level, message, mend, .. } in found {
        let level = match level {
            Level::Ok => "ok",
            Level::Skipped => "skipped",
            Level::Warning => "warning",
            Level::Wrong => "wrong",
        };
        lines.push(format!("{level:<8} {check:<11} {message}"));
        lines.extend(mend.iter().map(|mend| format!("{:<20} mend: {mend}", "")));
    }
    (lines.join("\n"), is_well)
}
