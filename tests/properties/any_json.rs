//! JSON that is no pod, or hardly one, and bytes that are no JSON.

use outrigger::inject::{Outcome, PodView, unreadable_asks};
use proptest::prelude::*;
use serde_json::{Map, Value as Json};

use crate::asks::case;
use crate::case::try_decide;
use crate::config;
use crate::text::junk;

/// How many values there are in a value, itself included.
fn size(json: &Json) -> usize {
    1 + match json {
        Json::Array(items) => items.iter().map(size).sum(),
        Json::Object(map) => map.values().map(size).sum(),
        _ => 0,
    }
}

/// Replaces the value at a place in the order of reading.
fn replace(json: &mut Json, place: &mut usize, by: &Json) {
    if *place == 0 {
        *json = by.clone();
    }
    *place = place.wrapping_sub(1);
    match json {
        Json::Array(items) => items.iter_mut().for_each(|item| replace(item, place, by)),
        Json::Object(map) => map.values_mut().for_each(|value| replace(value, place, by)),
        _ => {}
    }
}

/// Values that are near to what is expected where they come.
fn misplaced() -> BoxedStrategy<Json> {
    let near = [
        Json::Null,
        Json::Array(vec![]),
        Json::Object(Map::new()),
        Json::Array(vec![Json::Null]),
        Json::from(""),
        Json::from(i64::MAX),
        Json::from("9223372036854775807"),
        Json::from("170141183460469231731687303715"),
    ];
    prop_oneof![proptest::sample::select(near.to_vec()), junk()].boxed()
}

proptest! {
    #![proptest_config(config(700))]

    #[test]
    fn any_value_in_any_place(case in case(), by in misplaced(), at in any::<prop::sample::Index>()) {
        let mut pod = case.pod.clone();
        replace(&mut pod, &mut at.index(size(&case.pod)), &by);
        let _ = unreadable_asks(&pod.to_string());
        let Ok(decision) = try_decide(&pod.to_string(), &case.namespace, &case.settings) else {
            return Ok(());
        };
        if let Outcome::Injected(injection) = decision.outcome {
            let applied = json_patch::patch(&mut pod.clone(), &injection.patch);
            prop_assert!(applied.is_ok(), "{}: {} to {}", applied.unwrap_err(), injection.patch, pod);
        }
    }

    #[test]
    fn any_json_is_read_or_refused(json in junk(), case in case()) {
        let text = json.to_string();
        prop_assert!(PodView::from_json(text.as_bytes()).is_err_and(|e| !e.is_empty()) || json.is_object() || json.is_array());
        let _ = try_decide(&text, &case.namespace, &case.settings);
        let _ = unreadable_asks(&text);
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        bytes in proptest::collection::vec(any::<u8>(), 0..64),
        case in case(),
        cut in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
    ) {
        let _ = PodView::from_json(&bytes);
        let mut text = case.pod.to_string().into_bytes();
        let at = at.index(text.len());
        text.splice(at..at, bytes);
        let _ = PodView::from_json(&text);
        let _ = PodView::from_json(&text[..cut.index(text.len())]);
    }
}
