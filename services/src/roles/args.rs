//! What each role is told.

use clap::Args;

use crate::config::{self, Listen, Strictness};

/// Settings of `kiln api`.
#[derive(Args, Clone, Debug)]
pub struct ApiArgs {
    #[command(flatten)]
    pub(crate) listen: Listen,
    #[command(flatten)]
    pub(crate) clients: config::Clients,
    #[command(flatten)]
    pub(crate) nats: config::Nats,
    #[command(flatten)]
    pub(crate) bucket: config::Bucket,
    #[command(flatten)]
    pub(crate) audio_urls: config::AudioUrls,
    #[command(flatten)]
    pub(crate) strictness: Strictness,
}

/// Settings of `kiln webhook`.
#[derive(Args, Clone, Debug)]
pub struct WebhookArgs {
    #[command(flatten)]
    pub(crate) listen: Listen,
    #[command(flatten)]
    pub(crate) nats: config::Nats,
    #[command(flatten)]
    pub(crate) bucket: config::Bucket,
    #[command(flatten)]
    pub(crate) webhook: config::Webhook,
    #[command(flatten)]
    pub(crate) strictness: Strictness,
}

/// Settings of `kiln worker`.
#[derive(Args, Clone, Debug)]
pub struct WorkerArgs {
    #[command(flatten)]
    pub(crate) health: config::Health,
    #[command(flatten)]
    pub(crate) nats: config::Nats,
    #[command(flatten)]
    pub(crate) bucket: config::Bucket,
    #[command(flatten)]
    pub(crate) modal: config::Modal,
    #[command(flatten)]
    pub(crate) public: config::Public,
    #[command(flatten)]
    pub(crate) webhook: config::Webhook,
    #[command(flatten)]
    pub(crate) audio_urls: config::AudioUrls,
    #[command(flatten)]
    pub(crate) strictness: Strictness,
}

/// Settings of `kiln projector`.
#[derive(Args, Clone, Debug)]
pub struct ProjectorArgs {
    #[command(flatten)]
    pub(crate) health: config::Health,
    #[command(flatten)]
    pub(crate) nats: config::Nats,
    #[command(flatten)]
    pub(crate) bucket: config::Bucket,
    #[command(flatten)]
    pub(crate) strictness: Strictness,
}

/// Settings of `kiln serve`: all four roles in one process.
#[derive(Args, Clone, Debug)]
pub struct ServeArgs {
    #[command(flatten)]
    pub(crate) listen: Listen,
    #[command(flatten)]
    pub(crate) clients: config::Clients,
    #[command(flatten)]
    pub(crate) nats: config::Nats,
    #[command(flatten)]
    pub(crate) bucket: config::Bucket,
    #[command(flatten)]
    pub(crate) modal: config::Modal,
    #[command(flatten)]
    pub(crate) public: config::Public,
    #[command(flatten)]
    pub(crate) webhook: config::Webhook,
    #[command(flatten)]
    pub(crate) audio_urls: config::AudioUrls,
    #[command(flatten)]
    pub(crate) strictness: Strictness,
}

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
