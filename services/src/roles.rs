//! How each role is started: its settings, its connections, its listener. The caller owns the socket and the stop.

mod args;
mod provision;
mod ready;

use anyhow::Context as _;
use axum::Router;
use events::Policy;
use nats::{Bus, Jobs, Log, Login, Settings};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::cors::CorsLayer;

use crate::api::Api;
use crate::bucket::Bucket;
use crate::config::{self, Listen, Strictness};
use crate::fence::{Keeper, Watch, guarded};
use crate::http;
use crate::http::gate::Gate;
use crate::keys::Keys;
use crate::metrics::Metrics;
use crate::sweeper::{self, Sweeper};
use crate::webhook::Webhook;
use crate::worker::Worker;
use crate::{doctor, modal, projector};
pub use args::{ApiArgs, ProjectorArgs, ServeArgs, WebhookArgs, WorkerArgs};
pub use provision::{ProvisionArgs, provision};
use ready::NatsReady;

/// Connects to NATS under a role's name.
pub async fn connect(config: &config::Nats, role: &str) -> Result<Bus, nats::Error> {
    let login = match (&config.nats_creds, &config.nats_nkey, &config.nats_user) {
        (Some(file), _, _) => Login::Credentials(file.clone()),
        (None, Some(seed), _) => Login::Nkey(seed.clone()),
        (None, None, Some(user)) => {
            let password = config.nats_password.clone().unwrap_or_else(|| String::new().into());
            Login::Password(user.clone(), password)
        }
        (None, None, None) => Login::None,
    };
    let settings = Settings { login, ca: config.nats_ca.clone(), ..Settings::new(&config.nats_url, role) };
    Bus::connect(&settings).await
}

/// The api, which has yet to listen and to serve, and the watch over its log.
async fn api_role(
    nats: &config::Nats,
    bucket: &config::Bucket,
    audio_urls: &config::AudioUrls,
    stop: &CancellationToken,
) -> anyhow::Result<(Api, Watch)> {
    let bucket = Bucket::new(bucket)?;
    let bus = connect(nats, "api").await?;
    let watch = Watch::start(&bus, &bucket, Keeper::No).await;
    let api = Api::new(Log::new(bus.clone()), Jobs::new(bus), bucket, stop.clone());
    Ok((api.with_audio_urls(audio_urls.rules()), watch))
}

/// The webhook, which has yet to listen and to serve, and the watch over its log.
async fn webhook_role(
    nats: &config::Nats,
    bucket: &config::Bucket,
    webhook: &config::Webhook,
) -> anyhow::Result<(Webhook, Watch)> {
    let (bucket, roots) = (Bucket::new(bucket)?, webhook.roots()?);
    let bus = connect(nats, "webhook").await?;
    let watch = Watch::start(&bus, &bucket, Keeper::No).await;
    Ok((Webhook::new(Log::new(bus), bucket, roots), watch))
}

/// What stands between clients and the routes.
struct Front {
    keys: Keys,
    gate: Gate,
    cors: Option<CorsLayer>,
    metrics: Metrics,
}

impl Front {
    fn new(clients: &config::Clients, listen: &Listen, strictness: Strictness) -> anyhow::Result<Self> {
        let keys = clients.keys(listen, strictness)?;
        let gate = Gate::new(keys.clone(), clients.max_uploads);
        Ok(Self { keys, gate, cors: clients.cors()?, metrics: Metrics::new() })
    }

    /// For those that are no clients: containers show capabilities, which the routes themselves ask for.
    fn none() -> Self {
        Self { keys: Keys::none(), gate: Gate::open(), cors: None, metrics: Metrics::new() }
    }
}

