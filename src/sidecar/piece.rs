//! What a definition adds to a pod, filled in: the parts of a sidecar that are Kubernetes' own types.

use serde::Deserialize;
use serde_json::{Map, Value as Json};

/// The keys of a piece, at the top of `spec` and in each `when`.
pub(super) const KEYS: [&str; 7] = [
    "containers",
    "initContainers",
    "sharedVolumes",
    "volumes",
    "app",
    "shareProcessNamespace",
    "apiToken",
];

/// The lists whose items merge by name; every other list appends.
const NAMED_LISTS: [&str; 4] = ["containers", "initContainers", "sharedVolumes", "volumes"];

/// What one instance adds to a pod. Names are still the definition's own.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Piece {
    /// Long-running containers, core/v1; the name is a suffix, and may be absent.
    pub containers: Vec<Map<String, Json>>,
    /// One-shot containers, core/v1.
    pub init_containers: Vec<Map<String, Json>>,
    /// Volumes that the application sees too.
    pub shared_volumes: Vec<SharedVolume>,
    /// Volumes of the sidecar alone, core/v1.
    pub volumes: Vec<Map<String, Json>>,
    /// What the application's containers get besides.
    pub app: App,
    /// Whether the sidecar must see the application's processes.
    pub share_process_namespace: bool,
    /// Whether the sidecar's containers get a ServiceAccount token.
    pub api_token: bool,
}

/// One volume seen by the application and by the sidecar.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SharedVolume {
    /// Its name in the definition.
    pub name: String,
    /// Its source, core/v1, without name.
    pub volume: Map<String, Json>,
    /// Where the application sees it.
    pub app_path: Paths,
    /// Whether the application may only read.
    #[serde(default)]
    pub app_read_only: bool,
    /// Where the sidecar's containers see it; the application's path if unset. A container that mounts
    /// the volume by its name says so itself, and then no other gets it unasked.
    pub sidecar_path: Option<String>,
    /// Whether the sidecar only reads.
    #[serde(default)]
    pub sidecar_read_only: bool,
    /// What to do where the application has mounted something already.
    #[serde(default)]
    pub if_mounted: IfMounted,
}

/// One path or several.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Paths {
    /// The volume is mounted there whole.
    One(String),
    /// Each path is a directory of the volume, named like the path.
    Many(Vec<String>),
}

impl Paths {
    /// All of them.
    #[must_use]
    pub fn all(&self) -> &[String] {
        match self {
            Self::One(path) => std::slice::from_ref(path),
            Self::Many(paths) => paths,
        }
    }
}

impl Piece {
    /// The same as reading it through serde, but what it holds is moved: a request would otherwise build every
    /// container twice. Nothing, if it is not shaped like a piece; serde says why ([`super::check`]).
    pub(super) fn from_map(mut map: Map<String, Json>) -> Option<Self> {
        let app = match map.remove("app") {
            None => App::default(),
            Some(Json::Object(mut app)) => App {
                env: objects(&mut app, "env")?,
                volume_mounts: objects(&mut app, "volumeMounts")?,
            },
            Some(_) => return None,
        };
        let shared = objects(&mut map, "sharedVolumes")?;
        Some(Self {
            containers: objects(&mut map, "containers")?,
            init_containers: objects(&mut map, "initContainers")?,
            shared_volumes: shared
                .into_iter()
                .map(SharedVolume::from_map)
                .collect::<Option<_>>()?,
            volumes: objects(&mut map, "volumes")?,
            app,
            share_process_namespace: flag(&map, "shareProcessNamespace")?,
            api_token: flag(&map, "apiToken")?,
        })
    }
}

impl SharedVolume {
    fn from_map(mut map: Map<String, Json>) -> Option<Self> {
        let volume = match map.remove("volume") {
            Some(Json::Object(volume)) => volume,
            _ => return None,
        };
        // What is left is small.
        let mut rest: Self = {
            map.insert("volume".into(), Json::Object(Map::new()));
            serde_json::from_value(Json::Object(map)).ok()?
        };
        rest.volume = volume;
        Some(rest)
    }
}

/// A list of objects, empty if there is none.
fn objects(map: &mut Map<String, Json>, key: &str) -> Option<Vec<Map<String, Json>>> {
    let items = match map.remove(key) {
        None => return Some(Vec::new()),
        Some(Json::Array(items)) => items.into_iter(),
        Some(_) => return None,
    };
    let object = |item| if let Json::Object(object) = item { Some(object) } else { None };
    items.map(object).collect()
}

