//! The only file that knows the YAML crate.
//!
//! Reading follows what kubectl reads: YAML 1.1 booleans, octal numbers with a leading zero, merge keys.
//! Writing quotes whatever a YAML 1.1 reader would take for something else than a string.

use std::borrow::Cow;

use serde_json::Value;

/// What a text may hold before it is refused unread.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Longest text, in bytes.
    pub bytes: usize,
    /// Deepest nesting, in levels.
    pub depth: usize,
    /// Most nodes, aliases expanded.
    pub nodes: usize,
    /// Whether a key that comes twice is an error; otherwise the last one wins, as in kubectl.
    pub unique_keys: bool,
}

/// Limits for sidecar definitions: an object in a cluster could not be larger either.
pub const DEFINITION: Limits =
    Limits { bytes: 1 << 20, depth: 64, nodes: 50_000, unique_keys: true };

/// Limits for one document of a user's manifest.
pub const MANIFEST: Limits =
    Limits { bytes: 8 << 20, depth: 64, nodes: 500_000, unique_keys: false };

/// Reads one YAML (or JSON) document. An empty one is `Value::Null`.
///
/// # Errors
/// A sentence that says what is wrong, with line and column where the parser knows them.
pub fn read(text: &str, limits: Limits) -> Result<Value, String> {
    read_after(0, text, limits)
}

/// Reads one document as [`read`] does; `lines` lines of the file come before it, and are counted in errors.
///
/// # Errors
/// As of [`read`].
pub fn read_after(lines: usize, text: &str, limits: Limits) -> Result<Value, String> {
    if text.len() > limits.bytes {
        return Err(format!(
            "the document has {} bytes, more than the {} that are read",
            text.len(),
            limits.bytes
        ));
    }
    let mut text = Cow::Borrowed(text);
    for _ in 0..MOST_INDENTED_LINES {
        match parse(&text, limits) {
            Ok(value) => return Ok(value),
            Err(error) => match indented(&text, &error) {
                Some(better) => text = Cow::Owned(better),
                None => return Err(located(&error, lines)),
            },
        }
    }
    parse(&text, limits).map_err(|error| located(&error, lines))
}

fn parse(text: &str, limits: Limits) -> Result<Value, serde_saphyr::Error> {
    let mut budget = serde_saphyr::Budget::default();
    budget.max_depth = limits.depth;
    budget.flow_nesting_limit = limits.depth;
    budget.max_nodes = limits.nodes;
    budget.max_events = limits.nodes.saturating_mul(4);
    budget.max_recorded_anchor_events = limits.nodes / 4;
    budget.max_documents = 1;
    budget.max_total_scalar_bytes = limits.bytes.saturating_mul(2);
    let options = serde_saphyr::options! {
        budget: Some(budget),
        legacy_octal_numbers: true,
        duplicate_keys: if limits.unique_keys {
            serde_saphyr::options::DuplicateKeyPolicy::Error
        } else {
            serde_saphyr::options::DuplicateKeyPolicy::LastWins
        },
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options)
}

/// How many lines of quoted text are indented before giving up: each costs another look at the document.
const MOST_INDENTED_LINES: usize = 200;

/// kubectl reads quoted text whose later lines are not indented, as in JSON inside an annotation, and our parser
/// does not. Indentation means nothing there, so the line that it names can be given some.
fn indented(text: &str, error: &serde_saphyr::Error) -> Option<String> {
    if !error.to_string().contains("invalid indentation in multiline quoted scalar") {
        return None;
    }
    let line = usize::try_from(error.location()?.line()).ok()?.checked_sub(1)?;
    let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    Some(format!("{}{:64}{}", &text[..start], "", &text[start..]))
}

/// The message, with the line counted in the whole file.
fn located(error: &serde_saphyr::Error, lines: usize) -> String {
    let message = error.to_string();
    let Some(place) = error.location() else { return message };
    let (line, column) = (place.line(), place.column());
    let beyond = [
        ("recursion limit exceeded", "nested deeper than is read"),
        ("budget breached: Depth", "nested deeper than is read"),
        ("budget breached", "holds more than is read, aliases expanded"),
    ];
    if let Some((_, meaning)) = beyond.iter().find(|(cause, _)| message.starts_with(cause)) {
        return format!("{meaning}, at line {}, column {column}", line + lines as u64);
    }
    match message.strip_suffix(&format!(" at line {line}, column {column}")) {
        Some(cause) => format!("{cause} at line {}, column {column}", line + lines as u64),
        None => message,
    }
}

