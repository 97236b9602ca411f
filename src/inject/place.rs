//! One instance in one pod: there already, or to be added, or why not.

use serde_json::Value as Json;

use super::additions::{Additions, Object, Placed, State, ports, text};
use super::decision::{Injected, Problem};
use super::resolve::Instance;
use super::resources;
use super::secrets;
use super::status::Status;
use super::wiring::{Target, Wiring, leave_room_below, mount, no_token_volume, rename_mount};
use crate::names::{self, INJECT, NO_TOKEN_VOLUME, PARAMETER_INFIX, TOKEN_PATH};
use crate::sidecar::piece::Piece;
use crate::sidecar::{Mode, ModeChoice, Values};

/// What became of an instance.
#[derive(Debug)]
pub(super) struct Placement {
    pub(super) additions: Additions,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<String>,
}

/// Places one instance into the pod as it is with what was planned so far.
pub(super) fn place(instance: &Instance<'_>, state: &State<'_, '_>, status: &Status) -> Placement {
    let mut placement =
        Placement { additions: Additions::default(), problems: Vec::new(), warnings: Vec::new() };
    let mut placer = Placer { instance, state, out: &mut placement };
    let (piece, mode) = match placer.render(status) {
        Ok(rendered) => rendered,
        Err(problem) => {
            placement.problems.push(problem);
            return placement;
        }
    };
    match placer.presence(&piece, status) {
        Presence::All(containers) => placer.keep(&piece, mode, containers, status),
        Presence::None => placer.add(piece, mode),
        Presence::Problem => {}
    }
    placement
}

enum Presence {
    All(Vec<String>),
    None,
    Problem,
}

pub(super) struct Placer<'p, 's, 'a> {
    pub(super) instance: &'p Instance<'a>,
    pub(super) state: &'p State<'s, 'a>,
    pub(super) out: &'p mut Placement,
}

