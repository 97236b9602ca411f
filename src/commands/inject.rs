//! `outrigger inject`: what the webhook would do, to a file.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use json_patch::PatchOperation;
use serde_json::{Value, json};

use super::engine::{Engine, EngineArgs};
use super::manifest::{self, Workload};
use super::source::{self, Document};
use crate::inject::{
    Context, Decision, Namespace, Outcome, PodView, Problem, decide, unreadable_asks,
};
use crate::names;

/// Add sidecars to the pods in a manifest
///
/// Reads Pods and everything that holds a pod template (Deployment, StatefulSet, DaemonSet, ReplicaSet,
/// ReplicationController, Job, CronJob, PodTemplate), in lists and in many documents. Every document in which nothing
/// changes, of whatever kind, is written as it was, byte for byte. If any pod cannot have what it asks for, or any
/// document cannot be read, nothing is written: stderr has all the reasons, and the exit code is 1.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  outrigger inject -f web.yaml | kubectl apply -f -
  helm template ./chart | outrigger inject -f - --kubernetes-version 1.30
  outrigger inject -f web.yaml -o patch")]
pub(super) struct Args {
    /// File to read; - for standard input
    #[arg(short = 'f', long = "filename", value_name = "FILE")]
    file: PathBuf,

    /// Namespace of the objects that do not say theirs [default: that of --namespace-file, or "default"]
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,

    /// File with a Namespace, whose annotations hold for the pods in it
    #[arg(long, value_name = "FILE")]
    namespace_file: Option<PathBuf>,

    /// Format of what is written
    #[arg(short, long, value_name = "FORMAT", default_value = "yaml")]
    output: Output,

    #[command(flatten)]
    engine: EngineArgs,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Output {
    /// The input, with changed documents written anew
    Yaml,
    /// The object; of several documents, a List of them
    Json,
    /// A JSON Patch for the object; of several documents, an array with the document's number, the object's
    /// name and the patch of each that changes
    Patch,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args { file, namespace, namespace_file, output, engine } = args;
    let (shown, stream) = match file.as_os_str() == "-" {
        true => ("stdin".to_owned(), source::read_stdin()?),
        false => (file.display().to_string(), source::read_file(&file)?),
    };
    let mut report = Report::default();
    let namespaces = Namespaces::read(namespace, namespace_file.as_deref(), &mut report)?;
    let engine = engine.load()?;
    report.warn_all(engine.faults.iter());

    let (mark, stream) = match stream.strip_prefix('\u{feff}') {
        Some(rest) => ("\u{feff}", rest),
        None => ("", stream.as_str()),
    };
    let documents = source::documents(stream);
    if documents.iter().all(|document| matches!(document.value, Ok(Value::Null))) {
        bail!("{shown}: empty: no object in it, at most comments");
    }
    let mut results = Vec::with_capacity(documents.len());
    for Document { number, line, text, value } in documents {
        match value {
            Ok(value) => {
                let (value, patch) = inject(value, &engine, &namespaces, &shown, &mut report)?;
                results.push(Injected { number, text, value, patch });
            }
            Err(error) => {
                report.error(&format!("{shown}: document {number}, from line {line}"), &error)
            }
        }
    }
    super::say(&report.warnings);
    if !report.errors.is_empty() {
        super::say(&report.errors);
        return Ok(ExitCode::FAILURE);
    }
    super::put(&match output {
        Output::Yaml => format!("{mark}{}", as_yaml(&results)?),
        Output::Json => as_json(&results)?,
        Output::Patch => as_patch(&results)?,
    })
}

/// A document after injection.
struct Injected<'a> {
    number: usize,
    text: &'a str,
    value: Value,
    /// What was done to it; its paths begin at the document.
    patch: Vec<PatchOperation>,
}

/// The document with its pods' sidecars, and the patch that brought them. What cannot be done goes to the report.
fn inject(
    mut document: Value,
    engine: &Engine,
    namespaces: &Namespaces,
    shown: &str,
    report: &mut Report,
) -> anyhow::Result<(Value, Vec<PatchOperation>)> {
    let Engine { catalog, settings, faults: _ } = engine;
    let mut patch = Vec::new();
    for Workload { label, namespace, place, pod, misplaced } in manifest::workloads(&document) {
        let object = format!("{shown}: {label}");
        report.warn_all(misplaced.iter().map(|text| format!("{object}: {text}")));

        let namespace = namespaces.of(namespace);
        let json = serde_json::to_vec(pod)?;
        let pod = match PodView::from_json(&json) {
            Ok(pod) => pod,
            Err(error) if unreadable_asks(&pod.to_string()) => {
                report.error(&object, &error);
                continue;
            }
            Err(error) => {
                report.warn_all([format!(
                    "{object}: left as it is, since it cannot be read: {error}"
                )]);
                continue;
            }
        };
        let Decision { outcome, warnings } =
            decide(&pod, &Context { namespace: &namespace, catalog, settings });
        report.warn_all(warnings.iter().map(|text| format!("{object}: {text}")));
        match outcome {
            Outcome::Untouched(_) => {}
            Outcome::Injected(injection) => patch.extend(manifest::rebase(injection.patch, &place)),
            Outcome::Refused(problems) => report.refusal(&object, &problems),
        }
    }
    json_patch::patch(&mut document, &patch)
        .with_context(|| format!("{shown}: our own patch does not fit; please report this"))?;
    Ok((document, patch))
}

