//! One pod with all that decides about it.

use std::fmt;
use std::sync::LazyLock;

use outrigger::inject::{
    Context, Decision, Injection, Namespace, Outcome, PodView, Settings, decide,
};
use outrigger::sidecar::Catalog;
use serde_json::Value as Json;

/// The built-in sidecars, and some of users.
pub(crate) static CATALOG: LazyLock<Catalog> = LazyLock::new(|| {
    let mut catalog = Catalog::builtin();
    let faults = catalog.add("sidecars.yaml", include_str!("sidecars.yaml"));
    let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
    assert!(faults.len() == 1 && faults[0].contains("$(nothing)"), "{faults:#?}");
    catalog
});

/// One pod with all that decides about it.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) pod: Json,
    pub(crate) namespace: Namespace,
    pub(crate) settings: Settings,
}

/// What the engine says, or why it cannot read the pod.
pub(crate) fn try_decide(
    pod: &str,
    namespace: &Namespace,
    settings: &Settings,
) -> Result<Decision, String> {
    let context = Context { namespace, catalog: &CATALOG, settings };
    PodView::from_json(pod.as_bytes()).map(|pod| decide(&pod, &context))
}

impl Case {
    /// What the engine says about the case's pod.
    pub(crate) fn decide(&self) -> Decision {
        self.decide_on(&self.pod)
    }

    /// What it says about another pod in the same place.
    pub(crate) fn decide_on(&self, pod: &Json) -> Decision {
        try_decide(&pod.to_string(), &self.namespace, &self.settings).unwrap()
    }

    /// The injection and the pod after it, if there is one.
    pub(crate) fn injected(&self) -> Option<(Injection, Json)> {
        let Outcome::Injected(injection) = self.decide().outcome else { return None };
        let mut pod = self.pod.clone();
        json_patch::patch(&mut pod, &injection.patch).unwrap_or_else(|error| {
            panic!("the patch does not apply: {error}\n{}", injection.patch)
        });
        Some((injection, pod))
    }
}

/// Such that it can be pasted into a test.
impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\npod: {}", self.pod)?;
        writeln!(f, "namespace {}: {:?}", self.namespace.name, self.namespace.annotations)?;
        writeln!(f, "{:?}", self.settings)
    }
}

/// All containers of a pod, init containers first.
pub(crate) fn containers(pod: &Json) -> impl Iterator<Item = &Json> {
    ["initContainers", "containers"].into_iter().flat_map(|key| items(&pod["spec"], key))
}

/// The items of a list, none if there is no list.
pub(crate) fn items<'j>(object: &'j Json, key: &str) -> impl Iterator<Item = &'j Json> {
    object.get(key).and_then(Json::as_array).into_iter().flatten()
}

/// A text, empty if there is none.
pub(crate) fn text<'j>(object: &'j Json, key: &str) -> &'j str {
    object.get(key).and_then(Json::as_str).unwrap_or_default()
}

/// A pod's annotation.
pub(crate) fn annotation<'j>(pod: &'j Json, key: &str) -> Option<&'j str> {
    pod.get("metadata")?.get("annotations")?.get(key)?.as_str()
}
