//! The annotation `outrigger.dev/status`: what is in the pod, for people and for the next call.

use serde_json::{Map, Value as Json, json};

use super::additions::Placed;
use super::view::PodView;
use crate::names::STATUS;

/// What the annotation says; anybody can write or copy it, so that it proves nothing alone.
#[derive(Debug, Default)]
pub(super) struct Status(Map<String, Json>);

impl Status {
    pub(super) fn read(pod: &PodView<'_>) -> Self {
        let text = pod.annotation(STATUS).unwrap_or_default();
        Self(serde_json::from_str(text).unwrap_or_default())
    }

    /// The containers that it gives to an instance of this sidecar.
    pub(super) fn containers(&self, instance: &str, sidecar: &str) -> Vec<&str> {
        let entry = self
            .0
            .get(instance)
            .filter(|e| e.get("sidecar").and_then(Json::as_str) == Some(sidecar));
        let names = entry.and_then(|e| e.get("containers")).and_then(Json::as_array);
        names.into_iter().flatten().filter_map(Json::as_str).collect()
    }

    /// Whether it gives the container to another instance.
    pub(super) fn is_of_another(&self, instance: &str, container: &str) -> bool {
        let others = self.0.iter().filter(|(name, _)| *name != instance);
        let names = others.filter_map(|(_, entry)| entry.get("containers")?.as_array()).flatten();
        names.into_iter().any(|name| name.as_str() == Some(container))
    }

    pub(super) fn has(&self, instance: &str) -> bool {
        self.0.contains_key(instance)
    }

    /// The annotation's new value, if it must change: entries of instances that are there stay as they are, and so
    /// do those that nobody wants now but whose containers are in the pod.
    pub(super) fn updated(
        &self,
        placed: &[Placed],
        is_in_pod: impl Fn(&str) -> bool,
    ) -> Option<String> {
        if placed.iter().all(|p| p.before && self.has(&p.injected.instance)) {
            return None;
        }
        let is_there = |entry: &Json| {
            let names = entry.get("containers").and_then(Json::as_array);
            names.is_some_and(|names| {
                !names.is_empty() && names.iter().all(|n| n.as_str().is_some_and(&is_in_pod))
            })
        };
        let kept = self.0.iter().filter(|(_, entry)| is_there(entry));
        let mut entries: Map<_, _> = kept.map(|(k, v)| (k.clone(), v.clone())).collect();
        for Placed { injected, revision, before } in placed {
            let kept = self.0.get(&injected.instance).filter(|_| *before).cloned();
            let entry = kept.unwrap_or_else(|| {
                json!({
                    "sidecar": injected.sidecar,
                    "revision": revision,
                    "mode": if injected.native { "native" } else { "container" },
                    "containers": injected.containers,
                })
            });
            entries.insert(injected.instance.clone(), entry);
        }
        Some(Json::Object(entries).to_string())
    }
}
