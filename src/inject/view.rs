//! The few fields of a pod that decide, borrowed from the request's bytes.

use serde::Deserialize;

/// What the engine knows of a pod. Everything else is skipped, and so cannot be lost.
#[derive(Debug, Default, Deserialize)]
pub struct PodView<'a> {
    #[serde(skip)]
    unused: std::marker::PhantomData<&'a ()>,
}

impl<'a> PodView<'a> {
    /// Reads a pod's (or pod template's) JSON.
    ///
    /// # Errors
    /// The path and kind of the first field that is not what Kubernetes says it is.
    pub fn from_json(bytes: &'a [u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes).map_err(|error| error.to_string())
    }

    /// Whether the pod itself asks for sidecars.
    #[must_use]
    pub fn asks(&self) -> bool {
        false
    }

    /// `metadata.name`, or `metadata.generateName`, or nothing.
    #[must_use]
    pub fn name(&self) -> &str {
        ""
    }
}
