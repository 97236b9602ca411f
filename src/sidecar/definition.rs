//! A definition as it is written: read, and its parts told apart.

use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::condition::{self, Condition};
use super::parameter::{Parameter, RawParameter, one_of};
use super::piece;
use super::template::Builtin;
use crate::names;

/// What is wrong with a definition: path inside the document, and a sentence.
pub(super) type Faults = Vec<(String, String)>;

/// Which pods' definition it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// `ClusterSidecar`: pods of every namespace.
    Cluster,
    /// `Sidecar`: pods of this namespace.
    Namespace(String),
}

/// How the long-running containers run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum ModeChoice {
    /// Natively where the cluster can.
    #[default]
    Auto,
    /// As native sidecars or not at all.
    Native,
    /// As plain containers.
    Container,
}

/// Which pods get the sidecar without asking.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Select {
    /// Namespaces, by their labels.
    pub namespaces: LabelSelector,
    /// Pods, by their labels.
    pub pods: LabelSelector,
    /// Whether a pod cannot take it away.
    pub required: bool,
}

/// A label selector of Kubernetes (meta/v1).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LabelSelector {
    /// Labels that must have these values.
    pub match_labels: IndexMap<String, String>,
    /// Requirements that must hold.
    pub match_expressions: Vec<Requirement>,
}

/// One requirement of a label selector.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// The label.
    pub key: String,
    /// What must hold.
    pub operator: Operator,
    /// The values that `In` and `NotIn` mean.
    #[serde(default)]
    pub values: Vec<String>,
}

/// What a requirement asks of a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Operator {
    /// One of the values.
    In,
    /// None of the values.
    NotIn,
    /// Present.
    Exists,
    /// Absent.
    DoesNotExist,
}

/// A definition whose parts are told apart, before its templates are compiled.
#[derive(Debug)]
pub(super) struct Definition {
    pub(super) description: String,
    pub(super) parameters: IndexMap<String, Parameter>,
    pub(super) exactly_one_of: Vec<usize>,
    pub(super) mode: ModeChoice,
    pub(super) select: Option<Select>,
    pub(super) pieces: Vec<RawPiece>,
}

