//! The engine: pod view and catalog in, JSON Patch or refusal out.
//!
//! Pure: no I/O, no async, no clock, and nothing that remembers. The webhook, `outrigger inject` and the tests
//! call the one function [`decide`].

mod decision;
mod view;

pub use decision::{Decision, Injected, Injection, Outcome, Problem, Untouched};
pub use view::PodView;

use std::collections::BTreeMap;

use crate::sidecar::Catalog;

/// What the pod's namespace says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Namespace {
    /// Its name; of an AdmissionReview, `request.namespace` (the pod's own is often empty).
    pub name: String,
    /// Its annotations; those that are not Outrigger's are ignored.
    pub annotations: BTreeMap<String, String>,
}

/// What the installation says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Whether the cluster runs native sidecars (init containers with `restartPolicy: Always`).
    pub native: bool,
    /// The image of Outrigger itself, which holds the built-in programs: `$(outrigger.image)`.
    pub image: String,
    /// Values that hold where neither pod nor namespace gives one: sidecar, parameter, value.
    pub defaults: BTreeMap<String, BTreeMap<String, String>>,
    /// Values that nobody may change: sidecar, parameter, value.
    pub pinned: BTreeMap<String, BTreeMap<String, String>>,
}

/// All that decides, besides the pod.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The pod's namespace.
    pub namespace: &'a Namespace,
    /// All sidecars known now.
    pub catalog: &'a Catalog,
    /// The installation.
    pub settings: &'a Settings,
}

/// What is to be done with a pod: nothing, a patch, or a refusal with every reason.
#[must_use]
pub fn decide(_pod: &PodView<'_>, _context: &Context<'_>) -> Decision {
    Decision { outcome: Outcome::Untouched(Untouched::NotAsked), warnings: Vec::new() }
}
