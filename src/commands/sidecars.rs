//! `outrigger sidecars`: which there are, how one is used, and whether definitions are right.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::anyhow;
use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::{engine, source};
use crate::sidecar::{Catalog, Fault, Parameter, Sidecar};
use crate::{names, yaml};

/// List, explain and check sidecar definitions
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the sidecars
    List {
        /// Directory of sidecar definitions, besides the built-in ones
        #[arg(long, value_name = "DIR")]
        sidecars: Option<PathBuf>,
        /// Format of what is written
        #[arg(short, long, value_name = "FORMAT", default_value = "table")]
        output: ListOutput,
    },
    /// Print the reference page of a sidecar
    Show {
        /// The sidecar
        name: String,
        /// Directory of sidecar definitions, besides the built-in ones
        #[arg(long, value_name = "DIR")]
        sidecars: Option<PathBuf>,
        /// Format of what is written
        #[arg(short, long, value_name = "FORMAT", default_value = "markdown")]
        output: ShowOutput,
    },
    /// Check the definitions in files, as they would be on loading
    Check {
        /// Files, or directories with *.yaml, *.yml and *.json
        #[arg(value_name = "FILE|DIR", required = true)]
        paths: Vec<PathBuf>,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ListOutput {
    /// For people
    Table,
    /// Only the names
    Name,
    /// The definitions, one document each
    Yaml,
    /// The definitions, in a List
    Json,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ShowOutput {
    /// The reference page
    Markdown,
    /// The definition
    Yaml,
    /// The definition
    Json,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.action {
        Action::List { sidecars, output } => {
            let (catalog, faults) = engine::load_catalog(sidecars.as_deref())?;
            super::say(&lines("warning: ", &faults));
            super::put(&list(&catalog, output)?)
        }
        Action::Show { name, sidecars, output } => {
            let (catalog, _) = engine::load_catalog(sidecars.as_deref())?;
            super::put(&show(find(&catalog, &name)?, output)?)
        }
        Action::Check { paths } => check(&paths),
    }
}

fn list(catalog: &Catalog, output: ListOutput) -> anyhow::Result<String> {
    let definitions =
        || catalog.iter().filter_map(|(_, result)| Some(&result.as_ref().ok()?.definition));
    match output {
        ListOutput::Table => Ok(table(catalog)),
        ListOutput::Name => {
            Ok(catalog.iter().fold(String::new(), |text, (name, _)| text + name + "\n"))
        }
        ListOutput::Yaml => {
            let documents = definitions().map(write_yaml).collect::<Result<Vec<_>, _>>()?;
            Ok(documents.join("---\n"))
        }
        ListOutput::Json => {
            let items: Vec<_> = definitions().collect();
            super::pretty(&json!({"apiVersion": "v1", "kind": "List", "items": items}))
        }
    }
}

fn table(catalog: &Catalog) -> String {
    let rows = catalog.iter().map(|(name, result)| match result {
        Ok(sidecar) => {
            let kind = sidecar.definition["kind"].as_str().unwrap_or_default();
            let description = sidecar.description.lines().next().unwrap_or_default();
            [name, kind, &sidecar.source, description]
        }
        Err(faults) => {
            let source = faults.first().map_or("", |fault| &fault.source);
            [name, "-", source, "(faulty: see `outrigger sidecars check`)"]
        }
    });
    let rows: Vec<_> =
        std::iter::once(["NAME", "KIND", "SOURCE", "DESCRIPTION"]).chain(rows).collect();
    let width =
        |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2)];
    rows.iter().fold(String::new(), |mut text, [name, kind, source, description]| {
        let [a, b, c] = widths;
        let row = format!("{name:a$}  {kind:b$}  {source:c$}  {description}");
        text.push_str(row.trim_end());
        text.push('\n');
        text
    })
}

/// The sidecar of that name, or why it cannot be had.
fn find<'a>(catalog: &'a Catalog, name: &str) -> anyhow::Result<&'a Sidecar> {
    match catalog.iter().find(|(known, _)| *known == name) {
        Some((_, Ok(sidecar))) => Ok(sidecar),
        Some((_, Err(faults))) => {
            Err(anyhow!("the definition of {name} is faulty:\n{}", lines("  ", faults).trim_end()))
        }
        None => {
            let known: Vec<_> = catalog.iter().map(|(name, _)| name).collect();
            match names::nearest(name, known.iter().copied()) {
                Some(near) => Err(anyhow!("no sidecar is named {name}; did you mean {near}?")),
                None => Err(anyhow!("no sidecar is named {name}; there are {}", known.join(", "))),
            }
        }
    }
}