/// Serves a role's routes with its health beside them, and says where.
async fn serve(
    listener: TcpListener,
    (router, watch): (Router, Watch),
    front: Front,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    tracing::info!("listening on http://{}", listener.local_addr()?);
    let Front { keys, gate, cors, metrics } = front;
    metrics.watch(watch.bus());
    let health = http::health(NatsReady(watch.bus().clone()), &gate, metrics.clone());
    let serving = http::serve(listener, http::finish(router.merge(health), cors, &metrics), stop.clone());
    tokio::join!(serving, watch.run(stop.clone()), keys.watch(stop));
    Ok(())
}

/// Serves only the health, if an address for it is given.
async fn serve_health(
    args: config::Health,
    bus: Bus,
    metrics: Metrics,
    stop: CancellationToken,
) -> anyhow::Result<impl Future<Output = ()>> {
    metrics.watch(&bus);
    let listener = match args.health_listen {
        Some(listen) => Some(bind(&Listen { listen }).await?),
        None => None,
    };
    Ok(async move {
        if let Some(listener) = listener {
            let health = http::health(NatsReady(bus), &Gate::open(), metrics.clone());
            http::serve(listener, http::finish(health, None, &metrics), stop).await;
        }
    })
}

/// The listener that was asked for; a taken port is an error that names it.
pub async fn bind(args: &Listen) -> anyhow::Result<TcpListener> {
    let address = args.listen;
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}: is the port in use? choose another one"))
}

/// `kiln api`
pub async fn api(args: &ApiArgs, stop: CancellationToken) -> anyhow::Result<()> {
    let front = Front::new(&args.clients, &args.listen, args.strictness)?;
    let (role, watch) = api_role(&args.nats, &args.bucket, &args.audio_urls, &stop).await?;
    doctor::before_start(&args.nats, watch.bus(), args.strictness).await?;
    front.metrics.watch_jobs(role.watch());
    let router = guarded(role.clone().router(&front.gate), watch.bus().clone());
    let listener = bind(&args.listen).await?;
    let serving = async {
        let served = serve(listener, (router, watch), front, stop.clone()).await;
        stop.cancel();
        served
    };
    tokio::join!(serving, role.listen()).0
}

/// `kiln webhook`
pub async fn webhook(args: &WebhookArgs, stop: CancellationToken) -> anyhow::Result<()> {
    let (role, watch) = webhook_role(&args.nats, &args.bucket, &args.webhook).await?;
    doctor::before_start(&args.nats, watch.bus(), args.strictness).await?;
    let router = guarded(role.clone().router(), watch.bus().clone());
    let listener = bind(&args.listen).await?;
    let serving = async {
        let served = serve(listener, (router, watch), Front::none(), stop.clone()).await;
        stop.cancel();
        served
    };
    tokio::join!(serving, role.listen(&stop)).0
}

/// A worker that has yet to run, and what it looks at beside its work.
struct WorkerRole {
    worker: Worker,
    watch: Watch,
    sweeper: Sweeper,
    modal: modal::Client,
    callback_url: String,
}

impl WorkerRole {
    async fn new(args: &WorkerArgs, policy: Policy, metrics: &Metrics) -> anyhow::Result<Self> {
        let (bucket, modal) = (Bucket::new(&args.bucket)?, modal::Client::new(&args.modal)?);
        let (roots, callback_url) = (args.webhook.roots()?, args.public.callback(args.strictness)?);
        let log = Log::new(connect(&args.nats, "worker").await?);
        let watch = Watch::start(log.bus(), &bucket, Keeper::No).await;
        let sweeper = Sweeper::new(log.clone(), bucket.clone(), sweeper::AGE, false);
        let worker = Worker::new(log, bucket, modal.clone(), roots, &callback_url, policy);
        let worker = worker.with_audio_urls(args.audio_urls.rules()).counted(metrics.shepherds());
        Ok(Self { worker, watch, sweeper, modal, callback_url })
    }

    async fn run(self, stop: CancellationToken) {
        let Self { worker, watch, sweeper, modal, callback_url } = self;
        let outside = doctor::watch_outside(modal, &callback_url, &stop);
        tokio::join!(worker.run(stop.clone()), watch.run(stop.clone()), sweeper.run(stop.clone()), outside);
    }
}

