//! What pods and namespaces ask for: lists of instances, and their parameters, most of them valid.

use std::collections::BTreeMap;

use outrigger::inject::{Namespace, Settings};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value as Json, json};

use crate::case::Case;
use crate::pods;
use crate::text::any_text;

type Annotations = BTreeMap<String, String>;

/// Instances and their sidecars.
const INSTANCES: [(&str, &str); 9] = [
    ("topz", "topz"),
    ("git-sync", "git-sync"),
    ("log", "log"),
    ("docs", "git-sync"),
    ("errors", "log"),
    ("agent", "agent"),
    ("sharer", "sharer"),
    ("beside", "beside"),
    ("local", "local"),
];

/// Instances that other ones, or the pod, leave no place for: names of their containers and volumes meet.
const AWKWARD: [(&str, &str); 6] = [
    ("docs-publish", "topz"),
    ("docs-init", "log"),
    ("agent-helper", "log"),
    ("outrigger", "sharer"),
    ("before", "before"),
    ("app", "topz"),
];

/// Items of a list that are no instance, or none that can be had.
const ODD_ITEMS: [&str; 11] =
    ["", "-topz", "-log", "none", "tpoz", "true", "a=b=c", "x=faulty", "Topz", "topz", "$(x)"];

fn values(parameter: &str) -> &'static [&'static str] {
    match parameter {
        "port" => &["8090", "8091", "8092", "2021", "2022", "9000", "53", " 70 "],
        "repo" => &["https://example.com/a.git", "git@host:a/b", "$(repo)", "x\"'{}"],
        "path" | "inbox" | "outbox" | "home" => &[
            "/var/www/html",
            "/content",
            "/var/log/app",
            "/var/log/",
            "/data",
            "/a//b/./c",
            "/cache",
            "/etc",
            "/etc/app",
            "/srv/www",
            "/home/app/data",
        ],
        "paths" => &[
            "/var/log/*.log",
            "/var/log/app/a.log,/var/log/*.log",
            "/data/{a,b}/*.txt, /srv/x/y",
            "/var/lib/outrigger/x/*",
            "/var/run/secrets/kubernetes.io/*",
            "/var/www/html/access.log",
            "/x/y,/x/y/",
            "/srv/*",
            "/opt/{a,b}/c,/srv/d",
        ],
        "period" | "refresh" => &["30s", "1h30m", "1.5s"],
        "wait" | "metrics" | "knownHosts" => &["true", "false"],
        "layout" => &["publish", "parent", "link"],
        "user" => &["1000", "65533"],
        "image" => &["outrigger:one", "own:2", "$(x)"],
        "memory" => &["1", "0", "16Mi", "64Mi"],
        "memoryLimit" => &["64Mi", "1Gi", "32Mi", "12E", "1"],
        "cpu" | "sizeLimit" | "maxLine" => &["1", "64Mi", "0", "12E"],
        "sshSecret" | "basicAuthSecret" => &["key", "s.1"],
        "reclaim" => &["none", "rotated", "punch"],
        "redact" | "multilineStart" | "motto" | "text" => &["a", "$(x)", "\"", "^\\d+ {}", "a\nb"],
        "flags" => &["-a", "-a, -b\n-c", "{x,y}"],
        "mode" => &["native", "container"],
        "containers" => &["*", "*", "*", "*", "*", "app", "web", "setup", "app, web", ","],
        _ => &["1"],
    }
}

/// The parameters of a sidecar, those that it needs first.
fn parameters(sidecar: &str) -> (&'static [&'static str], &'static [&'static str]) {
    match sidecar {
        "topz" => (&[], &["port", "refresh", "redact", "metrics", "user", "cpu", "memoryLimit"]),
        "git-sync" => (
            &["repo", "path"],
            &["period", "layout", "wait", "port", "sshSecret", "basicAuthSecret", "knownHosts"],
        ),
        "log" => {
            (&["paths"], &["multilineStart", "reclaim", "sizeLimit", "maxLine", "image", "memory"])
        }
        "agent" => (&[], &["inbox", "outbox", "home", "port", "motto"]),
        "sharer" => (&["paths"], &["user", "flags"]),
        "local" => (&[], &["text"]),
        _ => (&[], &[]),
    }
}

fn value(parameter: &'static str) -> BoxedStrategy<String> {
    let valid = select(values(parameter)).prop_map(str::to_owned);
    prop_oneof![40 => valid, 1 => any_text()].boxed()
}

