//! What happens when the webhook does not: it is restarted, stopped, gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, PostParams};
use serde_json::json;
use tokio::task::JoinSet;

use crate::World;
use crate::admission::pod;
use crate::cluster::{ADDRESS, SECOND_ADDRESS};
use crate::webhook::Webhook;

const RESTARTS: usize = 20;
const CALLERS: usize = 4;

/// Two replicas are restarted in turn, while pods that ask are created without a pause.
#[expect(clippy::print_stdout, reason = "the figure belongs into the log")]
pub(crate) async fn restarts_lose_no_call(world: Arc<World>) {
    let addresses = [ADDRESS, SECOND_ADDRESS];
    let label = ("restarts", "enabled");
    let webhook = Webhook::install(&world.cluster, "restarts", label, &addresses).await;
    let namespace = world.cluster.namespace(&[label]).await;
    let pods: Api<Pod> = Api::namespaced(world.cluster.client.clone(), &namespace);
    let over = Arc::new(AtomicBool::new(false));
    let created = Arc::new(AtomicU32::new(0));
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (pods, over, created) = (pods.clone(), Arc::clone(&over), Arc::clone(&created));
        callers.spawn(async move {
            let params = PostParams { dry_run: true, ..PostParams::default() };
            let pod = pod(json!({"outrigger.dev/inject": "topz"}));
            while !over.load(Ordering::Relaxed) {
                pods.create(&params, &pod).await.map_err(|error| error.to_string())?;
                created.fetch_add(1, Ordering::Relaxed);
            }
            Ok::<(), String>(())
        });
    }
    for round in 0..RESTARTS {
        let (replica, other) = (round % 2, (round + 1) % 2);
        let before = created.load(Ordering::Relaxed);
        // As when a pod is deleted: the process is told to end, and then the endpoint goes.
        webhook.signal(replica, "-TERM");
        webhook.publish(&[addresses[other]]).await;
        assert_eq!(webhook.ended(replica).await, Some(0));
        webhook.restart(replica, addresses[replica]).await;
        webhook.publish(&addresses).await;
        assert!(created.load(Ordering::Relaxed) > before, "no pod was created meanwhile");
    }
    over.store(true, Ordering::Relaxed);
    assert_eq!(callers.join_all().await, vec![Ok(()); CALLERS]);
    println!("{RESTARTS} restarts, {} pods created", created.load(Ordering::Relaxed));
}

/// Stopped, so that connections stay open and nobody answers (the API server gives up after the webhook's
/// `timeoutSeconds`); then gone.
pub(crate) async fn a_dead_webhook_blocks_only_who_asks(world: Arc<World>) {
    let label = ("dead", "enabled");
    let webhook = Webhook::install(&world.cluster, "dead", label, &[ADDRESS]).await;
    let namespace = world.cluster.namespace(&[label]).await;
    let pods: Api<Pod> = Api::namespaced(world.cluster.client.clone(), &namespace);
    let params = PostParams { dry_run: true, ..PostParams::default() };
    for signal in ["-STOP", "-KILL"] {
        webhook.signal(0, signal);
        let error =
            pods.create(&params, &pod(json!({"outrigger.dev/inject": "topz"}))).await.unwrap_err();
        assert!(
            error.to_string().contains("failed calling webhook \"asked.outrigger.dev\""),
            "{error}"
        );
        let stored = pods.create(&params, &pod(json!({}))).await.unwrap();
        assert_eq!(stored.spec.unwrap().init_containers, None);
        let elsewhere = world.cluster.namespace(&[]).await;
        let elsewhere: Api<Pod> = Api::namespaced(world.cluster.client.clone(), &elsewhere);
        elsewhere.create(&params, &pod(json!({"outrigger.dev/inject": "topz"}))).await.unwrap();
    }
}
