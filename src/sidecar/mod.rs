//! What a sidecar is: definition, parameters, substitution, catalog. Pure, like the engine.
//!
//! A definition is read (`definition`), compiled (`compiled`: parameters, conditions, templates), checked
//! (`check`, `rules`) and kept in the [`Catalog`]. When a pod arrives, [`Sidecar::render`] fills it in.

mod catalog;
mod check;
mod compiled;
mod condition;
mod definition;
mod fields;
pub mod parameter;
pub mod piece;
mod rules;
mod template;
pub mod value;

pub use catalog::{BUILTIN_SOURCE, Catalog, Entry, Fault};
pub use compiled::Sidecar;
pub use definition::{LabelSelector, ModeChoice, Operator, Reach, Requirement, Select};
pub use parameter::Parameter;
pub use template::{RenderError, Values};

use serde::Deserialize;

/// How the long-running containers of one instance run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Mode {
    /// As init containers with `restartPolicy: Always`: started before the application, stopped after it.
    Native,
    /// As containers beside the application.
    Container,
}

impl Mode {
    /// As it is written in annotations.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Container => "container",
        }
    }
}
