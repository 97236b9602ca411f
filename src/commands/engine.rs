//! What the engine needs besides pods, from the options that `inject` and `serve` share.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, anyhow, bail};
use clap::builder::NonEmptyStringValueParser;
use serde::Deserialize;
use serde_json::Value;

use super::source;
use crate::inject::Settings;
use crate::sidecar::{Catalog, Fault};
use crate::{names, yaml};

/// The first minor version of Kubernetes 1 whose oldest supported kubelets (three behind) run native sidecars.
const NATIVE_SINCE: u32 = 32;

/// The options that decide what is injected: the same for a file as for a cluster.
#[derive(Debug, clap::Args)]
pub struct EngineArgs {
    /// Directory of sidecar definitions (*.yaml, *.yml, *.json), besides the built-in ones
    #[arg(long, value_name = "DIR")]
    pub sidecars: Option<PathBuf>,

    /// YAML file of parameter values for the whole installation
    ///
    /// Such as {defaults: {topz: {port: 9000}}, pinned: {git-sync: {period: 5m}}}. Defaults hold where neither
    /// pod nor namespace gives a value; pinned values hold always.
    #[arg(long, value_name = "FILE")]
    pub settings: Option<PathBuf>,

    /// Image of Outrigger itself, which holds the programs of the built-in sidecars
    #[arg(
        long,
        env = "OUTRIGGER_IMAGE",
        default_value = concat!("outrigger:", env!("CARGO_PKG_VERSION")),
        value_parser = NonEmptyStringValueParser::new()
    )]
    pub image: String,

    /// Whether sidecars become init containers that keep running
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub native: Native,

    /// Version of the cluster, such as 1.31 or v1.31.4; decides --native=auto
    #[arg(long, value_name = "VERSION")]
    pub kubernetes_version: Option<KubernetesVersion>,
}

/// Whether to use native sidecars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Native {
    /// On every cluster
    Always,
    /// On no cluster: plain containers
    Never,
    /// If --kubernetes-version is 1.32 or newer, or not given
    Auto,
}

/// The part of a cluster's version that decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KubernetesVersion {
    major: u32,
    minor: u32,
}

impl FromStr for KubernetesVersion {
    type Err = String;

    /// Reads what `kubectl version` and vendors print: `1.31`, `v1.31.4`, `v1.31.4-gke.100`, `1.31+`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "write major and minor, such as 1.31 or v1.31.4".to_owned();
        let plain = text.strip_prefix('v').unwrap_or(text);
        let plain = plain.split(['-', '+']).next().unwrap_or(plain);
        let mut numbers = plain.split('.').map(|part| part.parse().map_err(|_| wrong()));
        let mut next = || numbers.next().unwrap_or_else(|| Err(wrong()));
        let version = Self { major: next()?, minor: next()? };
        numbers.try_for_each(|patch| patch.map(drop))?;
        Ok(version)
    }
}

/// All that the engine needs besides pods.
#[derive(Debug)]
pub struct Engine {
    /// All sidecars known.
    pub catalog: Catalog,
    /// The installation.
    pub settings: Settings,
    /// What is wrong with definitions in `--sidecars`; asking for one of those is refused by the engine itself.
    pub faults: Vec<Fault>,
}

impl EngineArgs {
    /// Reads the definitions and settings that the options name.
    ///
    /// # Errors
    /// A directory or file that cannot be read, or settings that make no sense. A faulty definition is no error:
    /// whoever does not ask for it does not need it.
    pub fn load(&self) -> anyhow::Result<Engine> {
        let Self { sidecars, settings, image, native, kubernetes_version } = self;
        let (catalog, faults) = load_catalog(sidecars.as_deref())?;
        let SettingsFile { defaults, pinned } = match settings {
            Some(path) => read_settings(path, &catalog)?,
            None => SettingsFile::default(),
        };
        let settings = Settings {
            native: native.on(*kubernetes_version),
            image: image.clone(),
            defaults: defaults.into_plain(),
            pinned: pinned.into_plain(),
        };
        Ok(Engine { catalog, settings, faults })
    }
}

impl Native {
    fn on(self, version: Option<KubernetesVersion>) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => {
                version.is_none_or(|v| v >= KubernetesVersion { major: 1, minor: NATIVE_SINCE })
            }
        }
    }
}

