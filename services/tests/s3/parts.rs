//! Uploads in parts, as the SDK sends them: in any order, more than once, and by several at once.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use futures_util::TryStreamExt;

use super::{KEY, Store};
use crate::support::files_in;

const SMALLEST: usize = 5 << 20;

/// An upload that was begun, and the client that sends its parts.
struct Upload {
    client: Client,
    id: String,
}

impl Upload {
    async fn begin(store: &Store) -> Self {
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("auto"))
            .endpoint_url(store.config.r2_endpoint.clone().expect("an endpoint"))
            .credentials_provider(Credentials::new("key", "secret", None, None, "test"))
            .force_path_style(true)
            .http_client(aws_smithy_http_client::Builder::new().build_http());
        let client = Client::from_conf(config.build());
        let begun = client.create_multipart_upload().bucket("kiln").key(KEY).content_type("video/mp4").send().await;
        let id = begun.expect("begun").upload_id().expect("an id").to_owned();
        Self { client, id }
    }

    async fn put(&self, number: i32, byte: u8, length: usize) -> CompletedPart {
        let part = self.client.upload_part().bucket("kiln").key(KEY).upload_id(&self.id).part_number(number);
        let put = part.body(ByteStream::from(vec![byte; length])).send().await.expect("a part");
        CompletedPart::builder().part_number(number).set_e_tag(put.e_tag().map(str::to_owned)).build()
    }

    async fn complete(&self, parts: &[&CompletedPart]) -> Result<String, String> {
        let parts = parts.iter().copied().cloned().collect();
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let request = self.client.complete_multipart_upload().bucket("kiln").key(KEY).upload_id(&self.id);
        match request.multipart_upload(parts).if_none_match("*").send().await {
            Ok(completed) => Ok(completed.e_tag().expect("a tag").to_owned()),
            Err(error) => Err(code(&error)),
        }
    }
}

fn code<E: ProvideErrorMetadata>(error: &SdkError<E>) -> String {
    error.as_service_error().and_then(ProvideErrorMetadata::code).expect("a code").to_owned()
}

/// A byte, and how often it stands.
type Run = (u8, usize);
/// What is sent: the number of a part, and what is in it.
type Sent = (&'static str, &'static [(i32, u8, usize)]);

/// The object as runs of one byte.
async fn runs(store: &Store) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut chunks = store.bucket.get(KEY).await.expect("an object");
    while let Some(chunk) = chunks.try_next().await.expect("its bytes") {
        for run in chunk.chunk_by(|one, next| one == next) {
            match runs.last_mut() {
                Some((byte, length)) if *byte == run[0] => *length += run.len(),
                _ => runs.push((run[0], run.len())),
            }
        }
    }
    runs
}

/// What the server keeps of uploads that have not ended.
fn left_over(store: &Store) -> usize {
    let files = files_in(store.folder.path());
    files.iter().filter(|file| file.to_string_lossy().contains(".upload")).count()
}

#[tokio::test]
async fn parts_may_come_in_any_order_and_more_than_once() {
    const LONGER: usize = SMALLEST + 1;
    const LAST: usize = 3;
    let rows: [(Sent, &[usize], &[Run]); 9] = [
        (("in order", &[(1, 1, LONGER), (2, 2, LAST)]), &[0, 1], &[(1, LONGER), (2, LAST)]),
        (("the last first", &[(2, 2, LAST), (1, 1, LONGER)]), &[1, 0], &[(1, LONGER), (2, LAST)]),
        (("one again", &[(1, 9, SMALLEST), (1, 1, LONGER), (2, 2, LAST)]), &[1, 2], &[(1, LONGER), (2, LAST)]),
        (
            ("the second first", &[(2, 2, LONGER), (1, 1, LONGER), (3, 2, LAST)]),
            &[1, 0, 2],
            &[(1, LONGER), (2, LONGER + LAST)],
        ),
        (
            ("a longer one", &[(1, 1, SMALLEST), (2, 2, LONGER), (3, 3, LAST)]),
            &[0, 1, 2],
            &[(1, SMALLEST), (2, LONGER), (3, LAST)],
        ),
        (
            ("a shorter one", &[(1, 1, LONGER), (2, 2, SMALLEST), (3, 3, LAST)]),
            &[0, 1, 2],
            &[(1, LONGER), (2, SMALLEST), (3, LAST)],
        ),
        (("one left out", &[(1, 1, LONGER), (2, 9, LAST), (4, 2, LAST)]), &[0, 2], &[(1, LONGER), (2, LAST)]),
        (("the last left out", &[(1, 1, LONGER), (2, 9, LAST)]), &[0], &[(1, LONGER)]),
        (("a single one", &[(7, 1, LAST)]), &[0], &[(1, LAST)]),
    ];
    for ((what, sent), named, expected) in rows {
        let store = Store::new().await;
        let upload = Upload::begin(&store).await;
        let mut parts = Vec::new();
        for (number, byte, length) in sent {
            parts.push(upload.put(*number, *byte, *length).await);
        }
        let named: Vec<_> = named.iter().map(|index| &parts[*index]).collect();
        let tag = upload.complete(&named).await.expect(what);
        assert!(tag.ends_with(&format!("-{}\"", named.len())), "{what}: {tag}");
        assert_eq!(runs(&store).await, expected, "{what}");
        let head = upload.client.head_object().bucket("kiln").key(KEY).send().await.expect("an object");
        assert_eq!((head.content_type(), head.e_tag()), (Some("video/mp4"), Some(&*tag)), "{what}");
        assert_eq!(left_over(&store), 0, "{what}");
    }
}

