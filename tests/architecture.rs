//! What the source does not do: the invariants of the layout, as absences.
//!
//! The rules are the table [`RULES`]; a failure says file, line, and the reason that the rule has.

#![cfg(test)]

use std::fs;
use std::path::{Path, PathBuf};

/// Words that must not appear in some files.
struct Rule {
    /// Files or directories below `src/` that the rule is for.
    files: &'static [&'static str],
    /// Those among them that it is not for.
    except: &'static [&'static str],
    /// What must not be there: whole words or paths, outside comments and test modules.
    forbidden: &'static [&'static str],
    /// Why.
    reason: &'static str,
}

const ALL: &[&str] = &[""];
const PURE: &[&str] = &["inject/", "sidecar/"];
const NONE: &[&str] = &[];

const RULES: [Rule; 11] = [
    Rule {
        files: PURE,
        except: NONE,
        forbidden: &["tokio", "kube", "hyper", "axum", "rustls", "tracing", "async", "await"],
        reason: "the engine and the definitions are pure: no async, no cluster, no server",
    },
    Rule {
        files: PURE,
        except: NONE,
        forbidden: &[
            "std::fs",
            "std::io",
            "std::net",
            "std::env",
            "std::process",
            "std::thread",
            "env!",
            "println",
            "eprintln",
            "print",
            "eprint",
            "dbg",
        ],
        reason: "the engine and the definitions are pure: same input, same answer, and no I/O",
    },
    Rule {
        files: PURE,
        except: NONE,
        forbidden: &["std::time", "SystemTime", "Instant", "rand", "HashMap", "HashSet"],
        reason: "the engine and the definitions are pure: no clock, no chance, one order",
    },
    Rule {
        files: &["names.rs", "yaml.rs"],
        except: NONE,
        forbidden: &["crate::"],
        reason: "names and YAML are at the bottom: they import nothing of the crate",
    },
    Rule {
        files: &["sidecar/"],
        except: NONE,
        forbidden: &[
            "crate::inject",
            "crate::webhook",
            "crate::commands",
            "crate::cluster",
            "crate::programs",
        ],
        reason: "sidecar imports names and yaml, nothing above it",
    },
    Rule {
        files: &["inject/"],
        except: NONE,
        forbidden: &[
            "crate::yaml",
            "crate::webhook",
            "crate::commands",
            "crate::cluster",
            "crate::programs",
        ],
        reason: "inject imports sidecar and names, nothing beside or above it",
    },
    Rule {
        files: ALL,
        except: &["main.rs", "lib.rs", "commands/"],
        forbidden: &["crate::commands", "outrigger::commands", "super::commands"],
        reason: "nothing imports commands but main",
    },
    Rule {
        files: ALL,
        except: &["yaml.rs"],
        forbidden: &["serde_saphyr"],
        reason: "only yaml.rs knows the YAML crate",
    },
    Rule {
        files: ALL,
        except: &["inject/", "sidecar/check.rs"],
        forbidden: &["k8s_openapi"],
        reason: "typed Kubernetes objects only check definitions: a round trip through them loses fields",
    },
    Rule {
        files: &["inject/"],
        except: NONE,
        forbidden: &["k8s_openapi", "ReplaceOperation", "RemoveOperation", "MoveOperation"],
        reason: "a pod is never turned into a typed one, and a patch only adds",
    },
    Rule {
        files: ALL,
        except: &["names.rs"],
        forbidden: &["\"outrigger.dev/", "\".outrigger.dev/"],
        reason: "every annotation and label is written once, in names.rs",
    },
];

/// Longest file, in lines.
const LONGEST: usize = 500;

/// One line of code, as the rules see it.
struct Line {
    file: String,
    number: usize,
    text: String,
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// All Rust files below a directory, in order.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn name(file: &Path) -> String {
    file.strip_prefix(source()).unwrap().display().to_string()
}

