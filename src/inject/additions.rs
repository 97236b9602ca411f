//! What is to be added to a pod, and the pod as it is with that in it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use super::decision::Injected;
use super::resolve::Slot;
use super::view::{Container, PodView, Volume};
use crate::sidecar::value::{below, clean_path};

/// A core/v1 object.
pub(super) type Object = Map<String, Json>;

/// What one instance, or all of them, add to a pod.
#[derive(Debug, Default)]
pub(super) struct Additions {
    pub(super) volumes: Vec<Object>,
    /// Before the app's init containers: one-shot ones, and native sidecars.
    pub(super) init_containers: Vec<Object>,
    /// After the app's containers.
    pub(super) containers: Vec<Object>,
    pub(super) app: BTreeMap<Slot, Edit>,
    pub(super) share_process_namespace: bool,
    pub(super) instances: Vec<Placed>,
}

/// What an app container gets.
#[derive(Debug, Default)]
pub(super) struct Edit {
    pub(super) env: Vec<Object>,
    pub(super) mounts: Vec<Object>,
}

/// An instance that will be in the pod.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) injected: Injected,
    pub(super) revision: String,
    /// It was there before, as the status annotation says it.
    pub(super) before: bool,
}

impl Additions {
    /// Whether the pod stays as it is but for annotations.
    pub(super) fn is_empty(&self) -> bool {
        let Self { volumes, init_containers, containers, app, share_process_namespace, .. } = self;
        let lists = [volumes, init_containers, containers];
        let edited = app.values().any(|edit| !edit.env.is_empty() || !edit.mounts.is_empty());
        lists.iter().all(|list| list.is_empty()) && !edited && !share_process_namespace
    }

    pub(super) fn absorb(&mut self, other: Self) {
        self.volumes.extend(other.volumes);
        self.init_containers.extend(other.init_containers);
        self.containers.extend(other.containers);
        for (slot, edit) in other.app {
            let mine = self.app.entry(slot).or_default();
            mine.env.extend(edit.env);
            mine.mounts.extend(edit.mounts);
        }
        self.share_process_namespace |= other.share_process_namespace;
        self.instances.extend(other.instances);
    }
}

/// A mount of an app container.
#[derive(Debug, Clone)]
pub(super) struct Mounted<'s> {
    pub(super) volume: &'s str,
    pub(super) path: Cow<'s, str>,
    pub(super) sub_path: &'s str,
    pub(super) by_expression: bool,
    /// Added by this plan or an earlier call, for reading only.
    pub(super) read_only_ours: bool,
}

impl<'s> Mounted<'s> {
    /// A mount that is to be added.
    pub(super) fn planned(mount: &'s Object) -> Self {
        Self {
            volume: text(mount, "name"),
            path: clean(text(mount, "mountPath")),
            sub_path: text(mount, "subPath"),
            by_expression: mount.contains_key("subPathExpr"),
            read_only_ours: mount.get("readOnly") == Some(&Json::Bool(true)),
        }
    }

    /// Whether this is mounted below `upper`, at a directory which that volume need not have. (The kubelet makes a
    /// `subPath`'s directory, so that a volume's own directory can be mounted where it is.)
    pub(super) fn is_below(&self, upper: &Self) -> bool {
        let Some(rest) = below(&self.path, &upper.path).filter(|rest| !rest.is_empty()) else {
            return false;
        };
        self.volume != upper.volume || self.sub_path != join_sub_paths(upper.sub_path, rest)
    }
}

/// A directory of a directory of a volume; both may be empty.
pub(super) fn join_sub_paths(upper: &str, lower: &str) -> String {
    let parts = [upper.trim_matches('/'), lower];
    parts.iter().filter(|p| !p.is_empty()).copied().collect::<Vec<_>>().join("/")
}

/// The pod, and what was planned so far.
#[derive(Debug)]
pub(super) struct State<'s, 'a> {
    pub(super) pod: &'s PodView<'a>,
    pub(super) planned: &'s Additions,
}

