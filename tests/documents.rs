//! What the documents show is what the command prints.

#![cfg(test)]

use std::path::Path;
use std::process::Command;

#[test]
fn transcripts() {
    trycmd::TestCases::new().case("README.md").run();
}

/// The reference pages are generated: `make docs` writes them.
#[test]
fn reference_pages() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/sidecars");
    let names = outrigger(&["sidecars", "list", "-o", "name"]);
    for name in names.lines() {
        let page = std::fs::read_to_string(folder.join(format!("{name}.md"))).unwrap_or_default();
        assert_eq!(page, outrigger(&["sidecars", "show", name]), "{name}: run `make docs`");
    }
    assert_eq!(names.lines().count(), std::fs::read_dir(folder).unwrap().count());
}

/// Each complete definition in the guide is one that loads.
#[test]
fn definitions_in_the_guide() {
    let guide = std::fs::read_to_string("docs/definitions.md").unwrap();
    let blocks = guide.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let whole: Vec<_> = blocks.filter(|block| block.starts_with("apiVersion:")).collect();
    assert_eq!(whole.len(), 1);
    for definition in whole {
        let faults = outrigger::sidecar::Catalog::builtin().add("docs/definitions.md", definition);
        assert_eq!(faults, []);
    }
}

fn outrigger(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_outrigger")).args(args).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}
