//! Which sidecars a pod is to have: what its namespace says and what it says itself, the later wins.

use super::decision::Problem;
use super::view::PodView;
use super::{Context, Namespace};
use crate::names::{self, INJECT};

/// One instance that is to be in the pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted<'a> {
    pub(super) instance: &'a str,
    pub(super) sidecar: &'a str,
    /// Named in the pod's own annotation; otherwise inherited.
    pub(super) asked: bool,
}

/// All instances, those that were asked for first, and what is wrong with the lists.
#[derive(Debug, Default)]
pub(super) struct Requests<'a> {
    pub(super) wanted: Vec<Wanted<'a>>,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
enum Item<'a> {
    Add { instance: &'a str, sidecar: &'a str },
    Remove(&'a str),
    RemoveAll,
}

/// Reads both lists.
pub(super) fn read<'a>(pod: &'a PodView<'_>, context: &Context<'a>) -> Requests<'a> {
    let mut requests = Requests::default();
    let inherited = inherited(context.namespace, &mut requests.warnings);
    let (items, problems) = parse(pod.annotation(INJECT).unwrap_or_default());
    requests.problems = problems;
    let mut kept: Vec<_> = inherited;
    for item in items {
        match item {
            Item::RemoveAll => kept.clear(),
            Item::Remove(name) => {
                let before = kept.len();
                kept.retain(|wanted| wanted.instance != name);
                if kept.len() == before {
                    requests.warnings.push(format!("{INJECT}: -{name} takes nothing away: no instance of that name is inherited"));
                }
            }
            Item::Add { instance, sidecar } => {
                kept.retain(|wanted| wanted.instance != instance);
                requests.wanted.push(Wanted { instance, sidecar, asked: true });
            }
        }
    }
    requests.wanted.append(&mut kept);
    requests
}

/// What the namespace hands down. What is wrong with its list never blocks a pod.
fn inherited<'a>(namespace: &'a Namespace, warnings: &mut Vec<String>) -> Vec<Wanted<'a>> {
    let text = namespace.annotations.get(INJECT).map(String::as_str).unwrap_or_default();
    let (items, problems) = parse(text);
    warnings
        .extend(problems.iter().map(|problem| format!("namespace {}: {problem}", namespace.name)));
    let mut wanted = Vec::new();
    for item in items {
        match item {
            Item::Add { instance, sidecar } => wanted.push(Wanted { instance, sidecar, asked: false }),
            Item::Remove(name) => warnings.push(format!("namespace {}: {INJECT}: -{name} takes nothing away: no instance of that name is inherited", namespace.name)),
            Item::RemoveAll => {}
        }
    }
    wanted
}

/// The items of one list, and what is wrong with it.
fn parse(text: &str) -> (Vec<Item<'_>>, Vec<Problem>) {
    let mut items: Vec<Item<'_>> = Vec::new();
    let mut problems = Vec::new();
    let mut problem = |cause: String, remedy: String| {
        problems.push(Problem { place: INJECT.to_owned(), cause, remedy });
    };
    let parts: Vec<_> = text.split([',', '\n']).map(str::trim).filter(|p| !p.is_empty()).collect();
    for part in &parts {
        let item = match part.strip_prefix('-') {
            _ if *part == "none" => Item::RemoveAll,
            Some(name) => Item::Remove(name.trim()),
            None => {
                let (instance, sidecar) = part.split_once('=').unwrap_or((part, part));
                Item::Add { instance: instance.trim(), sidecar: sidecar.trim() }
            }
        };
        let bad_name = match &item {
            Item::Add { instance, sidecar } => {
                [*instance, *sidecar].into_iter().find(|n| !names::is_dns_label(n, names::MAX_NAME))
            }
            Item::Remove(name) => Some(*name).filter(|n| !names::is_dns_label(n, names::MAX_NAME)),
            Item::RemoveAll => None,
        };
        if *part != "none" && names::NO_SIDECARS.contains(&part.to_lowercase().as_str()) {
            problem(
                format!("{part:?} is not a sidecar"),
                "name those that the pod is to have, such as \"topz, log\"".into(),
            );
        } else if *part == "none" && parts.len() > 1 {
            problem(
                "\"none\" stands alone, and there is more".into(),
                "write none, or the names".into(),
            );
        } else if let Some(name) = bad_name {
            problem(
                format!("{name:?} is not a name"),
                format!(
                    "write at most {} lower-case letters, digits and dashes, as in topz or docs=git-sync; separate by commas",
                    names::MAX_NAME
                ),
            );
        } else if let Some(name) =
            name_of(&item).filter(|name| items.iter().any(|i| name_of(i) == Some(name)))
        {
            let remedy = match &item {
                Item::Add { instance, sidecar } => {
                    format!("name a second instance otherwise, as in {instance}2={sidecar}")
                }
                Item::Remove(_) | Item::RemoveAll => "write it once".into(),
            };
            problem(format!("{name:?} comes twice"), remedy);
        } else {
            items.push(item);
        }
    }
    (items, problems)
}

fn name_of<'a>(item: &Item<'a>) -> Option<&'a str> {
    match item {
        Item::Add { instance, .. } | Item::Remove(instance) => Some(instance),
        Item::RemoveAll => None,
    }
}

/// Warnings about annotations that mean nothing to anybody.
pub(super) fn stray_annotations(
    pod: &PodView<'_>,
    wanted: &[Wanted<'_>],
    warnings: &mut Vec<String>,
) {
    for (key, _) in pod.annotations() {
        if let Some((instance, parameter)) = key.split_once(names::PARAMETER_INFIX) {
            if wanted.iter().any(|w| w.instance == instance) {
                continue;
            }
            let near = names::nearest(instance, wanted.iter().map(|w| w.instance));
            warnings.push(match near {
                Some(near) => format!(
                    "{key}: there is no instance {instance:?}; did you mean {near}{}{parameter}?",
                    names::PARAMETER_INFIX
                ),
                None => format!(
                    "{key}: there is no instance {instance:?}; add it to {INJECT}, or remove this"
                ),
            });
        } else if key == names::INJECTION {
            warnings.push(format!("{key}: a label, not an annotation; move it to metadata.labels"));
        } else if key.starts_with(names::OWN_PREFIX) && key != INJECT && key != names::STATUS {
            warnings.push(format!("{key}: nothing reads this; did you mean {INJECT}?"));
        }
    }
}
