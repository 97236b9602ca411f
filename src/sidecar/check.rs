//! What can be known of a definition before a pod arrives: it is filled in with sample values, with every
//! `when` and every pair of them, and what comes out must be valid core/v1.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

use super::compiled::Sidecar;
use super::condition::{Condition, exclusive};
use super::definition::{Faults, RawPiece};
use super::piece::{self, Paths, Piece};
use super::rules;
use super::template::Values;
use super::value::{Value, clean_path};
use super::{Mode, ModeChoice};
use crate::names;

/// All that is wrong with a compiled definition.
pub(super) fn check(sidecar: &Sidecar, pieces: &[RawPiece]) -> Faults {
    let mut checker = Checker { sidecar, pieces, active: Vec::new(), faults: Faults::new() };
    checker.check_merging();
    checker.check_secrets();
    checker.check_names();
    if !checker.faults.is_empty() {
        return checker.faults;
    }
    let combinations = combinations(pieces);
    for mode in [Mode::Native, Mode::Container] {
        if may_run(sidecar.mode, mode) {
            for wanted in &combinations {
                checker.check_combination(mode, wanted);
            }
        }
    }
    checker.faults
}

/// What to try: no condition, each `when`, each pair of them that can come together, and the contrary of each
/// condition that has one.
fn combinations(pieces: &[RawPiece]) -> Vec<Vec<Condition>> {
    let mut all = vec![Vec::new()];
    for (n, piece) in pieces.iter().enumerate().skip(1) {
        all.push(piece.conditions.clone());
        for other in &pieces[n + 1..] {
            if !exclusive(&piece.conditions, &other.conditions) {
                all.push([piece.conditions.as_slice(), &other.conditions].concat());
            }
        }
        all.extend(piece.conditions.iter().filter_map(Condition::contrary).map(|c| vec![c]));
    }
    all
}

fn may_run(choice: ModeChoice, mode: Mode) -> bool {
    match choice {
        ModeChoice::Auto => true,
        ModeChoice::Native => mode == Mode::Native,
        ModeChoice::Container => mode == Mode::Container,
    }
}

struct Checker<'a> {
    sidecar: &'a Sidecar,
    pieces: &'a [RawPiece],
    /// The pieces of the combination that is being tried.
    active: Vec<usize>,
    faults: Faults,
}

