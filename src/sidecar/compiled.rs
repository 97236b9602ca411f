//! A sidecar that is ready to be used: its templates compiled, its conditions read.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use indexmap::IndexMap;
use serde_json::{Map, Value as Json};
use sha2::{Digest, Sha256};

use super::Mode;
use super::Parameter;
use super::condition::{self, Condition};
use super::definition::{self, Definition, Faults, ModeChoice, RawPiece, Reach, Select};
use super::piece::{self, Piece};
use super::template::{Builtin, RenderError, Scope, Template, Values};
use super::value::Value;

/// A sidecar: a definition that passed its checks.
#[derive(Debug, Clone)]
pub struct Sidecar {
    /// Its name.
    pub name: String,
    /// Which pods' it is.
    pub reach: Reach,
    /// The file that it came from, or `built-in`.
    pub source: String,
    /// What it does, in a sentence.
    pub description: String,
    /// Its inputs, in the order of the definition.
    pub parameters: IndexMap<String, Parameter>,
    /// Parameters, by their places, of which a pod must set exactly one.
    pub exactly_one_of: Vec<usize>,
    /// How its containers run.
    pub mode: ModeChoice,
    /// Which pods get it unasked.
    pub select: Option<Select>,
    /// A short digest of its specification.
    pub revision: String,
    /// The whole document as it was read.
    pub definition: Json,
    pieces: Vec<CompiledPiece>,
    /// Shared volumes that a container mounts by their names: no container gets these unasked.
    mounted_by_name: BTreeSet<String>,
}

#[derive(Debug, Clone)]
struct CompiledPiece {
    conditions: Vec<Condition>,
    template: Template,
}

impl Sidecar {
    /// Compiles a definition. What only shows when it is filled in is left to [`super::check`].
    pub(super) fn compile(
        name: String,
        reach: Reach,
        source: &str,
        document: Json,
    ) -> Result<(Self, Vec<RawPiece>), Faults> {
        let Definition { description, parameters, exactly_one_of, mode, select, pieces } =
            definition::read(&document)?;
        let mut faults = Faults::new();
        let mut used = BTreeSet::new();
        let mut compiled = Vec::new();
        for piece in &pieces {
            for condition in &piece.conditions {
                if let Condition::Set(index)
                | Condition::OneOf(index, _)
                | Condition::Not(index, _) = condition
                {
                    used.insert(*index);
                }
            }
            let template = compile_piece(piece, &pieces, &parameters, &mut used, &mut faults);
            compiled.push(CompiledPiece { conditions: piece.conditions.clone(), template });
        }
        for (index, name) in parameters.keys().enumerate() {
            if !used.contains(&index) {
                faults.push((
                    format!("spec.parameters.{name}"),
                    format!("never used; write $({name}) somewhere, or remove it"),
                ));
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let revision = revision(&document);
        let sidecar = Self {
            name,
            reach,
            source: source.to_owned(),
            description,
            parameters,
            exactly_one_of,
            mode,
            select,
            revision,
            definition: document,
            pieces: compiled,
            mounted_by_name: mounted_by_name(&pieces),
        };
        Ok((sidecar, pieces))
    }

    /// Whether some container mounts the shared volume by its name.
    #[must_use]
    pub fn mounts_by_name(&self, shared: &str) -> bool {
        self.mounted_by_name.contains(shared)
    }

    /// The value that a parameter takes from the pod, if its definition says so and the pod has one.
    #[must_use]
    pub fn value_from_pod(&self, parameter: &Parameter, values: &Values<'_>) -> Option<Value> {
        let builtin = Builtin::named(parameter.default_from.as_deref()?)?;
        let value = values.builtin(builtin)?;
        parameter.parse(&value.to_string()).ok()
    }

    /// What an instance with these values adds.
    ///
    /// # Errors
    /// The parameter whose value does not fit the field it goes to.
    pub fn render(&self, mode: Mode, values: &Values<'_>) -> Result<Piece, RenderError> {
        let mut whole = Map::new();
        let holds = |piece: &&CompiledPiece| piece.conditions.iter().all(|c| c.holds(mode, values));
        for piece in self.pieces.iter().filter(holds) {
            if let Json::Object(map) = piece.template.render(values)? {
                // Conflicts were refused when the definition was loaded.
                piece::merge(&mut whole, map, &mut |_| {});
            }
        }
        Piece::from_map(whole).ok_or(RenderError { parameter: None, needs: "what core/v1 says" })
    }
}

fn compile_piece(
    piece: &RawPiece,
    all: &[RawPiece],
    parameters: &IndexMap<String, Parameter>,
    used: &mut BTreeSet<usize>,
    faults: &mut Faults,
) -> Template {
    let mut scope = Scope {
        parameters,
        guaranteed: condition::guaranteed(&piece.conditions),
        env: BTreeSet::new(),
        used: BTreeSet::new(),
        faults: Vec::new(),
    };
    let mut entries = Vec::new();
    for (key, value) in &piece.body {
        let mut keys = vec![key.clone()];
        let path = format!("{}.{key}", piece.path);
        let template = match (key.as_str(), value) {
            ("containers" | "initContainers", Json::Array(containers)) => {
                let compiled = containers.iter().enumerate().map(|(n, container)| {
                    scope.env = env_of(key, container.get("name"), all);
                    scope.compile(container, &mut keys, &format!("{path}[{n}]"))
                });
                Template::List(compiled.collect())
            }
            _ => {
                scope.env.clear();
                scope.compile(value, &mut keys, &path)
            }
        };
        entries.push((key.clone(), template));
    }
    used.append(&mut scope.used);
    faults.append(&mut scope.faults);
    Template::Map(entries)
}

/// The environment of a container, over all pieces that have a part of it.
fn env_of(list: &str, name: Option<&Json>, pieces: &[RawPiece]) -> BTreeSet<String> {
    let parts = pieces.iter().filter_map(|p| p.body.get(list)?.as_array()).flatten();
    let same = parts.filter(|container| container.get("name") == name);
    let env = same.filter_map(|container| container.get("env")?.as_array()).flatten();
    env.filter_map(|variable| Some(variable.get("name")?.as_str()?.to_owned())).collect()
}

fn mounted_by_name(pieces: &[RawPiece]) -> BTreeSet<String> {
    let lists =
        pieces.iter().flat_map(|p| ["containers", "initContainers"].map(|key| p.body.get(key)));
    let containers = lists.flatten().filter_map(Json::as_array).flatten();
    let mounts = containers.filter_map(|c| c.get("volumeMounts")?.as_array()).flatten();
    mounts.filter_map(|m| Some(m.get("name")?.as_str()?.to_owned())).collect()
}

fn revision(document: &Json) -> String {
    let spec = document.get("spec").map(Json::to_string).unwrap_or_default();
    let mut text = String::with_capacity(10);
    for byte in Sha256::digest(spec).iter().take(5) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}
