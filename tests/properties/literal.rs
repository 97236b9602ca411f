//! A value is text and stays text: it adds no structure, and what runs in the pod is given it letter by letter.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value as Json, json};

use crate::case::{Case, containers, items, text};
use crate::config;
use crate::kubelet::expand;
use crate::text::any_text;

/// A value that appears nowhere else.
const PLAIN: &str = "PLAINVALUE";

/// A parameter of type string without a pattern: sidecar, name.
fn parameters() -> BoxedStrategy<(&'static str, &'static str)> {
    let all = [
        ("topz", "redact"),
        ("log", "multilineStart"),
        ("agent", "motto"),
        ("sharer", "flags"),
        ("local", "text"),
    ];
    select(all.to_vec()).boxed()
}

fn case_with(sidecar: &str, parameter: &str, value: &str, native: bool) -> Case {
    let annotations = json!({
        "outrigger.dev/inject": format!("it={sidecar}"),
        format!("it.outrigger.dev/{parameter}"): value,
    });
    let mut pod = json!({
        "metadata": {"annotations": annotations},
        "spec": {"containers": [{"name": "app", "image": "app:1"}]},
    });
    if sidecar == "log" {
        pod["metadata"]["annotations"]["it.outrigger.dev/paths"] = "/var/log/*.log".into();
    }
    if sidecar == "sharer" {
        pod["metadata"]["annotations"]["it.outrigger.dev/paths"] = "/shared".into();
    }
    let settings =
        outrigger::inject::Settings { native, image: "outrigger:one".into(), ..Default::default() };
    let namespace = outrigger::inject::Namespace { name: "default".into(), ..Default::default() };
    Case { pod, namespace, settings }
}

/// The JSON with each text in it changed; keys too.
fn map_texts(json: &Json, change: &dyn Fn(&str) -> String) -> Json {
    match json {
        Json::String(text) => change(text).into(),
        Json::Array(items) => items.iter().map(|item| map_texts(item, change)).collect(),
        Json::Object(map) => Json::Object(
            map.iter().map(|(key, value)| (change(key), map_texts(value, change))).collect(),
        ),
        other => other.clone(),
    }
}

/// What the processes of a container are given: arguments, environment, commands of probes.
fn given(container: &Json) -> Vec<String> {
    let mut variables = BTreeMap::new();
    let mut all = Vec::new();
    for variable in items(container, "env") {
        let value = expand(text(variable, "value"), &variables);
        variables.insert(text(variable, "name").to_owned(), value.clone());
        all.push(value);
    }
    let probes = ["livenessProbe", "startupProbe"].map(|probe| &container[probe]["exec"]);
    let lists = [items(container, "command"), items(container, "args")];
    let commands = probes.iter().flat_map(|probe| items(probe, "command"));
    for word in lists.into_iter().flatten().chain(commands) {
        all.push(expand(word.as_str().unwrap(), &variables));
    }
    all
}

proptest! {
    #![proptest_config(config(400))]

    #[test]
    fn a_value_is_only_text(
        (sidecar, parameter) in parameters(),
        value in any_text(),
        native in any::<bool>(),
    ) {
        // One value of a list has no commas, line ends and braces in it, and no space around it.
        let value = if parameter == "flags" { value.replace([',', '\n', '{', '}'], "") } else { value };
        let value = value.trim();
        if value.is_empty() {
            return Ok(());
        }
        let plain = case_with(sidecar, parameter, PLAIN, native).injected().unwrap().1;
        let after = case_with(sidecar, parameter, value, native).injected().unwrap().1;

        // Where the kubelet expands, each `$` is doubled; elsewhere the text is as it is.
        let doubled = value.replace('$', "$$");
        let spec = &after["spec"];
        let expected = |by: &str| map_texts(&plain["spec"], &|text| text.replace(PLAIN, by));
        prop_assert_eq!(shape(spec), shape(&plain["spec"]));
        if !value.contains('$') {
            prop_assert_eq!(spec, &expected(value));
        }
        prop_assert_eq!(&spec["containers"][0]["env"], &expected(&doubled)["containers"][0]["env"]);
        for map in items(spec, "volumes").filter_map(|v| v.get("configMap")) {
            prop_assert_eq!(text(map, "name"), value);
        }
        let mut seen = 0;
        for (container, plain) in containers(&after).zip(containers(&plain)) {
            let wanted: Vec<_> = given(plain).iter().map(|text| text.replace(PLAIN, value)).collect();
            seen += wanted.iter().filter(|text| text.contains(value)).count();
            prop_assert_eq!(given(container), wanted);
        }
        prop_assert!(seen > 0, "the value is nowhere");
    }

    #[test]
    fn names_of_pod_and_image_are_only_text(name in any_text(), image in any_text()) {
        let with = |name: &str, image: &str| {
            let mut case = case_with("agent", "motto", "x", true);
            case.pod["spec"]["containers"][0]["name"] = name.into();
            case.settings.image = image.into();
            case.injected().map(|(_, pod)| pod)
        };
        let (Some(after), Some(plain)) = (with(&name, &image), with(PLAIN, "plain")) else {
            return Ok(());
        };
        prop_assert_eq!(shape(&after["spec"]), shape(&plain["spec"]));
        let sidecar = containers(&after).find(|c| text(c, "name") == "it").unwrap();
        prop_assert_eq!(&given(sidecar)[0], &name);
    }
}

/// The JSON with every text emptied, and keys as they are.
fn shape(json: &Json) -> Json {
    match json {
        Json::String(_) => "".into(),
        Json::Array(items) => items.iter().map(shape).collect(),
        Json::Object(map) => {
            Json::Object(map.iter().map(|(key, value)| (key.clone(), shape(value))).collect())
        }
        other => other.clone(),
    }
}