/// Writes one document, as block YAML that ends in a newline.
///
/// # Errors
/// What the serializer says; a JSON value can always be written.
pub fn write(value: &Value) -> Result<String, String> {
    let options = serde_saphyr::ser_options! { folded_wrap_chars: usize::MAX };
    let mut text =
        serde_saphyr::to_string_with_options(value, options).map_err(|error| error.to_string())?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

/// The documents of a stream, each with the text that belongs to it, marker line included.
/// Concatenated, they are the stream again, byte for byte.
#[must_use]
pub fn documents(stream: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut start = 0;
    let mut at = 0;
    for line in stream.split_inclusive('\n') {
        let marker = line
            .strip_prefix("---")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']));
        if marker && at > start {
            found.push(&stream[start..at]);
            start = at;
        }
        at += line.len();
    }
    if at > start {
        found.push(&stream[start..]);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::time::{Duration, Instant};

    #[test]
    fn reads_what_kubectl_reads() {
        let text = "a: yes\nb: off\nc: 0644\nd: \"yes\"\ne: 1e3\nf: ~\ng: &x [1, 2]\nh: *x\n";
        let value = read(text, MANIFEST).unwrap();
        assert_eq!(
            value,
            json!({"a": true, "b": false, "c": 420, "d": "yes", "e": 1000.0, "f": null, "g": [1, 2], "h": [1, 2]})
        );
        assert_eq!(read("# nothing\n", MANIFEST).unwrap(), Value::Null);
        assert_eq!(read("{\"a\": [1, \"x\"]}", MANIFEST).unwrap(), json!({"a": [1, "x"]}));
        assert_eq!(read("a: 1\na: 2\n", MANIFEST).unwrap(), json!({"a": 2}));
        assert!(read("a: 1\na: 2\n", DEFINITION).is_err());
    }

    #[test]
    fn writes_what_every_reader_takes_for_the_same() {
        for text in [
            "yes",
            "no",
            "on",
            "off",
            "y",
            "0644",
            "1e3",
            "null",
            "~",
            "1:30",
            "- a",
            "a: b",
            "#",
            "",
            " x ",
            "0x1f",
            "1_000",
            "=",
            "<<",
            "2026-11-20",
            "a\nb",
            "\ttab",
            "\u{7f}",
            "a\r\nb",
            "trailing\n\n",
        ] {
            let value = json!({ "k": text, "l": [text] });
            let written = write(&value).unwrap();
            assert_eq!(read(&written, MANIFEST).unwrap(), value, "{written}");
        }
        assert_eq!(
            write(&json!({"k": "yes", "l": ["0644", "on"]})).unwrap(),
            "k: \"yes\"\nl:\n- \"0644\"\n- \"on\"\n"
        );
    }

    #[test]
    fn splits_without_loss() {
        for (stream, count) in [
            ("", 0),
            ("a: 1\n", 1),
            ("---\na: 1\n", 1),
            ("a: 1\n---\nb: 2\n", 2),
            ("# c\n---\na: |\n  ---\n  x\n--- # two\nb: 2", 3),
            ("a: 1\r\n---\r\nb: 2\r\n", 2),
            ("a: ---\n----\n", 1),
        ] {
            let parts = documents(stream);
            assert_eq!(parts.len(), count, "{stream:?}");
            assert_eq!(parts.concat(), stream);
        }
    }

    #[test]
    fn quoted_text_need_not_be_indented() {
        let text = "a:\n  b: '{\n  \"c\": [1,\n2]\n  }'\n  d: \"x\ny\"\n";
        let value = read(text, MANIFEST).unwrap();
        assert_eq!(value, json!({"a": {"b": "{ \"c\": [1, 2] }", "d": "x y"}}));
    }

    #[test]
    fn counts_lines_of_the_whole_file() {
        let error = |lines| read_after(lines, "a: 1\n b: 2\n", MANIFEST).unwrap_err();
        assert!(error(0).ends_with(" at line 2, column 3"), "{}", error(0));
        assert!(error(40).ends_with(" at line 42, column 3"), "{}", error(40));
    }

    #[test]
    fn refuses_bombs_quickly() {
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let below = format!("*a{}", level - 1);
            let row = vec![below; 10].join(", ");
            bomb.push_str(&format!("a{level}: &a{level} [{row}]\n"));
        }
        let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
        let deep_block = (0..200).map(|n| format!("{}a:\n", " ".repeat(n))).collect::<String>();
        let long = format!("a: {}\n", "x".repeat(10 << 20));
        for (text, why) in [
            (bomb, "holds more than is read, aliases expanded, at line "),
            (deep, "nested deeper than is read, at line "),
            (deep_block, "nested deeper than is read, at line "),
            (long, "the document has 10485764 bytes, more than the "),
        ] {
            let began = Instant::now();
            for limits in [DEFINITION, MANIFEST] {
                let error = read(&text, limits).unwrap_err();
                assert!(error.starts_with(why), "{error}");
            }
            assert!(began.elapsed() < Duration::from_secs(20), "hung");
        }
    }
}