fn parameter(instance: &str, name: &'static str, chance: f64) -> BoxedStrategy<Annotations> {
    let key = format!("{instance}.outrigger.dev/{name}");
    proptest::option::weighted(chance, value(name))
        .prop_map(move |value| value.map(|value| (key.clone(), value)).into_iter().collect())
        .boxed()
}

fn annotations_of(instance: &'static str, sidecar: &str) -> BoxedStrategy<Annotations> {
    let (needed, others) = parameters(sidecar);
    let mut all: Vec<_> = needed.iter().map(|name| parameter(instance, name, 0.97)).collect();
    all.extend(others.iter().map(|name| parameter(instance, name, 0.25)));
    all.push(parameter(instance, "containers", 0.2));
    all.push(parameter(instance, "mode", 0.1));
    all.push(parameter(instance, "nonsense", 0.01));
    all.prop_map(|parts| parts.into_iter().flatten().collect()).boxed()
}

/// Annotations that ask for some of the instances, `most` of them at the most.
fn ask(most: usize) -> BoxedStrategy<Annotations> {
    let chosen = proptest::sample::subsequence(INSTANCES.to_vec(), 0..=most).prop_shuffle();
    let awkward = proptest::option::weighted(0.15, select(AWKWARD.as_slice()));
    (chosen, awkward)
        .prop_flat_map(|(mut chosen, awkward)| {
            chosen.extend(awkward);
            let parts: Vec<_> = chosen
                .iter()
                .map(|(instance, sidecar)| annotations_of(instance, sidecar))
                .collect();
            let items: Vec<_> = chosen
                .iter()
                .map(|(instance, sidecar)| {
                    if instance == sidecar {
                        (*instance).to_owned()
                    } else {
                        format!("{instance}={sidecar}")
                    }
                })
                .collect();
            let odd = proptest::option::weighted(0.06, select(ODD_ITEMS.as_slice()));
            let separator = select([",", ", ", "\n", " ,, "].as_slice());
            (parts, Just(items), odd, separator).prop_map(|(parts, mut items, odd, separator)| {
                items.extend(odd.map(str::to_owned));
                let mut all: Annotations = parts.into_iter().flatten().collect();
                if !items.is_empty() {
                    all.insert("outrigger.dev/inject".into(), items.join(separator));
                }
                all
            })
        })
        .boxed()
}

fn settings() -> BoxedStrategy<Settings> {
    let none = Vec::new;
    let given = select(vec![
        none(),
        none(),
        none(),
        none(),
        vec![("topz", "port", "8095"), ("log", "reclaim", "rotated")],
        vec![("git-sync", "port", "8096"), ("local", "mode", "native")],
        vec![("agent", "port", "8097"), ("git-sync", "depth", "x")],
    ]);
    let map = |given: Vec<(&str, &str, &str)>| {
        let mut map: BTreeMap<String, Annotations> = BTreeMap::new();
        for (sidecar, parameter, value) in given {
            map.entry(sidecar.into()).or_default().insert(parameter.into(), value.into());
        }
        map
    };
    let pinned = prop_oneof![7 => Just(Vec::new()), 1 => given.clone()];
    let image = select(["outrigger:one", "registry/outrigger:2"].as_slice());
    (any::<bool>(), image, given, pinned)
        .prop_map(move |(native, image, defaults, pinned)| Settings {
            native,
            image: image.into(),
            defaults: map(defaults),
            pinned: map(pinned),
        })
        .boxed()
}

fn with_annotations(pod: &mut Json, annotations: Annotations) {
    if annotations.is_empty() {
        return;
    }
    let pod = pod.as_object_mut().unwrap();
    let metadata = pod.entry("metadata").or_insert(Json::Null);
    if metadata.is_null() {
        *metadata = json!({});
    }
    let map = metadata.as_object_mut().unwrap().entry("annotations").or_insert(Json::Null);
    if map.is_null() {
        *map = Json::Object(Map::new());
    }
    for (key, value) in annotations {
        map.as_object_mut().unwrap().insert(key, value.into());
    }
}

/// A pod with what it asks for, in its namespace and installation.
pub(crate) fn case() -> BoxedStrategy<Case> {
    let namespace = prop_oneof![2 => Just(Annotations::new()), 1 => ask(3)];
    let name = select(["default", "default", "other"].as_slice());
    let asked = prop_oneof![1 => Just(Annotations::new()), 9 => ask(4)];
    (pods::pod(), asked, name, namespace, settings())
        .prop_map(|(mut pod, asked, name, annotations, settings)| {
            with_annotations(&mut pod, asked);
            Case { pod, namespace: Namespace { name: name.into(), annotations }, settings }
        })
        .boxed()
}
