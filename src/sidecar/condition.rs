//! `when`: under which conditions a piece of a definition is added.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::Mode;
use super::parameter::{Kind, Parameter, annotation_text};
use super::template::Values;

/// The keys of one condition.
pub(super) const KEYS: [&str; 5] = ["parameter", "value", "values", "not", "mode"];

/// One condition as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCondition {
    parameter: Option<String>,
    value: Option<Json>,
    values: Option<Vec<Json>>,
    not: Option<Json>,
    mode: Option<Mode>,
}

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Condition {
    /// The instance runs in this mode.
    Mode(Mode),
    /// The parameter has a value.
    Set(usize),
    /// The parameter has one of these values.
    OneOf(usize, Vec<String>),
    /// The parameter has another value than this, or none.
    Not(usize, String),
}

impl Condition {
    pub(super) fn holds(&self, mode: Mode, values: &Values<'_>) -> bool {
        let text = |index: usize| values.parameters.get(index)?.as_ref().map(ToString::to_string);
        match self {
            Self::Mode(wanted) => *wanted == mode,
            Self::Set(index) => text(*index).is_some(),
            Self::OneOf(index, wanted) => text(*index).is_some_and(|t| wanted.contains(&t)),
            Self::Not(index, unwanted) => text(*index).as_ref() != Some(unwanted),
        }
    }

    /// The condition that holds where this one does not, if it can be said.
    pub(super) fn contrary(&self) -> Option<Self> {
        match self {
            Self::Not(index, value) => Some(Self::OneOf(*index, vec![value.clone()])),
            Self::OneOf(index, values) if values.len() == 1 => {
                Some(Self::Not(*index, values[0].clone()))
            }
            Self::Mode(_) | Self::Set(_) | Self::OneOf(..) => None,
        }
    }

    /// Whether no pod can fulfil both.
    fn excludes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Mode(a), Self::Mode(b)) => a != b,
            (Self::OneOf(a, these), Self::OneOf(b, those)) => {
                a == b && !these.iter().any(|value| those.contains(value))
            }
            (Self::OneOf(a, these), Self::Not(b, not))
            | (Self::Not(b, not), Self::OneOf(a, these)) => {
                a == b && these.iter().all(|value| value == not)
            }
            _ => false,
        }
    }
}

/// Whether no pod can fulfil all of both.
pub(super) fn exclusive(these: &[Condition], those: &[Condition]) -> bool {
    these.iter().any(|a| those.iter().any(|b| a.excludes(b)))
}

/// The parameters that are set wherever the conditions hold.
pub(super) fn guaranteed(conditions: &[Condition]) -> BTreeSet<usize> {
    let set = conditions.iter().filter_map(|c| match c {
        Condition::Set(index) | Condition::OneOf(index, _) => Some(*index),
        Condition::Mode(_) | Condition::Not(..) => None,
    });
    set.collect()
}

/// The conditions in one object: a parameter's, a mode's, or both.
///
/// # Errors
/// What is wrong, and what would be right.
pub(super) fn read(
    map: Map<String, Json>,
    parameters: &IndexMap<String, Parameter>,
) -> Result<Vec<Condition>, String> {
    let raw: RawCondition = serde_json::from_value(Json::Object(map)).map_err(|e| e.to_string())?;
    let mut conditions: Vec<_> = raw.mode.into_iter().map(Condition::Mode).collect();
    let tests = usize::from(raw.value.is_some())
        + usize::from(raw.values.is_some())
        + usize::from(raw.not.is_some());
    let Some(name) = &raw.parameter else {
        return match (tests, conditions.is_empty()) {
            (0, false) => Ok(conditions),
            (0, true) => Err("no condition; write parameter, mode or all".into()),
            _ => Err("value, values and not need a parameter".into()),
        };
    };
    let Some((index, _, parameter)) = parameters.get_full(name) else {
        let near = crate::names::nearest(name, parameters.keys().map(String::as_str));
        let remedy = near.map_or_else(
            || "declare it under spec.parameters".to_owned(),
            |near| format!("did you mean {near}?"),
        );
        return Err(format!("there is no parameter {name:?}; {remedy}"));
    };
    let text = |json: &Json| -> Result<String, String> {
        let text = annotation_text(json).ok_or_else(|| {
            format!("{json} is no value; write a string, number, boolean or list of them")
        })?;
        parameter
            .parse(&text)
            .map(|v| v.to_string())
            .map_err(|m| format!("{text:?} {}; {}", m.cause, m.remedy))
    };
    conditions.push(match (raw.value, raw.values, raw.not) {
        (None, None, None) if parameter.always_set() => {
            let hint = if parameter.kind == Kind::Boolean { ", such as value: true" } else { "" };
            return Err(format!(
                "the parameter {name} is always set; say which value it must have{hint}"
            ));
        }
        (None, None, None) => Condition::Set(index),
        (Some(value), None, None) => Condition::OneOf(index, vec![text(&value)?]),
        (None, Some(values), None) if values.is_empty() => {
            return Err("`values` is empty; list one or more".into());
        }
        (None, Some(values), None) => {
            Condition::OneOf(index, values.iter().map(text).collect::<Result<_, _>>()?)
        }
        (None, None, Some(value)) => Condition::Not(index, text(&value)?),
        _ => return Err("value, values and not exclude each other; write one of them".into()),
    });
    Ok(conditions)
}
