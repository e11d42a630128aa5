//! `kiln provision`: makes or updates streams, consumers and buckets, and deletes nothing.

use clap::Args;

use super::connect;
use crate::bucket::Bucket;
use crate::config;

/// Settings of `kiln provision`.
#[derive(Args, Clone, Debug)]
pub struct ProvisionArgs {
    /// Show what would change, and change nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Copies of each stream: 1, or 3 on a cluster
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=5))]
    pub(super) replicas: Option<u8>,
    /// Renders in flight at once, over all workers
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) max_renders: Option<u32>,
    /// Days after which a job ages out of the log
    #[arg(long)]
    pub(super) max_age_days: Option<u32>,
    /// Largest size of the log, in bytes
    #[arg(long)]
    pub(super) max_bytes: Option<u64>,
    #[command(flatten)]
    pub(super) nats: config::Nats,
    #[command(flatten)]
    pub(super) bucket: config::Bucket,
}

/// `kiln provision`
pub async fn provision(args: &ProvisionArgs) -> anyhow::Result<String> {
    let bus = connect(&args.nats, "operator").await?;
    let tunables = nats::topology::Tunables {
        replicas: args.replicas,
        max_renders: args.max_renders,
        max_age: args.max_age_days.map(|days| std::time::Duration::from_hours(24 * u64::from(days))),
        max_bytes: args.max_bytes,
    };
    let changes = if args.dry_run {
        nats::topology::plan(&bus, &tunables).await?
    } else {
        nats::topology::provision(&bus, &tunables).await?
    };
    let mut report: Vec<String> = changes.iter().map(ToString::to_string).collect();
    if !args.dry_run && Bucket::new(&args.bucket)?.provision().await? {
        report.push(format!("bucket `{}` made", args.bucket.r2_bucket_name));
    }
    if report.is_empty() {
        report.push("everything is as declared".into());
    }
    Ok(report.join("\n"))
}
