//! What must hold for any pod at all: properties over generated pods, annotations, namespaces and settings.
//!
//! The target runs in well under a minute; `PROPTEST_CASES=5000 cargo test --test properties` looks harder.
//! What a property found is kept as a small case of its own in `finds`, since seeds go stale with the generators.

#![cfg(test)]

mod any_json;
mod api_server;
mod asks;
mod case;
mod checks;
mod containment;
mod engine;
mod finds;
mod kubelet;
mod literal;
mod pods;
mod text;
mod units;

use proptest::test_runner::Config;

/// As many cases as `PROPTEST_CASES` says, or this many.
pub(crate) fn config(cases: u32) -> Config {
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => Config::default(),
        None => Config::with_cases(cases),
    }
}
