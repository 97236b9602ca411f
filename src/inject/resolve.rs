//! An instance's values, mode and app containers: pinned, pod, namespace, installation, definition, in this order.

use super::decision::Problem;
use super::request::Wanted;
use super::view::{Container, PodView};
use super::{Assigned, Context, Settings};
use crate::names::{self, CONTAINERS, INJECT, MODE, PARAMETER_INFIX};
use crate::sidecar::parameter::{Kind, Parameter, Setter, one_of};
use crate::sidecar::value::Value;
use crate::sidecar::{Mode, ModeChoice, Sidecar, Values};

/// An app container, by its place in the pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Slot {
    Init(usize),
    App(usize),
}

impl Slot {
    pub(super) fn of<'v, 'a>(self, pod: &'v PodView<'a>) -> Option<&'v Container<'a>> {
        match self {
            Self::Init(n) => pod.init_containers().get(n),
            Self::App(n) => pod.containers().get(n),
        }
    }
}

/// An instance with all that its definition needs to be filled in.
#[derive(Debug)]
pub(super) struct Instance<'a> {
    pub(super) name: &'a str,
    pub(super) sidecar: &'a Sidecar,
    pub(super) values: Values<'a>,
    pub(super) mode: Mode,
    /// Whether the cluster runs native sidecars.
    pub(super) can_be_native: bool,
    /// Why it cannot be added in its mode; one that is in the pod already may stay.
    pub(super) mode_problem: Option<Problem>,
    /// The app containers that are wired up.
    pub(super) wired: Vec<Slot>,
    /// Nobody named them: it is the first one.
    pub(super) wired_by_default: bool,
    /// Some values are only samples, since what was given does not fit: names and ports still can be checked.
    pub(super) uncertain: bool,
    /// One of those is a port.
    pub(super) uncertain_port: bool,
}

impl Instance<'_> {
    /// The annotation of the first parameter of which `is` holds, to tell the user what to change.
    pub(super) fn annotation_where(&self, is: impl Fn(&Parameter, &Value) -> bool) -> String {
        let parameters = self.sidecar.parameters.iter().zip(&self.values.parameters);
        let mut found = parameters.filter_map(|((name, parameter), value)| {
            is(parameter, value.as_ref()?).then_some(name)
        });
        found.next().map_or_else(
            || INJECT.to_owned(),
            |name| format!("{}{PARAMETER_INFIX}{name}", self.name),
        )
    }
}

/// Where a value came from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    Pinned,
    Pod,
    Namespace,
    Installation,
}

struct Given<'t> {
    text: &'t str,
    origin: Origin,
}

/// What one instance is looked up in.
struct Lookup<'a, 'c> {
    wanted: Wanted<'a>,
    sidecar: &'a Sidecar,
    pod: &'a PodView<'a>,
    context: &'c Context<'a>,
    problems: &'c mut Vec<Problem>,
    warnings: &'c mut Vec<String>,
}

/// The sidecar behind a name, or the problem that there is none.
pub(super) fn sidecar<'a>(
    wanted: Wanted<'_>,
    context: &Context<'a>,
) -> Result<&'a Sidecar, Problem> {
    let namespace = context.namespace.name.as_str();
    let problem = |cause, remedy| Problem { place: INJECT.to_owned(), cause, remedy };
    match context.catalog.find(namespace, wanted.sidecar) {
        Some(Ok(sidecar)) => Ok(sidecar),
        Some(Err(faults)) => {
            let first = faults.first().map(ToString::to_string).unwrap_or_default();
            Err(problem(
                format!("the definition of {:?} is faulty: {first}", wanted.sidecar),
                "have it corrected, or leave it out".into(),
            ))
        }
        None => {
            let known: Vec<_> = context.catalog.names(namespace).collect();
            let near = names::nearest(wanted.sidecar, known.iter().copied());
            Err(problem(
                format!("there is no sidecar {:?}", wanted.sidecar),
                near.map_or_else(
                    || format!("there are {}", known.join(", ")),
                    |near| format!("did you mean {near}?"),
                ),
            ))
        }
    }
}

