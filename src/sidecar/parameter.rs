//! Parameters: their types, what they allow, and how a text becomes a value.

use std::fmt;

use regex::Regex;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::value::{self, Value};

/// The type of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Any text.
    String,
    /// A whole number of 64 bits.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// A port, 1 to 65535.
    Port,
    /// An absolute path that does not climb; offers `.parent` and `.name`.
    Path,
    /// A Go duration, such as `30s` or `1h30m`.
    Duration,
    /// A Kubernetes quantity, such as `100m` or `64Mi`.
    Quantity,
    /// Absolute paths with wildcards, separated by commas; offers `.directories`.
    Globs,
    /// Values of one type, separated by commas.
    List,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Boolean => "boolean",
            Self::Port => "port",
            Self::Path => "path",
            Self::Duration => "duration",
            Self::Quantity => "quantity",
            Self::Globs => "globs",
            Self::List => "list",
        })
    }
}

/// Who may set a parameter, besides the administrator who pins it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
pub enum Setter {
    /// The pod's annotations.
    Pod,
    /// The namespace's annotations.
    Namespace,
    /// The installation's defaults.
    Installation,
}

impl fmt::Display for Setter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pod => "Pod",
            Self::Namespace => "Namespace",
            Self::Installation => "Installation",
        })
    }
}

/// A parameter as its definition writes it.
#[derive(Debug, Clone, Deserialize)]
#[serde(
    rename_all = "camelCase",
    deny_unknown_fields,
    expecting = "a map such as {type: string, description: ...}"
)]
pub(super) struct RawParameter {
    r#type: Kind,
    #[serde(default)]
    description: String,
    #[serde(default)]
    required: bool,
    default: Option<Json>,
    default_from: Option<String>,
    pattern: Option<String>,
    minimum: Option<Json>,
    maximum: Option<Json>,
    #[serde(default)]
    values: Vec<Json>,
    items: Option<Box<RawParameter>>,
    settable_by: Option<Vec<Setter>>,
}

/// A typed, documented input of a sidecar.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// Its type.
    pub kind: Kind,
    /// What it is for, in a phrase.
    pub description: String,
    /// Whether a value must be given.
    pub required: bool,
    /// The value if nobody gives one, as it would be written in an annotation.
    pub default: Option<String>,
    /// The value from the pod (`app.name`, `app.runAsUser`...) that comes before `default`.
    pub default_from: Option<String>,
    /// What a value must match, from its first to its last character.
    pub pattern: Option<String>,
    /// The smallest value.
    pub minimum: Option<String>,
    /// The largest value.
    pub maximum: Option<String>,
    /// The only values, if there are any here.
    pub values: Vec<String>,
    /// What the items of a list must be.
    pub items: Option<Box<Parameter>>,
    /// Who may set it.
    pub settable_by: Vec<Setter>,
    /// What `default` means.
    pub default_value: Option<Value>,
    matcher: Option<Regex>,
    bounds: (Option<i128>, Option<i128>),
}

/// Why a text is not a value of a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// What is wrong, as the end of a sentence that begins with the text.
    pub cause: String,
    /// What would fit.
    pub remedy: String,
}

impl Misfit {
    fn new(cause: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { cause: cause.into(), remedy: remedy.into() }
    }
}

impl Parameter {
    /// Checks a definition's parameter. The error names the field of the parameter and what is wrong with it.
    pub(super) fn compile(raw: RawParameter) -> Result<Self, (&'static str, String)> {
        let (matcher, items) = Self::constraints(&raw)?;
        let mut parameter = Self {
            kind: raw.r#type,
            description: raw.description,
            required: raw.required,
            default: None,
            default_value: None,
            default_from: raw.default_from,
            pattern: raw.pattern,
            minimum: None,
            maximum: None,
            values: Vec::new(),
            items,
            settable_by: raw
                .settable_by
                .unwrap_or_else(|| vec![Setter::Pod, Setter::Namespace, Setter::Installation]),
            matcher,
            bounds: (None, None),
        };
        (parameter.minimum, parameter.bounds.0) =
            parameter.bound("minimum", raw.minimum.as_ref())?;
        (parameter.maximum, parameter.bounds.1) =
            parameter.bound("maximum", raw.maximum.as_ref())?;
        let mut values = Vec::new();
        for value in &raw.values {
            values.push(parameter.fitting("values", value)?);
        }
        parameter.values = values;
        if let Some(default) = &raw.default {
            let text = parameter.fitting("default", default)?;
            parameter.default_value = parameter.parse(&text).ok();
            parameter.default = Some(text);
        }
        Ok(parameter)
    }

