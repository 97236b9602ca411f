//! `$(name)`, the only substitution: compiled when a definition is loaded, filled in when a pod arrives.
//!
//! A value never adds structure: it becomes one scalar, or the items of one list of strings.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use serde_json::{Map, Value as Json};

use super::fields::{Field, field};
use super::parameter::{Kind, Parameter};
use super::value::{Value, split_path};

/// A piece of a definition with its substitutions found.
#[derive(Debug, Clone)]
pub(super) enum Template {
    /// Nothing to fill in anywhere below.
    Fixed(Json),
    /// A reference and nothing else: takes the type of its field.
    Whole(Reference, Field),
    /// Text with references in it.
    Text(Vec<Segment>, Field),
    /// A list, in which a list parameter alone becomes several items.
    List(Vec<Template>),
    /// A map.
    Map(Vec<(String, Template)>),
}

/// A part of a text.
#[derive(Debug, Clone)]
pub(super) enum Segment {
    Literal(String),
    Reference(Reference),
}

/// What `$(...)` stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reference {
    /// A parameter, by its place in the definition.
    Parameter(usize, Part),
    /// A value that every pod has.
    Builtin(Builtin),
}

/// What of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Whole,
    Directories,
    Parent,
    Name,
}

/// A value from the pod or the installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Builtin {
    AppName,
    AppRunAsUser,
    PodNamespace,
    Instance,
    Mode,
    Image,
}

const BUILTINS: [(&str, Builtin); 6] = [
    ("app.name", Builtin::AppName),
    ("app.runAsUser", Builtin::AppRunAsUser),
    ("pod.namespace", Builtin::PodNamespace),
    ("instance", Builtin::Instance),
    ("mode", Builtin::Mode),
    ("outrigger.image", Builtin::Image),
];

impl Builtin {
    /// The value of that name, such as `app.name`.
    pub(super) fn named(name: &str) -> Option<Self> {
        BUILTINS.iter().find(|(n, _)| *n == name).map(|(_, b)| *b)
    }

    /// All names.
    pub(super) fn names<'a>() -> impl Iterator<Item = &'a str> {
        BUILTINS.iter().map(|(name, _)| *name)
    }
}

/// The values for one instance in one pod.
#[derive(Debug, Clone)]
pub struct Values<'a> {
    /// By the parameters' places in the definition; nothing where nobody gave one.
    pub parameters: Vec<Option<Value>>,
    /// Name of the first app container that is wired up.
    pub app_name: &'a str,
    /// Its user, unless that is unknown or root.
    pub app_user: Option<i64>,
    /// The pod's namespace.
    pub namespace: &'a str,
    /// The instance.
    pub instance: &'a str,
    /// `native` or `container`.
    pub mode: &'static str,
    /// The image of Outrigger itself.
    pub image: &'a str,
}

impl Values<'_> {
    pub(super) fn builtin(&self, builtin: Builtin) -> Option<Value> {
        let text = match builtin {
            Builtin::AppRunAsUser => return self.app_user.map(Value::Integer),
            Builtin::AppName => self.app_name,
            Builtin::PodNamespace => self.namespace,
            Builtin::Instance => self.instance,
            Builtin::Mode => self.mode,
            Builtin::Image => self.image,
        };
        Some(Value::Text(text.to_owned()))
    }
}

/// A parameter's value that does not fit the field it goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderError {
    /// The parameter's place, or nothing for a value from the pod.
    pub parameter: Option<usize>,
    /// What the field needs.
    pub needs: &'static str,
}

/// What may be referred to in a piece.
pub(super) struct Scope<'a> {
    /// All parameters of the definition.
    pub(super) parameters: &'a IndexMap<String, Parameter>,
    /// Those that the piece's own conditions say are set.
    pub(super) guaranteed: BTreeSet<usize>,
    /// The environment of the container that is being read.
    pub(super) env: BTreeSet<String>,
    /// Parameters referred to so far.
    pub(super) used: BTreeSet<usize>,
    /// What is wrong: path and message.
    pub(super) faults: Vec<(String, String)>,
}