/// All values of one instance. Problems are added to `problems`; the instance is as good as can be without them.
pub(super) fn resolve<'a>(
    wanted: Wanted<'a>,
    sidecar: &'a Sidecar,
    pod: &'a PodView<'a>,
    context: &Context<'a>,
    is_injected: impl Fn(&str) -> bool,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<String>,
) -> Instance<'a> {
    let mut lookup = Lookup { wanted, sidecar, pod, context, problems, warnings };
    let before = lookup.problems.len();
    let wired = lookup.wired(is_injected);
    let wired_by_default = lookup.given(CONTAINERS).is_none();
    let (mode, mode_problem) = lookup.mode();
    lookup.unknown_parameters();
    let first = wired.first().and_then(|slot| slot.of(pod));
    let app_user = first
        .and_then(|c| c.security_context.run_as_user)
        .or(pod.spec.security_context.run_as_user)
        .filter(|user| *user != 0);
    let mut values = Values {
        parameters: Vec::with_capacity(sidecar.parameters.len()),
        app_name: first.map_or("", |c| &c.name.0),
        app_user,
        namespace: &context.namespace.name,
        instance: wanted.instance,
        mode: mode.word(),
        image: &context.settings.image,
    };
    let mut uncertain_port = false;
    for (name, parameter) in &sidecar.parameters {
        let value = lookup.value(name, parameter, &values).unwrap_or_else(|| {
            uncertain_port |= parameter.kind == Kind::Port;
            parameter.default_value.clone().or_else(|| Some(parameter.sample()))
        });
        values.parameters.push(value);
    }
    lookup.exactly_one(&values);
    let uncertain = lookup.problems.len() > before;
    Instance {
        name: wanted.instance,
        sidecar,
        values,
        mode,
        can_be_native: context.settings.native,
        mode_problem,
        wired,
        wired_by_default,
        uncertain,
        uncertain_port,
    }
}

