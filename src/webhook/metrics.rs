//! What Prometheus is told.

use std::time::Duration;

use axum::http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::verdict::Verdict;

/// The metrics of one process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    decisions: Family<Decided, Counter>,
    bad_requests: Family<Status, Counter>,
    duration: Histogram,
    not_after: Gauge,
    reloads: Family<Reload, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Decided {
    result: &'static str,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Status {
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reload {
    result: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("outrigger");
        let (decisions, bad_requests, reloads) =
            (Family::default(), Family::default(), Family::default());
        // From a small pod to one of a megabyte, on a busy machine.
        let duration = Histogram::new([25e-6, 50e-6, 100e-6, 250e-6, 1e-3, 5e-3, 25e-3, 100e-3]);
        let not_after = Gauge::default();
        registry.register("decisions", "Reviews answered, by result and reason", decisions.clone());
        registry.register(
            "bad_requests",
            "Requests that were no review, by HTTP status",
            bad_requests.clone(),
        );
        registry.register_with_unit(
            "decision_duration",
            "From a review's bytes to its answer's",
            Unit::Seconds,
            duration.clone(),
        );
        registry.register(
            "certificate_not_after_timestamp_seconds",
            "When the serving certificate expires, as Unix time",
            not_after.clone(),
        );
        registry.register(
            "certificate_reloads",
            "Times that the certificate's files had changed, by what came of it",
            reloads.clone(),
        );
        Self { registry, decisions, bad_requests, duration, not_after, reloads }
    }
}

impl Metrics {
    /// The media type of [`Metrics::text`].
    pub const CONTENT_TYPE: &'static str =
        "application/openmetrics-text; version=1.0.0; charset=utf-8";

    /// Counts one answer.
    pub fn decided(&self, verdict: &Verdict, took: Duration) {
        let labels = Decided { result: verdict.result, reason: verdict.label };
        self.decisions.get_or_create(&labels).inc();
        self.duration.observe(took.as_secs_f64());
    }

    /// Counts a request that got no answer.
    pub fn bad_request(&self, status: StatusCode) {
        self.bad_requests.get_or_create(&Status { status: status.as_u16() }).inc();
    }

    /// A certificate is in use that expires then, in seconds of Unix time.
    pub fn certificate(&self, not_after: i64) {
        self.not_after.set(not_after);
    }

    /// Counts a change of the certificate's files: `loaded` or `kept` (the old pair, since the new one is no good).
    pub fn reloaded(&self, result: &'static str) {
        self.reloads.get_or_create(&Reload { result }).inc();
    }

    /// All of them, as OpenMetrics text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