impl Checker<'_> {
    fn fault(&mut self, path: String, message: impl Into<String>) {
        let fault = (path, message.into());
        if !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }

    /// A scalar must have one source, whichever pieces come together.
    fn check_merging(&mut self) {
        let pieces = self.pieces;
        for (n, piece) in pieces.iter().enumerate() {
            for other in &pieces[n + 1..] {
                if exclusive(&piece.conditions, &other.conditions) {
                    continue;
                }
                let mut conflicts = Vec::new();
                let mut into = piece.body.clone();
                piece::merge(&mut into, other.body.clone(), &mut |path| conflicts.push(path));
                for path in conflicts {
                    self.fault(
                        format!("{}.{path}", other.path),
                        format!(
                            "set in {} too, and both can hold; leave it out of one of them",
                            piece.path
                        ),
                    );
                }
            }
        }
    }

    /// In a shared process namespace, who has the same user reads a container's files.
    fn check_secrets(&mut self) {
        let holds_secret = self.pieces.iter().any(|p| p.body.values().any(piece::mentions_secret));
        let users = self
            .sidecar
            .parameters
            .iter()
            .filter(|(_, p)| p.default_from.as_deref() == Some("app.runAsUser"));
        let users: Vec<_> = users.map(|(name, _)| name.clone()).collect();
        for name in users.into_iter().filter(|_| holds_secret) {
            self.fault(format!("spec.parameters.{name}.defaultFrom"), "a sidecar that holds a Secret must not share the application's user, who could read it; give it a user of its own by `default`");
        }
    }

    /// Names are suffixes: they stay within Kubernetes' limits whatever the instance is called.
    fn check_names(&mut self) {
        for piece in self.pieces {
            for key in ["containers", "initContainers", "volumes", "sharedVolumes"] {
                let Some(list) = piece.body.get(key) else { continue };
                let Some(list) = list.as_array() else {
                    self.fault(
                        format!("{}.{key}", piece.path),
                        "not a list; begin each item with a dash",
                    );
                    continue;
                };
                let mut seen = BTreeSet::new();
                for (n, item) in list.iter().enumerate() {
                    let path = format!("{}.{key}[{n}]", piece.path);
                    let name = match item.get("name") {
                        None if key.ends_with("ontainers") => "",
                        Some(Json::String(name))
                            if names::is_dns_label(name, names::MAX_SUFFIX) =>
                        {
                            name
                        }
                        other => {
                            let cause = other.map_or_else(
                                || "missing".to_owned(),
                                |name| format!("{name} cannot be a name here"),
                            );
                            self.fault(format!("{path}.name"), format!("{cause}; write at most {} lower-case letters, digits and dashes", names::MAX_SUFFIX));
                            continue;
                        }
                    };
                    if !seen.insert(name) {
                        let cause = if name.is_empty() {
                            "missing, as in an item before".to_owned()
                        } else {
                            format!("{name:?} comes twice in this list")
                        };
                        self.fault(format!("{path}.name"), format!("{cause}; choose another name"));
                    }
                }
            }
        }
    }

    fn check_combination(&mut self, mode: Mode, wanted: &[Condition]) {
        let Some(parameters) = self.samples(wanted) else { return };
        let values = Values {
            parameters,
            app_name: "app",
            app_user: Some(1000),
            namespace: "default",
            instance: "sample",
            mode: mode.word(),
            image: "outrigger",
        };
        let holds = |piece: &RawPiece| piece.conditions.iter().all(|c| c.holds(mode, &values));
        self.active = (0..self.pieces.len()).filter(|n| holds(&self.pieces[*n])).collect();
        match self.sidecar.render(mode, &values) {
            Ok(piece) => self.check_piece(&piece),
            Err(error) => {
                match error.parameter.and_then(|n| self.sidecar.parameters.get_index(n)) {
                    Some((name, p)) => {
                        let sample = p.sample();
                        self.fault(format!("spec.parameters.{name}"), format!("a value such as \"{sample}\" does not fit where it is used, which takes {}; choose another type, or a pattern and a default that fit", error.needs));
                    }
                    None => self.structure_fault(),
                }
            }
        }
    }

    /// Values that make the conditions hold, where that can be.
    fn samples(&self, wanted: &[Condition]) -> Option<Vec<Option<Value>>> {
        let parameters = &self.sidecar.parameters;
        let mut values: Vec<_> =
            parameters.values().map(|p| p.always_set().then(|| p.sample())).collect();
        for condition in wanted {
            let (index, value) = match condition {
                Condition::Mode(_) => continue,
                Condition::Set(index) => (index, parameters[*index].sample()),
                Condition::OneOf(index, texts) => {
                    (index, parameters[*index].parse(texts.first()?).ok()?)
                }
                Condition::Not(index, text) => (index, parameters[*index].other_sample(text)?),
            };
            values[*index] = Some(value);
        }
        let one_of = &self.sidecar.exactly_one_of;
        match (one_of.iter().filter(|n| values[**n].is_some()).count(), one_of.first()) {
            (0, Some(first)) => values[*first] = Some(parameters[*first].sample()),
            (0 | 1, _) => {}
            _ => return None,
        }
        Some(values)
    }

    /// Where the definition says this: the piece that holds `field` of the item, or the item at all.
    fn locate(&self, list: &str, name: Option<&str>, field: &str) -> String {
        let key = field.split(['.', '[']).next().unwrap_or_default();
        let label = name.unwrap_or("0");
        let has = |n: &usize, with_key: bool| {
            let items = self.pieces[*n].body.get(list).and_then(Json::as_array);
            let mut same = items
                .into_iter()
                .flatten()
                .filter(|item| item.get("name").and_then(Json::as_str) == name);
            same.any(|item| !with_key || item.get(key).is_some())
        };
        let found = self
            .active
            .iter()
            .rev()
            .find(|n| has(n, true))
            .or_else(|| self.active.iter().find(|n| has(n, false)));
        let path = found.map_or("spec", |n| self.pieces[*n].path.as_str());
        let dot = if field.is_empty() { "" } else { "." };
        format!("{path}.{list}[{label}]{dot}{field}")
    }

    /// Says which part of a piece is not shaped as it should be.
    fn structure_fault(&mut self) {
        for n in self.active.clone() {
            let piece = &self.pieces[n];
            if let Err(error) =
                serde_path_to_error::deserialize::<_, Piece>(Json::Object(piece.body.clone()))
            {
                return self
                    .fault(format!("{}.{}", piece.path, error.path()), error.inner().to_string());
            }
        }
        self.fault("spec".into(), "the values do not have the types that their fields need");
    }

    fn check_piece(&mut self, piece: &Piece) {
        if piece.containers.is_empty() {
            self.fault(
                "spec.containers".into(),
                "missing; a sidecar has at least one long-running container",
            );
        }
        let own = piece.volumes.iter().filter_map(|v| v.get("name")?.as_str());
        let volumes: BTreeSet<_> =
            own.chain(piece.shared_volumes.iter().map(|v| v.name.as_str())).collect();
        if volumes.len() < piece.volumes.len() + piece.shared_volumes.len() {
            self.fault(
                "spec.volumes".into(),
                "a volume of its own and a shared one have the same name; rename one of them",
            );
        }
        for container in &piece.containers {
            self.check_container("containers", container, piece, &volumes);
        }
        for container in &piece.init_containers {
            self.check_container("initContainers", container, piece, &volumes);
        }
        for volume in &piece.volumes {
            let name = volume.get("name").and_then(Json::as_str);
            for (at, message) in typed::<v1::Volume>(volume) {
                self.fault(self.locate("volumes", name, &at), message);
            }
            if volume.len() != 2 {
                self.fault(
                    self.locate("volumes", name, ""),
                    "a volume has a name and one source, such as emptyDir: {}",
                );
            }
        }
        for shared in &piece.shared_volumes {
            for (field, message) in shared_faults(shared) {
                self.fault(self.locate("sharedVolumes", Some(&shared.name), &field), message);
            }
        }
        for (n, variable) in piece.app.env.iter().enumerate() {
            for (at, message) in typed::<v1::EnvVar>(variable).into_iter().chain(unnamed(variable))
            {
                self.fault(format!("spec.app.env[{n}].{at}"), message);
            }
        }
        for (n, mount) in piece.app.volume_mounts.iter().enumerate() {
            for (at, message) in mount_faults(mount, &volumes) {
                self.fault(format!("spec.app.volumeMounts[{n}].{at}"), message);
            }
        }
    }

    fn check_container(
        &mut self,
        list: &str,
        container: &Map<String, Json>,
        piece: &Piece,
        volumes: &BTreeSet<&str>,
    ) {
        let name = container.get("name").and_then(Json::as_str);
        let mut named = container.clone();
        named.entry("name").or_insert_with(|| "sample".into());
        let mut found = typed::<v1::Container>(&named);
        if found.is_empty() {
            found = rules::broken(container, list == "initContainers");
        }
        if container.get("image").and_then(Json::as_str).unwrap_or_default().is_empty() {
            found.push(("image".into(), "missing; write the image to run".into()));
        }
        if container.contains_key("restartPolicy") {
            found.push(("restartPolicy".into(), "belongs to Outrigger, which sets it for native sidecars; leave it out and use spec.mode".into()));
        }
        let list_of = |key: &str| container.get(key).and_then(Json::as_array).into_iter().flatten();
        for (n, variable) in list_of("env").enumerate() {
            let missing = variable.as_object().and_then(unnamed);
            found.extend(missing.map(|(at, message)| (format!("env[{n}].{at}"), message)));
        }
        let mut paths = BTreeSet::new();
        for (n, mount) in list_of("volumeMounts").enumerate() {
            if let Json::Object(mount) = mount {
                let text = |key| mount.get(key).and_then(Json::as_str).unwrap_or_default();
                let name = text("name");
                let mut shared = piece.shared_volumes.iter().filter(|shared| shared.name == name);
                if shared.any(|shared| matches!(shared.app_path, Paths::Many(_))) {
                    found.push((format!("volumeMounts[{n}].name"), format!("{name:?} has several appPaths, and the sidecar has it at the same ones; leave this mount out")));
                }
                if let Some(path) = clean_path(text("mountPath"))
                    && !paths.insert(path.clone())
                {
                    found.push((
                        format!("volumeMounts[{n}].mountPath"),
                        format!("{path:?} is mounted twice; choose another path"),
                    ));
                }
                found.extend(
                    mount_faults(mount, volumes)
                        .into_iter()
                        .map(|(at, message)| (format!("volumeMounts[{n}].{at}"), message)),
                );
            }
        }
        for (field, message) in found {
            self.fault(self.locate(list, name, &field), message);
        }
    }
}