fn as_yaml(results: &[Injected<'_>]) -> anyhow::Result<String> {
    let mut stream = String::new();
    for Injected { text, value, patch, .. } in results {
        match patch.is_empty() {
            true => stream.push_str(text),
            false => stream.push_str(&source::rewrite(text, value)?),
        }
    }
    Ok(stream)
}

fn as_json(results: &[Injected<'_>]) -> anyhow::Result<String> {
    let objects: Vec<_> = objects(results).map(|result| &result.value).collect();
    match objects[..] {
        [object] => super::pretty(object),
        _ => super::pretty(&json!({"apiVersion": "v1", "kind": "List", "items": objects})),
    }
}

fn as_patch(results: &[Injected<'_>]) -> anyhow::Result<String> {
    let results: Vec<_> = objects(results).collect();
    if let [Injected { patch, .. }] = results[..] {
        return super::pretty(&json!(patch));
    }
    let changed = results.iter().filter(|result| !result.patch.is_empty());
    let patches = changed.map(|Injected { number, value, patch, .. }| {
        json!({"document": number, "object": manifest::label(value), "patch": patch})
    });
    super::pretty(&patches.collect())
}

/// All but the empty documents.
fn objects<'a, 'b>(results: &'a [Injected<'b>]) -> impl Iterator<Item = &'a Injected<'b>> {
    results.iter().filter(|result| !result.value.is_null())
}

/// Which namespace an object is in, and what that says.
struct Namespaces {
    fallback: String,
    described: Option<Namespace>,
}

impl Namespaces {
    fn read(
        name: Option<String>,
        file: Option<&Path>,
        report: &mut Report,
    ) -> anyhow::Result<Self> {
        let described = file.map(|file| read_namespace(file, report)).transpose()?;
        let fallback = name
            .or_else(|| described.as_ref().map(|namespace| namespace.name.clone()))
            .unwrap_or_else(|| "default".to_owned());
        Ok(Self { fallback, described })
    }

    /// The namespace of an object that names it, or does not.
    fn of(&self, name: Option<&str>) -> Namespace {
        let name = name.unwrap_or(&self.fallback);
        match &self.described {
            Some(described) if described.name == name => described.clone(),
            _ => Namespace { name: name.to_owned(), ..Namespace::default() },
        }
    }
}

fn read_namespace(file: &Path, report: &mut Report) -> anyhow::Result<Namespace> {
    let shown = file.display();
    let text = source::read_file(file)?;
    let documents = source::documents(text.trim_start_matches('\u{feff}'));
    let given = |document: &&Document<'_>| !matches!(document.value, Ok(Value::Null));
    let object = match documents.iter().filter(given).collect::<Vec<_>>()[..] {
        [Document { value: Ok(object), .. }] => object,
        [Document { value: Err(error), .. }] => bail!("{shown}: {error}"),
        ref several => bail!("{shown}: holds {} documents; give one Namespace", several.len()),
    };
    let metadata = &object["metadata"];
    let name = metadata["name"].as_str().unwrap_or_default();
    if object["kind"] != "Namespace" || name.is_empty() {
        bail!(
            "{shown}: no Namespace with a name; give what `kubectl get namespace NAME -o yaml` prints"
        );
    }
    if metadata["labels"][names::INJECTION] != "enabled" {
        report.warn_all([format!(
            "{shown}: Namespace/{name}: no label {}=enabled, so the API server would not call the webhook for its pods",
            names::INJECTION
        )]);
    }
    let annotations = metadata["annotations"].as_object().into_iter().flatten();
    let annotations = annotations.map(|(key, value)| match value {
        Value::String(value) => Ok((key.clone(), value.clone())),
        other => Err(anyhow!("{shown}: annotation {key}: {other} is not a string; quote it")),
    });
    Ok(Namespace {
        name: name.to_owned(),
        annotations: annotations.collect::<anyhow::Result<_>>()?,
    })
}

/// What is to be said on stderr, once everything has been read.
#[derive(Default)]
struct Report {
    warnings: String,
    errors: String,
}

impl Report {
    fn warn_all(&mut self, warnings: impl IntoIterator<Item = impl std::fmt::Display>) {
        for warning in warnings {
            self.warnings.push_str(&format!("warning: {warning}\n"));
        }
    }

    fn error(&mut self, place: &str, error: &str) {
        self.errors.push_str(&format!("error: {place}: {error}\n"));
    }

    fn refusal(&mut self, object: &str, problems: &[Problem]) {
        let plural = if problems.len() == 1 { "" } else { "s" };
        self.error(object, &format!("{} problem{plural}", problems.len()));
        for problem in problems {
            self.errors.push_str(&format!("  {problem}\n"));
        }
    }
}