impl Scope<'_> {
    fn fault(&mut self, path: &str, message: String) {
        self.faults.push((path.to_owned(), message));
    }

    /// The template of `json`, which stands at `keys` (for its type) and at `path` (for people).
    pub(super) fn compile(&mut self, json: &Json, keys: &mut Vec<String>, path: &str) -> Template {
        let template = match json {
            Json::String(text) => self.leaf(text, keys, path),
            Json::Array(items) => Template::List(
                items
                    .iter()
                    .enumerate()
                    .map(|(n, item)| self.compile(item, keys, &format!("{path}[{n}]")))
                    .collect(),
            ),
            Json::Object(map) => {
                let entries = map.iter().map(|(key, value)| {
                    keys.push(key.clone());
                    let below = self.compile(value, keys, &format!("{path}.{key}"));
                    keys.pop();
                    (key.clone(), below)
                });
                Template::Map(entries.collect())
            }
            scalar => Template::Fixed(scalar.clone()),
        };
        template.settled()
    }

    fn leaf(&mut self, text: &str, keys: &[String], path: &str) -> Template {
        let keys: Vec<_> = keys.iter().map(String::as_str).collect();
        let kind = field(&keys);
        let mut segments = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            literal.push_str(&rest[..at]);
            let tail = &rest[at..];
            if let Some(inner) = tail.strip_prefix("$$") {
                // The kubelet turns `$$` into `$`; where it does not look, `$$(` is ours to turn into `$(`.
                let escape =
                    if kind == Field::Expanded || !inner.starts_with('(') { "$$" } else { "$" };
                literal.push_str(escape);
                rest = inner;
                continue;
            }
            let name = tail.strip_prefix("$(").and_then(|inner| inner.split_once(')'));
            let Some((name, after)) = name else {
                literal.push('$');
                rest = &tail[1..];
                continue;
            };
            if kind == Field::Expanded && !self.is_ours(name) && self.env.contains(name) {
                literal.push_str(&tail[..name.len() + 3]);
            } else if let Some(reference) = self.reference(name, kind, path) {
                if !literal.is_empty() {
                    segments.push(Segment::Literal(std::mem::take(&mut literal)));
                }
                segments.push(Segment::Reference(reference));
            }
            rest = after;
        }
        literal.push_str(rest);
        if segments.is_empty() {
            return Template::Fixed(Json::String(literal));
        }
        if !literal.is_empty() {
            segments.push(Segment::Literal(literal));
        }
        if let [Segment::Reference(reference)] = segments[..] {
            self.check_type(reference, kind, path);
            return Template::Whole(reference, kind);
        }
        if matches!(kind, Field::Integer | Field::Seconds | Field::Boolean) {
            self.fault(path, format!("{text:?} mixes text and a value where Kubernetes wants {}; write the $(name) alone", needs(kind)));
        }
        Template::Text(segments, kind)
    }

    fn is_ours(&self, name: &str) -> bool {
        Builtin::named(name).is_some()
            || self.parameters.contains_key(name.split('.').next().unwrap_or(name))
    }

    fn reference(&mut self, name: &str, kind: Field, path: &str) -> Option<Reference> {
        if kind == Field::Fixed {
            self.fault(path, format!("$({name}) cannot stand here; write the value out"));
            return None;
        }
        if let Some(builtin) = Builtin::named(name) {
            if builtin == Builtin::AppRunAsUser {
                self.fault(path, "app.runAsUser is not known of every pod; make it the defaultFrom of a parameter that has a default, and use that".into());
            }
            return Some(Reference::Builtin(builtin));
        }
        let parameters = self.parameters;
        let (base, part) = name.split_once('.').unwrap_or((name, ""));
        let Some((index, _, parameter)) = parameters.get_full(base) else {
            let known = parameters.keys().map(String::as_str).chain(Builtin::names());
            let near = crate::names::nearest(name, known)
                .map(|n| format!("did you mean $({n})? "))
                .unwrap_or_default();
            self.fault(path, format!("$({name}) is neither a parameter nor a value of the pod nor an env of this container; {near}declare it under spec.parameters, or write $$({name}) for the text itself"));
            return None;
        };
        self.used.insert(index);
        let part = match (part, parameter.kind) {
            ("", _) => Part::Whole,
            ("directories", Kind::Globs) => Part::Directories,
            ("parent", Kind::Path) => Part::Parent,
            ("name", Kind::Path) => Part::Name,
            (part, kind) => {
                self.fault(path, format!("type {kind} has no .{part}; write $({base}), or .directories of globs, .parent or .name of a path"));
                return None;
            }
        };
        if !parameter.always_set() && !self.guaranteed.contains(&index) {
            self.fault(path, format!("the parameter {base} may be unset here; give it a default, make it required, or move this into a `when: [{{parameter: {base}, ...}}]`"));
        }
        Some(Reference::Parameter(index, part))
    }

    /// Whether the parameter's type can become what the field needs.
    fn check_type(&mut self, reference: Reference, kind: Field, path: &str) {
        let Reference::Parameter(index, part) = reference else {
            if matches!(kind, Field::Integer | Field::Seconds | Field::Boolean) {
                self.fault(
                    path,
                    format!(
                        "Kubernetes wants {} here, and this value is text; use a parameter",
                        needs(kind)
                    ),
                );
            }
            return;
        };
        let Some((name, parameter)) = self.parameters.get_index(index) else { return };
        let fits = match (kind, parameter.kind) {
            (Field::Integer, Kind::Integer | Kind::Port | Kind::String)
            | (Field::Seconds, Kind::Integer | Kind::Duration | Kind::String)
            | (Field::Boolean, Kind::Boolean | Kind::String)
            | (Field::Port, Kind::Integer | Kind::Port | Kind::String) => part == Part::Whole,
            (Field::Integer | Field::Seconds | Field::Boolean | Field::Port, _) => false,
            (Field::Paths, Kind::Path) => true,
            (Field::Paths, kind) => {
                part == Part::Directories || matches!(kind, Kind::String | Kind::List)
            }
            (Field::Text | Field::Expanded | Field::Fixed, _) => true,
        };
        if !fits {
            let message = format!(
                "Kubernetes wants {} here, and the parameter {name} is of type {}; give it another type, or use another parameter",
                needs(kind),
                parameter.kind
            );
            self.fault(path, message);
        }
    }
}

