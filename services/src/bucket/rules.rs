//! The bucket's own rules, which somebody else has set: who may upload from a browser, and what is deleted when.

use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::types::{CorsRule, ExpirationStatus, LifecycleRule};

use super::{Bucket, Cause, Error};

/// A rule that deletes objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// What the keys of the objects begin with.
    pub prefix: String,
    /// Days after which they are deleted.
    pub days: u64,
}

impl Bucket {
    /// Whether a page of any origin may PUT with a signed address.
    pub async fn takes_uploads_of_pages(&self) -> Result<bool, Error> {
        match self.client.get_bucket_cors().bucket(&self.name).send().await {
            Ok(cors) => {
                let mut methods = cors.cors_rules().iter().flat_map(CorsRule::allowed_methods);
                Ok(methods.any(|method| method == "PUT"))
            }
            Err(error) if error.code() == Some("NoSuchCORSConfiguration") => Ok(false),
            Err(error) => Err(Error::Rules(self.name.clone(), Cause::of(&error))),
        }
    }

    /// The rules that delete objects after some days.
    pub async fn expiries(&self) -> Result<Vec<Expiry>, Error> {
        match self.client.get_bucket_lifecycle_configuration().bucket(&self.name).send().await {
            Ok(lifecycle) => Ok(lifecycle.rules().iter().filter_map(expiry).collect()),
            Err(error) if error.code() == Some("NoSuchLifecycleConfiguration") => Ok(Vec::new()),
            Err(error) => Err(Error::Rules(self.name.clone(), Cause::of(&error))),
        }
    }
}

fn expiry(rule: &LifecycleRule) -> Option<Expiry> {
    let days = rule.expiration()?.days()?;
    let is_enabled = *rule.status() == ExpirationStatus::Enabled;
    let prefix = rule.filter().and_then(|filter| filter.prefix()).unwrap_or_default().to_owned();
    is_enabled.then_some(Expiry { prefix, days: u64::try_from(days).unwrap_or(0) })
}
