//! Whether a pod is another one with something added. Knows nothing of patches: it only compares the two.

use std::collections::BTreeSet;

use json_patch::{Patch, PatchOperation};
use serde_json::{Map, Value as Json};

const STATUS: &str = "outrigger.dev/status";
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";
const SAFE_TO_EVICT: &str = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes";

/// What may happen to the value at a place.
#[derive(Clone, Copy)]
enum Rule {
    /// Nothing.
    Equal,
    /// A map that gets keys, and in which these keep their own rules.
    Map(&'static [(&'static str, Rule)]),
    /// A list that gets items, and whose own items follow a rule.
    List(&'static Rule),
    /// `true`, where there was nothing.
    True,
    /// Another text.
    Text,
    /// A list in text, that gets items.
    Superset,
}

const CONTAINER: Rule =
    Rule::Map(&[("env", Rule::List(&Rule::Equal)), ("volumeMounts", Rule::List(&Rule::Equal))]);

const POD: Rule = Rule::Map(&[
    (
        "metadata",
        Rule::Map(&[(
            "annotations",
            Rule::Map(&[
                (STATUS, Rule::Text),
                (DEFAULT_CONTAINER, Rule::Equal),
                (SAFE_TO_EVICT, Rule::Superset),
            ]),
        )]),
    ),
    (
        "spec",
        Rule::Map(&[
            ("containers", Rule::List(&CONTAINER)),
            ("initContainers", Rule::List(&CONTAINER)),
            ("volumes", Rule::List(&Rule::Equal)),
            ("shareProcessNamespace", Rule::True),
        ]),
    ),
]);

/// Why `result` is not `original` with additions, if it is not.
pub(crate) fn only_added(original: &Json, result: &Json) -> Result<(), String> {
    within(original, result, POD, "")
}

fn within(original: &Json, result: &Json, rule: Rule, path: &str) -> Result<(), String> {
    let wrong = || Err(format!("{path}: was {original}, is {result}"));
    if original == result {
        // Equality of maps does not see their order; the bytes do.
        let bytes = [original, result].map(|json| serde_json::to_vec(json).unwrap());
        return if bytes[0] == bytes[1] { Ok(()) } else { wrong() };
    }
    match (rule, original, result) {
        (Rule::True, Json::Null, Json::Bool(true)) => Ok(()),
        (Rule::Text, Json::Null | Json::String(_), Json::String(_)) => Ok(()),
        (Rule::Superset, Json::Null, Json::String(_)) => Ok(()),
        (Rule::Superset, Json::String(old), Json::String(new)) if is_superset(old, new) => Ok(()),
        (Rule::List(_), Json::Null, Json::Array(_)) => Ok(()),
        (Rule::Map(_), Json::Null, Json::Object(_)) => {
            within(&Json::Object(Map::new()), result, rule, path)
        }
        (Rule::List(rule), Json::Array(old), Json::Array(new)) => {
            let mut old = old.iter().enumerate().peekable();
            let mut error = None;
            for item in new {
                if let Some((n, next)) = old.peek() {
                    match within(next, item, *rule, &format!("{path}[{n}]")) {
                        Ok(()) => drop(old.next()),
                        Err(found) => error = Some(found),
                    }
                }
            }
            match old.next() {
                None => Ok(()),
                Some((n, lost)) => Err(format!("{path}[{n}]: {lost} is lost ({error:?})")),
            }
        }
        (Rule::Map(keys), Json::Object(old), Json::Object(new)) => {
            let kept: Vec<_> = new.keys().filter(|key| old.contains_key(*key)).collect();
            if !kept.into_iter().eq(old.keys()) {
                return Err(format!("{path}: keys lost or in another order"));
            }
            for (key, value) in new {
                let rule = keys.iter().find(|(k, _)| k == key).map(|(_, rule)| *rule);
                let path = format!("{path}.{key}");
                match (old.get(key), rule) {
                    (None, None) => return Err(format!("{path}: may not be added")),
                    (None, Some(Rule::Equal)) => {}
                    (None, Some(rule)) => within(&Json::Null, value, rule, &path)?,
                    (Some(old), rule) => within(old, value, rule.unwrap_or(Rule::Equal), &path)?,
                }
            }
            Ok(())
        }
        _ => wrong(),
    }
}

fn is_superset(old: &str, new: &str) -> bool {
    let set = |text: &str| -> BTreeSet<String> {
        text.split(',').map(str::trim).filter(|n| !n.is_empty()).map(str::to_owned).collect()
    };
    set(old).is_subset(&set(new))
}

/// Why the patch does something else than adding, if it does.
pub(crate) fn only_adds(original: &Json, patch: &Patch) -> Result<(), String> {
    let mut pod = original.clone();
    for operation in &patch.0 {
        let PatchOperation::Add(add) = operation else {
            return Err(format!("not an addition: {operation}"));
        };
        let (parent, key) = add.path.split_back().ok_or("the whole pod is replaced")?;
        let key = key.decoded().into_owned();
        let parent = pod.pointer(parent.as_str()).ok_or(format!("{parent} is not there"))?;
        let replaced = parent.as_object().and_then(|map| map.get(&key));
        match replaced {
            Some(old) if !old.is_null() && key != STATUS && key != SAFE_TO_EVICT => {
                return Err(format!("{operation} replaces {old}"));
            }
            _ => {}
        }
        json_patch::patch(&mut pod, std::slice::from_ref(operation))
            .map_err(|error| error.to_string())?;
    }
    Ok(())
}

#[test]
fn containment_sees_what_it_should() {
    use serde_json::json;
    let pod =
        json!({"kind": "Pod", "spec": {"containers": [{"name": "a"}, {"name": "b"}], "x": 1}});
    for (result, fine) in [
        (
            json!({"kind": "Pod", "spec": {"containers": [{"name": "a"}, {"name": "b"}], "x": 1}}),
            true,
        ),
        (
            json!({"kind": "Pod", "spec": {"containers": [{"name": "a", "env": [1]}, {"name": "b"}, {"name": "c"}], "x": 1}, "metadata": {"annotations": {"outrigger.dev/status": "{}"}}}),
            true,
        ),
        (
            json!({"kind": "Pod", "spec": {"containers": [{"name": "b"}, {"name": "a"}], "x": 1}}),
            false,
        ),
        (
            json!({"kind": "Pod", "spec": {"containers": [{"name": "a", "image": "x"}, {"name": "b"}], "x": 1}}),
            false,
        ),
        (
            json!({"kind": "Pod", "spec": {"x": 1, "containers": [{"name": "a"}, {"name": "b"}]}}),
            false,
        ),
        (
            json!({"kind": "Pod", "spec": {"containers": [{"name": "a"}, {"name": "b"}], "x": 2}}),
            false,
        ),
        (json!({"kind": "Pod", "spec": {"containers": [{"name": "a"}, {"name": "b"}]}}), false),
        (
            json!({"kind": "Pod", "spec": {"containers": [{"name": "a"}, {"name": "b"}], "x": 1, "hostPID": true}}),
            false,
        ),
        (
            json!({"kind": "Pod", "metadata": {"name": "x"}, "spec": {"containers": [{"name": "a"}, {"name": "b"}], "x": 1}}),
            false,
        ),
    ] {
        let got = only_added(&pod, &result);
        assert_eq!(got.is_ok(), fine, "{result}: {got:?}");
    }
}
