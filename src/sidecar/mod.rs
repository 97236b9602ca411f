//! What a sidecar is: definition, parameters, substitution, catalog. Pure, like the engine.

/// All sidecars known now.
#[derive(Debug, Default)]
pub struct Catalog {}

/// What is wrong with a definition, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file.
    pub source: String,
    /// The path inside it, such as `spec.containers[0].image`; may be empty.
    pub path: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl Catalog {
    /// The built-in sidecars.
    #[must_use]
    pub fn builtin() -> Self {
        Self {}
    }

    /// Adds the definitions in one file's text, which may hold several documents.
    /// Faulty ones are kept by name, so that asking for them says why, and are reported here.
    pub fn add(&mut self, source: &str, text: &str) -> Vec<Fault> {
        let _ = (source, text);
        Vec::new()
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.path.is_empty() {
            write!(f, "{}: {}", self.source, self.message)
        } else {
            write!(f, "{}: {}: {}", self.source, self.path, self.message)
        }
    }
}
