//! All sidecars known now, the faulty ones included: asking for one of those says what is wrong with it.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value as Json;

use super::check;
use super::compiled::Sidecar;
use super::definition::{self, Reach};
use crate::yaml;

/// What a name in the catalog stands for: a sidecar, or what keeps it from being one.
pub type Entry = Result<Sidecar, Vec<Fault>>;

/// The built-in definitions: file and text.
const BUILTIN: [(&str, &str); 3] = [
    ("git-sync.yaml", include_str!("builtin/git-sync.yaml")),
    ("log.yaml", include_str!("builtin/log.yaml")),
    ("topz.yaml", include_str!("builtin/topz.yaml")),
];

/// What `source` says of a built-in sidecar.
pub const BUILTIN_SOURCE: &str = "built-in";

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

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.source)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

/// All sidecars known now.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    cluster: BTreeMap<String, Entry>,
    namespaced: BTreeMap<String, BTreeMap<String, Entry>>,
}

impl Catalog {
    /// The built-in sidecars. They are compiled but not checked: a test does that, once for all starts.
    #[must_use]
    pub fn builtin() -> Self {
        let mut catalog = Self::default();
        for (file, text) in BUILTIN {
            catalog.add_checked(BUILTIN_SOURCE, text, false);
            debug_assert!(catalog.cluster.contains_key(file.trim_end_matches(".yaml")));
        }
        catalog
    }

    /// Adds the definitions in one file's text, which may hold several documents.
    /// Faulty ones are kept by name, so that asking for them says why, and are reported here.
    pub fn add(&mut self, source: &str, text: &str) -> Vec<Fault> {
        self.add_checked(source, text, true)
    }

    fn add_checked(&mut self, source: &str, text: &str, checked: bool) -> Vec<Fault> {
        let mut faults = Vec::new();
        let limit = yaml::DEFINITION.bytes;
        if text.len() > limit {
            let message = format!(
                "the file has {} bytes, more than the {limit} that are read; a definition is a few KB",
                text.len()
            );
            return vec![Fault { source: source.to_owned(), path: String::new(), message }];
        }
        for document in yaml::documents(text) {
            match yaml::read(document, yaml::DEFINITION) {
                Ok(Json::Null) => {}
                Ok(json) => faults.extend(self.add_document(source, json, checked)),
                Err(message) => {
                    faults.push(Fault { source: source.to_owned(), path: String::new(), message })
                }
            }
        }
        faults
    }

    fn add_document(&mut self, source: &str, document: Json, checked: bool) -> Vec<Fault> {
        let fault = |(path, message)| Fault { source: source.to_owned(), path, message };
        let (name, reach) = match definition::header(&document) {
            Ok(header) => header,
            Err(found) => return vec![fault(found)],
        };
        if let Some(message) = self.taken(&name, &reach) {
            return vec![fault(("metadata.name".to_owned(), message))];
        }
        let compiled = Sidecar::compile(name.clone(), reach.clone(), source, document);
        let found = match &compiled {
            Ok((sidecar, pieces)) if checked => check::check(sidecar, pieces),
            Ok(_) => Vec::new(),
            Err(found) => found.clone(),
        };
        let mut faults: Vec<_> = found.into_iter().map(fault).collect();
        let entry = match compiled {
            Ok((sidecar, _)) if faults.is_empty() => Ok(sidecar),
            _ => Err(faults.clone()),
        };
        match reach {
            Reach::Cluster => {
                self.cluster.insert(name.clone(), entry);
                faults.append(&mut self.shadowed(&name, source));
            }
            Reach::Namespace(namespace) => {
                self.namespaced.entry(namespace).or_default().insert(name, entry);
            }
        }
        faults
    }

    /// Sidecars of namespaces that had a name which is a cluster's now: whichever came first, they are not ready.
    fn shadowed(&mut self, name: &str, source: &str) -> Vec<Fault> {
        let mut faults = Vec::new();
        for (namespace, entries) in &mut self.namespaced {
            let Some(entry) = entries.get_mut(name) else { continue };
            let from = match entry {
                Ok(sidecar) => sidecar.source.clone(),
                Err(found) => found.first().map(|f| f.source.clone()).unwrap_or_default(),
            };
            let message = format!(
                "{name:?} of namespace {namespace} is taken by the sidecar {name} of {source}; choose another name"
            );
            let fault = Fault { source: from, path: "metadata.name".to_owned(), message };
            *entry = Err(vec![fault.clone()]);
            faults.push(fault);
        }
        faults
    }

    /// Why a name cannot be had: nothing may stand in for what others asked for by that name.
    fn taken(&self, name: &str, reach: &Reach) -> Option<String> {
        let by = |entry: &Entry| match entry {
            Ok(sidecar) if sidecar.source == BUILTIN_SOURCE => {
                format!("the built-in sidecar {name}")
            }
            Ok(sidecar) => format!("the sidecar {name} of {}", sidecar.source),
            Err(_) => format!("another definition of {name}"),
        };
        let own = match reach {
            Reach::Cluster => None,
            Reach::Namespace(namespace) => self.namespaced.get(namespace).and_then(|n| n.get(name)),
        };
        let taken = self.cluster.get(name).or(own)?;
        Some(format!("{name:?} is taken by {}; choose another name", by(taken)))
    }

    /// The entry that a pod in `namespace` means by `name`.
    #[must_use]
    pub fn find(&self, namespace: &str, name: &str) -> Option<&Entry> {
        self.cluster.get(name).or_else(|| self.namespaced.get(namespace)?.get(name))
    }

    /// The names that a pod in `namespace` can use.
    pub fn names<'a>(&'a self, namespace: &str) -> impl Iterator<Item = &'a str> {
        let own = self.namespaced.get(namespace).into_iter().flat_map(BTreeMap::keys);
        self.cluster.keys().chain(own).map(String::as_str)
    }

    /// All entries with their names: those of the cluster, then those of each namespace.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        let namespaced = self.namespaced.values().flatten();
        self.cluster.iter().chain(namespaced).map(|(name, entry)| (name.as_str(), entry))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builtins_pass_every_check() {
        for (file, text) in BUILTIN {
            let mut catalog = Catalog::default();
            assert_eq!(catalog.add(file, text), [], "{file}");
        }
    }
}
