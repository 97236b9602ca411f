//! `outrigger sidecars`: which there are, how one is used, and whether definitions are right.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{anyhow, bail};
use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::{engine, reference, source};
use crate::sidecar::{Catalog, Fault, Sidecar};
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
        ShowOutput::Markdown => Ok(reference::page(sidecar)),
        ShowOutput::Yaml => write_yaml(&sidecar.definition),
        ShowOutput::Json => super::pretty(&sidecar.definition),
    }
}

/// Says of each definition in the files whether it is right.
fn check(paths: &[PathBuf]) -> anyhow::Result<ExitCode> {
    let mut files = Vec::new();
    for path in paths {
        match path.is_dir() {
            true => {
                let found = engine::definition_files(path)?;
                if found.is_empty() {
                    bail!("{}: no *.yaml, *.yml or *.json in it", path.display());
                }
                files.extend(found);
            }
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
