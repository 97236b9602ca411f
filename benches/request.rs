//! What one review costs, from bytes to bytes, without HTTP and TLS: `cargo bench`.
//!
//! Figures are ratios within one run, over parsing the same bytes into `serde_json::Value`: what a webhook that reads
//! everything does before it decides anything.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program for people who measure")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use outrigger::inject::{Context, Namespace, Settings, decide};
use outrigger::sidecar::Catalog;
use outrigger::webhook::review;
use outrigger::webhook::verdict::{Decide, Verdict};
use serde_json::{Value, json};

fn main() {
    let mut large = Catalog::builtin();
    for n in 0..1000 {
        let definition = json!({
            "apiVersion": "outrigger.dev/v1alpha1", "kind": "ClusterSidecar", "metadata": {"name": format!("other-{n}")},
            "spec": {"description": "Another.", "containers": [{"image": "other"}]},
        });
        assert!(large.add("bench", &definition.to_string()).is_empty());
    }
    let (small, large) = (decider(Catalog::builtin()), decider(large));
    println!("{:<34}{:>10}{:>14}{:>14}", "", "bytes", "microseconds", "over parsing");
    for (variables, asks) in
        [(60, "none"), (60, "topz"), (60, "topz, git-sync, log"), (1400, "topz"), (6400, "topz")]
    {
        let body = body(variables, asks);
        let parsing = time(|| {
            black_box(serde_json::from_slice::<Value>(&body).unwrap());
        });
        for (decide, label) in [(&small, ""), (&large, " + 1000 definitions")] {
            let took = time(|| answer(&body, decide));
            let ratio = took.as_secs_f64() / parsing.as_secs_f64();
            let micros = took.as_secs_f64() * 1e6;
            println!(
                "{:<34}{:>10}{micros:>14.1}{ratio:>14.2}",
                format!("{asks}{label}"),
                body.len()
            );
        }
    }
}

/// The whole of a request but the transport.
fn answer(body: &[u8], decide: &Decide) {
    let review = review::read(body).unwrap();
    let verdict = Verdict::of(&review, decide);
    black_box(review::write(&review.uid, &verdict.answer).unwrap());
}

fn decider(catalog: Catalog) -> Box<Decide> {
    let settings = Settings { native: true, image: "outrigger".into(), ..Settings::default() };
    Box::new(move |pod, namespace| {
        let namespace = Namespace { name: namespace.to_owned(), annotations: BTreeMap::new() };
        decide(pod, &Context { namespace: &namespace, catalog: &catalog, settings: &settings })
    })
}

/// A review of a pod with so many environment variables.
fn body(variables: usize, asks: &str) -> Vec<u8> {
    let env: Vec<_> = (0..variables).map(|n| json!({"name": format!("VARIABLE_{n}"), "value": format!("some value {n} of the usual length, more or less")})).collect();
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"generateName": "web-5d4f8-", "labels": {"app": "web"}, "annotations": {
            "outrigger.dev/inject": asks,
            "git-sync.outrigger.dev/repo": "https://example.com/x.git", "git-sync.outrigger.dev/path": "/srv",
            "log.outrigger.dev/paths": "/var/log/web/*.log"}},
        "spec": {
            "containers": [{"name": "web", "image": "web:1", "env": env, "volumeMounts": [{"name": "data", "mountPath": "/data"}]}],
            "volumes": [{"name": "data", "emptyDir": {}}],
        },
    });
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {"uid": "705ab4f5-6393-11e8-b7cc-42010a800002", "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "namespace": "shop", "operation": "CREATE", "object": pod},
    });
    review.to_string().into_bytes()
}

/// The fastest of many runs: the one that nothing else disturbed.
fn time(mut run: impl FnMut()) -> Duration {
    let began = Instant::now();
    let mut best = Duration::MAX;
    let mut runs = 0;
    while runs < 10 || began.elapsed() < Duration::from_millis(300) {
        let start = Instant::now();
        run();
        best = best.min(start.elapsed());
        runs += 1;
    }
    best
}
