//! Two texts as one, with what was added marked.

use similar::{ChangeTag, TextDiff};

/// `after`, each line behind two characters: `+ ` if it is new, else blanks. Lines that are gone are there too,
/// behind `- `. In colour, the marked lines are green and red.
#[must_use]
pub(super) fn marked(before: &str, after: &str, colour: bool) -> String {
    let mut text = String::with_capacity(after.len() * 2);
    for change in TextDiff::from_lines(before, after).iter_all_changes() {
        let (mark, start) = match change.tag() {
            ChangeTag::Equal => (' ', ""),
            ChangeTag::Insert => ('+', "\u{1b}[32m"),
            ChangeTag::Delete => ('-', "\u{1b}[31m"),
        };
        let line = change.value().trim_end_matches('\n');
        if colour && !start.is_empty() {
            text.push_str(&format!("{start}{mark} {line}\u{1b}[0m\n"));
        } else {
            text.push_str(format!("{mark} {line}").trim_end());
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_what_changed() {
        for (before, after, plain, coloured) in [
            ("a\n", "a\n", "  a\n", "  a\n"),
            ("a\nc\n", "a\nb\nc\n", "  a\n+ b\n  c\n", "  a\n\u{1b}[32m+ b\u{1b}[0m\n  c\n"),
            (
                "a: {}\n",
                "a:\n",
                "- a: {}\n+ a:\n",
                "\u{1b}[31m- a: {}\u{1b}[0m\n\u{1b}[32m+ a:\u{1b}[0m\n",
            ),
            ("a\n\n", "a\n\n", "  a\n\n", "  a\n\n"),
            ("", "a", "+ a\n", "\u{1b}[32m+ a\u{1b}[0m\n"),
        ] {
            assert_eq!(marked(before, after, false), plain, "{before:?} to {after:?}");
            assert_eq!(marked(before, after, true), coloured, "{before:?} to {after:?}");
        }
    }
}
