//! Values of parameters, and the units they come in.

use std::fmt;

/// One parameter's value, of the type that its definition says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A string or a path.
    Text(String),
    /// An integer or a port.
    Integer(i64),
    /// `true` or `false`.
    Boolean(bool),
    /// A duration: as it was written, and in nanoseconds.
    Duration(String, i128),
    /// A quantity: as it was written, and in billionths of one.
    Quantity(String, i128),
    /// A list, or globs.
    List(Vec<Value>),
}

impl Value {
    /// What orders two values of one type, if anything does.
    #[must_use]
    pub fn magnitude(&self) -> Option<i128> {
        match self {
            Self::Integer(n) => Some(i128::from(*n)),
            Self::Duration(_, n) | Self::Quantity(_, n) => Some(*n),
            Self::Text(_) | Self::Boolean(_) | Self::List(_) => None,
        }
    }

    /// The directories that hold the files which a list of globs matches: of each, the part before the first
    /// wildcard. Each once, in order.
    #[must_use]
    pub fn directories(&self) -> Vec<String> {
        let Self::List(globs) = self else { return Vec::new() };
        let mut found = Vec::new();
        for glob in globs {
            let directory = glob_directory(&glob.to_string());
            if !found.contains(&directory) {
                found.push(directory);
            }
        }
        found
    }
}

/// As it stands in an argument or an environment variable.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) | Self::Duration(text, _) | Self::Quantity(text, _) => {
                f.write_str(text)
            }
            Self::Integer(n) => write!(f, "{n}"),
            Self::Boolean(b) => write!(f, "{b}"),
            Self::List(items) => {
                for (n, item) in items.iter().enumerate() {
                    if n > 0 {
                        f.write_str(",")?;
                    }
                    write!(f, "{item}")?;
                }
                Ok(())
            }
        }
    }
}

/// Nanoseconds of a duration as Go writes it (`time.ParseDuration`), without sign.
#[must_use]
pub fn duration(text: &str) -> Option<i128> {
    if text == "0" {
        return Some(0);
    }
    let mut rest = text;
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
        let (number, after) = rest.split_at(digits);
        let letters = after.chars().take_while(|c| c.is_alphabetic()).map(char::len_utf8).sum();
        let (unit, after) = after.split_at(letters);
        let one: i128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        total = total.checked_add(decimal(number, one)?)?;
        rest = after;
    }
    // Go keeps a duration in 63 bits of nanoseconds.
    (!text.is_empty() && total <= i128::from(i64::MAX)).then_some(total)
}

/// Billionths of a Kubernetes quantity (`resource.Quantity`), without sign. Like Kubernetes, it takes what is beyond
/// 63 bits for the most that they hold, so that any number of quantities can be summed up.
#[must_use]
pub fn quantity(text: &str) -> Option<i128> {
    const ONE: i128 = 1_000_000_000;
    let digits = text.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
    let (number, suffix) = text.split_at(digits);
    let one = match suffix {
        "n" => 1,
        "u" => 1_000,
        "m" => 1_000_000,
        "" => ONE,
        "k" => ONE * 1_000,
        "M" => ONE * 1_000_000,
        "G" => ONE * 1_000_000_000,
        "T" => ONE * 1_000_000_000_000,
        "P" => ONE * 1_000_000_000_000_000,
        "E" => ONE * 1_000_000_000_000_000_000,
        "Ki" => ONE << 10,
        "Mi" => ONE << 20,
        "Gi" => ONE << 30,
        "Ti" => ONE << 40,
        "Pi" => ONE << 50,
        "Ei" => ONE << 60,
        exponent => {
            let power = exponent.strip_prefix(['e', 'E'])?.parse::<i32>().ok()?;
            match u32::try_from(power) {
                Ok(up) if up <= 18 => ONE * 10_i128.pow(up),
                Err(_) if power >= -9 => ONE / 10_i128.pow(power.unsigned_abs()),
                _ => return None,
            }
        }
    };
    decimal(number, one).map(|amount| amount.min(i128::from(i64::MAX) * ONE))
}

/// `number` (digits, perhaps a point) times `one`; what is smaller than a unit of the result is cut off.
fn decimal(number: &str, one: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let mut total: i128 = 0;
    if !whole.is_empty() {
        total = whole.parse::<i128>().ok()?.checked_mul(one)?;
    }
    let mut place = one;
    for digit in fraction.bytes() {
        place /= 10;
        total = total.checked_add(i128::from(digit - b'0') * place)?;
    }
    Some(total)
}

