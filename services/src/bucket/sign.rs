//! Addresses with a signature in them, AWS Signature Version 4. They are the SDK's own to the byte, which builds a whole
//! request for each and takes twenty times as long: every poll of a complete job has one.

use std::fmt::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use events::{Secret, Timestamp, hex};
use reqwest::Url;
use sha2::{Digest, Sha256};

use super::{LONGEST_SIGNATURE, REGION};
use crate::config::{self, Misconfigured};

/// The keys to one bucket.
pub(super) struct Signer {
    /// Scheme and host, with the port if it is not the scheme's own.
    origin: String,
    host: String,
    /// The bucket's, in front of each key.
    folder: String,
    access_key: String,
    secret_key: Secret,
    /// What is made of the secret for a day, and for which: nearly always the same one.
    day: Mutex<(String, Arc<[u8]>)>,
}

impl Signer {
    pub(super) fn new(config: &config::Bucket) -> Result<Self, Misconfigured> {
        let endpoint = config.endpoint()?;
        let url = Url::parse(&endpoint).map_err(|error| Misconfigured::new("R2_ENDPOINT", error.to_string()))?;
        Ok(Self {
            origin: url.origin().ascii_serialization(),
            host: url.authority().to_owned(),
            folder: format!("/{}/", encoded(&config.r2_bucket_name)),
            access_key: encoded(&config.r2_access_key_id).replace('/', "%2F"),
            secret_key: config.r2_secret_access_key.clone(),
            day: Mutex::default(),
        })
    }

    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    /// An address that allows this method on this key; `operation` is what S3 calls that.
    pub(super) fn address(&self, operation: (&str, &str), key: &str, from: Timestamp, lifetime: Duration) -> Secret {
        self.address_with(operation, key, from, lifetime, None)
    }

    /// The same for a request that must have one more header, whose name sorts behind `host`.
    pub(super) fn address_with(
        &self,
        (method, operation): (&str, &str),
        key: &str,
        from: Timestamp,
        lifetime: Duration,
        header: Option<(&str, &str)>,
    ) -> Secret {
        let time = compact(from);
        let day = &time[..8];
        let path = format!("{}{}", self.folder, encoded(key));
        let (names, header) = match header {
            Some((name, value)) => (format!("host;{name}"), format!("{name}:{value}\n")),
            None => ("host".to_owned(), String::new()),
        };
        let query = format!(
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={}%2F{day}%2F{REGION}%2Fs3%2Faws4_request\
             &X-Amz-Date={time}&X-Amz-Expires={}&X-Amz-SignedHeaders={}",
            self.access_key,
            lifetime.min(LONGEST_SIGNATURE).as_secs(),
            names.replace(';', "%3B"),
        );
        let host = &self.host;
        let request =
            format!("{method}\n{path}\n{query}&x-id={operation}\nhost:{host}\n{header}\n{names}\nUNSIGNED-PAYLOAD");
        let request = hex(&Sha256::digest(request));
        let text = format!("AWS4-HMAC-SHA256\n{time}\n{day}/{REGION}/s3/aws4_request\n{request}");
        let signature = calculate_signature(self.key(day, from), text.as_bytes());
        Secret::new(format!("{}{path}?x-id={operation}&{query}&X-Amz-Signature={signature}", self.origin))
    }

    fn key(&self, day: &str, from: Timestamp) -> Arc<[u8]> {
        let mut last = self.day.lock().expect("nothing panics under this lock");
        if last.0 != day {
            let from = SystemTime::UNIX_EPOCH + from.since(Timestamp::default());
            let key = generate_signing_key(self.secret_key.expose(), from, REGION, "s3");
            *last = (day.to_owned(), key.as_ref().into());
        }
        Arc::clone(&last.1)
    }
}

/// `20261121T120000Z`
fn compact(time: Timestamp) -> String {
    let mut text = time.to_string();
    text.truncate(text.find('.').unwrap_or(text.len()));
    text.retain(|character| !matches!(character, '-' | ':'));
    text + "Z"
}

/// As it stands in a path: all but letters, digits, `-._~` and the slash as `%` and two digits.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            encoded.push(byte.into());
        } else {
            write!(encoded, "%{byte:02X}").expect("a string takes everything");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::presigning::PresigningConfig;

    use super::*;
    use crate::bucket::Bucket;

    fn bucket(endpoint: &str) -> Bucket {
        let config = config::Bucket {
            r2_account_id: None,
            r2_access_key_id: "a key/of ours".into(),
            r2_secret_access_key: Secret::new("its secret"),
            r2_bucket_name: "kiln".into(),
            r2_endpoint: Some(endpoint.into()),
        };
        Bucket::new(&config).expect("a bucket")
    }

    #[tokio::test]
    async fn addresses_are_those_of_the_sdk() {
        let endpoints = [
            "http://127.0.0.1:9000",
            "https://account.r2.cloudflarestorage.com",
            "https://store.example:443/",
            "http://store.example:80",
            "https://[::1]:9000",
        ];
        let keys = ["renders/0193a5c0-7c1e-7b3a-9d52-1f0c8a7be001/output.mp4", "a b+c/ü~(1)=%&?.wav", "x"];
        let times = [0, 951_826_154_999, 1_795_348_800_000, 1_795_348_800_000 + 86_399_000, 1_795_348_800_000];
        let lifetimes = [Duration::from_secs(1), Duration::from_hours(1), LONGEST_SIGNATURE];
        for bucket in endpoints.map(bucket) {
            for ((key, time), lifetime) in keys.into_iter().cycle().zip(times).zip(lifetimes.into_iter().cycle()) {
                let from = Timestamp::from_unix_ms(time);
                let start = SystemTime::UNIX_EPOCH + from.since(Timestamp::default());
                let config = PresigningConfig::builder().start_time(start).expires_in(lifetime).build();
                let config = config.expect("a signature lasts at most seven days");
                let get = bucket.client.get_object().bucket(&bucket.name).key(key).presigned(config.clone()).await;
                let put = bucket.client.put_object().bucket(&bucket.name).key(key).presigned(config).await;
                let (get, put) = (get.expect("it signs"), put.expect("it signs"));
                for (operation, theirs) in [(("GET", "GetObject"), get), (("PUT", "PutObject"), put)] {
                    assert_eq!(bucket.signer.address(operation, key, from, lifetime).expose(), theirs.uri());
                }
            }
        }
    }
}
