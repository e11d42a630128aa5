//! What is to be done: from the claim where there is one, else from the command line.

use std::collections::BTreeMap;
use std::path::Path;

use events::wire::callback::ClaimAnswer;
use events::{Attempt, Code, Failure, JobId, RenderConfig, Secret, key};

use super::Args;

/// One attempt's work.
pub(super) struct Order {
    pub(super) config: RenderConfig,
    pub(super) audio_url: Option<Secret>,
    pub(super) audio_ext: String,
    /// What the audio must be, where that is known: its length, and its SHA-256.
    pub(super) audio_size: Option<u64>,
    pub(super) audio_sha256: Option<String>,
    pub(super) upload_url: Option<Secret>,
    pub(super) upload_headers: BTreeMap<String, String>,
    pub(super) upload_key: String,
}

impl Order {
    pub(super) fn new(args: &Args, job: JobId, claim: Option<ClaimAnswer>) -> Result<Self, Failure> {
        match claim {
            Some(claim) => Ok(Self::claimed(claim)),
            None => Self::given(args, job),
        }
    }

    fn claimed(claim: ClaimAnswer) -> Self {
        Self {
            config: claim.config,
            audio_url: Some(claim.audio_url),
            audio_ext: claim.audio_ext,
            audio_size: claim.audio_size_bytes,
            audio_sha256: claim.audio_sha256,
            upload_url: Some(claim.upload_url),
            upload_headers: claim.upload_headers,
            upload_key: claim.upload_key,
        }
    }

    fn given(args: &Args, job: JobId) -> Result<Self, Failure> {
        let attempt = args.attempt.as_deref().map_or(Ok(Attempt::FIRST), Attempt::parse);
        let attempt = attempt.map_err(|error| invalid(&format!("`KILN_ATTEMPT`: {error}")))?;
        Ok(Self {
            config: config(args)?,
            audio_url: args.audio_signed_url.clone(),
            audio_ext: String::new(),
            audio_size: None,
            audio_sha256: None,
            upload_url: args.upload_signed_url.clone(),
            upload_headers: BTreeMap::new(),
            upload_key: args.r2_upload_key.clone().unwrap_or_else(|| key::output(job, attempt)),
        })
    }

    /// Puts fresh addresses in the place of those that ran out.
    pub(super) fn renew(&mut self, claim: ClaimAnswer) {
        self.audio_url = Some(claim.audio_url);
        self.upload_url = Some(claim.upload_url);
        self.upload_headers = claim.upload_headers;
    }

    /// A name for the local file that tells the renderer what it probably holds.
    pub(super) fn audio_name(&self) -> String {
        if key::is_extension(&self.audio_ext) { format!("audio.{}", self.audio_ext) } else { "audio".into() }
    }
}

/// The job that the command line names.
pub(super) fn job(args: &Args) -> Result<JobId, Failure> {
    let text = args.job_id.as_deref().ok_or_else(|| invalid("`--job-id` is missing"))?;
    JobId::parse(text).map_err(|error| invalid(&format!("`--job-id`: {error}")))
}

/// The configuration that the command line names: JSON, or a file with it.
pub(super) fn config(args: &Args) -> Result<RenderConfig, Failure> {
    let text = args.config.as_deref().ok_or_else(|| invalid("`--config` is missing"))?;
    let json = if text.trim_start().starts_with('{') {
        text.to_owned()
    } else {
        let read = std::fs::read_to_string(Path::new(text));
        read.map_err(|error| invalid(&format!("`--config` names the file `{text}`, which cannot be read: {error}")))?
    };
    let config: RenderConfig = serde_json::from_str(&json)
        .map_err(|error| invalid(&format!("`--config` is no render configuration: {error}")))?;
    match config.version {
        1 => Ok(config),
        version => Err(invalid(&format!("`--config` has version {version}; this release knows version 1"))),
    }
}

pub(super) fn invalid(message: &str) -> Failure {
    Failure::new(Code::InvalidRequest, message)
}