/// An absolute path without `//`, `.` or a slash at its end; nothing for a path that is relative or climbs.
#[must_use]
pub fn clean_path(path: &str) -> Option<String> {
    let inside = path.strip_prefix('/')?;
    let mut clean = String::with_capacity(path.len());
    for part in inside.split('/') {
        match part {
            "" | "." => {}
            ".." => return None,
            part => {
                clean.push('/');
                clean.push_str(part);
            }
        }
    }
    if clean.is_empty() {
        clean.push('/');
    }
    Some(clean)
}

/// What `path` has below `above`: empty if they are one, nothing if it is elsewhere. Both are clean.
#[must_use]
pub fn below<'a>(path: &'a str, above: &str) -> Option<&'a str> {
    if above == "/" {
        return path.strip_prefix('/');
    }
    match path.strip_prefix(above)? {
        "" => Some(""),
        rest => rest.strip_prefix('/'),
    }
}

/// The directory above, and the last part. Of `/` and `/x`, the directory is `/`.
#[must_use]
pub fn split_path(path: &str) -> (&str, &str) {
    match path.rsplit_once('/') {
        Some(("", name)) => ("/", name),
        Some((parent, name)) => (parent, name),
        None => ("/", path),
    }
}

fn glob_directory(glob: &str) -> String {
    let wild = glob.find(['*', '?', '[', '{']).unwrap_or(glob.len());
    let fixed = &glob[..wild];
    split_path(fixed).0.to_owned()
}

/// The items of a list as an annotation gives them: at commas and line ends, but not inside braces.
#[must_use]
pub fn split_list(text: &str) -> Vec<&str> {
    let mut items = Vec::new();
    let (mut depth, mut start) = (0_u32, 0);
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' | '\n' if depth == 0 => {
                items.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    items.push(text[start..].trim());
    items.retain(|item| !item.is_empty());
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, nanos) in [
            ("60s", Some(60_000_000_000)),
            ("1h30m", Some(5_400_000_000_000)),
            ("1.5s", Some(1_500_000_000)),
            ("500ms", Some(500_000_000)),
            ("0", Some(0)),
            ("", None),
            ("60", None),
            ("6o s", None),
            ("s", None),
            ("-1s", None),
            ("1d", None),
            ("9999999999h", None),
        ] {
            assert_eq!(duration(text), nanos, "{text}");
        }
    }

    #[test]
    fn quantities() {
        const ONE: i128 = 1_000_000_000;
        for (text, amount) in [
            ("100m", Some(ONE / 10)),
            ("64Ki", Some(65_536 * ONE)),
            ("1.5Gi", Some(1_610_612_736 * ONE)),
            ("2", Some(2 * ONE)),
            ("1e3", Some(1_000 * ONE)),
            ("1E", Some(ONE * 1_000_000_000_000_000_000)),
            ("16Ei", Some(i128::from(i64::MAX) * ONE)),
            ("5e-3", Some(5_000_000)),
            ("", None),
            ("Mi", None),
            ("1 Mi", None),
            ("1KB", None),
            ("1.2.3", None),
            ("1e99", None),
            ("1e-99", None),
            ("-1", None),
        ] {
            assert_eq!(quantity(text), amount, "{text}");
        }
    }

    #[test]
    fn paths() {
        for (path, clean) in [
            ("/a//b/", Some("/a/b")),
            ("/", Some("/")),
            ("/a/./b", Some("/a/b")),
            ("a", None),
            ("/a/../b", None),
            ("", None),
        ] {
            assert_eq!(clean_path(path).as_deref(), clean, "{path}");
        }
        assert_eq!(below("/var/log/app", "/var/log"), Some("app"));
        assert_eq!(below("/var/log", "/var/log"), Some(""));
        assert_eq!(below("/var/logs", "/var/log"), None);
        assert_eq!(below("/var", "/"), Some("var"));
        assert_eq!(split_path("/a/b"), ("/a", "b"));
        assert_eq!(split_path("/a"), ("/", "a"));
    }

    #[test]
    fn globs() {
        let list =
            split_list("/var/log/*.log, /var/log/app/{a,b}/x.log,/var/log/err.log,\n/srv/*/y");
        assert_eq!(
            list,
            ["/var/log/*.log", "/var/log/app/{a,b}/x.log", "/var/log/err.log", "/srv/*/y"]
        );
        let value = Value::List(list.into_iter().map(|s| Value::Text(s.into())).collect());
        assert_eq!(value.directories(), ["/var/log", "/var/log/app", "/srv"]);
    }
}
