//! Where the pods are in a manifest, and what users get wrong around them.

use json_patch::jsonptr::{Pointer, PointerBuf};
use json_patch::{Patch, PatchOperation};
use serde_json::Value;

use crate::names;

/// The kinds that hold a pod: name, API groups, and where it is.
const KINDS: [(&str, &[&str], &str); 9] = [
    ("Pod", &[""], ""),
    ("PodTemplate", &[""], "/template"),
    ("ReplicationController", &[""], "/spec/template"),
    ("Deployment", &["apps", "extensions"], "/spec/template"),
    ("StatefulSet", &["apps"], "/spec/template"),
    ("DaemonSet", &["apps", "extensions"], "/spec/template"),
    ("ReplicaSet", &["apps", "extensions"], "/spec/template"),
    ("Job", &["batch"], "/spec/template"),
    ("CronJob", &["batch"], "/spec/jobTemplate/spec/template"),
];

/// An object that holds a pod.
#[derive(Debug)]
pub(super) struct Workload<'a> {
    /// What to call it: `Deployment/web`.
    pub(super) label: String,
    /// Its own `metadata.namespace`.
    pub(super) namespace: Option<&'a str>,
    /// Where its pod, or pod template, is in the document.
    pub(super) place: PointerBuf,
    /// The pod or pod template.
    pub(super) pod: &'a Value,
    /// What to say of annotations that have no effect where they are.
    pub(super) misplaced: Vec<String>,
}

/// All workloads of a document, in order. Lists are searched, however deep.
pub(super) fn workloads(document: &Value) -> Vec<Workload<'_>> {
    let mut found = Vec::new();
    collect(document, Typed::of(document), &PointerBuf::new(), &mut found);
    found
}

/// What to call an object: `Deployment/web`.
pub(super) fn label(object: &Value) -> String {
    Typed::of(object).label(object)
}

/// An object's type. Items of a DeploymentList and its like do not state theirs.
#[derive(Debug, Clone, Copy)]
struct Typed<'a> {
    api_version: &'a str,
    kind: &'a str,
}

impl<'a> Typed<'a> {
    fn of(object: &'a Value) -> Self {
        let text = |key| object[key].as_str().unwrap_or_default();
        Self { api_version: text("apiVersion"), kind: text("kind") }
    }

    /// The type of an item of a list of this type.
    fn item(self, item: &'a Value) -> Self {
        let own = Self::of(item);
        match self.kind.strip_suffix("List") {
            Some(kind) if own.kind.is_empty() => Self { kind, ..self },
            _ => own,
        }
    }

    /// Where an object of this type holds its pod. A missing apiVersion does not matter: the kind says enough.
    fn pod(self) -> Option<&'static str> {
        let group = self.api_version.rsplit_once('/').map_or("", |(group, _)| group);
        KINDS
            .iter()
            .find(|(kind, groups, _)| {
                *kind == self.kind && (self.api_version.is_empty() || groups.contains(&group))
            })
            .map(|(_, _, place)| *place)
    }

    fn label(self, object: &Value) -> String {
        let metadata = &object["metadata"];
        let kind = if self.kind.is_empty() { "object" } else { self.kind };
        match metadata["name"].as_str().or(metadata["generateName"].as_str()) {
            Some(name) => format!("{kind}/{name}"),
            None => format!("{kind} without a name"),
        }
    }
}

fn collect<'a>(object: &'a Value, typed: Typed<'a>, at: &Pointer, found: &mut Vec<Workload<'a>>) {
    if let (true, Some(items)) = (typed.kind.ends_with("List"), object["items"].as_array()) {
        for (index, item) in items.iter().enumerate() {
            let place = at.with_trailing_token("items").with_trailing_token(index);
            collect(item, typed.item(item), &place, found);
        }
        return;
    }
    let Some(within) = typed.pod() else { return };
    let Some(pod) = object.pointer(within).filter(|pod| !pod.is_null()) else { return };
    found.push(Workload {
        label: typed.label(object),
        namespace: object.pointer("/metadata/namespace").and_then(Value::as_str),
        place: at.concat(Pointer::from_static(within)),
        pod,
        misplaced: misplaced(object, within),
    });
}

/// Outrigger reads the annotations of pods. They do nothing on the way from an object to its pod, and nothing as labels
/// or, for want of two spaces, as fields of the metadata itself.
fn misplaced(object: &Value, within: &str) -> Vec<String> {
    let is_ours = |key: &&str| {
        *key != names::INJECTION
            && (key.starts_with(names::OWN_PREFIX) || key.contains(names::PARAMETER_INFIX))
    };
    let mut places = vec!["", "/spec/jobTemplate", within];
    places.retain(|place| within.starts_with(place));
    places.dedup();
    let right = format!("{within}/metadata/annotations");
    let maps = places.iter().flat_map(|place| {
        ["", "/annotations", "/labels"].map(|map| format!("{place}/metadata{map}"))
    });
    maps.filter(|map| *map != right)
        .filter_map(|map| {
            let keys = object.pointer(&map)?.as_object()?.keys();
            let keys: Vec<_> = keys.map(String::as_str).filter(is_ours).collect();
            let (wrong, right) = (dotted(&map), dotted(&right));
            let message = format!("{wrong}: no effect here: {}; move to {right}", keys.join(", "));
            (!keys.is_empty()).then_some(message)
        })
        .collect()
}

