//! Copies within the bucket: no byte of them passes through here.

use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};

use super::plain::{COPYING, LIFETIME, told};
use super::upload::{Unfinished, is_taken};
use super::{Bucket, Cause, Error};
use crate::clock;

impl Bucket {
    /// Copies an object within the bucket, in place of whatever is there.
    pub async fn copy(&self, from: &str, to: &str) -> Result<(), Error> {
        if self.copy_plainly(from, to).await.is_some() {
            return Ok(());
        }
        let copied = self.client.copy_object().bucket(&self.name).copy_source(self.source(from)).key(to).send().await;
        copied.map(|_| ()).map_err(|error| Error::Copy(from.to_owned(), Cause::of(&error)))
    }

    async fn copy_plainly(&self, from: &str, to: &str) -> Option<()> {
        let (name, source) = ("x-amz-copy-source", self.source(from));
        let operation = ("PUT", "CopyObject");
        let address = self.signer.address_with(operation, to, clock::now(), LIFETIME, Some((name, &source)));
        let answer = told(self.plain.put(address.expose()).header(name, source), COPYING).await?;
        // A store may say 200 first, and in its body that it failed.
        answer.text().await.is_ok_and(|answer| answer.contains("</CopyObjectResult>")).then_some(())
    }

    /// Copies an object to a key where nothing is yet. Returns whether it did: of several at once, one does.
    ///
    /// A plain copy has no condition that all stores know. The end of an upload in parts has one, and a part may be a copy.
    pub async fn copy_new(&self, from: &str, to: &str, content_type: &str) -> Result<bool, Error> {
        let upload = Unfinished::begin(self, to, content_type).await?;
        let failed = |cause| Error::Copy(from.to_owned(), cause);
        let part = self.client.upload_part_copy().bucket(&self.name).copy_source(self.source(from));
        let copied = part.key(to).upload_id(&upload.id).part_number(1).send().await;
        let copied = copied.map_err(|error| failed(Cause::of(&error)))?;
        let tag = copied.copy_part_result().and_then(|part| part.e_tag()).map(str::to_owned);
        let part = CompletedPart::builder().part_number(1).set_e_tag(tag).build();
        let all = CompletedMultipartUpload::builder().parts(part).build();
        let request = self.client.complete_multipart_upload().bucket(&self.name).key(to).upload_id(&upload.id);
        match request.multipart_upload(all).if_none_match("*").send().await {
            Ok(_) => {
                upload.finished();
                Ok(true)
            }
            Err(error) if is_taken(&error) => Ok(false),
            // The answer to a completion may be lost, and the repeat of it is refused.
            Err(_) if self.head(to).await.is_ok_and(|object| object.is_some()) => Ok(false),
            Err(error) => Err(failed(Cause::of(&error))),
        }
    }

    fn source(&self, key: &str) -> String {
        format!("{}/{key}", self.name)
    }
}