/// The lines that are code: no comments, no test modules.
fn code(file: &str, text: &str) -> Vec<Line> {
    if file.ends_with("/tests.rs") {
        return Vec::new();
    }
    let mut lines = Vec::new();
    let mut in_tests = false;
    let mut begins = false;
    for (n, line) in text.lines().enumerate() {
        if in_tests {
            // rustfmt closes a module at the margin.
            in_tests = line != "}";
            continue;
        }
        if line == "#[cfg(test)]" {
            begins = true;
            continue;
        }
        if begins && line.starts_with("mod ") && line.ends_with('{') {
            (in_tests, begins) = (true, false);
            continue;
        }
        begins = false;
        // A comment begins at `//`; in text that is a URL's, after a colon.
        let end = line
            .match_indices("//")
            .find(|(at, _)| !line[..*at].ends_with(':'))
            .map_or(line.len(), |(at, _)| at);
        let text = line[..end].to_owned();
        lines.push(Line { file: file.to_owned(), number: n + 1, text });
    }
    lines
}

/// Whether the line has `what`, and not as a part of a longer word.
fn has(line: &str, what: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(what).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + what.len()..].chars().next();
        let begins = !what.starts_with(is_word) || !before.is_some_and(is_word);
        let ends = !what.ends_with(is_word) || !after.is_some_and(is_word);
        begins && ends
    })
}

/// A name that serde reads cannot be a constant, and stands where the field is.
fn is_serde_rename(line: &Line) -> bool {
    line.file == "inject/view.rs" && line.text.contains("#[serde(") && line.text.contains("rename")
}

/// `crate::{a, b}` and `std::{fs, io}` written out, so that the rules need not know of braces.
fn written_out(line: &str) -> String {
    let Some((head, tail)) = line.split_once("::{") else { return line.to_owned() };
    let root = head.rsplit([' ', '(']).next().unwrap_or(head);
    let parts: Vec<_> =
        tail.split([',', '}', ';']).map(|part| format!("{root}::{}", part.trim())).collect();
    format!("{line} {}", parts.join(" "))
}

fn applies(list: &[&str], file: &str) -> bool {
    list.iter().any(|prefix| file.starts_with(prefix))
}

fn broken(rule: &Rule, lines: &[Line]) -> Vec<String> {
    let mut found = Vec::new();
    for line in lines {
        if !applies(rule.files, &line.file) || applies(rule.except, &line.file) {
            continue;
        }
        let text = written_out(&line.text);
        for what in rule.forbidden {
            if has(&text, what) && !is_serde_rename(line) {
                let Line { file, number, text } = line;
                found.push(format!(
                    "src/{file}:{number}: `{what}`: {}\n    {}",
                    rule.reason,
                    text.trim()
                ));
            }
        }
    }
    found
}

#[test]
fn the_source_keeps_the_rules() {
    let mut lines = Vec::new();
    let mut found = Vec::new();
    for path in files(&source()) {
        let text = fs::read_to_string(&path).unwrap();
        let count = text.lines().count();
        if count > LONGEST {
            found.push(format!(
                "src/{}:{LONGEST}: {count} lines: no file is longer than {LONGEST}, so that each can be read at once",
                name(&path)
            ));
        }
        lines.extend(code(&name(&path), &text));
    }
    assert!(lines.len() > 1000, "the source is somewhere else");
    found.extend(RULES.iter().flat_map(|rule| broken(rule, &lines)));
    assert!(found.is_empty(), "{} rules broken:\n{}", found.len(), found.join("\n"));
}

/// Every rule is for files that there are, and sees what it is for.
#[test]
fn the_rules_can_be_broken() {
    let all: Vec<_> = files(&source()).iter().map(|path| name(path)).collect();
    for rule in &RULES {
        for prefix in rule.files.iter().chain(rule.except) {
            assert!(all.iter().any(|file| file.starts_with(prefix)), "{prefix}: no such file");
        }
        let file = all.iter().find(|f| applies(rule.files, f) && !applies(rule.except, f)).unwrap();
        for what in rule.forbidden {
            let text = format!("use x;\n    let y = {what};\n");
            assert_eq!(broken(rule, &code(file, &text)).len(), 1, "{what}");
        }
    }
    let pure = &RULES[1];
    for (text, count) in [
        ("use std::{fmt, fs};", 1),
        ("use std::fs::File;", 1),
        ("// std::fs", 0),
        ("let x = 1; // std::fs", 0),
        ("let url = \"https://std::fs\";", 1),
        ("let fingerprint = printable;", 0),
        ("#[cfg(test)]\nmod tests {\n    use std::fs;\n}\nuse std::io;", 1),
    ] {
        assert_eq!(broken(pure, &code("inject/x.rs", text)).len(), count, "{text}");
    }
}
