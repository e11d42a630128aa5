//! Addresses that ran out, and a callback address that leads nowhere.

use std::time::Duration;

use events::{Status, WaitingFor};
use kiln::bucket::Bucket;

use super::containers::result_of;
use crate::world::TestWorld;

const HOUR: Duration = Duration::from_hours(1);

#[tokio::test]
async fn row_36_a_container_that_starts_when_the_audio_s_address_ran_out_works_with_that_of_its_claim() {
    let world = TestWorld::start_faulty(&["stuck"]).await;
    let job = world.submit(&world.music(1)).await.job_id;
    let queued = world.wait_for_status(job, Status::Processing).await;
    assert_eq!((queued.waiting_for, queued.attempt.get()), (Some(WaitingFor::Container), 1));
    let bucket = Bucket::new(&world.bucket()).expect("a bucket");
    let yesterday = events::Timestamp::from_unix_ms(kiln::clock::now().unix_ms() - 86_400_000);
    let dead = bucket.sign_get_from(&format!("renders/{job}/audio.wav"), yesterday, HOUR);
    let refused = world.http.get(dead.expose()).send().await.expect("it is answered");
    assert_eq!(refused.status(), 403, "the store takes it no more");

    let call = world.calls().await.remove(0);
    let mut container = world.container(job, &call.call_id, &call.input_id);
    container.env("KILN_AUDIO_SIGNED_URL", dead.expose());
    let result = result_of(container).await;
    assert!(result.ok, "{result:?}");
    let done = world.wait_for_end(job).await;
    assert_eq!((done.status, done.attempt.get()), (Status::Complete, 1), "{done:?}");
    assert_eq!(world.kinds(job).await, ["requested", "started", "completed"]);
    world.stop().await;
}
