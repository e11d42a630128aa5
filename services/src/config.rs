//! What a role is told: one struct per part, with flag, variable, default and help in one place. `--help` is the manual.
//!
//! Each role takes only the parts that it needs, so that none can read another's secret.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Method};
use clap::Args;
use events::Secret;
use events::capability::Roots;
use tower_http::cors::{AllowHeaders, CorsLayer};

use crate::keys::Keys;

use crate::fetch::Rules;

/// Where the log is, and who we are there.
#[derive(Args, Clone, Debug)]
pub struct Nats {
    /// Addresses of the NATS servers, separated by commas
    #[arg(long, env = "NATS_URL", default_value = "nats://127.0.0.1:4222", help_heading = "NATS")]
    pub nats_url: String,
    /// File with a user's credentials (JWT and seed)
    #[arg(long, env = "NATS_CREDS", help_heading = "NATS", conflicts_with_all = ["nats_nkey", "nats_user"])]
    pub nats_creds: Option<PathBuf>,
    /// Seed of a user's nkey
    #[arg(long, env = "NATS_NKEY", hide_env_values = true, help_heading = "NATS", conflicts_with = "nats_user")]
    pub nats_nkey: Option<Secret>,
    /// User name; needs `NATS_PASSWORD`
    #[arg(long, env = "NATS_USER", help_heading = "NATS", requires = "nats_password")]
    pub nats_user: Option<String>,
    /// Password of that user
    #[arg(long, env = "NATS_PASSWORD", hide_env_values = true, help_heading = "NATS")]
    pub nats_password: Option<Secret>,
    /// File with the certificate authority that signed the servers' certificates
    #[arg(long, env = "NATS_CA", help_heading = "NATS")]
    pub nats_ca: Option<PathBuf>,
    /// Address of a server's monitoring port, to check what only shows there
    #[arg(long, env = "NATS_MONITOR_URL", help_heading = "NATS")]
    pub nats_monitor_url: Option<String>,
}

/// Where audio and videos are kept: Cloudflare R2, or anything that speaks S3.
#[derive(Args, Clone, Debug)]
pub struct Bucket {
    /// Cloudflare account; makes the endpoint where `R2_ENDPOINT` is not given
    #[arg(long, env = "R2_ACCOUNT_ID", help_heading = "Bucket")]
    pub r2_account_id: Option<String>,
    /// Access key id
    #[arg(long, env = "R2_ACCESS_KEY_ID", help_heading = "Bucket")]
    pub r2_access_key_id: String,
    /// Secret access key
    #[arg(long, env = "R2_SECRET_ACCESS_KEY", hide_env_values = true, help_heading = "Bucket")]
    pub r2_secret_access_key: Secret,
    /// Name of the bucket
    #[arg(long, env = "R2_BUCKET_NAME", help_heading = "Bucket")]
    pub r2_bucket_name: String,
    /// Address of the store, such as `https://ACCOUNT.r2.cloudflarestorage.com`
    #[arg(long, env = "R2_ENDPOINT", help_heading = "Bucket")]
    pub r2_endpoint: Option<String>,
}

/// Where renders are sent.
#[derive(Args, Clone, Debug)]
pub struct Modal {
    /// Address of the Modal app, without `/submit`
    #[arg(long, env = "MODAL_ENDPOINT_URL", help_heading = "Modal")]
    pub modal_endpoint_url: String,
    /// Id of the proxy auth token
    #[arg(long, env = "MODAL_KEY", default_value = "", hide_env_values = true, help_heading = "Modal")]
    pub modal_key: Secret,
    /// Secret of the proxy auth token
    #[arg(long, env = "MODAL_SECRET", default_value = "", hide_env_values = true, help_heading = "Modal")]
    pub modal_secret: Secret,
}

/// Where containers report to.
#[derive(Args, Clone, Debug)]
pub struct Public {
    /// Address under which clients reach the api
    #[arg(long, env = "PUBLIC_URL", help_heading = "Addresses")]
    pub public_url: Option<String>,
    /// Address under which containers reach the webhook role, where it is another one
    #[arg(long, env = "CALLBACK_URL", help_heading = "Addresses")]
    pub callback_url: Option<String>,
}

