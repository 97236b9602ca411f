//! What the engine answers.

use std::fmt;

use json_patch::Patch;

/// The answer for one pod.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// What is to be done.
    pub outcome: Outcome,
    /// What the user should know all the same: at most 8, each at most 200 characters.
    pub warnings: Vec<String>,
}

/// What is to be done with a pod.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Nothing, and why.
    Untouched(Untouched),
    /// A patch.
    Injected(Injection),
    /// The pod cannot have what it asked for: every reason.
    Refused(Vec<Problem>),
}

/// Why a pod stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Untouched {
    /// Nothing was asked for or inherited, or all that was inherited was taken away.
    NotAsked,
    /// The pod's label says so.
    OptedOut,
    /// The kubelet's copy of a static pod.
    Mirror,
    /// All of it is there already.
    Already,
    /// Only inherited sidecars, and none could be added; the warnings say why.
    Dropped,
}

impl Untouched {
    /// One word for logs and metrics.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotAsked => "not-asked",
            Self::OptedOut => "opted-out",
            Self::Mirror => "mirror-pod",
            Self::Already => "already-injected",
            Self::Dropped => "inherited-dropped",
        }
    }
}

/// What is added to one pod.
#[derive(Debug, Clone, PartialEq)]
pub struct Injection {
    /// The operations, all of them additions; paths are relative to the pod.
    pub patch: Patch,
    /// The instances in the pod after the patch, in order.
    pub instances: Vec<Injected>,
}

/// One instance in the patched pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Injected {
    /// The instance's name.
    pub instance: String,
    /// The sidecar's name.
    pub sidecar: String,
    /// Whether it runs as native sidecar.
    pub native: bool,
    /// Names of its containers, the one-shot ones first.
    pub containers: Vec<String>,
}

/// One reason for a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The annotation or field to change.
    pub place: String,
    /// What is wrong.
    pub cause: String,
    /// What to write instead.
    pub remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.place, self.cause, self.remedy)
    }
}
