//! What the worker counts.

use events::WaitingFor;
use events::seen::{CallReport, SubmitOutcome};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Upper ends of the buckets of the way from a request to its dispatch, in seconds: from idle to hours in the queue.
const SECONDS: [f64; 12] = [0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0, 3600.0, 21600.0];

/// The counters of the shepherds of one process. Clones share them.
#[derive(Clone)]
pub struct Shepherds {
    held: Family<Waits, Gauge>,
    adopted: Counter,
    dispatches: Family<Outcome, Counter>,
    latency: Histogram,
    reconciliations: Family<Told, Counter>,
    stops: Counter,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Waits {
    waiting_for: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Told {
    told: &'static str,
}

/// A job that is held: counted under what it waits for, until this is dropped.
pub struct Held {
    gauges: Family<Waits, Gauge>,
    waits: Waits,
}

impl Default for Shepherds {
    fn default() -> Self {
        Self {
            held: Family::default(),
            adopted: Counter::default(),
            dispatches: Family::default(),
            latency: Histogram::new(SECONDS),
            reconciliations: Family::default(),
            stops: Counter::default(),
        }
    }
}

impl Shepherds {
    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "Jobs that this worker holds, by what they wait for";
        registry.register("worker_jobs", help, self.held.clone());
        registry.register("worker_adopted", "Jobs that another worker may have held before", self.adopted.clone());
        registry.register("worker_dispatches", "Submits to Modal by what came of them", self.dispatches.clone());
        let help = "Time from a job's request to its first accepted submit";
        registry.register("worker_dispatch_latency_seconds", help, self.latency.clone());
        let help = "Questions about silent renders by what Modal told";
        registry.register("worker_reconciliations", help, self.reconciliations.clone());
        registry.register("worker_stops", "Attempts that were stopped, and confirmed to be", self.stops.clone());
    }

    /// A worker takes a job.
    pub fn hold(&self, is_first: bool) -> Held {
        if !is_first {
            self.adopted.inc();
        }
        let held = Held { gauges: self.held.clone(), waits: Waits { waiting_for: "nothing" } };
        held.gauges.get_or_create(&held.waits).inc();
        held
    }

    /// Modal was asked to take an attempt; `waited` since the request, where it was the job's first one.
    pub fn dispatched(&self, outcome: &SubmitOutcome, waited: Option<std::time::Duration>) {
        self.dispatches.get_or_create(&Outcome { outcome: outcome.name() }).inc();
        if let (SubmitOutcome::Accepted(_), Some(waited)) = (outcome, waited) {
            self.latency.observe(waited.as_secs_f64());
        }
    }

    /// Modal told, or did not tell, what became of a silent render.
    pub fn reconciled(&self, report: &CallReport) {
        self.reconciliations.get_or_create(&Told { told: report.name() }).inc();
    }

    /// An attempt runs no more.
    pub fn stopped(&self) {
        self.stops.inc();
    }
}

impl Held {
    /// What the job waits for from now on; `None` while something is done about it.
    pub fn waits_for(&mut self, what: Option<WaitingFor>) {
        let waits = Waits { waiting_for: what.map_or("nothing", WaitingFor::name) };
        if waits != self.waits {
            self.gauges.get_or_create(&waits).inc();
            self.gauges.get_or_create(&std::mem::replace(&mut self.waits, waits)).dec();
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.gauges.get_or_create(&self.waits).dec();
    }
}