/// What makes and checks the capabilities of callbacks.
#[derive(Args, Clone, Debug)]
pub struct Webhook {
    /// Secret of at least 32 characters, or several as `kid:secret,kid:secret`; the first one signs
    #[arg(long, env = "INTERNAL_WEBHOOK_SECRET", hide_env_values = true, help_heading = "Callbacks")]
    pub internal_webhook_secret: Secret,
}

/// Where a role listens.
#[derive(Args, Clone, Debug)]
pub struct Listen {
    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, env = "KILN_LISTEN", default_value = "127.0.0.1:7700")]
    pub listen: SocketAddr,
}

/// Who may ask the api, and how much at once.
#[derive(Args, Clone, Debug)]
pub struct Clients {
    /// File with the hashes of the API keys; `kiln keys create` makes it. Without it only this machine is served
    #[arg(long, env = "KILN_API_KEYS_FILE", help_heading = "Clients")]
    pub api_keys_file: Option<PathBuf>,
    /// Origins whose pages may use the api from a browser, separated by commas, such as `https://app.example.com`
    #[arg(long, env = "KILN_CORS_ORIGIN", value_delimiter = ',', help_heading = "Clients")]
    pub cors_origin: Vec<String>,
    /// Uploads that are taken at once; more are told to come again
    #[arg(long, env = "KILN_MAX_UPLOADS", default_value_t = 32, help_heading = "Clients")]
    pub max_uploads: usize,
}

/// Where a role that serves nobody tells how it is.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Health {
    /// Address and port for /livez and /readyz; without it nothing listens
    #[arg(long, env = "KILN_HEALTH_LISTEN")]
    pub health_listen: Option<SocketAddr>,
}

/// Whether audio may be given by its address.
#[derive(Args, Clone, Debug, Default)]
pub struct AudioUrls {
    /// Take audio by URL: the worker fetches it, from public addresses alone
    #[arg(long, env = "KILN_ALLOW_AUDIO_URL", help_heading = "Audio")]
    pub allow_audio_url: bool,
    /// An address that may be fetched from although it is not public
    #[arg(long, hide = true, requires_all = ["insecure_dev", "allow_audio_url"])]
    pub insecure_audio_host: Vec<SocketAddr>,
}

impl AudioUrls {
    /// The rules, if it is allowed.
    pub fn rules(&self) -> Option<Rules> {
        self.allow_audio_url.then(|| Rules { exempt: self.insecure_audio_host.clone(), ..Rules::default() })
    }
}

/// How strict the start is.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Strictness {
    /// Turn the refusals of a production start into warnings
    #[arg(long)]
    pub insecure_dev: bool,
}

/// A setting that contradicts another, or cannot be what it is.
#[derive(Debug, thiserror::Error)]
#[error("{variable} {problem}")]
pub struct Misconfigured {
    variable: &'static str,
    problem: String,
}

impl Misconfigured {
    /// `variable` is named first, then what is wrong with it and what to do.
    pub fn new(variable: &'static str, problem: impl Into<String>) -> Self {
        Self { variable, problem: problem.into() }
    }
}

impl Bucket {
    /// The store's address.
    pub fn endpoint(&self) -> Result<String, Misconfigured> {
        match (&self.r2_endpoint, &self.r2_account_id) {
            (Some(endpoint), _) => checked_url("R2_ENDPOINT", endpoint),
            (None, Some(account)) if is_account(account) => Ok(format!("https://{account}.r2.cloudflarestorage.com")),
            (None, Some(_)) => Err(Misconfigured::new("R2_ACCOUNT_ID", "must be letters and digits")),
            (None, None) => {
                Err(Misconfigured::new("R2_ENDPOINT", "is not set, and neither is R2_ACCOUNT_ID; set one of them"))
            }
        }
    }
}

