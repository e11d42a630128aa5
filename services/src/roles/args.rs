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