impl Placer<'_, '_, '_> {
    pub(super) fn problem(
        &mut self,
        place: impl Into<String>,
        cause: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.out.problems.push(Problem {
            place: place.into(),
            cause: cause.into(),
            remedy: remedy.into(),
        });
    }

    pub(super) fn full_name(&self, container: &Object) -> String {
        match text(container, "name") {
            "" => self.instance.name.to_owned(),
            suffix => format!("{}-{suffix}", self.instance.name),
        }
    }

    /// What the definition gives, in the mode that the instance runs in already, if it does.
    fn render(&self, status: &Status) -> Result<(Piece, Mode), Problem> {
        let instance = self.instance;
        let piece = self.render_mode(instance.mode, &instance.values)?;
        let there = piece.containers.iter().find_map(|container| {
            let name = self.full_name(container);
            let (found, is_init) = self.state.pod_container(&name)?;
            self.is_ours(&name, &found.image.0, container, status).then_some(is_init)
        });
        let mode = match there {
            Some(true) => Mode::Native,
            Some(false) => Mode::Container,
            None => instance.mode,
        };
        if mode == instance.mode {
            return Ok((piece, mode));
        }
        let values = Values { mode: mode.word(), ..instance.values.clone() };
        Ok((self.render_mode(mode, &values)?, mode))
    }

    fn render_mode(&self, mode: Mode, values: &Values<'_>) -> Result<Piece, Problem> {
        self.instance.sidecar.render(mode, values).map_err(|error| {
            let parameter = error.parameter.and_then(|n| {
                let (name, _) = self.instance.sidecar.parameters.get_index(n)?;
                let value = values.parameters.get(n)?.as_ref()?.to_string();
                Some((name, value))
            });
            match parameter {
                Some((name, value)) => Problem {
                    place: format!("{}{PARAMETER_INFIX}{name}", self.instance.name),
                    cause: format!(
                        "{value:?} does not fit where {} uses it",
                        self.instance.sidecar.name
                    ),
                    remedy: format!("write {}", error.needs),
                },
                None => Problem {
                    place: INJECT.to_owned(),
                    cause: format!(
                        "the definition of {} cannot be filled in for this pod: it needs {}",
                        self.instance.sidecar.name, error.needs
                    ),
                    remedy: "have it corrected, or leave it out".into(),
                },
            }
        })
    }

    /// Ours: the expected name, and the same image or named by the status annotation. Two sidecars may have one image,
    /// so that the image says nothing of a container that the annotation gives to another instance; nor can a
    /// container be the sidecar and what it is wired up with.
    fn is_ours(&self, name: &str, image: &str, expected: &Object, status: &Status) -> bool {
        let instance = self.instance.name;
        let is_wired = |name: &str| {
            let wired = self.instance.wired.iter().filter_map(|slot| slot.of(self.state.pod));
            wired.into_iter().any(|container| container.name.0 == name)
        };
        status.containers(instance, &self.instance.sidecar.name).contains(&name)
            || (image == text(expected, "image")
                && !status.is_of_another(instance, name)
                && !is_wired(name))
    }

    /// Whether the instance's containers are in the pod.
    fn presence(&mut self, piece: &Piece, status: &Status) -> Presence {
        let (mut present, mut missing) = (Vec::new(), Vec::new());
        for container in piece.init_containers.iter().chain(&piece.containers) {
            let name = self.full_name(container);
            match self.state.pod_container(&name) {
                Some(_) if self.state.belongs_to_another(&name) => {
                    self.another_has("container", &name);
                    return Presence::Problem;
                }
                Some((found, _)) if self.is_ours(&name, &found.image.0, container, status) => {
                    present.push(name)
                }
                Some(_) => {
                    self.problem(
                        INJECT,
                        format!("the pod has a container {name} of its own"),
                        format!(
                            "rename that container, or this instance, as in my-{}={}",
                            self.instance.name, self.instance.sidecar.name
                        ),
                    );
                    return Presence::Problem;
                }
                None => missing.push(name),
            }
        }
        // Another revision may have had other containers: then the status annotation says which.
        let recorded = status.containers(self.instance.name, &self.instance.sidecar.name);
        let belongs = |name: &str| {
            let rest = name.strip_prefix(self.instance.name);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        };
        let all_recorded = !recorded.is_empty()
            && recorded.iter().all(|n| belongs(n) && self.state.pod_container(n).is_some());
        if all_recorded {
            return Presence::All(recorded.into_iter().map(ToOwned::to_owned).collect());
        }
        if present.is_empty() {
            return Presence::None;
        }
        if missing.is_empty() {
            return Presence::All(present);
        }
        self.problem(
            INJECT,
            format!(
                "the pod has {} of {}, but not {}",
                present.join(", "),
                self.instance.name,
                missing.join(", ")
            ),
            "remove those containers, or add the rest",
        );
        Presence::Problem
    }

    /// The instance stays as it is; containers that came later are wired up as the others are.
    fn keep(&mut self, piece: &Piece, mode: Mode, containers: Vec<String>, status: &Status) {
        let (state, instance) = (self.state, self.instance);
        if instance.wired_by_default && status.has(instance.name) {
            // What was the first container then is wired up; another may have been put before it since.
            return self.placed(mode, containers, true);
        }
        let mut wiring = Wiring {
            state,
            instance,
            present: true,
            additions: &mut self.out.additions,
            problems: &mut self.out.problems,
        };
        let targets = wiring.share(piece);
        wiring.extend_app(piece, &targets);
        self.placed(mode, containers, true);
    }

    fn add(&mut self, piece: Piece, mode: Mode) {
        let (state, instance) = (self.state, self.instance);
        self.out.problems.extend(instance.mode_problem.clone());
        self.check_pod(&piece);
        self.check_names(&piece);
        if !instance.uncertain_port {
            self.check_ports(&piece);
        }
        if instance.uncertain {
            return;
        }
        let mut wiring = Wiring {
            state,
            instance,
            present: false,
            additions: &mut self.out.additions,
            problems: &mut self.out.problems,
        };
        let targets = wiring.share(&piece);
        wiring.extend_app(&piece, &targets);
        self.own_volumes(&piece);
        self.out.additions.share_process_namespace =
            piece.share_process_namespace && state.pod.spec.share_process_namespace != Some(true);
        let names: Vec<_> = piece
            .init_containers
            .iter()
            .chain(&piece.containers)
            .map(|c| self.full_name(c))
            .collect();
        let guaranteed = resources::is_guaranteed(state.pod);
        if guaranteed
            && piece.init_containers.iter().chain(&piece.containers).any(resources::may_burst)
        {
            self.warn_of_cpu();
        }
        let token = piece.api_token;
        let once: Vec<_> = piece
            .init_containers
            .into_iter()
            .map(|c| self.finish(c, &targets, None, guaranteed, token))
            .collect();
        let policy = (mode == Mode::Native).then_some("Always");
        let lasting: Vec<_> = piece
            .containers
            .into_iter()
            .map(|c| self.finish(c, &targets, policy, guaranteed, token))
            .collect();
        let additions = &mut self.out.additions;
        additions.init_containers = once;
        match mode {
            Mode::Native => additions.init_containers.extend(lasting),
            Mode::Container => additions.containers = lasting,
        }
        if let Some(cause) =
            resources::beyond_pod_level(state, &additions.init_containers, &additions.containers)
        {
            self.problem(
                "spec.resources",
                format!("{}: {cause}", instance.name),
                "raise the pod's resources, or lower the sidecar's by its parameters",
            );
        }
        if let Some((holder, app)) = secrets::exposed(state, &self.out.additions) {
            self.problem(
                INJECT,
                format!("container {holder} holds a Secret that container {app} could read: they have the same user in one process namespace"),
                "give one of them another user, or do without sharing the process namespace",
            );
        }
        self.warn(mode);
        self.placed(mode, names, false);
    }

    fn placed(&mut self, mode: Mode, containers: Vec<String>, before: bool) {
        let injected = Injected {
            instance: self.instance.name.to_owned(),
            sidecar: self.instance.sidecar.name.clone(),
            native: mode == Mode::Native,
            containers,
        };
        let revision = self.instance.sidecar.revision.clone();
        self.out.additions.instances.push(Placed { injected, revision, before });
    }

    fn own_volumes(&mut self, piece: &Piece) {
        for volume in &piece.volumes {
            let mut volume = volume.clone();
            let name = format!("{}-{}", self.instance.name, text(&volume, "name"));
            volume.insert("name".into(), name.into());
            self.out.additions.volumes.push(volume);
        }
        if !piece.api_token && !self.state.has_volume(NO_TOKEN_VOLUME) {
            self.out.additions.volumes.push(no_token_volume());
        }
    }

    /// A definition's container as it stands in the pod.
    fn finish(
        &mut self,
        container: Object,
        targets: &[Target],
        restart_policy: Option<&str>,
        guaranteed: bool,
        api_token: bool,
    ) -> Object {
        let mut finished = Object::new();
        finished.insert("name".into(), self.full_name(&container).into());
        let mut mounts: Vec<Json> = Vec::new();
        let explicit = container.get("volumeMounts").and_then(Json::as_array).into_iter().flatten();
        for wanted in explicit.filter_map(Json::as_object) {
            mounts.push(Json::Object(rename_mount(wanted, self.instance.name, targets)));
        }
        for target in targets {
            // A volume that some container mounts by its name is mounted only by name.
            if !self.instance.sidecar.mounts_by_name(&target.shared) {
                mounts.push(Json::Object(mount(
                    &target.volume,
                    &target.sidecar_path,
                    &target.sub_path,
                    target.read_only,
                )));
            }
        }
        if !api_token {
            mounts.push(Json::Object(mount(NO_TOKEN_VOLUME, TOKEN_PATH, "", true)));
        }
        leave_room_below(&mut mounts, targets);
        self.check_mounts(&mounts);
        finished.extend(container.into_iter().filter(|(key, _)| key != "name"));
        finished.insert("volumeMounts".into(), Json::Array(mounts));
        if let Some(policy) = restart_policy {
            finished.insert("restartPolicy".into(), policy.into());
        }
        if guaranteed && let Err(resource) = resources::equalise(&mut finished) {
            let name = text(&finished, "name");
            self.out.warnings.push(format!(
                "the pod is no longer Guaranteed: container {name} has no request or limit for {resource}"
            ));
        }
        self.check_container(&finished);
        finished
    }

    /// A hundredth of a CPU is enough for what mostly sleeps, but not for, say, the first clone of a large repository.
    fn warn_of_cpu(&mut self) {
        let name = self.instance.name;
        let mut warning = format!(
            "the pod is Guaranteed: so that it stays that, {name} gets no more CPU than it requests"
        );
        if self.instance.sidecar.parameters.contains_key("cpu") {
            warning.push_str(&format!("; if that is too little, raise {name}{PARAMETER_INFIX}cpu"));
        }
        self.out.warnings.push(warning);
    }

    fn warn(&mut self, mode: Mode) {
        let name = self.instance.name;
        let additions = &self.out.additions;
        let opened: Vec<_> = additions
            .containers
            .iter()
            .chain(&additions.init_containers)
            .flat_map(ports)
            .map(|(p, _)| p.to_string())
            .collect();
        let pod = self.state.pod;
        if pod.spec.host_network && !opened.is_empty() {
            self.out.warnings.push(format!(
                "the pod uses hostNetwork: port {} of {name} opens on the node itself",
                opened.join(", ")
            ));
        }
        let ends = matches!(&*pod.spec.restart_policy.0, "Never" | "OnFailure");
        if ends && mode == Mode::Container {
            let remedy = if self.instance.sidecar.mode == ModeChoice::Container {
                "leave it out".to_owned()
            } else if self.instance.can_be_native {
                format!("write {name}{PARAMETER_INFIX}{}: native", names::MODE)
            } else {
                "leave it out, or run it on a newer Kubernetes".to_owned()
            };
            self.out.warnings.push(format!("{name} runs as a plain container and never ends, so a Job's pod never completes; {remedy}"));
        }
    }
}
