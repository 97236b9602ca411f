//! Cases by folder, through one `check` for each kind.
//!
//! `pods/NAME/`: `pod.yaml`, and where the case needs them `namespace.yaml`, `sidecars.yaml` and `settings.yaml`
//! (native, image, defaults, pinned); `expected.yaml` has the result, warnings, problems, patch and pod.
//! `definitions/NAME/`: `sidecar.yaml` and the faults in `expected.txt`.
//!
//! `UPDATE_GOLDEN=1 cargo test --test golden` writes what came out; read the difference before you commit it.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests fail by panicking, also outside of #[test] functions"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use outrigger::inject::{Context, Namespace, Outcome, PodView, Settings, decide};
use outrigger::sidecar::Catalog;
use outrigger::yaml;
use serde::Deserialize;
use serde_json::{Value, json};

/// What a case may say about the installation.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Installation {
    native: bool,
    image: String,
    defaults: BTreeMap<String, BTreeMap<String, String>>,
    pinned: BTreeMap<String, BTreeMap<String, String>>,
}

impl Default for Installation {
    fn default() -> Self {
        let (defaults, pinned) = (BTreeMap::new(), BTreeMap::new());
        Self { native: true, image: "outrigger:test".into(), defaults, pinned }
    }
}

#[test]
fn pods() {
    check_all("pods", |case| {
        let expected = decided(case);
        check_file(&case.join("expected.yaml"), &yaml::write(&expected).unwrap());
    });
}

#[test]
fn definitions() {
    check_all("definitions", |case| {
        let mut catalog = Catalog::builtin();
        let faults = catalog.add("sidecar.yaml", &read(case, "sidecar.yaml").unwrap());
        let lines: String = faults.iter().map(|fault| format!("{fault}\n")).collect();
        check_file(&case.join("expected.txt"), &lines);
    });
}

/// Runs every case of a kind, so that one run shows all that is wrong.
fn check_all(kind: &str, check: impl Fn(&Path) + std::panic::RefUnwindSafe) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(kind);
    let mut cases: Vec<PathBuf> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(!cases.is_empty(), "no cases in {}", folder.display());
    let failed = cases.iter().filter(|case| std::panic::catch_unwind(|| check(case)).is_err());
    let failed: Vec<_> = failed.map(|case| case.file_name().unwrap().to_string_lossy()).collect();
    assert!(
        failed.is_empty(),
        "{} of {} {kind} differ: {}",
        failed.len(),
        cases.len(),
        failed.join(", ")
    );
    println!("{} {kind}", cases.len());
}

/// What the engine says about a case, after what must hold for every case was seen to hold.
fn decided(case: &Path) -> Value {
    let pod = read_yaml(case, "pod.yaml").unwrap();
    let namespace = read_yaml(case, "namespace.yaml").map_or_else(
        || Namespace { name: "default".into(), ..Namespace::default() },
        |object| Namespace {
            name: object["metadata"]["name"].as_str().unwrap().to_owned(),
            annotations: serde_json::from_value(object["metadata"]["annotations"].clone()).unwrap(),
        },
    );
    let mut catalog = Catalog::builtin();
    if let Some(text) = read(case, "sidecars.yaml") {
        catalog.add("sidecars.yaml", &text);
    }
    let installation: Installation = read_yaml(case, "settings.yaml")
        .map_or_else(Installation::default, |v| serde_json::from_value(v).unwrap());
    let Installation { native, image, defaults, pinned } = installation;
    let settings = Settings { native, image, defaults, pinned };
    let context = Context { namespace: &namespace, catalog: &catalog, settings: &settings };

    let json = pod.to_string();
    let decision = decide(&PodView::from_json(json.as_bytes()).unwrap(), &context);
    assert!(
        decision.warnings.len() <= 8 && decision.warnings.iter().all(|w| w.chars().count() <= 200)
    );
    let mut expected = json!({});
    match decision.outcome {
        Outcome::Untouched(why) => expected["untouched"] = why.reason().into(),
        Outcome::Refused(problems) => {
            let texts = problems.iter().map(|problem| Value::from(problem.to_string()));
            expected["refused"] = texts.collect();
        }
        Outcome::Injected(injection) => {
            let mut patched = pod.clone();
            json_patch::patch(&mut patched, &injection.patch).expect("the patch applies");
            let again = patched.to_string();
            let again = decide(&PodView::from_json(again.as_bytes()).unwrap(), &context);
            assert!(
                matches!(again.outcome, Outcome::Untouched(_)),
                "a second run changes more: {again:?}"
            );
            expected["patch"] = json!(injection.patch);
            expected["pod"] = patched;
        }
    }
    if !decision.warnings.is_empty() {
        expected["warnings"] = json!(decision.warnings);
    }
    expected
}

fn read(case: &Path, file: &str) -> Option<String> {
    fs::read_to_string(case.join(file)).ok()
}

fn read_yaml(case: &Path, file: &str) -> Option<Value> {
    read(case, file).map(|text| yaml::read(&text, yaml::MANIFEST).unwrap())
}

fn check_file(path: &Path, actual: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(path, actual).unwrap();
        return;
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    if expected != actual {
        let diff = similar::TextDiff::from_lines(expected.as_str(), actual);
        panic!("{} differs:\n{}", path.display(), diff.unified_diff().context_radius(3));
    }
}
