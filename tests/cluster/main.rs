//! The webhook in a real cluster: etcd, kube-apiserver and kube-controller-manager, started for the run.
//!
//! `make test-cluster` builds them and runs this in network and process namespaces of its own, so that everything
//! ends with it. There is no node: pods are admitted and stored, and do not run.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod admission;
mod cluster;
mod faults;
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
        let webhook =
            Webhook::install(&cluster, "outrigger", admission::OPTED_IN, &[cluster::ADDRESS]).await;
        World { cluster, webhook }
    }));
    macro_rules! trials {
        ($($module:ident::$test:ident),* $(,)?) => {
            vec![$(trial(stringify!($test), &runtime, &world, $module::$test)),*]
        };
    }
    let trials = trials![
        admission::examples_get_their_sidecars,
        admission::refusals_name_every_problem,
        admission::unlabelled_namespaces_are_left_alone,
        admission::restricted_namespaces_take_every_builtin,
        admission::dry_runs_are_answered_alike,
        admission::many_at_once,
        admission::a_pod_of_a_megabyte,
        admission::copies_of_stored_pods,
        admission::pods_that_cannot_have_it,
        admission::a_second_webhook_adds_a_container,
        admission::the_api_server_speaks_http_1,
        faults::restarts_lose_no_call,
        faults::a_dead_webhook_blocks_only_who_asks,
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
