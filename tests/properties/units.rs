//! Durations, quantities, paths and lists against simple models of them.

use outrigger::sidecar::value::{
    Value, below, clean_path, duration, quantity, split_list, split_path,
};
use proptest::prelude::*;
use proptest::sample::select;
use regex::Regex;

use crate::config;
use crate::text::any_text;

const NANOS: [(&str, i128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

const ONE: i128 = 1_000_000_000;

/// Suffix, and the factor as a fraction.
const SUFFIXES: [(&str, i128, i128); 20] = [
    ("n", 1, ONE),
    ("u", 1, 1_000_000),
    ("m", 1, 1_000),
    ("", 1, 1),
    ("k", 1_000, 1),
    ("M", 1_000_000, 1),
    ("G", 1_000_000_000, 1),
    ("T", 1_000_000_000_000, 1),
    ("P", 1_000_000_000_000_000, 1),
    ("E", 1_000_000_000_000_000_000, 1),
    ("Ki", 1 << 10, 1),
    ("Mi", 1 << 20, 1),
    ("Gi", 1 << 30, 1),
    ("Ti", 1 << 40, 1),
    ("Pi", 1 << 50, 1),
    ("Ei", 1 << 60, 1),
    ("e3", 1_000, 1),
    ("E3", 1_000, 1),
    ("e+3", 1_000, 1),
    ("e-3", 1, 1_000),
];

/// A decimal number: as text, and as digits over a power of ten.
fn number() -> BoxedStrategy<(String, i128, i128)> {
    let forms = (0_u32..1_000_000, 0_u32..1000, 0_usize..4);
    forms
        .prop_map(|(whole, fraction, places)| {
            let fraction = &format!("{fraction:03}")[..places.min(3)];
            let digits = format!("{whole}{fraction}").parse().unwrap();
            let text = if places == 0 { format!("{whole}") } else { format!("{whole}.{fraction}") };
            (text, digits, 10_i128.pow(u32::try_from(fraction.len()).unwrap()))
        })
        .boxed()
}

proptest! {
    #![proptest_config(config(500))]

    #[test]
    fn durations_are_sums(parts in proptest::collection::vec((number(), select(NANOS.as_slice())), 1..4)) {
        let text: String = parts.iter().map(|((number, ..), (unit, _))| format!("{number}{unit}")).collect();
        let sum: i128 = parts.iter().map(|((_, digits, over), (_, unit))| digits * unit / over).sum();
        let expected = (sum <= i128::from(i64::MAX)).then_some(sum);
        prop_assert_eq!(duration(&text), expected, "{}", text);
    }

    #[test]
    fn quantities_are_products(number in number(), suffix in select(SUFFIXES.as_slice())) {
        let ((number, digits, over), (suffix, times, divided)) = (number, suffix);
        let text = format!("{number}{suffix}");
        // Kubernetes knows no more than 63 bits of whole ones, and takes the most for more.
        let expected = (digits * times * ONE / over / divided).min(i128::from(i64::MAX) * ONE);
        prop_assert_eq!(quantity(&text), Some(expected), "{}", text);
    }

    #[test]
    fn units_of_any_text(text in units_like()) {
        let is_duration = Regex::new(r"^(0|(([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$").unwrap();
        prop_assert_eq!(duration(&text).is_some(), is_duration.is_match(&text), "{}", text);
        let is_quantity = Regex::new(r"^([0-9]+\.?[0-9]*|\.[0-9]+)([numkMGTPE]|[KMGTPE]i|[eE][+]?0*(1[0-8]|[0-9])|[eE]-0*[0-9])?$").unwrap();
        prop_assert_eq!(quantity(&text).is_some(), is_quantity.is_match(&text), "{}", text);
    }

    #[test]
    fn quantities_never_overflow(digits in "[0-9]{1,45}", fraction in "[.]?[0-9]{0,45}", suffix in "[numkMGTPEKie0-9+-]{0,3}") {
        if let Some(amount) = quantity(&format!("{digits}{fraction}{suffix}")) {
            // So many containers, and more, can be summed up.
            prop_assert!(amount.checked_mul(1_000_000).is_some(), "{}", amount);
        }
        let _ = duration(&format!("{digits}{fraction}h"));
    }

    #[test]
    fn clean_paths_stay_clean(path in path_like()) {
        let Some(clean) = clean_path(&path) else {
            prop_assert!(!path.starts_with('/') || path.split('/').any(|part| part == ".."), "{}", path);
            return Ok(());
        };
        prop_assert_eq!(clean_path(&clean), Some(clean.clone()));
        let parts: Vec<_> = path.split('/').filter(|p| !p.is_empty() && *p != ".").collect();
        prop_assert_eq!(&clean, &format!("/{}", parts.join("/")));
        let (parent, name) = split_path(&clean);
        prop_assert_eq!(below(&clean, parent), Some(name));
        prop_assert_eq!(below(&clean, &clean), Some(""));
        prop_assert_eq!(below(parent, &clean), if parent == clean { Some("") } else { None });
        let dotted = format!("{}x", clean.trim_end_matches('/'));
        prop_assert!(clean == "/" || below(&dotted, &clean).is_none());
    }

    #[test]
    fn lists_have_tidy_items(text in any_text(), items in proptest::collection::vec("[a-z*/{},]{1,6}", 1..4)) {
        for item in split_list(&text) {
            prop_assert!(!item.is_empty() && item.trim() == item && text.contains(item));
        }
        let whole: Vec<_> = items.iter().filter(|i| !i.contains(['{', '}', ','])).map(String::as_str).collect();
        let joined = whole.join(" ,\n");
        prop_assert_eq!(split_list(&joined), whole);
    }

    #[test]
    fn directories_hold_the_files(globs in proptest::collection::vec("(/[a-z]{1,3}){1,3}/[a-z*?{}]{1,4}", 1..4)) {
        let value = Value::List(globs.iter().map(|glob| Value::Text(glob.clone())).collect());
        let directories = value.directories();
        prop_assert!(directories.len() <= globs.len());
        for glob in &globs {
            let of = directories.iter().filter(|d| below(glob, d).is_some()).count();
            prop_assert!(of >= 1, "{} is in none of {:?}", glob, directories);
        }
        for directory in &directories {
            prop_assert!(!directory.contains(['*', '?', '[', '{']), "{}", directory);
        }
    }
}

/// Text that is nearly a duration or a quantity.
fn units_like() -> BoxedStrategy<String> {
    let parts = [
        "0", "1", "15", ".", "5", "n", "u", "µ", "m", "s", "h", "k", "K", "M", "i", "e", "E", "-",
        "+", " ", "d", "ß",
    ];
    proptest::collection::vec(select(parts.to_vec()), 0..5).prop_map(|p| p.concat()).boxed()
}

fn path_like() -> BoxedStrategy<String> {
    let parts = ["/", "/", "/", ".", "..", "a", "b c", "ü", "/a", "/./", "..x", ".x", "$(x)"];
    proptest::collection::vec(select(parts.to_vec()), 0..8).prop_map(|p| p.concat()).boxed()
}