fn flag(map: &Map<String, Json>, key: &str) -> Option<bool> {
    map.get(key).map_or(Some(false), Json::as_bool)
}

/// What to do where the application has mounted something already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum IfMounted {
    /// It is a problem.
    #[default]
    Refuse,
    /// Join the volume that is mounted there, or above.
    Reuse,
}

/// What the application's containers get besides shared volumes.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct App {
    /// Environment variables, core/v1.
    pub env: Vec<Map<String, Json>>,
    /// Mounts of the definition's volumes, core/v1.
    pub volume_mounts: Vec<Map<String, Json>>,
}

/// Merges `from` into `into`: named lists by name, other lists append, maps merge. Of a scalar that is set
/// twice the first stays, and its path is given to `conflict`.
pub(super) fn merge(
    into: &mut Map<String, Json>,
    from: Map<String, Json>,
    conflict: &mut dyn FnMut(String),
) {
    for (key, new) in from {
        match into.get_mut(&key) {
            None => {
                into.insert(key, new);
            }
            Some(Json::Array(old)) if NAMED_LISTS.contains(&key.as_str()) => {
                merge_named(&key, old, new, conflict);
            }
            Some(old) => merge_values(&key, old, new, conflict),
        }
    }
}

fn merge_named(key: &str, old: &mut Vec<Json>, new: Json, conflict: &mut dyn FnMut(String)) {
    let Json::Array(new) = new else { return conflict(key.to_owned()) };
    for item in new {
        let name = item.get("name").cloned();
        match old.iter_mut().find(|o| o.get("name") == name.as_ref()) {
            None => old.push(item),
            Some(same) => {
                let mut item = item;
                if let Json::Object(map) = &mut item {
                    map.remove("name");
                }
                let label = name.as_ref().and_then(Json::as_str).unwrap_or("0");
                merge_values(&format!("{key}[{label}]"), same, item, conflict);
            }
        }
    }
}

fn merge_values(path: &str, old: &mut Json, new: Json, conflict: &mut dyn FnMut(String)) {
    match (old, new) {
        (Json::Object(old), Json::Object(new)) => {
            for (key, new) in new {
                match old.get_mut(&key) {
                    None => {
                        old.insert(key, new);
                    }
                    Some(old) => merge_values(&format!("{path}.{key}"), old, new, conflict),
                }
            }
        }
        (Json::Array(old), Json::Array(new)) => old.extend(new),
        _ => conflict(path.to_owned()),
    }
}

/// Whether a Secret is referred to anywhere in a volume or a variable.
#[must_use]
pub fn mentions_secret(json: &Json) -> bool {
    match json {
        Json::Object(map) => map.iter().any(|(key, value)| {
            matches!(key.as_str(), "secret" | "secretKeyRef" | "secretRef")
                || mentions_secret(value)
        }),
        Json::Array(items) => items.iter().any(mentions_secret),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(old: Json, new: Json, expected: &Json, conflicts: &[&str]) {
        let (Json::Object(mut into), Json::Object(from)) = (old, new) else { panic!("maps") };
        let mut found = Vec::new();
        merge(&mut into, from, &mut |path| found.push(path));
        assert_eq!(&Json::Object(into), expected);
        assert_eq!(found, conflicts);
    }

    #[test]
    fn merging() {
        check(
            json!({"containers": [{"args": ["a"], "env": [{"name": "A"}]}, {"name": "b", "image": "x"}]}),
            json!({"containers": [{"args": ["b"], "env": [{"name": "A"}]}, {"name": "b", "tty": true}, {"name": "c"}]}),
            &json!({"containers": [
                {"args": ["a", "b"], "env": [{"name": "A"}, {"name": "A"}]},
                {"name": "b", "image": "x", "tty": true},
                {"name": "c"},
            ]}),
            &[],
        );
        check(
            json!({"containers": [{"image": "a"}], "apiToken": false}),
            json!({"containers": [{"image": "b"}], "apiToken": true}),
            &json!({"containers": [{"image": "a"}], "apiToken": false}),
            &["containers[0].image", "apiToken"],
        );
        check(
            json!({"app": {"env": [1]}}),
            json!({"app": {"env": [2], "volumeMounts": []}}),
            &json!({"app": {"env": [1, 2], "volumeMounts": []}}),
            &[],
        );
    }
}