impl<'s, 'a> State<'s, 'a> {
    /// All mounts of an app container, planned ones too.
    pub(super) fn mounts(&self, slot: Slot) -> Vec<Mounted<'s>> {
        let present = slot.of(self.pod).map(Container::mounts).unwrap_or_default();
        let present = present.iter().map(|mount| Mounted {
            volume: &mount.name.0,
            path: clean(&mount.mount_path.0),
            sub_path: &mount.sub_path.0,
            by_expression: !mount.sub_path_expr.0.is_empty(),
            read_only_ours: mount.read_only && self.is_of_kept(&mount.name.0),
        });
        let planned = self.planned.app.get(&slot).into_iter().flat_map(|edit| &edit.mounts);
        present.chain(planned.map(Mounted::planned)).collect()
    }

    /// Whether a volume belongs to an instance that an earlier call added.
    fn is_of_kept(&self, volume: &str) -> bool {
        self.planned.instances.iter().filter(|p| p.before).any(|p| {
            let rest = volume.strip_prefix(p.injected.instance.as_str());
            rest.is_some_and(|rest| rest.starts_with('-'))
        })
    }

    /// Whether an app container has that variable.
    pub(super) fn has_env(&self, slot: Slot, name: &str) -> bool {
        let present = slot.of(self.pod).and_then(|c| c.env.as_deref()).unwrap_or_default();
        let planned = self.planned.app.get(&slot).into_iter().flat_map(|edit| &edit.env);
        present.iter().any(|e| e.name.0 == name)
            || planned.into_iter().any(|e| text(e, "name") == name)
    }

    /// The pod's own volume of that name.
    pub(super) fn pod_volume(&self, name: &str) -> Option<&'s Volume<'a>> {
        self.pod.volumes().iter().find(|volume| volume.name.0 == name)
    }

    pub(super) fn planned_volume(&self, name: &str) -> Option<&'s Object> {
        self.planned.volumes.iter().find(|volume| text(volume, "name") == name)
    }

    pub(super) fn has_volume(&self, name: &str) -> bool {
        self.pod_volume(name).is_some() || self.planned_volume(name).is_some()
    }

    /// The container of the pod that has this name, and whether it is an init container.
    pub(super) fn pod_container(&self, name: &str) -> Option<(&'s Container<'a>, bool)> {
        let find = |list: &'s [Container<'a>]| list.iter().find(|c| c.name.0 == name);
        find(self.pod.containers())
            .map(|c| (c, false))
            .or_else(|| find(self.pod.init_containers()).map(|c| (c, true)))
    }

    /// Whether a container of the pod was found to be an earlier instance's.
    pub(super) fn belongs_to_another(&self, name: &str) -> bool {
        let kept = self.planned.instances.iter().filter(|placed| placed.before);
        kept.flat_map(|placed| &placed.injected.containers).any(|container| container == name)
    }

    fn planned_containers(&self) -> impl Iterator<Item = &'s Object> {
        self.planned.containers.iter().chain(&self.planned.init_containers)
    }

    pub(super) fn has_planned_container(&self, name: &str) -> bool {
        self.planned_containers().any(|c| text(c, "name") == name)
    }

    /// The container that declares this port, if one does.
    pub(super) fn holder_of_port(&self, port: i64, protocol: &str) -> Option<&'s str> {
        let pod = self.pod.containers().iter().chain(self.pod.init_containers());
        let mut pod = pod.filter(|c| {
            c.ports.iter().any(|p| p.container_port == port && p.protocol() == protocol)
        });
        let mut planned = self
            .planned_containers()
            .filter(|c| ports(c).any(|(p, proto)| p == port && proto == protocol));
        pod.next().map(|c| &*c.name.0).or_else(|| planned.next().map(|c| text(c, "name")))
    }
}

/// The ports that a rendered container declares.
pub(super) fn ports(container: &Object) -> impl Iterator<Item = (i64, &str)> {
    let ports = container.get("ports").and_then(Json::as_array).into_iter().flatten();
    ports.filter_map(|port| {
        let number = port.get("containerPort")?.as_i64()?;
        Some((number, port.get("protocol").and_then(Json::as_str).unwrap_or("TCP")))
    })
}

/// A text field, empty if there is none.
pub(super) fn text<'o>(object: &'o Object, key: &str) -> &'o str {
    object.get(key).and_then(Json::as_str).unwrap_or_default()
}

/// The path as mounts are compared: cleaned where it can be.
fn clean(path: &str) -> Cow<'_, str> {
    let tidy = path.starts_with('/')
        && !path.contains("//")
        && !path.contains("/.")
        && (path.len() == 1 || !path.ends_with('/'));
    if tidy {
        Cow::Borrowed(path)
    } else {
        clean_path(path).map_or(Cow::Borrowed(path), Cow::Owned)
    }
}
