//! The webhook in a real cluster: etcd, kube-apiserver and kube-controller-manager, started for the run.
//!
//! `make test-cluster` builds them and runs this in network and process namespaces of its own, so that everything
//! ends with it. There is no node: pods are admitted and stored, and do not run.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod admission;
mod cluster;
mod webhook;

use std::future::Future;
use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Trial};
use tokio::runtime::Runtime;

use cluster::Cluster;
use webhook::Webhook;

/// What a test works with.
struct World {
    cluster: Cluster,
    webhook: Webhook,
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let runtime = Arc::new(Runtime::new().unwrap());
    let world = Arc::new(runtime.block_on(async {
        let cluster = Cluster::start().await;
        let webhook = Webhook::install(&cluster).await;
        World { cluster, webhook }
    }));
    let trials = vec![
        trial(
            "examples_get_their_sidecars",
            &runtime,
            &world,
            admission::examples_get_their_sidecars,
        ),
        trial(
            "refusals_name_every_problem",
            &runtime,
            &world,
            admission::refusals_name_every_problem,
        ),
        trial(
            "unlabelled_namespaces_are_left_alone",
            &runtime,
            &world,
            admission::unlabelled_namespaces_are_left_alone,
        ),
        trial(
            "restricted_namespaces_take_every_builtin",
            &runtime,
            &world,
            admission::restricted_namespaces_take_every_builtin,
        ),
        trial(
            "the_api_server_speaks_http_1",
            &runtime,
            &world,
            admission::the_api_server_speaks_http_1,
        ),
    ];
    let conclusion = libtest_mimic::run(&arguments, trials);
    drop(world);
    conclusion.exit_code()
}

fn trial<F, T>(name: &str, runtime: &Arc<Runtime>, world: &Arc<World>, test: F) -> Trial
where
    F: FnOnce(Arc<World>) -> T + Send + 'static,
    T: Future<Output = ()>,
{
    let (runtime, world) = (Arc::clone(runtime), Arc::clone(world));
    Trial::test(name, move || {
        runtime.block_on(test(world));
        Ok(())
    })
}