impl Template {
    /// Fixed, if everything in it is.
    fn settled(self) -> Self {
        let fixed = |t: &Self| matches!(t, Self::Fixed(_));
        match self {
            Self::List(items) if items.iter().all(fixed) => {
                Self::Fixed(Json::Array(items.into_iter().filter_map(Self::into_fixed).collect()))
            }
            Self::Map(entries) if entries.iter().all(|(_, t)| fixed(t)) => {
                let entries = entries.into_iter().filter_map(|(k, t)| Some((k, t.into_fixed()?)));
                Self::Fixed(Json::Object(entries.collect()))
            }
            other => other,
        }
    }

    fn into_fixed(self) -> Option<Json> {
        match self {
            Self::Fixed(json) => Some(json),
            _ => None,
        }
    }

    /// Fills in the values.
    pub(super) fn render(&self, values: &Values<'_>) -> Result<Json, RenderError> {
        match self {
            Self::Fixed(json) => Ok(json.clone()),
            Self::Whole(reference, kind) => whole(*reference, *kind, values),
            Self::Text(segments, kind) => {
                let mut text = String::new();
                for segment in segments {
                    match segment {
                        Segment::Literal(literal) => text.push_str(literal),
                        Segment::Reference(reference) => {
                            text.push_str(&literal_text(
                                &lookup(*reference, values)?.to_string(),
                                *kind,
                            ));
                        }
                    }
                }
                Ok(Json::String(text))
            }
            Self::List(items) => {
                let mut list = Vec::with_capacity(items.len());
                for item in items {
                    match item.several(values)? {
                        Some(several) => list.extend(several),
                        None => list.push(item.render(values)?),
                    }
                }
                Ok(Json::Array(list))
            }
            Self::Map(entries) => {
                let mut map = Map::with_capacity(entries.len());
                for (key, value) in entries {
                    map.insert(key.clone(), value.render(values)?);
                }
                Ok(Json::Object(map))
            }
        }
    }

