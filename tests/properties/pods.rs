//! Pods of all kinds, most of them such as a user could write.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value as Json, json};

use crate::text::{always, any_text, junk, list, maybe, object, one_of, seldom};

const TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

fn texts(texts: &'static [&'static str]) -> BoxedStrategy<Json> {
    select(texts).prop_map(Json::from).boxed()
}

fn text() -> BoxedStrategy<Json> {
    any_text().prop_map(Json::from).boxed()
}

fn quantity() -> BoxedStrategy<Json> {
    let odd = [
        json!(1),
        json!(0.5),
        json!(2_000_000_000_u64),
        json!("170000000000000000000000000000"),
        json!("-1"),
        json!("x"),
    ];
    prop_oneof![
        12 => texts(&["100m", "1", "0.5", "2", "64Mi", "1Gi", "1e3", "12E", "0", "500Mi"]),
        1 => select(odd.to_vec()),
    ]
    .boxed()
}

fn amounts() -> BoxedStrategy<Json> {
    object(vec![
        ("cpu", maybe(quantity())),
        ("memory", maybe(quantity())),
        ("ephemeral-storage", seldom(quantity())),
    ])
}

fn resources() -> BoxedStrategy<Json> {
    let guaranteed = json!({"limits": {"cpu": "1", "memory": "1Gi"}});
    let any = object(vec![
        ("limits", maybe(amounts())),
        ("requests", maybe(amounts())),
        ("claims", seldom(junk())),
    ]);
    prop_oneof![2 => any, 1 => Just(guaranteed), 1 => Just(json!({}))].boxed()
}

fn port() -> BoxedStrategy<Json> {
    let number = select([80, 443, 8080, 8090, 2021, 53, 65535].as_slice()).prop_map(Json::from);
    object(vec![
        ("containerPort", always(number.boxed())),
        ("name", maybe(texts(&["http", "dns", "x"]))),
        ("protocol", maybe(texts(&["TCP", "UDP", "SCTP"]))),
        ("hostPort", seldom(Just(json!(8080)).boxed())),
    ])
}

fn env() -> BoxedStrategy<Json> {
    let from = json!({"fieldRef": {"fieldPath": "metadata.name"}});
    object(vec![
        ("name", always(texts(&["A", "PATH", "PROXY", "AGENT_HOME", "x.y"]))),
        ("value", maybe(text())),
        ("valueFrom", seldom(Just(from).boxed())),
    ])
}

fn mount() -> BoxedStrategy<Json> {
    let paths = texts(&[
        "/data",
        "/var/log",
        "/var/log/app",
        "/var/log/app/",
        "/var//www/./html",
        "/var/www/html",
        "/var/www",
        "/",
        "/etc/x",
        "relative",
    ]);
    let paths = prop_oneof![25 => paths, 1 => texts(&[TOKEN_PATH])].boxed();
    object(vec![
        ("name", always(volume_name())),
        ("mountPath", always(paths)),
        ("readOnly", maybe(any::<bool>().prop_map(Json::from).boxed())),
        ("subPath", seldom(texts(&["sub", "a/b/", ""]))),
        ("subPathExpr", seldom(texts(&["$(A)", ""]))),
    ])
}

fn volume_name() -> BoxedStrategy<Json> {
    prop_oneof![
        30 => texts(&["data", "logs", "config", "v1"]),
        1 => texts(&["log-files", "outrigger-no-api-token"]),
    ]
    .boxed()
}

fn probe() -> BoxedStrategy<Json> {
    let actions = [
        json!({"httpGet": {"port": 80}}),
        json!({"exec": {"command": ["a", "$(b)"]}}),
        json!({"tcpSocket": {"port": "http"}, "periodSeconds": 3}),
        json!({"grpc": {"port": 9000}}),
    ];
    select(actions.to_vec()).boxed()
}

