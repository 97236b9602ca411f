//! The engine: pod view and catalog in, JSON Patch or refusal out.
//!
//! Pure: no I/O, no async, no clock, and nothing that remembers. The webhook, `outrigger inject` and the tests
//! call the one function [`decide`].

mod additions;
mod clash;
mod decision;
mod patch;
mod place;
mod request;
mod resolve;
mod resources;
mod secrets;
mod status;
mod view;
mod wiring;

pub use decision::{Decision, Injected, Injection, Outcome, Problem, Untouched};
pub use view::{PodView, unreadable_asks};

use std::collections::BTreeMap;

use additions::{Additions, State};
use request::{Requests, Wanted};
use status::Status;

use crate::names::{self, MAX_WARNING};
use crate::sidecar::Catalog;

/// What the pod's namespace says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Namespace {
    /// Its name; of an AdmissionReview, `request.namespace` (the pod's own is often empty).
    pub name: String,
    /// Its annotations; those that are not Outrigger's are ignored.
    pub annotations: BTreeMap<String, String>,
}

/// Values of parameters: sidecar, parameter, value.
pub type Assigned = BTreeMap<String, BTreeMap<String, String>>;

/// What the installation says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Whether the cluster runs native sidecars (init containers with `restartPolicy: Always`).
    pub native: bool,
    /// The image of Outrigger itself, which holds the built-in programs: `$(outrigger.image)`.
    pub image: String,
    /// Values that hold where neither pod nor namespace gives one: sidecar, parameter, value.
    pub defaults: Assigned,
    /// Values that nobody may change: sidecar, parameter, value.
    pub pinned: Assigned,
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
pub fn decide(pod: &PodView<'_>, context: &Context<'_>) -> Decision {
    if pod.annotation(names::MIRROR).is_some() {
        return Decision { outcome: Outcome::Untouched(Untouched::Mirror), warnings: Vec::new() };
    }
    if pod.is_opted_out() {
        return Decision { outcome: Outcome::Untouched(Untouched::OptedOut), warnings: Vec::new() };
    }
    let Requests { wanted, problems, mut warnings } = request::read(pod, context);
    request::stray_annotations(pod, &wanted, &mut warnings);
    if wanted.is_empty() && problems.is_empty() {
        return Decision {
            outcome: Outcome::Untouched(Untouched::NotAsked),
            warnings: shortened(warnings),
        };
    }
    let mut plan = Plan {
        pod,
        context,
        status: Status::read(pod),
        planned: Additions::default(),
        problems,
        warnings,
    };
    for one in &wanted {
        plan.place(*one, &wanted);
    }
    let outcome = plan.outcome();
    Decision { outcome, warnings: shortened(plan.warnings) }
}

/// What was planned so far for one pod.
struct Plan<'p> {
    pod: &'p PodView<'p>,
    context: &'p Context<'p>,
    status: Status,
    planned: Additions,
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

impl<'p> Plan<'p> {
    /// Adds one instance, or says why not: a problem if it was asked for, a warning if it was inherited.
    fn place(&mut self, wanted: Wanted<'p>, all: &[Wanted<'p>]) {
        let (mut problems, mut warnings) = (Vec::new(), Vec::new());
        let placement = match resolve::sidecar(wanted, self.context) {
            Err(problem) => {
                problems.push(problem);
                None
            }
            Ok(sidecar) => {
                let is_injected = |name: &str| self.is_injected(name, all);
                let instance = resolve::resolve(
                    wanted,
                    sidecar,
                    self.pod,
                    self.context,
                    is_injected,
                    &mut problems,
                    &mut warnings,
                );
                let state = State { pod: self.pod, planned: &self.planned };
                let mut placement = place::place(&instance, &state, &self.status);
                problems.append(&mut placement.problems);
                Some(placement)
            }
        };
        self.warnings.append(&mut warnings);
        if let Some(first) = problems.first() {
            if wanted.asked {
                for problem in problems {
                    if !self.problems.contains(&problem) {
                        self.problems.push(problem);
                    }
                }
            } else {
                self.warnings
                    .push(format!("inherited sidecar {} was left out: {first}", wanted.instance));
            }
        } else if let Some(placement) = placement {
            self.planned.absorb(placement.additions);
            self.warnings.extend(placement.warnings);
        }
    }

    /// Whether a container of the pod is one that an earlier call added. A name alone says so only of what was asked
    /// for, since there it is that or a clash: an inherited instance may be named like one of the app's containers,
    /// and is left out then.
    fn is_injected(&self, name: &str, all: &[Wanted<'_>]) -> bool {
        all.iter().any(|wanted| {
            (wanted.asked && wanted.instance == name)
                || self.status.containers(wanted.instance, wanted.sidecar).contains(&name)
        })
    }

    fn outcome(&mut self) -> Outcome {
        if !self.problems.is_empty() {
            return Outcome::Refused(std::mem::take(&mut self.problems));
        }
        if self.planned.instances.is_empty() {
            return Outcome::Untouched(Untouched::Dropped);
        }
        let patch = patch::write(self.pod, &mut self.planned, &self.status);
        if patch.0.is_empty() {
            return Outcome::Untouched(Untouched::Already);
        }
        let instances = std::mem::take(&mut self.planned.instances);
        Outcome::Injected(Injection {
            patch,
            instances: instances.into_iter().map(|p| p.injected).collect(),
        })
    }
}

/// At most 8 warnings, none of them too long: the API server shows 4096 characters all in all.
fn shortened(mut warnings: Vec<String>) -> Vec<String> {
    const MOST: usize = 8;
    if warnings.len() > MOST {
        let more = warnings.len() - (MOST - 1);
        warnings.truncate(MOST - 1);
        warnings.push(format!("and {more} more warnings"));
    }
    for warning in &mut warnings {
        if let Some((at, _)) = warning.char_indices().nth(MAX_WARNING) {
            let keep = warning.char_indices().nth(MAX_WARNING - 1).map_or(at, |(at, _)| at);
            warning.truncate(keep);
            warning.push('…');
        }
    }
    warnings
}
