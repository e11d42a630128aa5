//! What the roles of a world are told.

use std::net::SocketAddr;

use events::Secret;

use super::folder::Secrets;
use super::{ACCESS_KEY, Addresses, BUCKET, Options};
use crate::config::{self, Listen, Strictness};
use crate::dev::gpu;
use crate::roles::ServeArgs;

/// The roles' settings: the same that a production start reads from its variables.
pub(super) fn settings(addresses: &Addresses, monitor_url: &str, secrets: &Secrets, options: &Options) -> ServeArgs {
    ServeArgs {
        listen: Listen { listen: SocketAddr::from(([127, 0, 0, 1], 0)) },
        clients: options.clients.clone(),
        nats: config::Nats {
            nats_url: addresses.nats.clone(),
            nats_creds: None,
            nats_nkey: None,
            nats_user: None,
            nats_password: None,
            nats_ca: None,
            nats_monitor_url: Some(monitor_url.to_owned()),
        },
        bucket: config::Bucket {
            r2_account_id: None,
            r2_access_key_id: ACCESS_KEY.into(),
            r2_secret_access_key: Secret::new(&*secrets.s3),
            r2_bucket_name: BUCKET.into(),
            r2_endpoint: Some(addresses.s3.clone()),
        },
        modal: config::Modal {
            modal_endpoint_url: options.modal_url.clone().unwrap_or_else(|| addresses.modal.clone()),
            modal_key: Secret::new("kiln-dev"),
            modal_secret: Secret::new(&*secrets.modal),
        },
        public: config::Public { public_url: Some(addresses.api.clone()), callback_url: options.callback_url.clone() },
        webhook: config::Webhook { internal_webhook_secret: Secret::new(&*secrets.webhook) },
        audio_urls: options.audio_urls.clone(),
        strictness: Strictness { insecure_dev: true },
    }
}

/// The GPU stand-in's settings.
pub(super) fn gpu_settings(options: &Options, secrets: &Secrets, own_url: String) -> gpu::Settings {
    gpu::Settings {
        folder: options.data.join("gpu"),
        kiln: options.kiln.clone(),
        ffmpeg: Some(options.ffmpeg.clone()),
        parallel: 2,
        key: "kiln-dev".into(),
        secret: Secret::new(&*secrets.modal),
        variables: options.container.clone(),
        own_url,
        faults: options.faults.clone(),
        seed: options.seed,
    }
}
