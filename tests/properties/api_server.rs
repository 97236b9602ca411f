//! What the API server does to a pod between two calls of a webhook.

use serde_json::{Map, Value as Json, json};

const TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

fn set(object: &mut Map<String, Json>, key: &str, value: Json) {
    if object.get(key).is_none_or(Json::is_null) {
        object.insert(key.to_owned(), value);
    }
}

fn each(object: &mut Map<String, Json>, key: &str, mut change: impl FnMut(&mut Map<String, Json>)) {
    let list = object.get_mut(key).and_then(Json::as_array_mut);
    list.into_iter().flatten().filter_map(Json::as_object_mut).for_each(&mut change);
}

/// Sets what `k8s.io/kubernetes/pkg/apis/core/v1/defaults.go` sets, and what ServiceAccount, Priority and
/// DefaultTolerationSeconds admission do besides.
pub(crate) fn default_as_api_server(pod: &mut Json) {
    let Some(spec) = pod.get_mut("spec").and_then(Json::as_object_mut) else { return };
    for (key, value) in [
        ("restartPolicy", json!("Always")),
        ("dnsPolicy", json!("ClusterFirst")),
        ("schedulerName", json!("default-scheduler")),
        ("securityContext", json!({})),
        ("terminationGracePeriodSeconds", json!(30)),
        ("enableServiceLinks", json!(true)),
        ("serviceAccountName", json!("default")),
        ("serviceAccount", json!("default")),
        ("preemptionPolicy", json!("PreemptLowerPriority")),
        ("priority", json!(0)),
    ] {
        set(spec, key, value);
    }
    let ready = json!({"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300});
    let tolerations = spec.entry("tolerations").or_insert(Json::Null);
    match tolerations.as_array_mut() {
        Some(list) => list.push(ready),
        None => *tolerations = json!([ready]),
    }
    let host_network = spec.get("hostNetwork") == Some(&Json::Bool(true));
    for list in ["initContainers", "containers"] {
        each(spec, list, |container| default_container(container, host_network));
    }
    each(spec, "volumes", default_volume);
}

fn default_container(container: &mut Map<String, Json>, host_network: bool) {
    let image = container.get("image").and_then(Json::as_str).unwrap_or_default();
    let latest = image.ends_with(":latest") || !image.contains([':', '@']);
    let policy = if latest { "Always" } else { "IfNotPresent" };
    for (key, value) in [
        ("imagePullPolicy", json!(policy)),
        ("terminationMessagePath", json!("/dev/termination-log")),
        ("terminationMessagePolicy", json!("File")),
        ("resources", json!({})),
    ] {
        set(container, key, value);
    }
    if let Some(resources) = container.get_mut("resources").and_then(Json::as_object_mut) {
        let limits = resources.get("limits").and_then(Json::as_object).cloned().unwrap_or_default();
        if !limits.is_empty() {
            set(resources, "requests", json!({}));
        }
        if let Some(requests) = resources.get_mut("requests").and_then(Json::as_object_mut) {
            limits.into_iter().for_each(|(resource, limit)| set(requests, &resource, limit));
        }
    }
    each(container, "ports", |port| {
        set(port, "protocol", json!("TCP"));
        if host_network && let Some(number) = port.get("containerPort").cloned() {
            set(port, "hostPort", number);
        }
    });
    each(container, "env", |variable| {
        if let Some(Json::Object(field)) =
            variable.get_mut("valueFrom").and_then(|v| v.get_mut("fieldRef"))
        {
            set(field, "apiVersion", json!("v1"));
        }
    });
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let Some(Json::Object(probe)) = container.get_mut(probe) else { continue };
        for (key, value) in [
            ("timeoutSeconds", 1),
            ("periodSeconds", 10),
            ("successThreshold", 1),
            ("failureThreshold", 3),
        ] {
            set(probe, key, json!(value));
        }
        if let Some(Json::Object(get)) = probe.get_mut("httpGet") {
            set(get, "path", json!("/"));
            set(get, "scheme", json!("HTTP"));
        }
    }
}

fn default_volume(volume: &mut Map<String, Json>) {
    if volume.iter().all(|(key, value)| key == "name" || value.is_null()) {
        volume.insert("emptyDir".into(), json!({}));
    }
    for source in ["secret", "configMap", "projected", "downwardAPI"] {
        if let Some(Json::Object(source)) = volume.get_mut(source) {
            set(source, "defaultMode", json!(420));
        }
    }
    if let Some(Json::Object(path)) = volume.get_mut("hostPath") {
        set(path, "type", json!(""));
    }
}

/// What ServiceAccount admission does: an API token for each container that mounts nothing at its path.
pub(crate) fn mount_tokens(pod: &mut Json) {
    let name = "kube-api-access-abcde";
    let Some(spec) = pod.get_mut("spec").and_then(Json::as_object_mut) else { return };
    let mut mounted = false;
    for list in ["initContainers", "containers"] {
        each(spec, list, |container| {
            set(container, "volumeMounts", json!([]));
            let Some(Json::Array(mounts)) = container.get_mut("volumeMounts") else { return };
            if !mounts.iter().any(|m| m["mountPath"] == TOKEN_PATH) {
                mounts.push(json!({"name": name, "readOnly": true, "mountPath": TOKEN_PATH}));
                mounted = true;
            }
        });
    }
    if mounted {
        set(spec, "volumes", json!([]));
        if let Some(Json::Array(volumes)) = spec.get_mut("volumes") {
            volumes.push(json!({"name": name, "projected": {"defaultMode": 420, "sources": [
                {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            ]}}));
        }
    }
}

#[test]
fn defaults() {
    let mut pod = json!({"spec": {"containers": [{"name": "a", "image": "x", "ports": [{"containerPort": 1}]}]}});
    default_as_api_server(&mut pod);
    mount_tokens(&mut pod);
    let container = &pod["spec"]["containers"][0];
    assert_eq!(container["imagePullPolicy"], "Always");
    assert_eq!(container["ports"][0]["protocol"], "TCP");
    assert_eq!(container["volumeMounts"][0]["mountPath"], TOKEN_PATH);
    assert_eq!(pod["spec"]["volumes"][0]["name"], "kube-api-access-abcde");
    assert_eq!(pod["spec"]["dnsPolicy"], "ClusterFirst");
}