fn dotted(pointer: &str) -> String {
    pointer.trim_start_matches('/').replace('/', ".")
}

/// A patch of a pod, made one of the document that holds the pod at `place`.
pub(super) fn rebase(patch: Patch, place: &Pointer) -> impl Iterator<Item = PatchOperation> {
    patch.0.into_iter().map(move |mut operation| {
        let move_path = |path: &mut PointerBuf| *path = place.concat(path);
        match &mut operation {
            PatchOperation::Add(o) => move_path(&mut o.path),
            PatchOperation::Remove(o) => move_path(&mut o.path),
            PatchOperation::Replace(o) => move_path(&mut o.path),
            PatchOperation::Test(o) => move_path(&mut o.path),
            PatchOperation::Move(o) => [&mut o.from, &mut o.path].into_iter().for_each(move_path),
            PatchOperation::Copy(o) => [&mut o.from, &mut o.path].into_iter().for_each(move_path),
        }
        operation
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn finds_pods() {
        #[track_caller]
        fn check(document: Value, expected: &[(&str, &str)]) {
            let found = workloads(&document);
            let found: Vec<_> =
                found.iter().map(|w| (w.label.as_str(), w.place.as_str())).collect();
            assert_eq!(found, expected, "{document}");
        }
        let spec = json!({"template": {"spec": {}}});
        let named = json!({"name": "web"});
        for (api, kind) in [
            ("apps/v1", "Deployment"),
            ("extensions/v1beta1", "DaemonSet"),
            ("apps/v1", "StatefulSet"),
            ("apps/v1", "ReplicaSet"),
            ("v1", "ReplicationController"),
            ("batch/v1", "Job"),
        ] {
            let label = format!("{kind}/web");
            let object = json!({"apiVersion": api, "kind": kind, "metadata": named, "spec": spec});
            check(object, &[(&label, "/spec/template")]);
        }
        check(json!({"kind": "Pod", "metadata": {"generateName": "web-"}}), &[("Pod/web-", "")]);
        check(
            json!({"apiVersion": "v1", "kind": "PodTemplate", "template": {}}),
            &[("PodTemplate without a name", "/template")],
        );
        check(
            json!({"kind": "CronJob", "metadata": named, "spec": {"jobTemplate": {"spec": spec}}}),
            &[("CronJob/web", "/spec/jobTemplate/spec/template")],
        );

        // Another group's Job; no template; no kind.
        check(json!({"apiVersion": "example.com/v1", "kind": "Job", "spec": spec}), &[]);
        check(
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"template": null}}),
            &[],
        );
        check(json!({"spec": spec}), &[]);

        let pod = json!({"kind": "Pod", "metadata": {"name": "a"}});
        check(
            json!({"kind": "List", "items": [{"kind": "Service"}, {"kind": "List", "items": [pod]}]}),
            &[("Pod/a", "/items/1/items/0")],
        );
        check(
            json!({"apiVersion": "apps/v1", "kind": "DeploymentList", "items": [{"metadata": named, "spec": spec}]}),
            &[("Deployment/web", "/items/0/spec/template")],
        );
        check(json!({"kind": "List"}), &[]);
    }

    #[test]
    fn annotations_above_the_pod() {
        let ours = json!({"annotations": {"outrigger.dev/inject": "topz", "topz.outrigger.dev/port": "1", "a": "b"}});
        let keys = "outrigger.dev/inject, topz.outrigger.dev/port";
        let cron = json!({
            "kind": "CronJob",
            "metadata": ours,
            "spec": {"jobTemplate": {"metadata": ours, "spec": {"template": {"metadata": ours}}}},
        });
        let right = "move to spec.jobTemplate.spec.template.metadata.annotations";
        assert_eq!(
            workloads(&cron)[0].misplaced,
            [
                format!("metadata.annotations: no effect here: {keys}; {right}"),
                format!("spec.jobTemplate.metadata.annotations: no effect here: {keys}; {right}"),
            ]
        );
        assert!(workloads(&json!({"kind": "Pod", "metadata": ours}))[0].misplaced.is_empty());

        let pod = json!({"kind": "Pod", "metadata": {
            "outrigger.dev/inject": "topz",
            "labels": {"log.outrigger.dev/paths": "x", "outrigger.dev/injection": "disabled", "app": "web"},
        }});
        assert_eq!(
            workloads(&pod)[0].misplaced,
            [
                "metadata: no effect here: outrigger.dev/inject; move to metadata.annotations",
                "metadata.labels: no effect here: log.outrigger.dev/paths; move to metadata.annotations",
            ]
        );
    }

    #[test]
    fn rebases_every_path() {
        let patch: Patch = serde_json::from_value(json!([
            {"op": "add", "path": "/spec/containers/-", "value": 1},
            {"op": "copy", "from": "/a~1b", "path": "/c"},
            {"op": "add", "path": "", "value": 1},
        ]))
        .unwrap();
        let place = PointerBuf::parse("/items/0").unwrap();
        assert_eq!(
            json!(rebase(patch, &place).collect::<Vec<_>>()),
            json!([
                {"op": "add", "path": "/items/0/spec/containers/-", "value": 1},
                {"op": "copy", "from": "/items/0/a~1b", "path": "/items/0/c"},
                {"op": "add", "path": "/items/0", "value": 1},
            ])
        );
    }
}
