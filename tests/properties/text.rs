//! Strategies for text and for JSON that means nothing.

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value as Json, json};

/// Text that breaks what only looks at well-behaved text.
const NASTY: [&str; 28] = [
    "",
    " ",
    "$",
    "$$",
    "$$$",
    "$(X)",
    "$$(X)",
    "$(port)",
    "$((X))",
    "$(",
    "a$",
    ")",
    "\"",
    "\\",
    "\\u0041",
    "'",
    "\n",
    "a\nb: c\n- d",
    "\t\u{0}\u{1f}",
    "\u{7f}\u{2028}",
    "{}",
    "[]",
    "{\"a\": [1]}",
    "grüße 世界 🛶",
    "e\u{301}\u{202e}",
    "null",
    "~1/~0",
    "- a: &b *b",
];

/// Any text: the nasty ones and random characters, one or several of them together.
pub(crate) fn any_text() -> BoxedStrategy<String> {
    let characters = proptest::collection::vec(any::<char>(), 0..6)
        .prop_map(|characters| characters.into_iter().collect::<String>());
    let nasty = select(NASTY.as_slice()).prop_map(str::to_owned);
    let plain = select(["a", "text", "x-y_z", "--flag=1"].as_slice()).prop_map(str::to_owned);
    let one = prop_oneof![4 => nasty, 2 => plain, 1 => characters];
    proptest::collection::vec(one, 1..4).prop_map(|parts| parts.concat()).boxed()
}

/// Any JSON at all, not deep.
pub(crate) fn junk() -> BoxedStrategy<Json> {
    let scalar = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<u64>().prop_map(Json::from),
        (-1000_i32..1000).prop_map(|n| json!(f64::from(n) / 8.0)),
        any_text().prop_map(Json::from),
    ];
    scalar
        .prop_recursive(3, 12, 3, |inner| {
            let entry = (any_text(), inner.clone());
            prop_oneof![
                proptest::collection::vec(inner, 0..3).prop_map(Json::from),
                proptest::collection::vec(entry, 0..3)
                    .prop_map(|entries| Json::Object(Map::from_iter(entries))),
            ]
        })
        .boxed()
}

/// A field that is there, always.
pub(crate) fn always(value: BoxedStrategy<Json>) -> BoxedStrategy<Option<Json>> {
    value.prop_map(Some).boxed()
}

/// A field that may be absent, or `null`.
pub(crate) fn maybe(value: BoxedStrategy<Json>) -> BoxedStrategy<Option<Json>> {
    prop_oneof![5 => Just(None), 1 => Just(Some(Json::Null)), 5 => value.prop_map(Some)].boxed()
}

/// A field that is seldom there.
pub(crate) fn seldom(value: BoxedStrategy<Json>) -> BoxedStrategy<Option<Json>> {
    prop_oneof![15 => Just(None), 1 => value.prop_map(Some)].boxed()
}

/// One of these, which are the same each time.
pub(crate) fn one_of(values: Vec<Json>) -> BoxedStrategy<Json> {
    select(values).boxed()
}

/// Fields of an object: name and value.
pub(crate) type Fields = Vec<(&'static str, BoxedStrategy<Option<Json>>)>;

/// An object of these fields in any order, and perhaps some that nobody has heard of.
pub(crate) fn object(fields: Fields) -> BoxedStrategy<Json> {
    let (names, values): (Vec<_>, Vec<_>) = fields.into_iter().unzip();
    let unknown = (select(["newField", "x", "Kind", "a.b/c", "~/"].as_slice()), junk());
    let unknown = prop_oneof![
        3 => Just(Vec::new()),
        1 => proptest::collection::vec(unknown, 1..3)
    ];
    (values, unknown, any::<u8>())
        .prop_map(move |(values, unknown, order)| {
            let mut entries: Vec<(String, Json)> = names
                .iter()
                .zip(values)
                .filter_map(|(name, value)| Some(((*name).to_owned(), value?)))
                .collect();
            entries.extend(unknown.into_iter().map(|(name, value)| (name.to_owned(), value)));
            if !entries.is_empty() {
                let by = usize::from(order) % entries.len();
                entries.rotate_left(by);
            }
            Json::Object(Map::from_iter(entries))
        })
        .boxed()
}

/// A list of as many of these.
pub(crate) fn list(
    item: BoxedStrategy<Json>,
    size: impl Into<proptest::collection::SizeRange>,
) -> BoxedStrategy<Json> {
    proptest::collection::vec(item, size).prop_map(Json::from).boxed()
}