/// What is added, and when.
#[derive(Debug)]
pub(super) struct RawPiece {
    /// Where it stands: `spec` or `spec.when[2]`.
    pub(super) path: String,
    pub(super) conditions: Vec<Condition>,
    pub(super) body: Map<String, Json>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawSpec {
    #[serde(default)]
    description: String,
    #[serde(default)]
    parameters: IndexMap<String, Json>,
    #[serde(default)]
    exactly_one_of: Vec<String>,
    #[serde(default)]
    mode: ModeChoice,
    select: Option<Select>,
    #[serde(default)]
    when: Vec<Map<String, Json>>,
}

const SPEC_KEYS: [&str; 6] =
    ["description", "parameters", "exactlyOneOf", "mode", "select", "when"];

/// Name and reach of a definition.
pub(super) fn header(document: &Json) -> Result<(String, Reach), (String, String)> {
    let at = |path: &str, message: String| (path.to_owned(), message);
    if !document.is_object() {
        return Err(at(
            "",
            "not a definition; begin with apiVersion, kind, metadata and spec".into(),
        ));
    }
    let text = |pointer: &str| document.pointer(pointer).and_then(Json::as_str).unwrap_or_default();
    let version = text("/apiVersion");
    if version != names::API_VERSION {
        return Err(at(
            "apiVersion",
            format!("{version:?} is not known; write {}", names::API_VERSION),
        ));
    }
    let reach = match text("/kind") {
        "ClusterSidecar" => Reach::Cluster,
        "Sidecar" => Reach::Namespace(match text("/metadata/namespace") {
            "" => "default".to_owned(),
            namespace => namespace.to_owned(),
        }),
        other => {
            return Err(at(
                "kind",
                format!(
                    "{other:?} is not a kind of {version}; write ClusterSidecar, or Sidecar for one namespace"
                ),
            ));
        }
    };
    let name = text("/metadata/name");
    if !names::is_dns_label(name, names::MAX_NAME) {
        return Err(at(
            "metadata.name",
            format!(
                "{name:?} cannot be a sidecar's name; write at most {} lower-case letters, digits and dashes",
                names::MAX_NAME
            ),
        ));
    }
    if names::NO_SIDECARS.contains(&name) {
        return Err(at(
            "metadata.name",
            format!("{name:?} means something else in {}; choose another name", names::INJECT),
        ));
    }
    Ok((name.to_owned(), reach))
}

/// Reads a whole definition.
pub(super) fn read(document: &Json) -> Result<Definition, Faults> {
    for (key, _) in document.as_object().into_iter().flatten() {
        if !["apiVersion", "kind", "metadata", "spec", "status"].contains(&key.as_str()) {
            return Err(vec![(
                key.clone(),
                "unknown field; a definition has apiVersion, kind, metadata and spec".into(),
            )]);
        }
    }
    let Some(Json::Object(spec)) = document.get("spec") else {
        return Err(vec![("spec".into(), "missing; write what the sidecar consists of".into())]);
    };
    let (own, body) = split(spec, &SPEC_KEYS, "spec")?;
    let raw: RawSpec = serde_path_to_error::deserialize(Json::Object(own))
        .map_err(|e| vec![(format!("spec.{}", e.path()), e.inner().to_string())])?;
    let mut faults = Faults::new();
    if raw.description.trim().is_empty() {
        faults.push((
            "spec.description".into(),
            "missing; say in a sentence what the sidecar does".into(),
        ));
    }
    let parameters = read_parameters(raw.parameters, &mut faults);
    if !faults.is_empty() {
        return Err(faults);
    }
    let mut exactly_one_of = Vec::new();
    for (n, name) in raw.exactly_one_of.iter().enumerate() {
        match parameters.get_full(name) {
            Some((_, _, p)) if p.always_set() => faults.push((
                format!("spec.exactlyOneOf[{n}]"),
                format!("{name} is always set; remove its default or `required`"),
            )),
            Some((index, _, _)) => exactly_one_of.push(index),
            None => faults.push((
                format!("spec.exactlyOneOf[{n}]"),
                format!("there is no parameter {name:?}; declare it under spec.parameters"),
            )),
        }
    }
    let mut pieces = vec![RawPiece { path: "spec".into(), conditions: Vec::new(), body }];
    for (n, when) in raw.when.into_iter().enumerate() {
        match read_when(&when, n, &parameters) {
            Ok(piece) => pieces.push(piece),
            Err(mut found) => faults.append(&mut found),
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(Definition {
        description: raw.description,
        parameters,
        exactly_one_of,
        mode: raw.mode,
        select: raw.select,
        pieces,
    })
}

fn read_parameters(
    raw: IndexMap<String, Json>,
    faults: &mut Faults,
) -> IndexMap<String, Parameter> {
    let mut parameters = IndexMap::new();
    for (name, json) in raw {
        let path = format!("spec.parameters.{name}");
        let letters = name.bytes().all(|b| b.is_ascii_alphanumeric())
            && name.starts_with(|c: char| c.is_ascii_lowercase());
        if !letters || name.len() > 63 {
            faults.push((
                path,
                "cannot be a parameter's name; write at most 63 letters and digits in camelCase"
                    .into(),
            ));
            continue;
        }
        if names::RESERVED_PARAMETERS.contains(&name.as_str()) {
            faults.push((
                path,
                format!(
                    "{name} is reserved; choose another name than {}",
                    one_of(&names::RESERVED_PARAMETERS)
                ),
            ));
            continue;
        }
        let raw: RawParameter = match serde_path_to_error::deserialize(json) {
            Ok(raw) => raw,
            Err(e) => {
                let inside = e.path().to_string();
                let path = if inside == "." { path } else { format!("{path}.{inside}") };
                faults.push((path, e.inner().to_string()));
                continue;
            }
        };
        match Parameter::compile(raw) {
            Ok(parameter) => {
                let unknown =
                    parameter.default_from.as_deref().filter(|from| Builtin::named(from).is_none());
                if let Some(unknown) = unknown {
                    let known: Vec<_> = Builtin::names().collect();
                    faults.push((
                        format!("{path}.defaultFrom"),
                        format!("{unknown:?} is not a value of the pod; write {}", one_of(&known)),
                    ));
                }
                parameters.insert(name, parameter);
            }
            Err((field, message)) => faults.push((format!("{path}.{field}"), message)),
        }
    }
    parameters
}

fn read_when(
    when: &Map<String, Json>,
    n: usize,
    parameters: &IndexMap<String, Parameter>,
) -> Result<RawPiece, Faults> {
    let path = format!("spec.when[{n}]");
    let mut keys = condition::KEYS.to_vec();
    keys.push("all");
    let (mut own, body) = split(when, &keys, &path)?;
    let fault = |message: String| vec![(path.clone(), message)];
    let all = own.remove("all");
    let mut conditions = Vec::new();
    match all {
        None => conditions = condition::read(own, parameters).map_err(fault)?,
        Some(Json::Array(list)) if own.is_empty() && !list.is_empty() => {
            for (m, one) in list.into_iter().enumerate() {
                let at = |message: String| vec![(format!("{path}.all[{m}]"), message)];
                let Json::Object(one) = one else {
                    return Err(
                        at("not a condition; write {parameter: ...} or {mode: ...}".into()),
                    );
                };
                conditions.extend(condition::read(one, parameters).map_err(at)?);
            }
        }
        Some(_) => {
            return Err(fault(
                "`all` is a list of conditions, and stands instead of a single one".into(),
            ));
        }
    }
    if body.is_empty() {
        return Err(fault(format!("adds nothing; write {}", one_of(&piece::KEYS))));
    }
    Ok(RawPiece { path, conditions, body })
}

/// What belongs to a piece, and the rest; a key that is neither is a fault.
#[expect(clippy::type_complexity, reason = "the two halves of one map")]
fn split(
    map: &Map<String, Json>,
    own: &[&str],
    path: &str,
) -> Result<(Map<String, Json>, Map<String, Json>), Faults> {
    let (mut rest, mut body, mut faults) = (Map::new(), Map::new(), Faults::new());
    for (key, value) in map {
        if piece::KEYS.contains(&key.as_str()) {
            body.insert(key.clone(), value.clone());
        } else if own.contains(&key.as_str()) {
            rest.insert(key.clone(), value.clone());
        } else {
            let known: Vec<_> = own.iter().chain(&piece::KEYS).copied().collect();
            let near = names::nearest(key, known.iter().copied())
                .map(|n| format!("did you mean {n}? "))
                .unwrap_or_default();
            faults.push((
                format!("{path}.{key}"),
                format!("unknown field; {near}write {}", one_of(&known)),
            ));
        }
    }
    if faults.is_empty() { Ok((rest, body)) } else { Err(faults) }
}