impl<'a> Lookup<'a, '_> {
    fn problem(&mut self, place: String, cause: impl Into<String>, remedy: impl Into<String>) {
        self.problems.push(Problem { place, cause: cause.into(), remedy: remedy.into() });
    }

    fn annotation(&self, parameter: &str) -> String {
        format!("{}{PARAMETER_INFIX}{parameter}", self.wanted.instance)
    }

    /// Whether the pod has set another of the parameters of which one is to be set: then what others say of this
    /// one does not count, since a pod cannot take it back.
    fn is_ruled_out(&self, parameter: &str) -> bool {
        if self.sidecar.exactly_one_of.is_empty() {
            return false;
        }
        let among = self.sidecar.exactly_one_of.iter();
        let among: Vec<_> = among.filter_map(|n| self.sidecar.parameters.get_index(*n)).collect();
        let is_set = |name: &str| {
            self.pod.annotation(&self.annotation(name)).is_some_and(|text| !text.trim().is_empty())
        };
        among.iter().any(|(name, _)| *name == parameter)
            && among.iter().any(|(name, _)| is_set(name))
    }

    /// The text that somebody gave; an empty one counts as absent.
    fn given(&self, parameter: &str) -> Option<Given<'a>> {
        let settings: &'a Settings = self.context.settings;
        let installation = |all: &'a Assigned| {
            all.get(&self.sidecar.name).and_then(|s| s.get(parameter)).map(String::as_str)
        };
        let key = self.annotation(parameter);
        let namespace: &'a super::Namespace = self.context.namespace;
        let sources = [
            (Origin::Pinned, installation(&settings.pinned)),
            (Origin::Pod, self.pod.annotation(&key)),
            (Origin::Namespace, namespace.annotations.get(&key).map(String::as_str)),
            (Origin::Installation, installation(&settings.defaults)),
        ];
        let ruled_out = self.is_ruled_out(parameter);
        sources.into_iter().find_map(|(origin, text)| {
            if ruled_out && matches!(origin, Origin::Namespace | Origin::Installation) {
                return None;
            }
            let text = text?.trim();
            (!text.is_empty()).then_some(Given { text, origin })
        })
    }

    /// What to change, for a value from there.
    fn place(&self, parameter: &str, origin: Origin) -> String {
        let key = self.annotation(parameter);
        match origin {
            Origin::Pod => key,
            Origin::Namespace => format!("namespace {}: {key}", self.context.namespace.name),
            Origin::Pinned => {
                format!("pinned by the administrator: {}.{parameter}", self.sidecar.name)
            }
            Origin::Installation => {
                format!("defaults of the installation: {}.{parameter}", self.sidecar.name)
            }
        }
    }

    /// The value of a parameter: `None` if there was a problem, `Some(None)` if it stays unset.
    #[expect(clippy::option_option, reason = "a problem is not the same as no value")]
    fn value(
        &mut self,
        name: &str,
        parameter: &Parameter,
        values: &Values<'_>,
    ) -> Option<Option<Value>> {
        let given = self.given(name);
        self.check_pinned(name, given.as_ref());
        let Some(given) = given else {
            if let Some(value) = self.sidecar.value_from_pod(parameter, values) {
                return Some(Some(value));
            }
            if parameter.default_value.is_some() {
                return Some(parameter.default_value.clone());
            }
            if !parameter.required {
                return Some(None);
            }
            self.missing(name, parameter);
            return None;
        };
        let setter = match given.origin {
            Origin::Pod => Some(Setter::Pod),
            Origin::Namespace => Some(Setter::Namespace),
            Origin::Installation => Some(Setter::Installation),
            Origin::Pinned => None,
        };
        if setter.is_some_and(|setter| !parameter.settable_by.contains(&setter)) {
            let setters: Vec<_> =
                parameter.settable_by.iter().map(|s| format!("the {s}")).collect();
            let place = self.place(name, given.origin);
            self.problem(place, format!("only {} may set it", one_of(&setters)), "remove it");
            return None;
        }
        match parameter.parse(given.text) {
            Ok(value) => Some(Some(value)),
            Err(misfit) => {
                let place = self.place(name, given.origin);
                self.problem(place, format!("{:?} {}", given.text, misfit.cause), misfit.remedy);
                None
            }
        }
    }

    fn missing(&mut self, name: &str, parameter: &Parameter) {
        let settable = |setter| parameter.settable_by.contains(&setter);
        let origin = if settable(Setter::Pod) {
            Origin::Pod
        } else if settable(Setter::Namespace) {
            Origin::Namespace
        } else {
            Origin::Installation
        };
        let mut cause = format!("missing, and {} needs it", self.sidecar.name);
        if !parameter.description.is_empty() {
            cause = format!("{cause} ({})", parameter.description);
        }
        let remedy = format!("write one, such as {:?}", parameter.example(name));
        self.problem(self.place(name, origin), cause, remedy);
    }

    /// A pod that sets what is pinned to something else would not get what it asks for.
    fn check_pinned(&mut self, name: &str, given: Option<&Given<'_>>) {
        let Some(&Given { text: pinned, origin: Origin::Pinned }) = given else { return };
        let key = self.annotation(name);
        let own = self
            .pod
            .annotation(&key)
            .map(str::trim)
            .filter(|own| !own.is_empty() && *own != pinned);
        if let Some(own) = own {
            let cause =
                format!("{own:?} cannot be had: the administrator has pinned it to {pinned:?}");
            self.problem(key, cause, "remove the annotation");
        }
    }

    fn exactly_one(&mut self, values: &Values<'_>) {
        let among = &self.sidecar.exactly_one_of;
        let set = among
            .iter()
            .filter(|n| values.parameters.get(**n).is_some_and(Option::is_some))
            .count();
        if among.is_empty() || set == 1 {
            return;
        }
        let keys: Vec<_> = among
            .iter()
            .filter_map(|n| self.sidecar.parameters.get_index(*n))
            .map(|(name, _)| self.annotation(name))
            .collect();
        let first = keys.first().cloned().unwrap_or_default();
        let (found, only) =
            if set == 0 { ("none is".to_owned(), "") } else { (format!("{set} are"), "only ") };
        self.problem(
            first,
            format!("{} needs exactly one of these, and {found} set", self.sidecar.name),
            format!("set {only}{}", one_of(&keys)),
        );
    }

    /// Annotations of this instance that are no parameter of its sidecar.
    fn unknown_parameters(&mut self) {
        let prefix = format!("{}{PARAMETER_INFIX}", self.wanted.instance);
        let pod = self.pod;
        for (key, _) in pod.annotations() {
            if let Some(problem) = key.strip_prefix(&prefix).and_then(|name| self.unknown(name)) {
                self.problems.push(problem);
            }
        }
        // A namespace's annotation may be meant for another pod's instance of that name: never more than a warning.
        let namespace: &'a super::Namespace = self.context.namespace;
        for key in namespace.annotations.keys() {
            if let Some(problem) = key.strip_prefix(&prefix).and_then(|name| self.unknown(name)) {
                self.warnings.push(format!("namespace {}: {problem}", namespace.name));
            }
        }
    }

    fn unknown(&self, name: &str) -> Option<Problem> {
        let parameters = &self.sidecar.parameters;
        let known = || parameters.keys().map(String::as_str).chain([CONTAINERS, MODE]);
        if known().any(|known| known == name) {
            return None;
        }
        let remedy = match names::nearest(name, known()) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("it has {}", known().collect::<Vec<_>>().join(", ")),
        };
        let cause = format!("{} has no parameter {name:?}", self.sidecar.name);
        Some(Problem { place: self.annotation(name), cause, remedy })
    }

    /// The mode, and why the cluster cannot run an instance in it.
    fn mode(&mut self) -> (Mode, Option<Problem>) {
        let can = self.context.settings.native;
        let chosen = match self.sidecar.mode {
            ModeChoice::Native => Mode::Native,
            ModeChoice::Auto if can => Mode::Native,
            ModeChoice::Auto | ModeChoice::Container => Mode::Container,
        };
        let given = self.given(MODE);
        self.check_pinned(MODE, given.as_ref());
        let place =
            given.as_ref().map_or_else(|| INJECT.to_owned(), |g| self.place(MODE, g.origin));
        let wanted = match given.as_ref().map(|g| g.text) {
            None => chosen,
            Some("native") => Mode::Native,
            Some("container") => Mode::Container,
            Some(other) => {
                let cause = format!("{other:?} is not a mode");
                self.problem(place, cause, "write native or container");
                return (chosen, None);
            }
        };
        let name = &self.sidecar.name;
        if wanted == Mode::Native && !can {
            let cause =
                format!("{name} would be a native sidecar, which this cluster does not run");
            let remedy = match given {
                Some(_) => "write container",
                None => "leave it out, or run it on a newer Kubernetes",
            };
            return (wanted, Some(Problem { place, cause, remedy: remedy.to_owned() }));
        }
        if wanted != chosen && self.sidecar.mode != ModeChoice::Auto {
            let cause = format!("{name} only runs in mode {}", chosen.word());
            self.problem(place, cause, "remove the annotation");
        }
        (wanted, None)
    }

    /// The app containers that are wired up; `is_injected` tells those that are sidecars of ours.
    fn wired(&mut self, is_injected: impl Fn(&str) -> bool) -> Vec<Slot> {
        let pod = self.pod;
        let app = || (0..pod.containers().len()).map(Slot::App);
        let all = || app().chain((0..pod.init_containers().len()).map(Slot::Init));
        let name = |slot: &Slot| slot.of(pod).map_or("", |c| &c.name.0);
        let own = |slot: &Slot| !is_injected(name(slot));
        if pod.containers().is_empty() {
            let cause = "the pod has no container to add a sidecar to";
            self.problem("spec.containers".into(), cause, "add one");
            return Vec::new();
        }
        let given = self.given(CONTAINERS);
        self.check_pinned(CONTAINERS, given.as_ref());
        let by_default = given.is_none();
        let Some(given) = given.filter(|given| given.text != "*") else {
            let mut wired: Vec<_> = app().filter(own).collect();
            if wired.is_empty() {
                // Its only container has the name of a sidecar: that is told elsewhere.
                wired = app().collect();
            }
            if by_default {
                wired.truncate(1);
            }
            return wired;
        };
        let (mut wired, mut named) = (Vec::new(), false);
        let known: Vec<_> = all().filter(own).collect();
        let known: Vec<_> = known.iter().map(name).collect();
        let choices = || one_of(&[&["*"], known.as_slice()].concat());
        for wanted in given.text.split(',').map(str::trim).filter(|n| !n.is_empty()) {
            match all().find(|slot| name(slot) == wanted && own(slot)) {
                Some(slot) if !wired.contains(&slot) => wired.push(slot),
                Some(_) => {}
                None if wanted == "*" => {
                    let place = self.place(CONTAINERS, given.origin);
                    self.problem(
                        place,
                        "\"*\" stands alone, and there is more",
                        "write *, or the names",
                    );
                    named = true;
                }
                None => {
                    let near = names::nearest(wanted, known.iter().copied());
                    let remedy = near.map_or_else(
                        || format!("write {}", choices()),
                        |near| format!("did you mean {near}?"),
                    );
                    let place = self.place(CONTAINERS, given.origin);
                    self.problem(place, format!("the pod has no container {wanted:?}"), remedy);
                    named = true;
                }
            }
        }
        if wired.is_empty() && !named {
            let place = self.place(CONTAINERS, given.origin);
            let cause = format!("{:?} names no container", given.text);
            self.problem(place, cause, format!("write {}", choices()));
        }
        wired
    }
}