/// Kubernetes refuses a variable without name, which its types do not show.
fn unnamed(variable: &Map<String, Json>) -> Option<(String, String)> {
    let name = variable.get("name").is_none_or(|name| name.as_str() == Some(""));
    name.then(|| ("name".into(), "missing; write the variable's name".into()))
}

fn mount_faults(mount: &Map<String, Json>, volumes: &BTreeSet<&str>) -> Faults {
    let mut found = typed::<v1::VolumeMount>(mount);
    let name = mount.get("name").and_then(Json::as_str).unwrap_or_default();
    if !volumes.contains(name) {
        let near = names::nearest(name, volumes.iter().copied())
            .map(|n| format!("did you mean {n}? "))
            .unwrap_or_default();
        found.push((
            "name".into(),
            format!(
                "there is no volume {name:?} here; {near}declare it under volumes or sharedVolumes"
            ),
        ));
    }
    let at = mount.get("mountPath").and_then(Json::as_str).unwrap_or_default();
    if clean_path(at).is_none() {
        found.push((
            "mountPath".into(),
            format!("{at:?} is not an absolute path; begin with a slash"),
        ));
    }
    found
}

fn shared_faults(shared: &piece::SharedVolume) -> Faults {
    let mut volume = shared.volume.clone();
    volume.insert("name".into(), "sample".into());
    let mut found: Faults = typed::<v1::Volume>(&volume)
        .into_iter()
        .map(|(at, message)| (format!("volume.{at}"), message))
        .collect();
    if shared.volume.len() != 1 {
        found
            .push(("volume".into(), "a shared volume has one source, such as emptyDir: {}".into()));
    }
    for app_path in shared.app_path.all() {
        if clean_path(app_path).is_none_or(|p| p == "/") {
            found.push((
                "appPath".into(),
                format!("{app_path:?} is not an absolute path below /; write one such as /data"),
            ));
        }
    }
    match (&shared.sidecar_path, &shared.app_path) {
        (Some(_), Paths::Many(_)) => found.push((
            "sidecarPath".into(),
            "with several appPaths the sidecar has the same; leave it out".into(),
        )),
        (Some(at), Paths::One(_)) if clean_path(at).is_none_or(|p| p == "/") => {
            found.push((
                "sidecarPath".into(),
                format!("{at:?} is not an absolute path below /; write one such as /data"),
            ));
        }
        _ => {}
    }
    found
}

/// What keeps the map from being a valid object of Kubernetes: wrong types, fields that do not exist.
fn typed<T: DeserializeOwned>(map: &Map<String, Json>) -> Faults {
    let json = Json::Object(map.clone());
    if let Err(error) = serde_path_to_error::deserialize::<_, T>(&json) {
        return vec![(error.path().to_string(), error.inner().to_string())];
    }
    let mut unknown = Vec::new();
    let _ = serde_ignored::deserialize::<_, _, T>(&json, |at| unknown.push(at.to_string()));
    // Options show as `?` in the path, and are no part of what the user wrote.
    let clean = |at: String| at.replace("?.", "").replace(".?", "");
    unknown
        .into_iter()
        .map(|at| (clean(at), "unknown field; core/v1 has none of that name here".to_owned()))
        .collect()
}