    /// The constraints that need no value: which of them a type may have, the pattern, the items.
    #[expect(clippy::type_complexity, reason = "two results of one pass, used in one place")]
    fn constraints(
        raw: &RawParameter,
    ) -> Result<(Option<Regex>, Option<Box<Self>>), (&'static str, String)> {
        if raw.required && (raw.default.is_some() || raw.default_from.is_some()) {
            return Err((
                "required",
                "a required parameter has no default; remove one of them".into(),
            ));
        }
        if raw.settable_by.as_ref().is_some_and(Vec::is_empty) {
            return Err((
                "settableBy",
                "nobody could set it; list Pod, Namespace or Installation".into(),
            ));
        }
        let matcher = match &raw.pattern {
            None => None,
            Some(_) if !matches!(raw.r#type, Kind::String | Kind::Path) => {
                return Err((
                    "pattern",
                    format!("type {} has no pattern; only string and path have", raw.r#type),
                ));
            }
            Some(pattern) => Some(
                Regex::new(&format!("^(?:{pattern})$"))
                    .map_err(|e| ("pattern", not_a_pattern(&e)))?,
            ),
        };
        let items = match (&raw.items, raw.r#type) {
            (None, Kind::List) => {
                return Err((
                    "items",
                    "a list says what its items are, such as items: {type: string}".into(),
                ));
            }
            (None, _) => None,
            (Some(items), Kind::List) => {
                if matches!(items.r#type, Kind::List | Kind::Globs) {
                    return Err(("items", "a list holds no lists".into()));
                }
                if items.required
                    || items.default.is_some()
                    || items.default_from.is_some()
                    || items.settable_by.is_some()
                {
                    return Err((
                        "items",
                        "only type, pattern, minimum, maximum and values mean something here"
                            .into(),
                    ));
                }
                Some(Box::new(Self::compile((**items).clone())?))
            }
            (Some(_), kind) => {
                return Err(("items", format!("type {kind} has no items; only list has")));
            }
        };
        Ok((matcher, items))
    }

    #[expect(clippy::type_complexity, reason = "the text and the number of one bound")]
    fn bound(
        &self,
        field: &'static str,
        json: Option<&Json>,
    ) -> Result<(Option<String>, Option<i128>), (&'static str, String)> {
        let Some(json) = json else { return Ok((None, None)) };
        let text = self.fitting(field, json)?;
        match self.parse(&text).ok().and_then(|v| v.magnitude()) {
            Some(n) => Ok((Some(text), Some(n))),
            None => Err((
                field,
                format!(
                    "type {} has no order; only integer, port, duration and quantity have",
                    self.kind
                ),
            )),
        }
    }

    /// The text of a value in the definition, if it fits.
    fn fitting(&self, field: &'static str, json: &Json) -> Result<String, (&'static str, String)> {
        let text = annotation_text(json)
            .ok_or((field, "not a string, number, boolean or list of them".to_owned()))?;
        match self.parse(&text) {
            Ok(_) => Ok(text),
            Err(misfit) => Err((field, format!("{text:?} {}; {}", misfit.cause, misfit.remedy))),
        }
    }

    /// The value that an annotation's text means.
    ///
    /// # Errors
    /// What is wrong with the text, and what would fit.
    pub fn parse(&self, text: &str) -> Result<Value, Misfit> {
        let value = self.typed(text.trim())?;
        if let Some(matcher) = &self.matcher
            && !matcher.is_match(text.trim())
        {
            let pattern = self.pattern.as_deref().unwrap_or_default();
            return Err(Misfit::new("does not match", format!("write what matches {pattern}")));
        }
        if !self.values.is_empty() && !self.values.contains(&value.to_string()) {
            let near = crate::names::nearest(text, self.values.iter().map(String::as_str))
                .map(|near| format!("did you mean {near}? "))
                .unwrap_or_default();
            return Err(Misfit::new(
                "is not one of the values",
                format!("{near}write {}", one_of(&self.values)),
            ));
        }
        let magnitude = value.magnitude();
        if let (Some(n), (Some(low), _)) = (magnitude, self.bounds)
            && n < low
        {
            return Err(Misfit::new(
                "is too small",
                format!("write {} or more", self.minimum.as_deref().unwrap_or_default()),
            ));
        }
        if let (Some(n), (_, Some(high))) = (magnitude, self.bounds)
            && n > high
        {
            return Err(Misfit::new(
                "is too large",
                format!("write {} or less", self.maximum.as_deref().unwrap_or_default()),
            ));
        }
        Ok(value)
    }

    fn typed(&self, text: &str) -> Result<Value, Misfit> {
        match self.kind {
            Kind::String => Ok(Value::Text(text.to_owned())),
            Kind::Integer => text
                .parse()
                .map(Value::Integer)
                .map_err(|_| Misfit::new("is not a whole number", "write digits only, such as 3")),
            Kind::Boolean => match text {
                "true" => Ok(Value::Boolean(true)),
                "false" => Ok(Value::Boolean(false)),
                _ => Err(Misfit::new("is not a boolean", "write \"true\" or \"false\"")),
            },
            Kind::Port => match text.parse::<u16>() {
                Ok(port) if port > 0 => Ok(Value::Integer(i64::from(port))),
                _ => Err(Misfit::new("is not a port", "write a number from 1 to 65535")),
            },
            Kind::Path => path(text),
            Kind::Duration => value::duration(text)
                .map(|n| Value::Duration(text.to_owned(), n))
                .ok_or_else(|| {
                    Misfit::new(
                        "is not a duration",
                        "write numbers with units, such as 30s, 5m or 1h30m",
                    )
                }),
            Kind::Quantity => value::quantity(text)
                .map(|n| Value::Quantity(text.to_owned(), n))
                .ok_or_else(|| {
                    Misfit::new(
                        "is not a quantity",
                        "write a number with a unit of Kubernetes, such as 100m, 64Mi or 2",
                    )
                }),
            Kind::Globs => self.list(text, glob),
            Kind::List => self.list(text, |item| match &self.items {
                Some(items) => items.parse(item),
                None => Ok(Value::Text(item.to_owned())),
            }),
        }
    }

    fn list(
        &self,
        text: &str,
        item: impl Fn(&str) -> Result<Value, Misfit>,
    ) -> Result<Value, Misfit> {
        let parts = value::split_list(text);
        if parts.is_empty() {
            return Err(Misfit::new(
                "lists nothing",
                "write one or more values, separated by commas",
            ));
        }
        let mut values = Vec::with_capacity(parts.len());
        for part in parts {
            values.push(item(part).map_err(|m| Misfit {
                cause: format!("has the item {part:?}, which {}", m.cause),
                ..m
            })?);
        }
        Ok(Value::List(values))
    }

    /// A value to try the definition with.
    #[must_use]
    pub fn sample(&self) -> Value {
        let given = self.default.as_ref().or(self.values.first()).or(self.minimum.as_ref());
        if let Some(Ok(value)) = given.map(|text| self.parse(text)) {
            return value;
        }
        match self.kind {
            Kind::String => Value::Text("sample".into()),
            Kind::Integer => Value::Integer(1),
            Kind::Boolean => Value::Boolean(true),
            Kind::Port => Value::Integer(8080),
            Kind::Path => Value::Text("/sample/path".into()),
            Kind::Duration => Value::Duration("10s".into(), 10_000_000_000),
            Kind::Quantity => Value::Quantity("1".into(), 1_000_000_000),
            Kind::Globs => Value::List(vec![Value::Text("/sample/path/*.log".into())]),
            Kind::List => Value::List(self.items.iter().map(|items| items.sample()).collect()),
        }
    }

    /// A value such as a user could write, to begin with.
    #[must_use]
    pub fn example(&self, name: &str) -> String {
        match self.kind {
            Kind::String if self.values.is_empty() && self.default.is_none() => format!("<{name}>"),
            Kind::Path => "/var/www/html".into(),
            Kind::Globs => "/var/log/app/*.log".into(),
            _ => self.sample().to_string(),
        }
    }

    /// A value to try the definition with that is not `text`, if there is one.
    pub(super) fn other_sample(&self, text: &str) -> Option<Value> {
        let flipped = (self.kind == Kind::Boolean).then(|| Value::Boolean(text == "false"));
        let listed = self.values.iter().filter(|v| *v != text).find_map(|v| self.parse(v).ok());
        flipped
            .or(listed)
            .or_else(|| Some(self.sample()).filter(|sample| sample.to_string() != text))
    }

    /// Whether every pod that gets the sidecar has a value for this parameter.
    #[must_use]
    pub fn always_set(&self) -> bool {
        self.required
            || self.default.is_some()
            || self.default_from.as_deref().is_some_and(|from| from != "app.runAsUser")
    }
}

/// The parser's last line, which says what is wrong; those before it draw a picture.
fn not_a_pattern(error: &regex::Error) -> String {
    let text = error.to_string();
    let cause = text.lines().last().unwrap_or_default();
    format!("not a regular expression: {}", cause.trim_start_matches("error: "))
}

fn path(text: &str) -> Result<Value, Misfit> {
    // Kubernetes allows no colon in a mountPath (ValidateVolumeMounts).
    let clean = value::clean_path(text)
        .filter(|p| p != "/" && !p.contains(':') && !p.contains(char::is_control));
    clean.map(Value::Text).ok_or_else(|| {
        Misfit::new(
            "is not a path to mount at",
            "write an absolute path below /, without .. and without colons, such as /var/www/html",
        )
    })
}

fn glob(text: &str) -> Result<Value, Misfit> {
    let Some(clean) =
        value::clean_path(text).filter(|p| !p.contains(':') && !p.contains(char::is_control))
    else {
        return Err(Misfit::new(
            "is not an absolute path",
            "write an absolute path, wildcards allowed, such as /var/log/app/*.log",
        ));
    };
    let value = Value::List(vec![Value::Text(clean)]);
    if value.directories() == ["/"] {
        return Err(Misfit::new(
            "has no directory of its own",
            "write a path whose files are below a directory, such as /var/log/*.log",
        ));
    }
    let Value::List(mut items) = value else { return Ok(value) };
    Ok(items.remove(0))
}

/// A JSON value as it would be written in an annotation.
#[must_use]
pub fn annotation_text(json: &Json) -> Option<String> {
    match json {
        Json::String(text) => Some(text.clone()),
        Json::Number(n) => Some(n.to_string()),
        Json::Bool(b) => Some(b.to_string()),
        Json::Array(items) => {
            let texts: Option<Vec<_>> = items.iter().map(annotation_text).collect();
            texts.map(|t| t.join(", "))
        }
        Json::Null | Json::Object(_) => None,
    }
}

/// `a, b or c`.
#[must_use]
pub fn one_of(names: &[impl AsRef<str>]) -> String {
    match names {
        [] => String::new(),
        [one] => one.as_ref().to_owned(),
        [first @ .., last] => {
            let first: Vec<_> = first.iter().map(AsRef::as_ref).collect();
            format!("{} or {}", first.join(", "), last.as_ref())
        }
    }
}

#[cfg(test)]
mod tests;
