//! The operations that make a plan true. All of them add; the only values that are ever replaced are annotations of
//! which the new value says all that the old one said.

use std::collections::BTreeMap;
use std::mem::take;

use json_patch::{AddOperation, Patch, PatchOperation, jsonptr::PointerBuf};
use serde_json::{Map, Value as Json};

use super::additions::{Additions, Edit, Object, Placed, text};
use super::resolve::Slot;
use super::status::Status;
use super::view::PodView;
use crate::names::{DEFAULT_CONTAINER, SAFE_TO_EVICT, STATUS};

/// The patch for a plan, whose objects move into it; empty if all of it is in the pod already.
pub(super) fn write(pod: &PodView<'_>, plan: &mut Additions, status: &Status) -> Patch {
    let annotations = annotations(pod, plan, status);
    let mut writer = Writer(Vec::new());
    writer.app_containers(pod, take(&mut plan.app));
    let volumes = take(&mut plan.volumes);
    writer.append(&["spec", "volumes"], pod.spec.volumes.is_some(), volumes);
    writer.init_containers(pod, take(&mut plan.init_containers), &plan.instances);
    writer.append(&["spec", "containers"], true, take(&mut plan.containers));
    if plan.share_process_namespace {
        writer.add(&["spec", "shareProcessNamespace"], true.into());
    }
    writer.annotations(pod, annotations);
    Patch(writer.0)
}

struct Writer(Vec<PatchOperation>);

impl Writer {
    fn add(&mut self, path: &[&str], value: Json) {
        let path = PointerBuf::from_tokens(path.iter().copied());
        self.0.push(PatchOperation::Add(AddOperation { path, value }));
    }

    /// Items at the end of a list, which is made if the pod has none (or `null`, which is none to Kubernetes).
    fn append(&mut self, path: &[&str], exists: bool, items: Vec<Object>) {
        if items.is_empty() {
            return;
        }
        if !exists {
            let items = items.into_iter().map(Json::Object).collect();
            return self.add(path, Json::Array(items));
        }
        for item in items {
            self.add(&[path, &["-"]].concat(), Json::Object(item));
        }
    }

    /// Before init containers are added, so that the places are those of the pod as it came.
    fn app_containers(&mut self, pod: &PodView<'_>, edits: BTreeMap<Slot, Edit>) {
        for (slot, edit) in edits {
            let Some(container) = slot.of(pod) else { continue };
            let (list, n) = match slot {
                Slot::Init(n) => ("initContainers", n.to_string()),
                Slot::App(n) => ("containers", n.to_string()),
            };
            self.append(&["spec", list, &n, "env"], container.env.is_some(), edit.env);
            self.append(
                &["spec", list, &n, "volumeMounts"],
                container.volume_mounts.is_some(),
                edit.mounts,
            );
        }
    }

    /// Before the app's init containers, but after our own that are there already.
    fn init_containers(&mut self, pod: &PodView<'_>, added: Vec<Object>, placed: &[Placed]) {
        if pod.spec.init_containers.is_none() {
            return self.append(&["spec", "initContainers"], false, added);
        }
        let kept = placed.iter().filter(|p| p.before);
        let ours: Vec<_> = kept.flat_map(|p| &p.injected.containers).collect();
        let first = pod
            .init_containers()
            .iter()
            .take_while(|c| ours.iter().any(|name| **name == *c.name.0))
            .count();
        for (n, container) in added.into_iter().enumerate() {
            let place = (first + n).to_string();
            self.add(&["spec", "initContainers", &place], Json::Object(container));
        }
    }

    fn annotations(&mut self, pod: &PodView<'_>, wanted: Object) {
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

/// The annotations that must be added or say more than they did.
fn annotations(pod: &PodView<'_>, plan: &Additions, status: &Status) -> Object {
    let mut wanted = Object::new();
    let is_in_pod =
        |name: &str| pod.containers().iter().chain(pod.init_containers()).any(|c| c.name.0 == name);
    if let Some(status) = status.updated(&plan.instances, is_in_pod) {
        wanted.insert(STATUS.into(), status.into());
    }
    if (!plan.is_empty() || !wanted.is_empty()) && pod.annotation(DEFAULT_CONTAINER).is_none() {
        let first = pod.containers().first().map_or("", |c| &c.name.0);
        wanted.insert(DEFAULT_CONTAINER.into(), first.into());
    }
    if let Some(list) = safe_to_evict(pod.annotation(SAFE_TO_EVICT), &plan.volumes) {
        wanted.insert(SAFE_TO_EVICT.into(), list.into());
    }
    wanted
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
