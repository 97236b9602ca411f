//! Reading files and standard input, and taking a stream apart into documents that can be put back.

use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use serde_json::Value;

use crate::yaml;

/// The most that is read of one file: far more than a cluster's worth of manifests, far less than memory.
const MAX_MIB: usize = 64;

/// The text of a file.
pub(super) fn read_file(path: &Path) -> anyhow::Result<String> {
    let shown = path.display();
    let metadata = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    if metadata.is_dir() {
        bail!("{shown}: is a directory; name one file in it");
    }
    read(&shown, File::open(path).map_err(|error| unreadable(path, &error))?)
}

/// The text of standard input.
pub(super) fn read_stdin() -> anyhow::Result<String> {
    read(&"stdin", io::stdin().lock())
}

/// Why a file or directory cannot be read.
pub(super) fn unreadable(path: &Path, error: &io::Error) -> anyhow::Error {
    match error.kind() {
        io::ErrorKind::NotFound => anyhow!("{}: no such file or directory", path.display()),
        _ => anyhow!("{}: {error}", path.display()),
    }
}

fn read(shown: &dyn Display, reader: impl Read) -> anyhow::Result<String> {
    let limit = MAX_MIB << 20;
    let mut bytes = Vec::new();
    reader.take(limit as u64 + 1).read_to_end(&mut bytes).with_context(|| shown.to_string())?;
    if bytes.len() > limit {
        bail!("{shown}: more than {MAX_MIB} MiB; split it");
    }
    let line = |at: usize| bytes[..at].iter().filter(|b| **b == b'\n').count() + 1;
    if let Some(at) = bytes.iter().position(|b| *b == 0) {
        bail!(
            "{shown}: binary data (a zero byte in line {}); give YAML or JSON, in UTF-8",
            line(at)
        );
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(error) => {
            bail!(
                "{shown}: not UTF-8 in line {}; give YAML or JSON, in UTF-8",
                line(error.valid_up_to())
            )
        }
    }
}

/// One document of a stream.
#[derive(Debug)]
pub(super) struct Document<'a> {
    /// Its place among the documents that are not empty, from 1.
    pub(super) number: usize,
    /// The line where its text begins, from 1.
    pub(super) line: usize,
    /// All of its text, marker line included.
    pub(super) text: &'a str,
    /// What it says, or what is wrong with it. Empty documents are `null`.
    pub(super) value: Result<Value, String>,
}

/// The documents of a stream. Their texts, concatenated, are the stream again, byte for byte.
pub(super) fn documents(stream: &str) -> Vec<Document<'_>> {
    let mut number = 0;
    let mut lines = 0;
    let documents = yaml::documents(stream).into_iter().map(|text| {
        let value = yaml::read_after(lines, text, yaml::MANIFEST).and_then(|value| match value {
            Value::Null | Value::Object(_) => Ok(value),
            _ => Err("not an object; write a map with apiVersion, kind and metadata".to_owned()),
        });
        let value = value.map_err(|error| match text.contains("{{") {
            true => format!("{error} (a Helm template? pass on what `helm template` prints)"),
            false => error,
        });
        number += usize::from(!matches!(value, Ok(Value::Null)));
        let line = lines + 1;
        lines += text.matches('\n').count();
        Document { number, line, text, value }
    });
    documents.collect()
}

/// The text of a document whose value is now another: written anew, except for its marker line and the comments
/// at its beginning and end. Line ends stay what they were.
pub(super) fn rewrite(text: &str, value: &Value) -> anyhow::Result<String> {
    let mut body = yaml::write(value).map_err(|error| anyhow!("cannot write YAML: {error}"))?;
    if text.contains("\r\n") {
        body = body.replace('\n', "\r\n");
    }
    Ok(format!("{}{body}{}", head(text), tail(text)))
}

/// The marker line, and blank and comment lines before the first line with content.
fn head(text: &str) -> String {
    let is_blank = |text: &str| text.trim().is_empty() || text.trim_start().starts_with('#');
    let mut head = String::new();
    for line in text.split_inclusive('\n') {
        match line.strip_prefix("---") {
            Some(rest) if head.is_empty() && is_blank(rest) => head.push_str(line),
            // Content on the marker's own line, such as `--- {a: 1}`.
            Some(_) if head.is_empty() => return "---\n".to_owned(),
            _ if is_blank(line) => head.push_str(line),
            _ => break,
        }
    }
    head
}

/// The comment lines after the last line with content: they often belong to the next document. Only those that
/// begin in the first column, since others may be lines of a block scalar.
fn tail(text: &str) -> &str {
    let mut at = text.len();
    let mut tail = at;
    for line in text.split_inclusive('\n').rev() {
        at -= line.len();
        if line.starts_with('#') {
            tail = at;
        } else if !line.trim().is_empty() {
            break;
        }
    }
    &text[tail..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_and_lines() {
        let stream = "# licence\n---\na: 1\n---\n# nothing\n---\n- b\n---\nc: {{ d }}\n";
        let documents = documents(stream);
        let found: Vec<_> = documents.iter().map(|d| (d.number, d.line, d.value.is_ok())).collect();
        assert_eq!(found, [(0, 1, true), (1, 2, true), (1, 4, true), (2, 6, false), (3, 8, false)]);
        let error = documents[4].value.as_ref().unwrap_err();
        assert!(error.contains("line 9") && error.contains("helm template"), "{error}");
    }

    #[test]
    fn rewriting_keeps_what_is_around() {
        for (text, expected) in [
            ("a: 1\n", "new: x\n"),
            ("a: 1", "new: x\n"),
            ("---\na: 1\n", "---\nnew: x\n"),
            ("--- # two\n# c\n\n  # d\na: 1 # lost\n", "--- # two\n# c\n\n  # d\nnew: x\n"),
            ("--- {a: 1}", "---\nnew: x\n"),
            ("---\r\n# c\r\na: 1\r\n", "---\r\n# c\r\nnew: x\r\n"),
            ("a: 1\n\n# next\n\n# one\n", "new: x\n# next\n\n# one\n"),
            ("a: |\n  # text\n", "new: x\n"),
        ] {
            assert_eq!(rewrite(text, &json!({"new": "x"})).unwrap(), expected, "{text:?}");
        }
    }
}
