//! The reference page of a sidecar, in Markdown: all of it comes from the definition.

use std::fmt::Write as _;

use serde_json::Value;

use crate::names::{CONTAINERS, INJECT, MODE, PARAMETER_INFIX};
use crate::sidecar::{Parameter, Sidecar};

/// The page.
pub(super) fn page(sidecar: &Sidecar) -> String {
    let mut page = format!("# {}\n\n{}\n", sidecar.name, sidecar.description.trim_end());
    example(&mut page, sidecar);
    parameters(&mut page, sidecar);
    additions(&mut page, sidecar);
    page
}

fn example(page: &mut String, sidecar: &Sidecar) {
    let name = &sidecar.name;
    let _ =
        write!(page, "\n## Example\n\n```yaml\nmetadata:\n  annotations:\n    {INJECT}: {name}\n");
    for (parameter, about) in sidecar.parameters.iter().filter(|(_, about)| about.required) {
        let _ =
            writeln!(page, "    {name}{PARAMETER_INFIX}{parameter}: {}", about.example(parameter));
    }
    page.push_str("```\n");
}

fn parameters(page: &mut String, sidecar: &Sidecar) {
    page.push_str("\n## Parameters\n\nAs annotations of the pod or of its namespace. The part before the dot is the instance's name, which is the\n");
    let _ = writeln!(page, "sidecar's unless you write `{INJECT}: my-name={}`.\n", sidecar.name);
    row(page, ["annotation", "type", "default", "limits", "meaning"].map(String::from));
    row(page, ["---"; 5].map(String::from));
    let annotation =
        |parameter: &str| code(&format!("{}{PARAMETER_INFIX}{parameter}", sidecar.name));
    for (name, about) in &sidecar.parameters {
        row(
            page,
            [
                annotation(name),
                about.kind.to_string(),
                default(about),
                limits(about),
                about.description.clone(),
            ],
        );
    }
    let common = [
        (
            CONTAINERS,
            "list",
            "the first",
            "names, or `*` for all but init containers",
            "app containers that are wired up",
        ),
        (
            MODE,
            "string",
            "by the cluster",
            "one of `native`, `container`",
            "native sidecars start before the application and end after it; containers run beside it",
        ),
    ];
    for (name, kind, default, limits, meaning) in common {
        row(page, [annotation(name), kind.into(), default.into(), limits.into(), meaning.into()]);
    }
}

/// Containers and volumes, each with the condition under which it is added.
fn additions(page: &mut String, sidecar: &Sidecar) {
    page.push_str("\n## What it adds\n\n");
    row(page, ["what", "name", "", "when"].map(String::from));
    row(page, ["---"; 4].map(String::from));
    let spec = &sidecar.definition["spec"];
    for piece in std::iter::once(spec).chain(spec["when"].as_array().into_iter().flatten()) {
        let when = condition(piece);
        let kinds = [
            ("container", "containers", "image"),
            ("one-shot container", "initContainers", "image"),
            ("shared volume", "sharedVolumes", "appPath"),
            ("volume", "volumes", "name"),
        ];
        for (what, list, telling) in kinds {
            for item in piece[list]
                .as_array()
                .into_iter()
                .flatten()
                .filter(|item| item.get(telling).is_some())
            {
                let full_name = match item["name"].as_str() {
                    Some(suffix) => format!("{}-{suffix}", sidecar.name),
                    None => sidecar.name.clone(),
                };
                let about = match telling {
                    "image" => format!("image {}", code(text(&item["image"]))),
                    "appPath" => {
                        format!("seen by the application at {}", code(text(&item["appPath"])))
                    }
                    _ => String::new(),
                };
                row(page, [what.into(), code(&full_name), about, when.clone()]);
            }
        }
        if piece["shareProcessNamespace"] == true {
            row(
                page,
                [
                    "the pod's field".into(),
                    code("shareProcessNamespace: true"),
                    String::new(),
                    when,
                ],
            );
        }
    }
}

/// The condition of a piece, in words.
fn condition(piece: &Value) -> String {
    let all = piece["all"].as_array().map(Vec::as_slice).unwrap_or(std::slice::from_ref(piece));
    let mut parts = Vec::new();
    for one in all {
        if let Some(parameter) = one["parameter"].as_str() {
            parts.push(match (&one["value"], &one["values"], &one["not"]) {
                (Value::Null, Value::Null, Value::Null) => format!("{parameter} is set"),
                (Value::Null, Value::Null, not) => {
                    format!("{parameter} is not {}", code(&plain(not)))
                }
                (Value::Null, values, _) => {
                    format!("{parameter} is one of {}", code(&plain(values)))
                }
                (value, ..) => format!("{parameter} is {}", code(&plain(value))),
            });
        }
        // The definition's own mode is none of a piece's conditions.
        if let Some(mode) = one["mode"].as_str().filter(|_| one.get("parameters").is_none()) {
            parts.push(format!("mode is {}", mode.to_lowercase()));
        }
    }
    if parts.is_empty() { "always".to_owned() } else { parts.join(", and ") }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("several paths")
}

fn row<const N: usize>(page: &mut String, cells: [String; N]) {
    let cells = cells.map(|cell| cell.trim().replace('|', "\\|").replace('\n', " "));
    let _ = writeln!(page, "| {} |", cells.join(" | "));
}

fn default(about: &Parameter) -> String {
    match (about.required, &about.default_from, &about.default) {
        (true, ..) => "required".to_owned(),
        (_, Some(from), Some(default)) => format!("{}, or {}", code(from), code(default)),
        (_, Some(from), None) => code(from),
        (_, None, Some(default)) => code(default),
        (_, None, None) => "unset".to_owned(),
    }
}

fn limits(about: &Parameter) -> String {
    let mut limits = Vec::new();
    if !about.values.is_empty() {
        let values: Vec<_> = about.values.iter().map(|value| code(value)).collect();
        limits.push(format!("one of {}", values.join(", ")));
    }
    limits.extend(about.minimum.as_ref().map(|minimum| format!("at least {}", code(minimum))));
    limits.extend(about.maximum.as_ref().map(|maximum| format!("at most {}", code(maximum))));
    limits.extend(about.pattern.as_ref().map(|pattern| format!("matches {}", code(pattern))));
    // Pod, namespace and installation: all three is no limit.
    if (1..3).contains(&about.settable_by.len()) {
        let who: Vec<_> = about.settable_by.iter().map(ToString::to_string).collect();
        limits.push(format!("set by {} only", who.join(", ")));
    }
    limits.join("; ")
}

/// A Markdown code span.
fn code(text: &str) -> String {
    match text {
        "" => "empty".to_owned(),
        _ if text.contains('`') => format!("`` {text} ``"),
        _ => format!("`{text}`"),
    }
}