/// A container, with `name` from this list; `init` ones may be native sidecars.
fn container(names: &'static [&'static str], init: bool) -> BoxedStrategy<Json> {
    let user = select([0_i64, 1000, 4_294_967_296, -1].to_vec());
    let user = user.prop_map(|user| json!({"runAsUser": user, "x": {}}));
    let policy = if init {
        maybe(texts(&["Always", "Always", "OnFailure"]))
    } else {
        seldom(texts(&["Never"]))
    };
    object(vec![
        ("name", always(texts(names))),
        ("image", maybe(texts(&["nginx", "nginx:1.27", "outrigger:one", "a/b@sha256:00"]))),
        ("command", maybe(list(text(), 0..3))),
        ("args", maybe(list(text(), 0..3))),
        ("ports", maybe(list(port(), 0..3))),
        ("env", maybe(list(env(), 0..3))),
        ("resources", maybe(resources())),
        ("volumeMounts", maybe(list(mount(), 0..3))),
        ("livenessProbe", seldom(probe())),
        ("startupProbe", seldom(probe())),
        ("securityContext", maybe(user.boxed())),
        ("restartPolicy", policy),
        ("imagePullPolicy", seldom(texts(&["Always", "Never"]))),
    ])
}

fn volume() -> BoxedStrategy<Json> {
    let source = select(
        [
            ("emptyDir", json!({})),
            ("emptyDir", json!({"medium": "Memory", "sizeLimit": "1Gi"})),
            ("emptyDir", json!({})),
            ("hostPath", json!({"path": "/x"})),
            ("persistentVolumeClaim", json!({"claimName": "c"})),
            ("configMap", json!({"name": "c"})),
            ("secret", json!({"secretName": "s"})),
            ("projected", json!({"sources": []})),
            ("downwardAPI", json!({"items": []})),
            ("image", json!({"reference": "r"})),
            ("csi", json!({"driver": "d"})),
            ("fromTheFuture", json!({"deep": [{"er": null}]})),
            ("emptyDir", Json::Null),
        ]
        .to_vec(),
    );
    (volume_name(), source, seldom(junk()))
        .prop_map(|(name, (kind, source), unknown)| {
            let mut volume = json!({"name": name, kind: source});
            if let (Some(unknown), Some(map)) = (unknown, volume.as_object_mut()) {
                map.insert("unknown".into(), unknown);
            }
            volume
        })
        .boxed()
}

fn spec() -> BoxedStrategy<Json> {
    let clashing = container(&["log", "topz", "docs", "git-sync-publish", "agent"], false);
    let named = prop_oneof![30 => container(&["app", "web", "worker"], false), 1 => clashing];
    let app = prop_oneof![
        40 => list(named.boxed(), 1..4),
        1 => one_of(vec![json!([]), Json::Null]),
    ];
    let init = list(container(&["setup", "mesh", "migrate", "git-sync"], true), 0..3);
    let boolean = || any::<bool>().prop_map(Json::from).boxed();
    let host = one_of(vec![json!(true), json!(false), json!(false), json!(false)]);
    object(vec![
        ("containers", always(app.boxed())),
        ("initContainers", maybe(init)),
        ("volumes", maybe(list(volume(), 0..4))),
        ("hostNetwork", maybe(boolean())),
        ("hostPID", seldom(host)),
        ("hostIPC", seldom(boolean())),
        (
            "shareProcessNamespace",
            seldom(one_of(vec![json!(true), json!(true), json!(false), Json::Null])),
        ),
        ("restartPolicy", maybe(texts(&["Always", "Never", "OnFailure"]))),
        ("os", seldom(texts(&["linux", "windows"]).prop_map(|name| json!({"name": name})).boxed())),
        ("nodeSelector", seldom(Just(json!({"kubernetes.io/os": "linux", "a": "b"})).boxed())),
        ("securityContext", maybe(Just(json!({"runAsUser": 2000, "fsGroup": 1})).boxed())),
        ("resources", seldom(resources())),
        ("serviceAccountName", maybe(texts(&["default", "robot"]))),
        ("tolerations", maybe(Just(json!([{"operator": "Exists"}])).boxed())),
        ("affinity", seldom(junk())),
        ("ephemeralContainers", seldom(Just(json!([{"name": "debug"}])).boxed())),
    ])
}

