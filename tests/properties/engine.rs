//! The properties of injections and refusals.

use k8s_openapi::api::core::v1::Pod;
use outrigger::inject::{Decision, Outcome, Untouched};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value as Json, json};

use crate::api_server::{default_as_api_server, mount_tokens};
use crate::asks::case;
use crate::case::{Case, annotation};
use crate::{checks, config, containment};

/// Whether the decision leaves the pod as it is.
fn is_untouched(decision: &Decision) -> bool {
    matches!(decision.outcome, Outcome::Untouched(_))
}

fn left_something_out(decision: &Decision) -> bool {
    decision.warnings.iter().any(|w| w.contains("was left out") || w.contains("more warnings"))
}

/// What other admission plugins and webhooks may have made of a pod by the second call.
fn seen_again(pod: &Json) -> Vec<(&'static str, Json)> {
    let changed = |change: &dyn Fn(&mut Json)| {
        let mut pod = pod.clone();
        change(&mut pod);
        pod
    };
    let mut all = vec![
        ("as it is", pod.clone()),
        ("defaulted", changed(&default_as_api_server)),
        ("with tokens", changed(&mount_tokens)),
        (
            "defaulted, with tokens",
            changed(&|pod| {
                mount_tokens(pod);
                default_as_api_server(pod);
            }),
        ),
    ];
    // The API server has no field that it does not know, and no null.
    if let Ok(typed) = serde_json::from_value::<Pod>(pod.clone()) {
        let mut typed = serde_json::to_value(typed).unwrap();
        default_as_api_server(&mut typed);
        all.push(("as a typed pod", typed));
    }
    all
}

/// Installations that replicas may have by the second call.
fn other_installations(case: &Case) -> Vec<(&'static str, Case)> {
    let mut image = case.clone();
    image.settings.image = "elsewhere/outrigger:next".into();
    let mut native = case.clone();
    native.settings.native = !native.settings.native;
    let mut both = native.clone();
    both.settings.image = "elsewhere/outrigger:next".into();
    vec![("another image", image), ("native flipped", native), ("both", both)]
}

proptest! {
    #![proptest_config(config(700))]

    #[test]
    fn only_additions(case in case()) {
        let Some((injection, after)) = case.injected() else { return Ok(()) };
        prop_assert_eq!(containment::only_adds(&case.pod, &injection.patch), Ok(()));
        prop_assert_eq!(containment::only_added(&case.pod, &after), Ok(()));
        prop_assert!(case.decide() == case.decide(), "two answers for one pod");
    }

    #[test]
    fn a_second_run_changes_nothing(case in case()) {
        let Some((_, after)) = case.injected() else { return Ok(()) };
        for (what, pod) in seen_again(&after) {
            let again = case.decide_on(&pod);
            prop_assert!(is_untouched(&again), "{}: {:?}", what, again);
        }
        if left_something_out(&case.decide()) {
            // What was inherited and had no place may have one elsewhere.
            return Ok(());
        }
        for (what, other) in other_installations(&case) {
            for (seen, pod) in seen_again(&after) {
                let again = other.decide_on(&pod);
                prop_assert!(is_untouched(&again), "{}, {}: {:?}", what, seen, again);
            }
        }
    }

    #[test]
    fn a_container_that_comes_later_is_wired_up_once(case in case(), first in any::<bool>()) {
        let Some((_, mut after)) = case.injected() else { return Ok(()) };
        if left_something_out(&case.decide()) {
            // With another first container it may have a place.
            return Ok(());
        }
        let late = json!({"name": "late", "image": "late:1"});
        let list = after["spec"]["containers"].as_array_mut().unwrap();
        let at = if first { 0 } else { list.len() };
        list.insert(at, late);
        let again = Case { pod: after, ..case };
        if let Some((injection, last)) = again.injected() {
            prop_assert_eq!(containment::only_added(&again.pod, &last), Ok(()));
            prop_assert!(checks::added_containers(&again.pod, &last).is_empty(), "{}", injection.patch);
            checks::is_in_order(&again.pod, &last);
            let third = again.decide_on(&last);
            prop_assert!(is_untouched(&third), "{:?}", third);
        }
    }

    #[test]
    fn sidecars_are_there_and_in_order(case in case()) {
        let Some((injection, after)) = case.injected() else { return Ok(()) };
        checks::sidecars_are_there(&case.pod, &injection, &after);
        checks::is_in_order(&case.pod, &after);
        checks::token_is_masked(&case.pod, &after);
        checks::mounts_have_places(&case.pod, &after);
        if serde_json::from_value::<Pod>(case.pod.clone()).is_ok() {
            let typed = serde_json::from_value::<Pod>(after.clone());
            prop_assert!(typed.is_ok(), "{:?}", typed.err());
        }
    }

    #[test]
    fn answers_are_complete(case in case()) {
        let Decision { outcome, warnings } = case.decide();
        prop_assert!(warnings.len() <= 8, "{:?}", warnings);
        for warning in &warnings {
            prop_assert!(!warning.is_empty() && warning.chars().count() <= 200, "{}", warning);
        }
        match outcome {
            Outcome::Refused(problems) => {
                prop_assert!(!problems.is_empty());
                for p in &problems {
                    prop_assert!(![&p.place, &p.cause, &p.remedy].iter().any(|t| t.trim().is_empty()), "{:?}", p);
                }
                let mut once = problems.clone();
                once.dedup();
                prop_assert_eq!(once, problems);
            }
            Outcome::Injected(injection) => prop_assert!(!injection.patch.0.is_empty()),
            Outcome::Untouched(Untouched::Dropped) => prop_assert!(!warnings.is_empty()),
            Outcome::Untouched(_) => {}
        }
    }

    #[test]
    fn what_is_inherited_never_refuses(case in case()) {
        let with = case.decide();
        let mut alone = case.clone();
        alone.namespace.annotations.remove("outrigger.dev/inject");
        let without = alone.decide();
        match (&with.outcome, &without.outcome) {
            (Outcome::Refused(with), Outcome::Refused(without)) => prop_assert_eq!(with, without),
            (Outcome::Refused(problems), _) => prop_assert!(false, "{:?}", problems),
            (_, Outcome::Refused(problems)) => prop_assert!(false, "not inherited: {:?}", problems),
            _ => {}
        }
        if checks::asked(&case.pod).is_empty()
            && annotation(&case.pod, "outrigger.dev/inject").unwrap_or_default().trim().is_empty()
        {
            prop_assert!(!matches!(with.outcome, Outcome::Refused(_)), "{:?}", with);
        }
    }
}

/// A property of nothing is worth nothing: of the cases, enough are injected, refused, and left alone.
#[test]
fn the_cases_are_of_all_kinds() {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(config(1), rng);
    let (mut injected, mut refused, mut dropped, mut typed, mut left_out) = (0, 0, 0, 0, 0);
    let cases = 300;
    for _ in 0..cases {
        let case = case().new_tree(&mut runner).unwrap().current();
        let decision = case.decide();
        left_out += usize::from(left_something_out(&decision));
        match decision.outcome {
            Outcome::Injected(_) => injected += 1,
            Outcome::Refused(_) => refused += 1,
            Outcome::Untouched(Untouched::Dropped) => dropped += 1,
            Outcome::Untouched(_) => {}
        }
        typed += usize::from(serde_json::from_value::<Pod>(case.pod).is_ok());
    }
    println!(
        "{injected} injected, {refused} refused, {dropped} dropped, {left_out} left something out, {typed} typed, of {cases}"
    );
    assert!(
        injected > cases / 4 && refused > cases / 10 && left_out > cases / 50 && typed > cases / 3
    );
}