#[tokio::test]
async fn an_end_that_cannot_be_is_refused_and_the_upload_may_go_on() {
    let store = Store::new().await;
    let upload = Upload::begin(&store).await;
    let (small, first, other) =
        (upload.put(1, 1, 7).await, upload.put(2, 2, SMALLEST).await, upload.put(3, 3, 7).await);
    let unknown = CompletedPart::builder().part_number(9).e_tag("none").build();
    let another = CompletedPart::builder().part_number(3).set_e_tag(first.e_tag().map(str::to_owned)).build();
    let rows: [(&[&CompletedPart], &str); 5] = [
        (&[], "InvalidPart"),
        (&[&first, &unknown], "InvalidPart"),
        (&[&first, &another], "InvalidPart"),
        (&[&other, &first], "InvalidPartOrder"),
        (&[&small, &first], "EntityTooSmall"),
    ];
    for (parts, expected) in rows {
        assert_eq!(upload.complete(parts).await, Err(expected.to_owned()));
    }
    assert_eq!(store.bucket.head(KEY).await.expect("an answer"), None);
    upload.complete(&[&first, &other]).await.expect("completed");
    assert_eq!(runs(&store).await, [(2, SMALLEST), (3, 7)]);
    assert_eq!(upload.complete(&[&first, &other]).await, Err("NoSuchUpload".to_owned()));
}

#[tokio::test]
async fn of_many_who_end_an_upload_one_does() {
    let store = Store::new().await;
    let upload = Upload::begin(&store).await;
    let (one, two) = (upload.put(1, 1, SMALLEST).await, upload.put(2, 2, 7).await);
    let parts = [&one, &two];
    let ended = futures_util::future::join_all((0..8).map(|_| upload.complete(&parts))).await;
    assert_eq!(ended.iter().filter(|end| end.is_ok()).count(), 1, "{ended:?}");
    assert_eq!(runs(&store).await, [(1, SMALLEST), (2, 7)]);
    let later = Upload::begin(&store).await;
    let part = later.put(1, 9, 7).await;
    assert_eq!(later.complete(&[&part]).await, Err("PreconditionFailed".to_owned()), "the key is taken");
    assert_eq!(runs(&store).await, [(1, SMALLEST), (2, 7)]);
}

#[tokio::test]
async fn unfinished_uploads_are_told_until_they_are_given_up() {
    let store = Store::new().await;
    let upload = Upload::begin(&store).await;
    upload.put(1, 1, SMALLEST).await;
    let told = store.bucket.unfinished().await.expect("a list");
    let [begun] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((begun.key.as_str(), &begun.id), (KEY, &upload.id));
    assert!(left_over(&store) > 0);
    store.bucket.abort(KEY, &begun.id).await.expect("given up");
    store.bucket.abort(KEY, &begun.id).await.expect("it is gone already");
    assert_eq!(store.bucket.unfinished().await.expect("a list"), []);
    assert_eq!(left_over(&store), 0);
}
