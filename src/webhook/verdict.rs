//! What is answered to one review, whatever the engine does, and the log line that says so.

use std::any::Any;
use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::review::{Answer, Review, Ruling, Subject};
use crate::inject::{Decision, Injected, Outcome, PodView, Problem};
use crate::names::{self, MAX_WARNING};

/// Decides about a pod in the namespace of this name.
///
/// A name and no more, because what the namespace says is known to whoever makes this function, not to a review.
pub type Decide = dyn Fn(&PodView<'_>, &str) -> Decision + Send + Sync;

/// The answer to one review, and how it came about.
#[derive(Debug)]
pub struct Verdict {
    /// What the API server is told.
    pub answer: Answer,
    /// One word: injected, untouched, refused, unreadable, panicked or ignored.
    pub result: &'static str,
    /// Why, in one word that metrics can count; empty where the result says it all.
    pub label: &'static str,
    /// Why; empty where the result says it all.
    pub reason: Cow<'static, str>,
    /// The instances in the patched pod, as `instance=sidecar`.
    pub sidecars: String,
}

impl Verdict {
    /// The verdict on a review. A panic of `decide` is caught: it costs the pod its sidecars, never the caller its
    /// answer.
    #[must_use]
    pub fn of(review: &Review<'_>, decide: &Decide) -> Self {
        match &review.subject {
            Subject::Other => Self::plain("ignored", Cow::Borrowed("not the creation of a pod")),
            Subject::Unreadable { asks, why } => Self::unreadable(*asks, why),
            Subject::Pod(pod) => {
                match catch_unwind(AssertUnwindSafe(|| decide(pod, &review.namespace))) {
                    Ok(decision) => Self::decided(decision),
                    Err(payload) => Self::panicked(pod.asks(), payload.as_ref()),
                }
            }
        }
    }

    /// Writes the one log line of this review.
    pub fn log(&self, review: &Review<'_>, took: Duration) {
        let name = match &review.subject {
            Subject::Pod(pod) if !pod.name().is_empty() => pod.name(),
            _ => &review.name,
        };
        tracing::info!(
            uid = &*review.uid,
            namespace = &*review.namespace,
            name,
            result = self.result,
            sidecars = self.sidecars,
            reason = &*self.reason,
            microseconds = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            dry_run = review.dry_run,
            "reviewed"
        );
    }

    fn decided(Decision { outcome, warnings }: Decision) -> Self {
        let mut verdict = match outcome {
            Outcome::Untouched(why) => Self {
                label: why.reason(),
                ..Self::plain("untouched", Cow::Borrowed(why.reason()))
            },
            Outcome::Injected(injection) => Self {
                sidecars: list(&injection.instances),
                ..Self::ruled("injected", Cow::Borrowed(""), Ruling::Patch(injection.patch))
            },
            Outcome::Refused(problems) => {
                let short: Vec<_> = problems.iter().map(ToString::to_string).collect();
                let ruling = deny(422, "Invalid", refusal(&problems));
                Self::ruled("refused", Cow::Owned(short.join(" | ")), ruling)
            }
        };
        verdict.answer.warnings = warnings;
        verdict
    }

    fn unreadable(asks: bool, why: &str) -> Self {
        let reason = Cow::Owned(why.to_owned());
        if asks {
            let message = format!(
                "the pod cannot be read, so it cannot get the sidecars that its annotation {} asks for: {why}; \
                 correct that field, or remove the annotation",
                names::INJECT
            );
            Self::ruled("unreadable", reason, deny(422, "Invalid", message))
        } else {
            let warning = format!("no sidecar was added, because the pod cannot be read: {why}");
            Self::plain("unreadable", reason).warning(&warning)
        }
    }

    fn panicked(asks: bool, payload: &(dyn Any + Send)) -> Self {
        let said = payload.downcast_ref::<&str>().copied();
        let said = said.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let reason = Cow::Owned(said.unwrap_or("a panic without a message").to_owned());
        if asks {
            let message = format!(
                "outrigger itself failed (a bug, and its log says more), so the pod cannot get the sidecars that its \
                 annotation {} asks for; report it, and remove the annotation if the pod must run now",
                names::INJECT
            );
            Self::ruled("panicked", reason, deny(500, "InternalError", message))
        } else {
            Self::plain("panicked", reason).warning(
                "no sidecar was added, because outrigger itself failed (a bug, and its log says more)",
            )
        }
    }

    fn plain(result: &'static str, reason: Cow<'static, str>) -> Self {
        Self::ruled(result, reason, Ruling::Allow)
    }

    fn ruled(result: &'static str, reason: Cow<'static, str>, ruling: Ruling) -> Self {
        let answer = Answer { ruling, warnings: Vec::new() };
        Self { answer, result, label: "", reason, sidecars: String::new() }
    }

    fn warning(mut self, text: &str) -> Self {
        self.answer.warnings.push(text.chars().take(MAX_WARNING).collect());
        self
    }
}

fn deny(code: u16, reason: &'static str, message: String) -> Ruling {
    Ruling::Deny { code, reason, message }
}

fn list(instances: &[Injected]) -> String {
    let pairs: Vec<_> =
        instances.iter().map(|one| format!("{}={}", one.instance, one.sidecar)).collect();
    pairs.join(",")
}

/// All problems, for a reader who sees them after `admission webhook "..." denied the request: `.
fn refusal(problems: &[Problem]) -> String {
    match problems {
        [one] => one.to_string(),
        many => {
            let mut text = format!("{} problems with the sidecars of this pod:", many.len());
            for (index, problem) in many.iter().enumerate() {
                text.push_str(&format!("\n  {}. {problem}", index + 1));
            }
            text
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_name_every_problem() {
        let problem = |place: &str| Problem {
            place: place.to_owned(),
            cause: "60 is not a duration".to_owned(),
            remedy: "write 60s".to_owned(),
        };
        let one = problem("a.outrigger.dev/period");
        assert_eq!(
            refusal(std::slice::from_ref(&one)),
            "a.outrigger.dev/period: 60 is not a duration; write 60s"
        );
        assert_eq!(
            refusal(&[one, problem("b.outrigger.dev/period")]),
            "2 problems with the sidecars of this pod:\n  \
             1. a.outrigger.dev/period: 60 is not a duration; write 60s\n  \
             2. b.outrigger.dev/period: 60 is not a duration; write 60s"
        );
    }

    #[test]
    fn warnings_are_cut_between_characters() {
        let verdict = Verdict::unreadable(false, &"ü".repeat(500));
        assert_eq!(verdict.answer.ruling, Ruling::Allow);
        assert_eq!(verdict.answer.warnings[0].chars().count(), MAX_WARNING);
    }

    #[test]
    fn what_asked_is_refused_and_what_did_not_is_let_through() {
        let payload: Box<dyn Any + Send> = Box::new("boom");
        for (verdict, code) in [
            (Verdict::unreadable(true, "spec: bad"), Some(422)),
            (Verdict::unreadable(false, "spec: bad"), None),
            (Verdict::panicked(true, payload.as_ref()), Some(500)),
            (Verdict::panicked(false, payload.as_ref()), None),
        ] {
            match (verdict.answer.ruling, code) {
                (Ruling::Deny { code, .. }, Some(expected)) => assert_eq!(code, expected),
                (Ruling::Allow, None) => assert_eq!(verdict.answer.warnings.len(), 1),
                (ruling, _) => panic!("{ruling:?}"),
            }
        }
    }
}
