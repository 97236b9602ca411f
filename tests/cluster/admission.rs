//! What the API server stores, and what it tells the user.

use std::path::Path;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Container, Pod};
use kube::api::{Api, ListParams, PostParams};
use outrigger::yaml;
use serde_json::{Value, json};

use crate::World;
use crate::cluster::{die, until};
use crate::webhook::{install_meddler, read};

/// The label of a namespace whose pods the API server shows to the webhook.
pub(crate) const OPTED_IN: (&str, &str) = ("outrigger.dev/injection", "enabled");
const TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// The objects of an example that make pods.
fn workloads(file: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests/examples").join(file);
    let text = std::fs::read_to_string(path).unwrap();
    let documents = yaml::documents(&text);
    let objects = documents.iter().map(|text| yaml::read(text, yaml::MANIFEST).unwrap());
    objects
        .filter(|object| {
            ["Deployment", "Job"].contains(&object["kind"].as_str().unwrap_or_default())
        })
        .collect()
}

/// Creates a workload and gives the pod that its controller makes of it.
async fn pod_of(world: &World, namespace: &str, workload: Value) -> Pod {
    let client = || world.cluster.client.clone();
    let params = PostParams::default();
    match workload["kind"].as_str() {
        Some("Deployment") => Api::<Deployment>::namespaced(client(), namespace)
            .create(&params, &read(workload))
            .await
            .map(drop),
        _ => Api::<Job>::namespaced(client(), namespace)
            .create(&params, &read(workload))
            .await
            .map(drop),
    }
    .unwrap();
    let pods: Api<Pod> = Api::namespaced(client(), namespace);
    until("the workload has a pod", async || {
        pods.list(&ListParams::default()).await.unwrap().items.into_iter().next()
    })
    .await
}

fn has_token(container: &Container) -> bool {
    let mounts = container.volume_mounts.iter().flatten();
    mounts
        .filter(|mount| mount.mount_path == TOKEN_PATH)
        .any(|mount| mount.name.starts_with("kube-api-access"))
}

pub(crate) async fn examples_get_their_sidecars(world: Arc<World>) {
    for (file, expected) in [
        ("httpd-git.yaml", &["git-sync", "git-sync-publish"][..]),
        ("java-log.yaml", &["log"]),
        ("topz.yaml", &["topz"]),
        ("job-topz.yaml", &["topz"]),
        ("all.yaml", &["topz", "git-sync", "git-sync-publish", "log"]),
    ] {
        // The examples say that they pass the strictest standard, sidecars included.
        let restricted = ("pod-security.kubernetes.io/enforce", "restricted");
        let namespace = world.cluster.namespace(&[OPTED_IN, restricted]).await;
        let workload = workloads(file).pop().unwrap();
        let pod = pod_of(&world, &namespace, workload).await.spec.unwrap();
        let init = pod.init_containers.unwrap_or_default();
        let names: Vec<_> = init.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, expected, "{file}");
        for container in init {
            assert_eq!(
                container.restart_policy.as_deref(),
                Some("Always"),
                "{file}: {}",
                container.name
            );
            assert!(!has_token(&container), "{file}: {}", container.name);
        }
    }
}

pub(crate) fn pod(annotations: Value) -> Pod {
    read(json!({
        "metadata": {"name": "web", "annotations": annotations},
        "spec": {"containers": [{"name": "web", "image": "web", "ports": [{"containerPort": 8080}]}]},
    }))
}

pub(crate) async fn refusals_name_every_problem(world: Arc<World>) {
    let namespace = world.cluster.namespace(&[OPTED_IN]).await;
    let pods: Api<Pod> = Api::namespaced(world.cluster.client.clone(), &namespace);
    let annotations =
        json!({"outrigger.dev/inject": "topz, lgo", "topz.outrigger.dev/port": "8080"});
    let error = pods.create(&PostParams::default(), &pod(annotations)).await.unwrap_err();
    let kube::Error::Api(status) = error else { die(&format!("not the API server's: {error}")) };
    assert_eq!((status.code, status.reason.as_str()), (422, "Invalid"));
    assert_eq!(
        status.message,
        "admission webhook \"asked.outrigger.dev\" denied the request: 2 problems with the sidecars of this pod:\n  \
         1. topz.outrigger.dev/port: port 8080/TCP of topz is taken by container web; choose another port\n  \
         2. outrigger.dev/inject: there is no sidecar \"lgo\"; did you mean log?"
    );
}