fn metadata() -> BoxedStrategy<Json> {
    let labels = object(vec![
        ("app", maybe(text())),
        ("outrigger.dev/injection", seldom(texts(&["enabled", "disabled", ""]))),
    ]);
    let annotations = object(vec![
        ("example.com/any", maybe(text())),
        ("kubectl.kubernetes.io/default-container", seldom(texts(&["web", "app"]))),
        (
            "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes",
            seldom(texts(&["data", "data, logs", ",", "", "log-files"])),
        ),
        (
            "outrigger.dev/status",
            seldom(texts(&["", "{}", "[]", "no json", r#"{"topz":{}}"#, r#"{"log":5}"#])),
        ),
        ("outrigger.dev/injection", seldom(texts(&["enabled"]))),
        ("nobody.outrigger.dev/port", seldom(text())),
    ])
    .prop_map(|mut annotations| {
        // The values of unknown ones are text too, as Kubernetes has it.
        for (_, value) in annotations.as_object_mut().into_iter().flatten() {
            if !value.is_string() && !value.is_null() {
                *value = value.to_string().into();
            }
        }
        annotations
    });
    object(vec![
        ("name", maybe(texts(&["pod", "p"]))),
        ("generateName", maybe(texts(&["pod-"]))),
        ("labels", maybe(labels)),
        ("annotations", maybe(annotations.boxed())),
        ("ownerReferences", maybe(list(junk(), 0..2))),
        ("managedFields", seldom(junk())),
    ])
}

/// A pod without what it asks for. Most are such as Kubernetes would take, as far as names go.
pub(crate) fn pod() -> BoxedStrategy<Json> {
    let fields = vec![
        ("apiVersion", always(texts(&["v1"]))),
        ("kind", always(texts(&["Pod"]))),
        ("metadata", maybe(metadata())),
        ("spec", always(spec())),
        ("status", maybe(junk())),
    ];
    (object(fields), proptest::bool::weighted(0.85))
        .prop_map(|(mut pod, tidy)| {
            if tidy {
                tidy_up(&mut pod);
            }
            pod
        })
        .boxed()
}

/// Makes names, paths and ports unique, and gives each mount its volume.
fn tidy_up(pod: &mut Json) {
    let Some(spec) = pod.get_mut("spec").and_then(Json::as_object_mut) else { return };
    let (mut names, mut ports, mut volumes) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut mounted = BTreeSet::new();
    for key in ["initContainers", "containers"] {
        for container in spec.get_mut(key).and_then(Json::as_array_mut).into_iter().flatten() {
            let mut name = container["name"].as_str().unwrap().to_owned();
            while !names.insert(name.clone()) {
                name.push_str("-2");
            }
            container["name"] = name.into();
            if let Some(list) = container.get_mut("ports").and_then(Json::as_array_mut) {
                list.retain(|p| {
                    ports.insert((
                        p["containerPort"].as_i64(),
                        p["protocol"].as_str().unwrap_or("TCP").to_owned(),
                    ))
                });
            }
            let mut paths = BTreeSet::new();
            if let Some(list) = container.get_mut("volumeMounts").and_then(Json::as_array_mut) {
                list.retain(|m| paths.insert(m["mountPath"].as_str().unwrap().to_owned()));
                mounted.extend(list.iter().map(|m| m["name"].as_str().unwrap().to_owned()));
            }
        }
    }
    if let Some(list) = spec.get_mut("volumes").and_then(Json::as_array_mut) {
        list.retain(|v| volumes.insert(v["name"].as_str().unwrap().to_owned()));
    }
    let missing: Vec<_> = mounted.difference(&volumes).cloned().collect();
    if !missing.is_empty() {
        let list = spec.entry("volumes").or_insert_with(|| json!([]));
        if list.is_null() {
            *list = json!([]);
        }
        let added = missing.iter().map(|name| json!({"name": name, "emptyDir": {}}));
        list.as_array_mut().unwrap().extend(added);
    }
}
