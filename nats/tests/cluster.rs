//! Three nodes, each with the very file that production uses, and what they survive.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_nats::jetstream;
use events::event::{Dispatched, Started};
use events::{Attempt, Command, Event, Job, JobId, Recorded, Rejection, Status, decide};
use futures_util::future::join_all;
use nats::server::{self, Options, Server};
use nats::topology::{self, RENDER, Tunables, WORKER};
use nats::{Bus, Consumer, Delivery, Error, Log, Outcome, Verdict, Verified, Watch, project, verify};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::permissions::{passwords, server_file, settings};
use crate::{folder, job_id, program, spec};

/// Elections take seconds, and more of them on a machine that is busy.
const PATIENCE: Duration = Duration::from_mins(1);

/// Between two tries, as in every role.
const PAUSE: Duration = Duration::from_millis(50);

/// Three nodes of which each knows where the others are.
struct Cluster {
    nodes: Vec<Server>,
    options: Vec<Options>,
    /// Where they meet.
    ports: Vec<u16>,
    _folders: Vec<TempDir>,
}

impl Cluster {
    /// Again with other ports, if somebody was given one of them meanwhile.
    async fn start() -> Self {
        loop {
            match Self::try_start().await {
                Err(error) if error.is_port_taken() => {}
                other => return other.expect("three nodes"),
            }
        }
    }

    async fn try_start() -> Result<Self, server::Error> {
        let folders = [folder(), folder(), folder()];
        // Free a moment ago; the server has no way to tell the other two a port that it chose itself.
        let listeners = join_all(folders.iter().map(|_| TcpListener::bind("127.0.0.1:0"))).await;
        let port = |listener: &TcpListener| listener.local_addr().expect("it listens").port();
        let ports: Vec<_> = listeners.iter().map(|listener| port(listener.as_ref().expect("a free port"))).collect();
        drop(listeners);
        let options = |(name, (folder, port)): (&str, (&TempDir, &u16))| Options {
            file: Some(server_file(&format!("cluster/{name}.conf"))),
            arguments: vec!["--cluster".into(), route("first", *port).into()],
            ..Options::new(program(), folder.path())
        };
        let options = ["a", "b", "c"].into_iter().zip(folders.iter().zip(&ports)).map(options).collect();
        let mut cluster = Self { nodes: Vec::new(), options, ports, _folders: folders.into() };
        for options in &mut cluster.options {
            options.variables = variables("first", &cluster.ports);
        }
        let starting = join_all(cluster.options.iter().map(|options| Server::start(options.clone()))).await;
        cluster.nodes = starting.into_iter().collect::<Result<_, _>>()?;
        for (options, node) in cluster.options.iter_mut().zip(&cluster.nodes) {
            options.port = node.url().rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
        }
        Ok(cluster)
    }

    async fn provisioned() -> Self {
        let cluster = Self::start().await;
        let bus = cluster.bus("operator").await;
        let choices = Tunables { replicas: Some(3), ..Tunables::default() };
        eventually("the streams", async || topology::provision(&bus, &choices).await.ok()).await;
        assert_eq!(topology::drift(&bus).await.expect("readable"), [], "what was wanted is what is there");
        cluster
    }

    fn urls(&self) -> String {
        self.nodes.iter().map(Server::url).collect::<Vec<_>>().join(",")
    }

    async fn bus(&self, user: &str) -> Bus {
        let settings = settings(&self.urls(), user);
        eventually("a connection", async || Bus::connect(&settings).await.ok()).await
    }

    async fn log(&self, user: &str) -> Log {
        Log::new(self.bus(user).await)
    }

    /// The node that leads the log.
    async fn leader(&self, bus: &Bus) -> usize {
        let context = jetstream::new(bus.client().clone());
        let leader = async || {
            let stream = context.get_stream(RENDER).await.ok()?;
            let name = stream.cached_info().cluster.as_ref()?.leader.clone()?;
            ["kiln-a", "kiln-b", "kiln-c"].iter().position(|node| *node == name)
        };
        eventually("a leader", leader).await
    }

    /// Starts a node again, with other variables.
    async fn restart_with(&mut self, node: usize, password: &str) {
        self.nodes[node].stop();
        self.options[node].variables = variables(password, &self.ports);
        self.options[node].arguments[1] = route(password, self.ports[node]).into();
        self.nodes[node] = Server::start(self.options[node].clone()).await.expect("started again");
    }
}