/// The built-in sidecars and those of a directory, with what is wrong with the latter.
pub(super) fn load_catalog(dir: Option<&Path>) -> anyhow::Result<(Catalog, Vec<Fault>)> {
    let mut catalog = Catalog::builtin();
    let mut faults = Vec::new();
    for path in dir.map(definition_files).transpose()?.unwrap_or_default() {
        faults.extend(catalog.add(&path.display().to_string(), &source::read_file(&path)?));
    }
    Ok((catalog, faults))
}

/// The definition files of a directory, in the order of their names. Hidden files are left out: they are
/// editors' copies, and in a mounted ConfigMap the former generations.
pub(super) fn definition_files(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let shown = dir.display();
    if dir.is_file() {
        bail!("{shown}: is a file; name the directory that holds it");
    }
    let entries = fs::read_dir(dir).map_err(|error| source::unreadable(dir, &error))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| shown.to_string())?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let is_definition =
            path.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json");
        if is_definition && !hidden && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct SettingsFile {
    defaults: Values,
    pinned: Values,
}

/// Sidecar, parameter, value.
#[derive(Debug, Default, Deserialize)]
struct Values(BTreeMap<String, BTreeMap<String, Text>>);

impl Values {
    fn into_plain(self) -> BTreeMap<String, BTreeMap<String, String>> {
        let plain = |values: BTreeMap<String, Text>| {
            values.into_iter().map(|(k, Text(v))| (k, v)).collect()
        };
        self.0.into_iter().map(|(sidecar, values)| (sidecar, plain(values))).collect()
    }
}

/// A value as an annotation would hold it: YAML's other types are accepted, since nobody quotes numbers.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Value")]
struct Text(String);

impl TryFrom<Value> for Text {
    type Error = &'static str;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        match value {
            Value::String(text) => Ok(Self(text)),
            Value::Number(number) => Ok(Self(number.to_string())),
            Value::Bool(flag) => Ok(Self(flag.to_string())),
            Value::Array(items) => {
                let items: Result<Vec<_>, _> = items.into_iter().map(Self::try_from).collect();
                Ok(Self(items?.into_iter().map(|Self(text)| text).collect::<Vec<_>>().join(",")))
            }
            Value::Null => Err("no value; write one, or leave the parameter out"),
            Value::Object(_) => Err("a map; write a string, number, boolean or list"),
        }
    }
}

/// Reads the file. A name in it that means nothing is an error, since nobody would notice that a value is not pinned.
fn read_settings(path: &Path, catalog: &Catalog) -> anyhow::Result<SettingsFile> {
    let shown = path.display();
    let text = source::read_file(path)?;
    match yaml::read(&text, yaml::DEFINITION).map_err(|error| anyhow!("{shown}: {error}"))? {
        Value::Null => Ok(SettingsFile::default()),
        value @ Value::Object(_) => {
            let file: SettingsFile = serde_path_to_error::deserialize(value)
                .map_err(|error| anyhow!("{shown}: {}: {}", error.path(), error.inner()))?;
            for (key, Values(values)) in [("defaults", &file.defaults), ("pinned", &file.pinned)] {
                unknown_names(values, catalog)
                    .map_err(|error| anyhow!("{shown}: {key}.{error}"))?;
            }
            Ok(file)
        }
        _ => bail!("{shown}: not a map; write `defaults` and `pinned`"),
    }
}