fn show(sidecar: &Sidecar, output: ShowOutput) -> anyhow::Result<String> {
    match output {
        ShowOutput::Markdown => Ok(page(sidecar)),
        ShowOutput::Yaml => write_yaml(&sidecar.definition),
        ShowOutput::Json => super::pretty(&sidecar.definition),
    }
}

/// The reference page of a sidecar, in Markdown.
fn page(sidecar: &Sidecar) -> String {
    let Sidecar { name, description, source, parameters, .. } = sidecar;
    let mut page =
        format!("# {name}\n\n{}\n\nSource: {source}\n\n## Example\n\n", description.trim_end());
    let _ = write!(page, "```yaml\nmetadata:\n  annotations:\n    {}: {name}\n", names::INJECT);
    for (parameter, about) in parameters.iter().filter(|(_, about)| about.required) {
        let _ =
            writeln!(page, "    {name}{}{parameter}: {}", names::PARAMETER_INFIX, sample(about));
    }
    page.push_str("```\n");
    if !parameters.is_empty() {
        page.push_str("\n## Parameters\n\n| annotation | type | default | limits | meaning |\n|---|---|---|---|---|\n");
    }
    for (parameter, about) in parameters {
        let cells = [
            code(&format!("{name}{}{parameter}", names::PARAMETER_INFIX)),
            about.kind.to_string(),
            default(about),
            limits(about),
            about.description.clone(),
        ];
        let cells = cells.map(|cell| cell.trim().replace('|', "\\|").replace('\n', " "));
        let _ = writeln!(page, "| {} |", cells.join(" | "));
    }
    page
}

/// A value to begin with, for a parameter that needs one.
fn sample(about: &Parameter) -> &str {
    let by_type = || match about.kind.to_string().as_str() {
        "integer" => "1",
        "boolean" => "true",
        "port" => "8080",
        "path" => "/data",
        "duration" => "60s",
        "quantity" => "100Mi",
        "globs" => "/var/log/*.log",
        _ => "...",
    };
    about.values.first().or(about.minimum.as_ref()).map_or_else(by_type, String::as_str)
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

/// Says of each definition in the files whether it is right.
fn check(paths: &[PathBuf]) -> anyhow::Result<ExitCode> {
    let mut files = Vec::new();
    for path in paths {
        match path.is_dir() {
            true => files.extend(engine::definition_files(path)?),
            false => files.push(path.clone()),
        }
    }
    let mut catalog = Catalog::builtin();
    let mut faults = Vec::new();
    let mut sources = BTreeSet::new();
    for file in &files {
        let source = file.display().to_string();
        faults.extend(catalog.add(&source, &source::read_file(file)?));
        sources.insert(source);
    }
    let good: Vec<_> = catalog
        .iter()
        .filter_map(|(name, result)| Some((name, &result.as_ref().ok()?.source)))
        .filter(|(_, source)| sources.contains(*source))
        .collect();
    faults.extend(without_definition(&sources, &good, &faults));
    let right = faults.is_empty();
    for (name, result) in catalog.iter() {
        if let Err(of_this) = result {
            super::say(&lines(&format!("error: {name}: "), of_this));
            faults.retain(|fault| !of_this.contains(fault));
        }
    }
    super::say(&lines("error: ", &faults));
    super::put(&good.iter().fold(String::new(), |text, (name, _)| text + name + ": ok\n"))?;
    Ok(if right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A file given by name, or found in a directory given by name, was meant to define something.
fn without_definition(
    sources: &BTreeSet<String>,
    good: &[(&str, &String)],
    faults: &[Fault],
) -> Vec<Fault> {
    let silent = sources.iter().filter(|source| {
        !good.iter().any(|(_, from)| from == source)
            && !faults.iter().any(|fault| fault.source == **source)
    });
    let fault = |source: &String| Fault {
        source: source.clone(),
        path: String::new(),
        message: "defines no sidecar; write a ClusterSidecar or a Sidecar".to_owned(),
    };
    silent.map(fault).collect()
}

fn lines(prefix: &str, faults: &[Fault]) -> String {
    faults.iter().fold(String::new(), |text, fault| format!("{text}{prefix}{fault}\n"))
}

fn write_yaml(value: &Value) -> anyhow::Result<String> {
    yaml::write(value).map_err(|error| anyhow!("cannot write YAML: {error}"))
}