fn is_account(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

impl Modal {
    /// The app's address without a slash at its end.
    pub fn base(&self) -> Result<String, Misconfigured> {
        let base = checked_url("MODAL_ENDPOINT_URL", &self.modal_endpoint_url)?;
        if base.ends_with("/submit") {
            return Err(Misconfigured::new("MODAL_ENDPOINT_URL", "is the base address, without `/submit`"));
        }
        Ok(base)
    }
}

impl Public {
    /// The webhook role's public address: `CALLBACK_URL`, else `PUBLIC_URL`. Outside development it must be https.
    pub fn callback(&self, strictness: Strictness) -> Result<String, Misconfigured> {
        let (variable, url) = match (&self.callback_url, &self.public_url) {
            (Some(url), _) => ("CALLBACK_URL", url),
            (None, Some(url)) => ("PUBLIC_URL", url),
            (None, None) => {
                return Err(Misconfigured::new("PUBLIC_URL", "is not set; containers must know where to report"));
            }
        };
        let url = checked_url(variable, url)?;
        let is_loopback =
            ["http://127.0.0.1", "http://localhost", "http://[::1]"].iter().any(|start| url.starts_with(start));
        if url.starts_with("http://") && !(strictness.insecure_dev && is_loopback) {
            let problem = "is http://, so anybody on the way could read the callback secrets; use https://";
            if !strictness.insecure_dev {
                return Err(Misconfigured::new(variable, problem));
            }
            tracing::warn!("{variable} {problem}");
        }
        Ok(url)
    }
}

impl Clients {
    /// The keys. Without any, nobody but this machine may reach us, and a sentence says so.
    pub fn keys(&self, listen: &Listen, strictness: Strictness) -> anyhow::Result<Keys> {
        if let Some(path) = &self.api_keys_file {
            return Ok(Keys::open(path)?);
        }
        if listen.listen.ip().is_loopback() {
            tracing::info!("there are no API keys: whoever is on this machine may do everything");
            return Ok(Keys::none());
        }
        let problem = format!("is not set, so anybody who reaches {} could do everything", listen.listen);
        if !strictness.insecure_dev {
            let way_out = "; make a key with `kiln keys create`, or listen on 127.0.0.1";
            return Err(Misconfigured::new("KILN_API_KEYS_FILE", problem + way_out).into());
        }
        tracing::warn!("KILN_API_KEYS_FILE {problem}");
        Ok(Keys::none())
    }

    /// What browsers are told about other origins; nothing, where none is listed.
    pub fn cors(&self) -> Result<Option<CorsLayer>, Misconfigured> {
        if self.cors_origin.is_empty() {
            return Ok(None);
        }
        let origin = |origin: &String| {
            let url = checked_url("KILN_CORS_ORIGIN", origin)?;
            let is_origin = url == *origin && url.matches('/').count() == 2;
            let value = HeaderValue::from_str(&url).ok().filter(|_| is_origin);
            value.ok_or_else(|| Misconfigured::new("KILN_CORS_ORIGIN", "is a scheme and a host alone, without a path"))
        };
        let origins = self.cors_origin.iter().map(origin).collect::<Result<Vec<_>, _>>()?;
        let exposed = ["etag", "location", "retry-after", "traceparent", "x-request-id"].map(HeaderName::from_static);
        let layer = CorsLayer::new()
            .allow_origin(origins)
            .allow_methods([Method::GET, Method::POST, Method::DELETE])
            .allow_headers(AllowHeaders::mirror_request())
            .expose_headers(exposed)
            .max_age(Duration::from_hours(1));
        Ok(Some(layer))
    }
}

impl Default for Clients {
    fn default() -> Self {
        Self { api_keys_file: None, cors_origin: Vec::new(), max_uploads: 32 }
    }
}

impl Webhook {
    /// The roots of the capabilities.
    pub fn roots(&self) -> Result<Roots, Misconfigured> {
        Roots::parse(self.internal_webhook_secret.expose())
            .map_err(|error| Misconfigured::new("INTERNAL_WEBHOOK_SECRET", format!("cannot be used: {error}")))
    }
}

/// A plain http or https address, without a slash at its end. What stands in it is not repeated, since it may hold a secret.
pub(crate) fn checked_url(variable: &'static str, text: &str) -> Result<String, Misconfigured> {
    let url = reqwest::Url::parse(text)
        .map_err(|error| Misconfigured::new(variable, format!("is not an address ({error})")))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(Misconfigured::new(variable, "must begin with http:// or https:// and name a host"));
    }
    if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
        return Err(Misconfigured::new(variable, "must be a plain address, without `?`, `#` or a user's name"));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}
