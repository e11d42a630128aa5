//! Workers that die, freeze, or report to nowhere; and a log server that does.

use std::time::{Duration, Instant};

use events::Status;
use events::wire::client::RenderRequest;
use futures_util::future::join_all;
use nats::topology::ACK_WAIT;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;

use crate::roles::{is_ready, port, role};
use crate::support::wait_for;
use crate::world::TestWorld;

/// How much longer than `ack_wait` a server is away.
const BEYOND: Duration = Duration::from_secs(5);

async fn worker(world: &mut TestWorld) -> Child {
    let address = format!("127.0.0.1:{}", port().await);
    let child = role(world, "worker", &["--health-listen", &address]).spawn().expect("kiln runs");
    let base = format!("http://{address}");
    wait_for("readiness", async || is_ready(&world.http, &base).await.then_some(())).await;
    child
}

fn signal(child: &Child, signal: Signal) {
    let id = child.id().and_then(|id| Pid::from_raw(id.cast_signed())).expect("it runs");
    kill_process(id, signal).expect("it can be signalled");
}

#[tokio::test]
async fn rows_25_and_26_of_two_workers_one_is_killed_and_nothing_is_lost_or_doubled() {
    let mut world = TestWorld::start().await;
    let (mut first, mut second) = (worker(&mut world).await, worker(&mut world).await);
    let audio = world.music(2);
    let mut jobs = Vec::new();
    for _ in 0..6 {
        jobs.push(world.submit(&audio).await.job_id);
    }
    first.start_kill().expect("killed");
    first.wait().await.expect("it ends");
    let ended = join_all(jobs.iter().map(|job| world.wait_for_end(*job))).await;
    assert!(ended.iter().all(|poll| poll.status == Status::Complete && poll.attempt.get() == 1), "{ended:?}");
    assert_eq!(world.rendered().await, (6, 6));
    signal(&second, Signal::TERM);
    assert!(second.wait().await.expect("it ends").success());
    world.stop().await;
}

#[tokio::test]
async fn row_33_a_worker_that_freezes_wakes_up_to_find_its_job_done() {
    let mut world = TestWorld::start().await;
    let frozen = worker(&mut world).await;
    signal(&frozen, Signal::STOP);
    let audio = world.music(1);
    let mut jobs = Vec::new();
    for _ in 0..4 {
        jobs.push(world.submit(&audio).await.job_id);
    }
    // What the frozen one was given comes to the others after `ack_wait`.
    let ended = join_all(jobs.iter().map(|job| world.wait_for_end(*job))).await;
    assert!(ended.iter().all(|poll| poll.status == Status::Complete), "{ended:?}");
    signal(&frozen, Signal::CONT);
    let again = world.submit(&audio).await.job_id;
    assert_eq!(world.wait_for_end(again).await.status, Status::Complete);
    assert_eq!(world.rendered().await, (5, 5));
    world.stop().await;
}

#[tokio::test]
async fn row_34_and_63_a_log_server_that_is_killed_again_and_again_under_load_loses_and_doubles_nothing() {
    let mut world = TestWorld::start().await;
    let audio = world.music(1);
    let mut jobs = Vec::new();
    for round in 0..3 {
        for _ in 0..2 {
            jobs.push(world.submit(&audio).await.job_id);
        }
        world.wait_for(jobs[2 * round], |poll| poll.status != Status::Pending).await;
        world.world().nats().kill();
        world.world().nats().restart().await.expect("it starts again");
        wait_for("the api", async || {
            let ready = world.http.get(world.url("/readyz")).send().await.ok()?;
            ready.status().is_success().then_some(())
        })
        .await;
    }
    for job in &jobs {
        let ended = async || world.client.poll(*job).await.ok().filter(|poll| poll.status.is_final());
        assert_eq!(wait_for("the end", ended).await.status, Status::Complete);
    }
    assert_eq!(world.rendered().await, (6, 6));
    world.stop().await;
}

#[tokio::test]
async fn row_57_a_log_server_that_is_frozen_for_longer_than_ack_wait_under_load_loses_and_doubles_nothing() {
    let mut world = TestWorld::start().await;
    let audio = world.music(2);
    let mut jobs = Vec::new();
    for _ in 0..6 {
        jobs.push(world.submit(&audio).await.job_id);
    }
    world.wait_for(jobs[0], |poll| poll.stage.as_deref() == Some("rendering") || poll.status.is_final()).await;
    world.world().nats().freeze(true);
    let frozen = Instant::now();
    wait_for("the end of `ack_wait`", async || (frozen.elapsed() > ACK_WAIT + BEYOND).then_some(())).await;
    let refused = world.client.submit(&audio, &RenderRequest::default(), |_| {}).await;
    assert!(refused.is_err(), "nothing is promised that is not in the log");
    world.world().nats().freeze(false);
    for job in &jobs {
        let ended = async || world.client.poll(*job).await.ok().filter(|poll| poll.status.is_final());
        let done = wait_for("the end", ended).await;
        assert_eq!((done.status, done.attempt.get()), (Status::Complete, 1), "{done:?}");
    }
    let of_jobs = world.calls().await.into_iter().filter(|call| jobs.contains(&call.job_id));
    assert_eq!(of_jobs.map(|call| call.claims).sum::<u32>(), 6, "zero extra renders");
    world.stop().await;
}
