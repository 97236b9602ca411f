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
    macro_rules! trials {
        ($($test:ident),* $(,)?) => {
            vec![$(trial(stringify!($test), &runtime, &world, admission::$test)),*]
        };
    }
    let trials = trials![
        examples_get_their_sidecars,
        refusals_name_every_problem,
        unlabelled_namespaces_are_left_alone,
        restricted_namespaces_take_every_builtin,
        dry_runs_are_answered_alike,
        many_at_once,
        a_pod_of_a_megabyte,
        copies_of_stored_pods,
        pods_that_cannot_have_it,
        a_second_webhook_adds_a_container,
        the_api_server_speaks_http_1,
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