/// The first name of a sidecar or parameter that there is none of. Of a faulty definition nothing is known.
fn unknown_names(
    values: &BTreeMap<String, BTreeMap<String, Text>>,
    catalog: &Catalog,
) -> Result<(), String> {
    let meant = |wrong: &str, known: &[&str]| match names::nearest(wrong, known.iter().copied()) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("there are {}", known.join(", ")),
    };
    for (name, parameters) in values {
        let Some((_, sidecar)) = catalog.iter().find(|(known, _)| *known == name) else {
            let known: Vec<_> = catalog.iter().map(|(known, _)| known).collect();
            return Err(format!("{name}: there is no such sidecar; {}", meant(name, &known)));
        };
        let Ok(sidecar) = sidecar else { continue };
        let known = sidecar.parameters.keys().map(String::as_str);
        let known: Vec<_> = known.chain([names::CONTAINERS, names::MODE]).collect();
        if let Some(wrong) = parameters.keys().find(|p| !known.contains(&p.as_str())) {
            return Err(format!(
                "{name}.{wrong}: {name} has no such parameter; {}",
                meant(wrong, &known)
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn native_by_version() {
        for (version, native) in [
            ("1.32", Some(true)),
            ("v1.32.0", Some(true)),
            ("1.36", Some(true)),
            ("2.0", Some(true)),
            ("v1.33.1-gke.1012000", Some(true)),
            ("v1.33.1+k3s1", Some(true)),
            ("1.31", Some(false)),
            ("1.31+", Some(false)),
            ("v1.31.14-eks-1-31", Some(false)),
            ("", None),
            ("1", None),
            ("latest", None),
            ("1.x", None),
            ("1.31.x", None),
            ("-1.31", None),
        ] {
            let read = version.parse::<KubernetesVersion>().ok();
            assert_eq!(read.map(|v| Native::Auto.on(Some(v))), native, "{version}");
        }
        let old = KubernetesVersion { major: 1, minor: 20 };
        assert!(Native::Auto.on(None));
        assert!(Native::Always.on(Some(old)));
        assert!(!Native::Never.on(None));
    }

    #[test]
    fn settings() {
        #[track_caller]
        fn check(text: &str, expected: Result<&[(&str, &str, &str)], &str>) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("settings.yaml");
            fs::write(&path, text).unwrap();
            let read = read_settings(&path, &Catalog::builtin()).map_err(|error| error.to_string());
            match (read, expected) {
                (Ok(file), Ok(expected)) => {
                    let plain = file.defaults.into_plain();
                    let flat = plain.iter().flat_map(|(sidecar, values)| {
                        values.iter().map(move |(k, v)| (sidecar.as_str(), k.as_str(), v.as_str()))
                    });
                    assert_eq!(flat.collect::<Vec<_>>(), expected, "{text}");
                }
                (Err(error), Err(expected)) => assert!(error.contains(expected), "{error}"),
                (read, _) => unreachable!("{text}: {read:?}"),
            }
        }
        check("", Ok(&[]));
        check("# none yet\n", Ok(&[]));
        check("defaults: {topz: {port: 9000}}", Ok(&[("topz", "port", "9000")]));
        check(
            "defaults: {log: {paths: [/a/*.log, /b], format: true, cpu: 0.5, user: \"0644\"}}",
            Ok(&[
                ("log", "cpu", "0.5"),
                ("log", "format", "true"),
                ("log", "paths", "/a/*.log,/b"),
                ("log", "user", "0644"),
            ]),
        );
        check(
            "default: {}",
            Err("settings.yaml: default: unknown field `default`, expected `defaults` or `pinned`"),
        );
        check("pinned: {topz: {port: {}}}", Err("pinned.topz.port: a map; write a string"));
        check("pinned: {topz: {port: }}", Err("pinned.topz.port: no value; write one"));
        check(
            "pinned: {topz: 9000}",
            Err("pinned.topz: invalid type: integer `9000`, expected a map"),
        );
        check(
            "pinned: {tpoz: {port: 1}}",
            Err("settings.yaml: pinned.tpoz: there is no such sidecar; did you mean topz?"),
        );
        check(
            "defaults: {topz: {mode: native, prot: 1}}",
            Err("defaults.topz.prot: topz has no such parameter; did you mean port?"),
        );
        check("[1]", Err("settings.yaml: not a map; write `defaults` and `pinned`"));
        check("a: [", Err("settings.yaml: unclosed bracket"));
    }

    #[test]
    fn definition_files_in_order() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.yaml", "a.json", "c.yml", "README.md", ".d.yaml"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        fs::create_dir(dir.path().join("e.yaml")).unwrap();
        let files = definition_files(dir.path()).unwrap();
        let names: Vec<_> = files.iter().filter_map(|f| f.file_name()).collect();
        assert_eq!(names, ["a.json", "b.yaml", "c.yml"]);

        let missing = definition_files(&dir.path().join("none")).unwrap_err();
        assert!(missing.to_string().ends_with("none: no such file or directory"), "{missing}");
        let file = definition_files(&files[0]).unwrap_err();
        assert!(file.to_string().contains("is a file; name the directory"), "{file}");
    }
}
