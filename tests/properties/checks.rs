//! What a pod with its sidecars must be like.

use std::collections::BTreeSet;

use outrigger::inject::Injection;
use outrigger::sidecar::value::quantity;
use serde_json::Value as Json;

use crate::case::{annotation, containers, items, text};

const TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// The instances that a pod's own list names. Knows only lists in which nothing is wrong.
pub(crate) fn asked(pod: &Json) -> Vec<String> {
    let list = annotation(pod, "outrigger.dev/inject").unwrap_or_default();
    let names = list.split([',', '\n']).map(|item| item.split('=').next().unwrap_or(item).trim());
    names.filter(|n| !n.is_empty() && *n != "none" && !n.starts_with('-')).map(Into::into).collect()
}

/// A path as the kernel sees it.
fn clean(path: &str) -> String {
    let parts: Vec<_> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    format!("/{}", parts.join("/"))
}

fn is_below(path: &str, above: &str) -> bool {
    path != above && (above == "/" || path.starts_with(&format!("{above}/")))
}

fn unique<T: Ord + Clone>(all: &[T]) -> bool {
    all.iter().cloned().collect::<BTreeSet<_>>().len() == all.len()
}

fn names(objects: impl Iterator<Item = impl AsRef<Json>>) -> Vec<String> {
    objects.map(|o| text(o.as_ref(), "name").to_owned()).collect()
}

struct Borrowed<'j>(&'j Json);

impl AsRef<Json> for Borrowed<'_> {
    fn as_ref(&self) -> &Json {
        self.0
    }
}

fn mount_paths(container: &Json) -> Vec<String> {
    items(container, "volumeMounts").map(|m| clean(text(m, "mountPath"))).collect()
}

fn port_list(container: &Json) -> Vec<(i64, String)> {
    items(container, "ports")
        .map(|port| {
            let protocol = port.get("protocol").and_then(Json::as_str).unwrap_or("TCP");
            (port["containerPort"].as_i64().unwrap_or_default(), protocol.to_owned())
        })
        .collect()
}

/// Every instance that was asked for is there, in the mode that was said.
pub(crate) fn sidecars_are_there(before: &Json, injection: &Injection, after: &Json) {
    let present: Vec<_> = injection.instances.iter().map(|i| i.instance.clone()).collect();
    for instance in asked(before) {
        assert!(present.contains(&instance), "{instance} was asked for, and is not in {present:?}");
    }
    let status = annotation(after, "outrigger.dev/status").unwrap();
    let status: Json = serde_json::from_str(status).unwrap();
    for instance in &injection.instances {
        assert!(!instance.containers.is_empty());
        assert!(status.get(&instance.instance).is_some(), "{status}");
        for name in &instance.containers {
            let of = |list| items(&after["spec"], list).find(|c| text(c, "name") == name);
            let (init, app) = (of("initContainers"), of("containers"));
            assert!(init.is_some() != app.is_some(), "{name}");
            let always = init.is_some_and(|c| text(c, "restartPolicy") == "Always");
            assert!(instance.native || !always, "{name} is native, and should not be");
            assert!(!(app.is_some() && instance.native), "{name} should be native");
        }
    }
}

/// Names, volumes, mounts and ports are as Kubernetes wants them, if they were before.
pub(crate) fn is_in_order(before: &Json, after: &Json) {
    let ours = added_containers(before, after);
    let all = names(containers(after).map(Borrowed));
    if !unique(&names(containers(before).map(Borrowed))) {
        return;
    }
    assert!(unique(&all), "names: {all:?}");
    let volumes = names(items(&after["spec"], "volumes").map(Borrowed));
    let volumes_before = names(items(&before["spec"], "volumes").map(Borrowed));
    if unique(&volumes_before) {
        assert!(unique(&volumes), "volumes: {volumes:?}");
    }
    let known = |mount: &Json| volumes.iter().any(|v| v == text(mount, "name"));
    for container in containers(after) {
        let name = text(container, "name");
        let old = containers(before).find(|c| text(c, "name") == name);
        if old.is_none_or(|c| unique(&mount_paths(c))) {
            let paths = mount_paths(container);
            assert!(unique(&paths), "{name} mounts twice: {paths:?}");
        }
        // A sidecar may join a volume that the pod mounts without having it: Kubernetes refuses both.
        let dangling = containers(before).flat_map(|c| items(c, "volumeMounts")).any(|m| !known(m));
        for mount in items(container, "volumeMounts").filter(|_| !dangling) {
            assert!(known(mount), "{name}: {mount} has no volume among {volumes:?}");
        }
    }
    for container in &ours {
        let name = text(container, "name");
        let others = containers(after).filter(|c| text(c, "name") != name).flat_map(port_list);
        let others: BTreeSet<_> = others.collect();
        let ports = port_list(container);
        assert!(unique(&ports) && !ports.iter().any(|p| others.contains(p)), "{name}: {ports:?}");
        for (resource, request) in
            container["resources"]["requests"].as_object().into_iter().flatten()
        {
            let limit = container["resources"]["limits"][resource].as_str().and_then(quantity);
            let request = request.as_str().and_then(quantity);
            assert!(limit.is_none() || request <= limit, "{name}: {}", container["resources"]);
        }
    }
}

/// Containers that only the second pod has.
pub(crate) fn added_containers<'j>(before: &Json, after: &'j Json) -> Vec<&'j Json> {
    let old: BTreeSet<_> = containers(before).map(|c| text(c, "name")).collect();
    containers(after).filter(|c| !old.contains(text(c, "name"))).collect()
}

/// The API token stays out of sidecars that do not say that they need it.
pub(crate) fn token_is_masked(before: &Json, after: &Json) {
    for container in added_containers(before, after) {
        if text(container, "image") == "agent:1" || text(container, "name").ends_with("-helper") {
            continue;
        }
        let mount = items(container, "volumeMounts").find(|m| text(m, "mountPath") == TOKEN_PATH);
        let mount = mount.unwrap_or_else(|| panic!("{container} would get a token"));
        let volume = items(&after["spec"], "volumes").find(|v| v["name"] == mount["name"]);
        assert!(volume.unwrap().get("emptyDir").is_some(), "{container} has a token: {mount}");
    }
}

/// No mount of ours has another below it that the container runtime could not make a directory for.
pub(crate) fn mounts_have_places(before: &Json, after: &Json) {
    for container in containers(after) {
        let name = text(container, "name");
        let old = || containers(before).filter(|c| text(c, "name") == name);
        let is_new = |mount: &Json| !old().any(|c| items(c, "volumeMounts").any(|m| m == mount));
        let mounts: Vec<_> = items(container, "volumeMounts").collect();
        for upper in mounts.iter().filter(|m| is_new(m) && m["readOnly"] == true) {
            for lower in &mounts {
                let (path, above) = (text(lower, "mountPath"), text(upper, "mountPath"));
                // A directory of the same volume is made by the kubelet, before anything is mounted.
                let same = lower["name"] == upper["name"];
                assert!(
                    same || !is_below(&clean(path), &clean(above)),
                    "{name} mounts {path} below {above}, which is read-only"
                );
            }
        }
    }
}
