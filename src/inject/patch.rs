//! The operations that make a plan true. All of them add; the only values that are ever replaced are annotations of
//! which the new value says all that the old one said.

use json_patch::{AddOperation, Patch, PatchOperation, jsonptr::PointerBuf};
use serde_json::{Map, Value as Json};

use super::additions::{Additions, Object, text};
use super::resolve::Slot;
use super::status::Status;
use super::view::PodView;
use crate::names::{DEFAULT_CONTAINER, SAFE_TO_EVICT, STATUS};

/// The patch for a plan; empty if all of it is in the pod already.
pub(super) fn write(pod: &PodView<'_>, plan: &Additions, status: &Status) -> Patch {
    let mut writer = Writer(Vec::new());
    writer.app_containers(pod, plan);
    writer.append(&["spec", "volumes"], pod.spec.volumes.is_some(), &plan.volumes);
    writer.init_containers(pod, plan);
    writer.append(&["spec", "containers"], true, &plan.containers);
    if plan.share_process_namespace {
        writer.add(&["spec", "shareProcessNamespace"], true.into());
    }
    let changes = !writer.0.is_empty();
    writer.annotations(pod, plan, status, changes);
    Patch(writer.0)
}

struct Writer(Vec<PatchOperation>);

impl Writer {
    fn add(&mut self, path: &[&str], value: Json) {
        let path = PointerBuf::from_tokens(path.iter().copied());
        self.0.push(PatchOperation::Add(AddOperation { path, value }));
    }

    /// Items at the end of a list, which is made if the pod has none (or `null`, which is none to Kubernetes).
    fn append(&mut self, path: &[&str], exists: bool, items: &[Object]) {
        if items.is_empty() {
            return;
        }
        if !exists {
            let items = items.iter().cloned().map(Json::Object).collect();
            return self.add(path, Json::Array(items));
        }
        for item in items {
            self.add(&[path, &["-"]].concat(), Json::Object(item.clone()));
        }
    }

    /// Before init containers are added, so that the places are those of the pod as it came.
    fn app_containers(&mut self, pod: &PodView<'_>, plan: &Additions) {
        for (slot, edit) in &plan.app {
            let Some(container) = slot.of(pod) else { continue };
            let (list, n) = match slot {
                Slot::Init(n) => ("initContainers", n.to_string()),
                Slot::App(n) => ("containers", n.to_string()),
            };
            self.append(&["spec", list, &n, "env"], container.env.is_some(), &edit.env);
            self.append(
                &["spec", list, &n, "volumeMounts"],
                container.volume_mounts.is_some(),
                &edit.mounts,
            );
        }
    }

    /// Before the app's init containers, but after our own that are there already.
    fn init_containers(&mut self, pod: &PodView<'_>, plan: &Additions) {
        if pod.spec.init_containers.is_none() {
            return self.append(&["spec", "initContainers"], false, &plan.init_containers);
        }
        let ours: Vec<_> = plan
            .instances
            .iter()
            .filter(|p| p.before)
            .flat_map(|p| &p.injected.containers)
            .collect();
        let first = pod
            .init_containers()
            .iter()
            .take_while(|c| ours.iter().any(|name| **name == *c.name.0))
            .count();
        for (n, container) in plan.init_containers.iter().enumerate() {
            self.add(
                &["spec", "initContainers", &(first + n).to_string()],
                Json::Object(container.clone()),
            );
        }
    }

    fn annotations(&mut self, pod: &PodView<'_>, plan: &Additions, status: &Status, changes: bool) {
        let mut wanted = Map::new();
        let is_in_pod = |name: &str| {
            pod.containers().iter().chain(pod.init_containers()).any(|c| c.name.0 == name)
        };
        if let Some(status) = status.updated(&plan.instances, is_in_pod) {
            wanted.insert(STATUS.into(), status.into());
        }
        if (changes || !wanted.is_empty()) && pod.annotation(DEFAULT_CONTAINER).is_none() {
            let first = pod.containers().first().map_or("", |c| &c.name.0);
            wanted.insert(DEFAULT_CONTAINER.into(), first.into());
        }
        if let Some(list) = safe_to_evict(pod.annotation(SAFE_TO_EVICT), &plan.volumes) {
            wanted.insert(SAFE_TO_EVICT.into(), list.into());
        }
        if wanted.is_empty() {
            return;
        }
        match &pod.metadata {
            None => {
                let metadata = Map::from_iter([("annotations".to_owned(), Json::Object(wanted))]);
                self.add(&["metadata"], Json::Object(metadata));
            }
            Some(metadata) if metadata.annotations.is_none() => {
                self.add(&["metadata", "annotations"], Json::Object(wanted));
            }
            Some(_) => {
                for (key, value) in wanted {
                    self.add(&["metadata", "annotations", &key], value);
                }
            }
        }
    }
}

/// The list of volumes that may be lost when the autoscaler moves the pod, with our emptyDirs in it.
fn safe_to_evict(given: Option<&str>, volumes: &[Object]) -> Option<String> {
    let ours = volumes.iter().filter(|v| v.contains_key("emptyDir")).map(|v| text(v, "name"));
    let given = given.unwrap_or_default();
    let mut list: Vec<_> =
        given.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    let before = list.len();
    for name in ours {
        if !list.contains(&name) {
            list.push(name);
        }
    }
    (list.len() > before).then(|| list.join(","))
}