    /// The items of a list parameter that stands alone in a list of strings.
    fn several(&self, values: &Values<'_>) -> Result<Option<Vec<Json>>, RenderError> {
        let Self::Whole(reference, kind) = self else { return Ok(None) };
        let Value::List(items) = lookup(*reference, values)? else { return Ok(None) };
        Ok(Some(
            items.iter().map(|item| Json::String(literal_text(&item.to_string(), *kind))).collect(),
        ))
    }
}

/// A value's text, such that it is still that text when the kubelet has read it.
fn literal_text(text: &str, kind: Field) -> String {
    if kind == Field::Expanded { text.replace('$', "$$") } else { text.to_owned() }
}

fn lookup(reference: Reference, values: &Values<'_>) -> Result<Value, RenderError> {
    let missing = |parameter| RenderError { parameter, needs: "a value" };
    match reference {
        Reference::Builtin(builtin) => values.builtin(builtin).ok_or_else(|| missing(None)),
        Reference::Parameter(index, part) => {
            let value = values.parameters.get(index).and_then(Option::as_ref);
            let value = value.ok_or_else(|| missing(Some(index)))?;
            Ok(match part {
                Part::Whole => value.clone(),
                Part::Directories => {
                    Value::List(value.directories().into_iter().map(Value::Text).collect())
                }
                Part::Parent => Value::Text(split_path(&value.to_string()).0.to_owned()),
                Part::Name => Value::Text(split_path(&value.to_string()).1.to_owned()),
            })
        }
    }
}

/// A value alone in a field: of the type that the field needs.
fn whole(reference: Reference, kind: Field, values: &Values<'_>) -> Result<Json, RenderError> {
    let value = lookup(reference, values)?;
    let parameter = match reference {
        Reference::Parameter(index, _) => Some(index),
        Reference::Builtin(_) => None,
    };
    let misfit = || RenderError { parameter, needs: needs(kind) };
    match (kind, value) {
        (Field::Integer | Field::Seconds | Field::Port, Value::Integer(n)) => Ok(n.into()),
        (Field::Integer | Field::Seconds, Value::Text(text)) => {
            text.parse::<i64>().map(Into::into).map_err(|_| misfit())
        }
        (Field::Seconds, Value::Duration(_, nanos)) => {
            let seconds =
                (nanos % 1_000_000_000 == 0).then(|| i64::try_from(nanos / 1_000_000_000).ok());
            seconds.flatten().map(Into::into).ok_or_else(misfit)
        }
        (Field::Boolean, Value::Boolean(b)) => Ok(b.into()),
        (Field::Boolean, Value::Text(text)) => {
            text.parse::<bool>().map(Into::into).map_err(|_| misfit())
        }
        (Field::Integer | Field::Seconds | Field::Boolean, _) => Err(misfit()),
        (Field::Paths, Value::List(items)) => {
            Ok(items.iter().map(|i| Json::String(i.to_string())).collect())
        }
        (kind, value) => Ok(Json::String(literal_text(&value.to_string(), kind))),
    }
}

fn needs(kind: Field) -> &'static str {
    match kind {
        Field::Integer => "a whole number",
        Field::Seconds => "a whole number of seconds",
        Field::Boolean => "true or false",
        Field::Port => "a port",
        Field::Paths => "a path or a list of paths",
        Field::Text | Field::Expanded | Field::Fixed => "text",
    }
}
