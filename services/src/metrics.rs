//! What a role counts, for Prometheus. Every name is here, with its help; a role that measures something of its own adds a
//! field to [`Metrics`], registers it in [`Metrics::new`], and is handed a clone.

mod shepherds;

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use axum::http::Method;
use events::Status;
use nats::{Bus, Watch};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::clock;
pub use shepherds::{Held, Shepherds};

/// As `/metrics` is written.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Upper ends of the buckets of request durations, in seconds.
const SECONDS: [f64; 14] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];

/// The counters of one process. Clones share them.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    requests: Family<Answered, Counter>,
    durations: Family<Route, Histogram, fn() -> Histogram>,
    buses: Arc<Mutex<Vec<Bus>>>,
    jobs: Arc<OnceLock<Watch>>,
    shepherds: Shepherds,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Answered {
    method: String,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Route {
    method: String,
    route: String,
}

impl Metrics {
    /// All of them at nothing.
    pub fn new() -> Self {
        let requests = Family::<Answered, Counter>::default();
        let durations = Family::new_with_constructor((|| Histogram::new(SECONDS)) as fn() -> Histogram);
        let buses = Arc::<Mutex<Vec<Bus>>>::default();
        let jobs = Arc::<OnceLock<Watch>>::default();
        let mut registry = Registry::with_prefix("kiln");
        registry.register("http_requests", "HTTP requests that were answered", requests.clone());
        let help = "Time from a request's head to its answer's head";
        registry.register("http_request_duration_seconds", help, durations.clone());
        let shepherds = Shepherds::default();
        shepherds.register(&mut registry);
        registry.register_collector(Box::new(Connections(Arc::clone(&buses))));
        registry.register_collector(Box::new(Jobs(Arc::clone(&jobs))));
        Self { registry: Arc::new(registry), requests, durations, buses, jobs, shepherds }
    }

    /// Counts what goes over this connection too, under its role.
    pub fn watch(&self, bus: &Bus) {
        self.buses.lock().expect("nothing panics under this lock").push(bus.clone());
    }

    /// Tells how many jobs there are, too: once per process.
    pub fn watch_jobs(&self, watch: &Watch) {
        let _ = self.jobs.set(watch.clone());
    }

    /// What the worker counts.
    pub fn shepherds(&self) -> Shepherds {
        self.shepherds.clone()
    }

    /// A request was answered; `route` is the pattern that it matched, and never its own path.
    pub fn answered(&self, method: &Method, route: &str, status: u16, took: Duration) {
        let is_known = [Method::GET, Method::HEAD, Method::POST, Method::DELETE, Method::PATCH, Method::OPTIONS];
        let method = if is_known.contains(method) { method.as_str() } else { "other" }.to_owned();
        let route = route.to_owned();
        self.requests.get_or_create(&Answered { method: method.clone(), route: route.clone(), status }).inc();
        self.durations.get_or_create(&Route { method, route }).observe(took.as_secs_f64());
    }

    /// All of them as text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        text::encode(&mut text, &self.registry).expect("a string takes everything");
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// What the projection tells of the jobs; nothing until all of it is known, since half a count is a wrong one.
struct Jobs(Arc<OnceLock<Watch>>);

impl fmt::Debug for Jobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Jobs").finish()
    }
}

impl Collector for Jobs {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(watch) = self.0.get().filter(|watch| watch.is_caught_up()) else { return Ok(()) };
        let help = "Jobs that the log still has; the pending ones are the queue";
        let mut jobs = encoder.encode_descriptor("jobs", help, None, MetricType::Gauge)?;
        for (status, count) in watch.counts() {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            ConstGauge::new(count).encode(jobs.encode_family(&[("status", status.to_string())])?)?;
        }
        let help = "How long the job has waited that is first in the queue; 0 for an empty one";
        let oldest = encoder.encode_descriptor("queue_oldest_seconds", help, None, MetricType::Gauge)?;
        let waited = watch.oldest(Status::Pending).map_or(0, |since| clock::now().since(since).as_secs());
        ConstGauge::new(i64::try_from(waited).unwrap_or(i64::MAX)).encode(oldest)
    }
}

/// One of the counts.
type Count = fn(&nats::Counts) -> u64;

/// What the connections counted by themselves.
struct Connections(Arc<Mutex<Vec<Bus>>>);

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Connections").finish()
    }
}

impl Collector for Connections {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let buses = self.0.lock().expect("nothing panics under this lock");
        let counts: Vec<_> = buses.iter().map(|bus| ([("role", bus.role())], bus.counts())).collect();
        let mut up =
            encoder.encode_descriptor("nats_connected", "Whether the connection stands", None, MetricType::Gauge)?;
        for (bus, (role, _)) in buses.iter().zip(&counts) {
            ConstGauge::new(i64::from(bus.is_connected())).encode(up.encode_family(role)?)?;
        }
        let counters: [(&str, &str, Count); 3] = [
            ("log_appends", "Events that were appended to the log", |counts| counts.appends),
            ("log_conflicts", "Appends that another writer was ahead of, and that were decided anew", |counts| {
                counts.conflicts
            }),
            ("log_redeliveries", "Messages that came more than once", |counts| counts.redeliveries),
        ];
        for (name, help, count) in counters {
            let mut counter = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (role, counts) in &counts {
                ConstCounter::new(count(counts)).encode(counter.encode_family(role)?)?;
            }
        }
        Ok(())
    }
}