pub(crate) async fn unlabelled_namespaces_are_left_alone(world: Arc<World>) {
    for (labels, pod_labels) in
        [(&[][..], json!({})), (&[OPTED_IN], json!({"outrigger.dev/injection": "disabled"}))]
    {
        let namespace = world.cluster.namespace(labels).await;
        let pods: Api<Pod> = Api::namespaced(world.cluster.client.clone(), &namespace);
        let mut pod = pod(json!({"outrigger.dev/inject": "topz, lgo"}));
        pod.metadata.labels = Some(read(pod_labels));
        let stored = pods.create(&PostParams::default(), &pod).await.unwrap();
        assert_eq!(stored.spec.unwrap().init_containers, None);
    }
}

/// The application mounts nothing and says nothing about security but what the standard asks of it.
pub(crate) async fn restricted_namespaces_take_every_builtin(world: Arc<World>) {
    let restricted = ("pod-security.kubernetes.io/enforce", "restricted");
    let namespace = world.cluster.namespace(&[OPTED_IN, restricted]).await;
    let pods: Api<Pod> = Api::namespaced(world.cluster.client.clone(), &namespace);
    for (number, (mode, layout)) in [
        ("native", "publish"),
        ("native", "parent"),
        ("native", "link"),
        ("container", "publish"),
        ("container", "parent"),
        ("container", "link"),
    ]
    .into_iter()
    .enumerate()
    {
        let pod = json!({
            "metadata": {"name": format!("web-{number}"), "annotations": {
                "outrigger.dev/inject": "topz, git-sync, log",
                "topz.outrigger.dev/mode": mode, "git-sync.outrigger.dev/mode": mode, "log.outrigger.dev/mode": mode,
                "git-sync.outrigger.dev/repo": "https://example.com/x.git",
                "git-sync.outrigger.dev/path": "/srv/www/html",
                "git-sync.outrigger.dev/layout": layout,
                "git-sync.outrigger.dev/sshSecret": "ssh",
                "git-sync.outrigger.dev/basicAuthSecret": "password",
                "log.outrigger.dev/paths": "/var/log/*.log, /var/log/app/*.log",
            }},
            "spec": {"containers": [{"name": "web", "image": "web", "securityContext": {
                "runAsNonRoot": true, "allowPrivilegeEscalation": false,
                "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}}}]},
        });
        let stored = pods.create(&PostParams::default(), &read(pod)).await.unwrap();
        let spec = stored.spec.unwrap();
        let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
        let with_token: Vec<_> =
            containers.filter(|c| has_token(c)).map(|c| c.name.as_str()).collect();
        assert_eq!(with_token, ["web"], "{mode} {layout}");
    }
}

/// What was tested is what users get: API servers speak HTTP/2 to loopback addresses only.
pub(crate) async fn the_api_server_speaks_http_1(world: Arc<World>) {
    let log = world.webhook.log();
    let versions = log.lines().filter_map(|line| {
        let line: Value = serde_json::from_str(line).ok()?;
        Some(line["http"].as_str()?.to_owned())
    });
    let versions: std::collections::BTreeSet<_> = versions.collect();
    assert_eq!(versions.into_iter().collect::<Vec<_>>(), ["HTTP/1.1"]);
}

async fn opted_in(world: &World) -> Api<Pod> {
    let namespace = world.cluster.namespace(&[OPTED_IN]).await;
    Api::namespaced(world.cluster.client.clone(), &namespace)
}

fn names(pod: &Pod) -> Vec<&str> {
    let spec = pod.spec.as_ref();
    let init = spec.and_then(|spec| spec.init_containers.as_deref()).unwrap_or_default();
    init.iter().map(|container| container.name.as_str()).collect()
}

pub(crate) async fn dry_runs_are_answered_alike(world: Arc<World>) {
    let pods = opted_in(&world).await;
    let params = PostParams { dry_run: true, ..PostParams::default() };
    let shown = pods.create(&params, &pod(json!({"outrigger.dev/inject": "topz"}))).await.unwrap();
    assert_eq!(names(&shown), ["topz"]);
    assert!(pods.list(&ListParams::default()).await.unwrap().items.is_empty());
}

pub(crate) async fn many_at_once(world: Arc<World>) {
    let pods = opted_in(&world).await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..50 {
        let pods = pods.clone();
        tasks.spawn(async move {
            let mut pod = pod(json!({"outrigger.dev/inject": "topz, log", "log.outrigger.dev/paths": "/var/log/app/*.log"}));
            pod.metadata.name = Some(format!("web-{number}"));
            pods.create(&PostParams::default(), &pod).await.unwrap()
        });
    }
    for pod in tasks.join_all().await {
        assert_eq!(names(&pod), ["topz", "log"]);
    }
}

pub(crate) async fn a_pod_of_a_megabyte(world: Arc<World>) {
    let pods = opted_in(&world).await;
    let mut large = pod(json!({"outrigger.dev/inject": "topz"}));
    let env = (0..800).map(|n| json!({"name": format!("V{n}"), "value": "x".repeat(1200)}));
    large.spec.as_mut().unwrap().containers[0].env = Some(read(env.collect()));
    let stored = pods.create(&PostParams::default(), &large).await.unwrap();
    assert_eq!(names(&stored), ["topz"]);
    assert_eq!(stored.spec.unwrap().containers[0].env.as_ref().unwrap().len(), 800);
}

/// What somebody makes of a pod that they got from the cluster: status annotation, token mounts, defaults and all.
pub(crate) async fn copies_of_stored_pods(world: Arc<World>) {
    let pods = opted_in(&world).await;
    let asked = json!({"outrigger.dev/inject": "topz, git-sync",
        "git-sync.outrigger.dev/repo": "https://example.com/x.git", "git-sync.outrigger.dev/path": "/srv"});
    let stored = pods.create(&PostParams::default(), &pod(asked)).await.unwrap();

    // As it is, under another name (`kubectl debug --copy-to` does no more): nothing is added again.
    let mut copy = stored.clone();
    copy.metadata = read(json!({"name": "copy", "annotations": stored.metadata.annotations}));
    copy.status = None;
    let copied = pods.create(&PostParams::default(), &copy).await.unwrap();
    assert_eq!(copied.spec, stored.spec);
    assert_eq!(copied.metadata.annotations, stored.metadata.annotations);

    // The annotations alone, the status included: all of it is added.
    let mut bare = pod(json!({}));
    bare.metadata = read(json!({"name": "bare", "annotations": stored.metadata.annotations}));
    let injected = pods.create(&PostParams::default(), &bare).await.unwrap();
    assert_eq!(names(&injected), names(&stored));
}

pub(crate) async fn pods_that_cannot_have_it(world: Arc<World>) {
    let pods = opted_in(&world).await;
    for (field, value, told) in [
        (
            "hostPID",
            json!(true),
            "topz shares the pod's process namespace, and this pod uses the node's",
        ),
        (
            "shareProcessNamespace",
            json!(false),
            "topz shares the pod's process namespace, and the pod says false",
        ),
        ("os", json!({"name": "windows"}), "topz runs on Linux, and this pod on Windows"),
    ] {
        for (asks, fails) in [(true, true), (false, false)] {
            let annotations =
                if asks { json!({"outrigger.dev/inject": "topz"}) } else { json!({}) };
            let mut object = serde_json::to_value(pod(annotations)).unwrap();
            object["metadata"]["generateName"] = "web-".into();
            object["metadata"]["name"] = Value::Null;
            object["spec"][field] = value.clone();
            let created = pods.create(&PostParams::default(), &read(object)).await;
            match created {
                Ok(_) => assert!(!fails, "{field}"),
                Err(error) => {
                    assert!(fails && error.to_string().contains(told), "{field}: {error}")
                }
            }
        }
    }
    let mut on_host = pod(json!({"outrigger.dev/inject": "topz"}));
    on_host.spec.as_mut().unwrap().host_network = Some(true);
    on_host.spec.as_mut().unwrap().containers[0].ports = None;
    assert_eq!(names(&pods.create(&PostParams::default(), &on_host).await.unwrap()), ["topz"]);
}

/// A webhook that comes later and adds a container makes the API server call again: the newcomer is wired up, and
/// nothing is there twice.
pub(crate) async fn a_second_webhook_adds_a_container(world: Arc<World>) {
    let namespace = world.cluster.namespace(&[OPTED_IN, ("meddler", "enabled")]).await;
    let pods: Api<Pod> = Api::namespaced(world.cluster.client.clone(), &namespace);
    install_meddler(&world.cluster).await;
    let annotations = json!({"outrigger.dev/inject": "log", "log.outrigger.dev/paths": "/var/log/app/*.log", "log.outrigger.dev/containers": "*"});
    let stored = until("the other webhook is called", async || {
        let mut pod = pod(annotations.clone());
        pod.metadata.name = None;
        pod.metadata.generate_name = Some("web-".to_owned());
        let stored = pods.create(&PostParams::default(), &pod).await.unwrap();
        (stored.spec.as_ref()?.containers.len() > 1).then_some(stored)
    })
    .await;
    assert_eq!(names(&stored), ["log"]);
    for container in stored.spec.unwrap().containers {
        let mounts = container.volume_mounts.unwrap();
        assert_eq!(
            mounts.iter().filter(|m| m.name == "log-files").count(),
            1,
            "{}",
            container.name
        );
    }
}