/// `kiln worker`
pub async fn worker(
    args: &WorkerArgs,
    policy: Policy,
    metrics: Metrics,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let role = WorkerRole::new(args, policy, &metrics).await?;
    let bus = role.watch.bus().clone();
    doctor::before_start(&args.nats, &bus, args.strictness).await?;
    let health = serve_health(args.health, bus, metrics, stop.clone()).await?;
    tokio::join!(role.run(stop), health);
    Ok(())
}

/// The watch of the projector, which needs nothing else to run.
async fn projector_watch(nats: &config::Nats, bucket: &config::Bucket) -> anyhow::Result<Watch> {
    let bucket = Bucket::new(bucket)?;
    let bus = connect(nats, "projector").await?;
    Ok(Watch::start(&bus, &bucket, Keeper::Yes).await)
}

async fn project(watch: Watch, stop: CancellationToken) {
    let bus = watch.bus().clone();
    tokio::join!(projector::run(&bus, stop.clone()), watch.run(stop));
}

/// `kiln projector`
pub async fn projector(args: &ProjectorArgs, metrics: Metrics, stop: CancellationToken) -> anyhow::Result<()> {
    let watch = projector_watch(&args.nats, &args.bucket).await?;
    doctor::before_start(&args.nats, watch.bus(), args.strictness).await?;
    let health = serve_health(args.health, watch.bus().clone(), metrics, stop.clone()).await?;
    tokio::join!(project(watch, stop), health);
    Ok(())
}

/// `kiln serve`: the four roles side by side, one listener; the first one to end stops the rest.
pub async fn serve_all(
    args: &ServeArgs,
    policy: Policy,
    listener: Option<TcpListener>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let ServeArgs { listen, clients, nats, bucket, modal, public, webhook, audio_urls, strictness } = args.clone();
    let worker_args = WorkerArgs {
        health: config::Health::default(),
        nats: nats.clone(),
        bucket: bucket.clone(),
        modal,
        public,
        webhook: webhook.clone(),
        audio_urls: audio_urls.clone(),
        strictness,
    };
    let front = Front::new(&clients, &listen, strictness)?;
    let (api, api_watch) = api_role(&nats, &bucket, &audio_urls, &stop).await?;
    let (webhook, webhook_watch) = webhook_role(&nats, &bucket, &webhook).await?;
    let worker = WorkerRole::new(&worker_args, policy, &front.metrics).await?;
    let projector = projector_watch(&nats, &bucket).await?;
    doctor::before_start(&nats, api_watch.bus(), strictness).await?;
    let router = guarded(api.clone().router(&front.gate), api_watch.bus().clone());
    let router = router.merge(guarded(webhook.clone().router(), webhook_watch.bus().clone()));
    let metrics = front.metrics.clone();
    for bus in [webhook_watch.bus(), worker.watch.bus(), projector.bus()] {
        metrics.watch(bus);
    }
    metrics.watch_jobs(api.watch());
    let listener = match listener {
        Some(listener) => listener,
        None => bind(&listen).await?,
    };
    let mut roles = tokio::task::JoinSet::new();
    roles.spawn(serve(listener, (router, api_watch), front, stop.clone()));
    roles.spawn(endless(webhook_watch.run(stop.clone())));
    roles.spawn(endless(async move { api.listen().await }));
    let token = stop.clone();
    roles.spawn(endless(async move { webhook.listen(&token).await }));
    roles.spawn(endless(worker.run(stop.clone())));
    roles.spawn(endless(project(projector, stop.clone())));
    let mut result = Ok(());
    while let Some(ended) = roles.join_next().await {
        stop.cancel();
        result = result.and(ended.context("a role panicked").flatten());
    }
    result
}

/// What cannot fail, beside what can.
async fn endless(role: impl Future<Output = ()>) -> anyhow::Result<()> {
    role.await;
    Ok(())
}