fn route(password: &str, port: u16) -> String {
    format!("nats://route:{password}@127.0.0.1:{port}")
}

fn variables(password: &str, ports: &[u16]) -> Vec<(String, events::Secret)> {
    let routes: Vec<_> = ports.iter().map(|port| format!("\"{}\"", route(password, *port))).collect();
    let own = [("KILN_ROUTE_PASSWORD", password.to_owned()), ("KILN_ROUTES", format!("[{}]", routes.join(",")))];
    let own = own.into_iter().map(|(name, value)| (name.to_owned(), events::Secret::new(value)));
    passwords().into_iter().chain(own).collect()
}

/// As [`crate::wait_for`], for as long as an election may take.
async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    let asking = async {
        loop {
            ticks.tick().await;
            if let Some(answer) = ask().await {
                return answer;
            }
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("waited {PATIENCE:?} for {what}"))
}

/// Again and again, as every role does, as long as the error says that it may help.
async fn insist<T, F: Future<Output = Result<T, Error>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let started = Instant::now();
    loop {
        match ask().await {
            Ok(done) => return done,
            Err(error) => assert!(error.is_transient() && started.elapsed() < PATIENCE, "{what}: {error:?}"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// As the api does it.
async fn request(log: &Log, id: JobId) {
    match insist("the request", || log.transact(id, |job| decide(job, Command::Request(spec())))).await {
        Outcome::Appended { .. } | Outcome::Rejected { rejection: Rejection::AlreadyKnown, .. } => {}
        Outcome::Rejected { rejection, .. } => panic!("{id}: {rejection}"),
    }
}

/// Requests a job and lets two containers claim it at once. The call that won, as both were told.
async fn request_and_claim(api: &Log, webhook: &Log, id: JobId) -> String {
    request(api, id).await;
    let claim = async |call: String| {
        let started = Started { call_id: call.clone(), input_id: "in-1".into() };
        let command = Command::Claim(Attempt::FIRST, started);
        let claiming = || webhook.transact(id, |job| decide(job, command.clone()));
        match insist("the claim", claiming).await {
            Outcome::Appended { .. } | Outcome::Rejected { rejection: Rejection::AlreadyKnown, .. } => Some(call),
            Outcome::Rejected { .. } => None,
        }
    };
    match tokio::join!(claim(format!("fc-{id}-1")), claim(format!("fc-{id}-2"))) {
        (Some(won), None) | (None, Some(won)) => won,
        claims => panic!("one of two claims wins: {claims:?}"),
    }
}

/// A projector and a worker that dispatches, until the stop.
async fn start_roles(cluster: &Cluster, stop: &CancellationToken) {
    let (bus, token) = (cluster.bus("projector").await, stop.clone());
    tokio::spawn(async move { project(&bus, token).await });
    let (bus, token) = (cluster.bus("worker").await, stop.clone());
    let log = Log::new(bus.clone());
    tokio::spawn(async move {
        let consumer = Consumer { stream: RENDER, name: WORKER, concurrency: 8, grace: Duration::from_secs(1) };
        consumer.run(&bus, token, move |delivery| dispatch(log.clone(), delivery)).await;
    });
}

async fn dispatch(log: Log, delivery: Delivery) -> Verdict {
    let (id, _) = delivery.recorded().expect("a job's");
    let dispatched = Event::Dispatched(Attempt::FIRST, Dispatched { call_id: format!("fc-{id}"), gpu: true });
    let is_known = |job: &Job| job.facts(Attempt::FIRST).is_some_and(|facts| facts.dispatched.is_some());
    let once = |job: &Job| if is_known(job) { Err(()) } else { Ok(dispatched.clone()) };
    insist("the dispatch", || log.transact(id, once)).await;
    Verdict::Done
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_killed_under_load_takes_nothing_with_it_and_nothing_is_doubled() {
    const WRITERS: u64 = 6;
    const JOBS: u64 = 20;
    let mut cluster = Cluster::provisioned().await;
    let operator = cluster.bus("operator").await;
    let stop = CancellationToken::new();
    start_roles(&cluster, &stop).await;
    let followed = Watch::default();
    let (following, bus, token) = (followed.clone(), cluster.bus("api").await, stop.clone());
    tokio::spawn(async move { following.run(&bus, token).await });
    let done = Arc::new(AtomicU64::new(0));
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let (api, webhook, done) = (cluster.log("api").await, cluster.log("webhook").await, done.clone());
        writers.spawn(async move {
            let mut claims = Vec::new();
            for n in 0..JOBS {
                let id = job_id(writer * JOBS + n);
                claims.push((id, request_and_claim(&api, &webhook, id).await));
                done.fetch_add(1, Ordering::Relaxed);
            }
            claims
        });
    }
    eventually("the first jobs", async || (done.load(Ordering::Relaxed) >= WRITERS).then_some(())).await;
    let leader = cluster.leader(&operator).await;
    cluster.nodes[leader].kill();
    assert!(done.load(Ordering::Relaxed) < WRITERS * JOBS, "the leader was killed in the middle");
    let claims: Vec<_> = writers.join_all().await.into_iter().flatten().collect();
    cluster.nodes[leader].restart().await.expect("back");

    let log = Log::new(operator.clone());
    for (id, won) in &claims {
        let ended =
            eventually("the dispatch", async || log.history(*id).await.ok().filter(|facts| facts.len() == 3)).await;
        let kinds: Vec<_> = ended.iter().filter_map(|fact| Some(fact.event.kind()?.name())).collect();
        assert_eq!(kinds.iter().filter(|kind| **kind == "requested").count(), 1, "{kinds:?}");
        let started = |fact: &Recorded| matches!(&fact.event, Event::Started(_, started) if started.call_id == *won);
        assert!(ended.iter().any(started), "who was told so has the attempt: {won} {ended:?}");
        let last = ended.last().map(|fact| fact.seq);
        eventually("the watch", async || followed.row(*id).filter(|row| Some(row.version) >= last)).await;
    }
    let whole = Verified { jobs: WRITERS * JOBS, differences: vec![] };
    eventually("the bucket", async || verify(&operator, &|_, _| ()).await.ok().filter(|verified| *verified == whole))
        .await;
    never_older_than_seen(&cluster, claims.iter().map(|(id, _)| *id).take(20)).await;
    stop.cancel();
}

/// Whoever is asked: a replica that lags asks the leader.
async fn never_older_than_seen(cluster: &Cluster, ids: impl Iterator<Item = JobId>) {
    let api = cluster.log("api").await;
    let mut readers = Vec::new();
    for node in &cluster.nodes {
        let settings = settings(node.url(), "webhook");
        readers.push(Log::new(eventually("a connection", async || Bus::connect(&settings).await.ok()).await));
    }
    for id in ids {
        let cancel = |job: &Job| decide(job, Command::Cancel("enough".into()));
        let seq = match insist("the cancellation", || api.transact(id, cancel)).await {
            Outcome::Appended { seq, .. } => seq,
            Outcome::Rejected { job, .. } => job.seq,
        };
        for reader in &readers {
            let job = insist("the reader", || reader.load_at_least(id, seq)).await;
            assert_eq!((job.seq, job.status()), (seq, Status::Cancelled));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_froze_or_lost_the_others_is_left_for_another_one() {
    let mut cluster = Cluster::provisioned().await;
    let log = cluster.log("api").await;
    let leader = cluster.leader(log.bus()).await;
    cluster.nodes[leader].freeze(true);
    // Whichever node they are connected to.
    let logs = join_all((0..4).map(|_| cluster.log("api"))).await;
    join_all(logs.iter().chain([&log]).zip(1..).map(|(log, n)| request(log, job_id(n)))).await;
    assert_ne!(cluster.leader(logs[0].bus()).await, leader, "another one leads");
    cluster.nodes[leader].freeze(false);
    never_older_than_seen(&cluster, (1..=5).map(job_id)).await;

    // Two of three are away, and come back where the third one cannot follow.
    for node in 0..2 {
        cluster.nodes[node].kill();
    }
    let is_on = |name: &str| log.bus().is_connected() && log.bus().client().server_info().server_name == name;
    eventually("the last node", async || is_on("kiln-c").then_some(())).await;
    let requesting = log.transact(job_id(6), |job| decide(job, Command::Request(spec())));
    let error = requesting.await.expect_err("one of three decides nothing");
    assert!(error.is_transient(), "{error:?}");
    for node in 0..2 {
        cluster.restart_with(node, "second").await;
    }
    request(&log, job_id(6)).await;
    assert!(!is_on("kiln-c"), "it was left");

    cluster.restart_with(2, "second").await;
    never_older_than_seen(&cluster, [job_id(6)].into_iter()).await;
}
