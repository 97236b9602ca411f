//! Volumes that application and sidecar share: made anew, or joined where the application has mounted one.

use serde_json::{Value as Json, json};

use super::additions::{Additions, Mounted, Object, State, join_sub_paths, text};
use super::decision::Problem;
use super::resolve::{Instance, Slot};
use super::view::Volume;
use crate::names;
use crate::sidecar::parameter::Kind;
use crate::sidecar::piece::{IfMounted, Paths, Piece, SharedVolume};
use crate::sidecar::value::{Value, below, clean_path};

/// Where the sidecar finds a shared volume, for one of its paths.
#[derive(Debug)]
pub(super) struct Target {
    /// The shared volume's name in the definition.
    pub(super) shared: String,
    /// The volume's name in the pod.
    pub(super) volume: String,
    pub(super) sub_path: String,
    /// Where the sidecar's containers mount it, unless they say so themselves.
    pub(super) sidecar_path: String,
    pub(super) read_only: bool,
}

/// Wires one instance's shared volumes up.
pub(super) struct Wiring<'w, 's, 'a> {
    pub(super) state: &'w State<'s, 'a>,
    pub(super) instance: &'w Instance<'a>,
    /// The instance's containers are in the pod already: only what is missing is added, and nothing is a problem.
    pub(super) present: bool,
    pub(super) additions: &'w mut Additions,
    pub(super) problems: &'w mut Vec<Problem>,
}

impl Wiring<'_, '_, '_> {
    fn problem(&mut self, place: String, cause: String, remedy: &str) {
        if !self.present {
            self.problems.push(Problem { place, cause, remedy: remedy.to_owned() });
        }
    }

    /// The parameter that a path comes from, for the user to change.
    fn place(&self, path: &str) -> String {
        self.instance.annotation_where(|parameter, value| match parameter.kind {
            Kind::Globs => value.directories().iter().any(|d| d == path),
            Kind::Path => matches!(value, Value::Text(text) if below(text, path).is_some()),
            _ => false,
        })
    }

    /// All shared volumes of a piece; the result says what the sidecar mounts.
    pub(super) fn share(&mut self, piece: &Piece) -> Vec<Target> {
        let mut targets = Vec::new();
        for shared in &piece.shared_volumes {
            let own_name = format!("{}-{}", self.instance.name, shared.name);
            let mut created = false;
            for app_path in shared.app_path.all() {
                let Some(path) = clean_path(app_path).filter(|p| p != "/") else {
                    let place = self.place(app_path);
                    self.problem(
                        place,
                        format!("{app_path:?} cannot be mounted over"),
                        "choose a directory below /",
                    );
                    continue;
                };
                let whole = matches!(shared.app_path, Paths::One(_));
                let own_sub_path =
                    if whole { String::new() } else { path.trim_start_matches('/').to_owned() };
                let joined = self.join(shared, &path);
                let (volume, sub_path) = match joined {
                    Joined::Other(volume, sub_path) => (volume, sub_path),
                    Joined::Nothing if is_vital(&path) => {
                        let place = self.place(&path);
                        self.problem(
                            place,
                            format!("{path} cannot be mounted over: the container would not start"),
                            "choose another path",
                        );
                        continue;
                    }
                    Joined::Nothing => {
                        created = true;
                        (own_name.clone(), own_sub_path)
                    }
                    Joined::Impossible => continue,
                };
                self.mount_in_app(shared, &path, &volume, &sub_path);
                targets.push(Target {
                    shared: shared.name.clone(),
                    volume,
                    sub_path,
                    sidecar_path: shared.sidecar_path.clone().unwrap_or(path),
                    read_only: shared.sidecar_read_only,
                });
            }
            if created {
                self.create(own_name, &shared.volume);
            }
        }
        targets
    }

    /// The volume to join, where a wired container has mounted one at the path (or above, if it may be joined).
    fn join(&mut self, shared: &SharedVolume, path: &str) -> Joined {
        let mut found: Option<(String, String)> = None;
        for slot in &self.instance.wired {
            let mounts = self.state.mounts(*slot);
            let Some(mount) = covering(&mounts, path, shared.if_mounted) else { continue };
            let container = slot.of(self.state.pod).map_or("", |c| &c.name.0).to_owned();
            if shared.if_mounted == IfMounted::Refuse && !self.present {
                let volume = mount.volume.to_owned();
                let place = self.place(path);
                self.problem(
                    place,
                    format!("container {container} mounts volume {volume} at {path} already"),
                    "choose another path, or remove that mount",
                );
                return Joined::Impossible;
            }
            if let Err(cause) = self.may_join(shared, mount, path, &container) {
                let place = self.place(path);
                let remedy = if mount.by_expression {
                    "use a plain subPath there, or choose another path"
                } else {
                    "mount a writable volume such as an emptyDir there, or choose another path"
                };
                self.problem(place, cause, remedy);
                return Joined::Impossible;
            }
            let rest = below(path, &mount.path).unwrap_or_default();
            let sub_path = join_sub_paths(mount.sub_path, rest);
            match &found {
                None => found = Some((mount.volume.to_owned(), sub_path)),
                Some((volume, sub)) if volume == mount.volume && *sub == sub_path => {}
                Some(_) if self.present => {}
                Some((volume, sub)) => {
                    let what = if volume == mount.volume {
                        format!(
                            "directories of volume {volume} at {path} ({sub:?} and {sub_path:?})"
                        )
                    } else {
                        format!("volumes at {path} ({volume} and {})", mount.volume)
                    };
                    let cause = format!("the containers that are wired up mount different {what}");
                    let place = format!(
                        "{}{}{}",
                        self.instance.name,
                        names::PARAMETER_INFIX,
                        names::CONTAINERS
                    );
                    self.problem(place, cause, "name containers that mount the same one");
                    return Joined::Impossible;
                }
            }
        }
        found.map_or(Joined::Nothing, |(volume, sub_path)| Joined::Other(volume, sub_path))
    }

    fn may_join(
        &self,
        shared: &SharedVolume,
        mount: &Mounted<'_>,
        path: &str,
        container: &str,
    ) -> Result<(), String> {
        if self.present {
            return Ok(());
        }
        if mount.by_expression {
            return Err(format!(
                "container {container} mounts {path} by a subPathExpr, which only its own environment explains"
            ));
        }
        let source = self.state.pod_volume(mount.volume).and_then(|v| v.read_only_source());
        match source {
            Some(source) if !shared.sidecar_read_only => Err(format!(
                "container {container} mounts a volume of type {source} at {path}, and the sidecar {} would write there",
                self.instance.sidecar.name
            )),
            _ => Ok(()),
        }
    }

    fn mount_in_app(&mut self, shared: &SharedVolume, path: &str, volume: &str, sub_path: &str) {
        if self.present && !self.state.has_volume(volume) {
            return;
        }
        for slot in &self.instance.wired {
            let mounts = self.state.mounts(*slot);
            if covering(&mounts, path, shared.if_mounted).is_some() {
                continue;
            }
            let mount = mount(volume, path, sub_path, shared.app_read_only);
            if let Some((cause, remedy)) = self.obstacle(*slot, &mount) {
                let place = self.place(path);
                self.problem(place, cause, remedy);
                continue;
            }
            self.additions.app.entry(*slot).or_default().mounts.push(mount);
        }
    }

    /// Why a container has no place for one more mount, if it has none, and what helps.
    fn obstacle(&self, slot: Slot, mount: &Object) -> Option<(String, &'static str)> {
        let container = slot.of(self.state.pod).map_or("", |c| &c.name.0);
        let instance = self.instance.name;
        let new = Mounted::planned(mount);
        let path = &new.path;
        let own = self.additions.app.get(&slot).into_iter().flat_map(|edit| &edit.mounts);
        let own: Vec<_> = own.map(Mounted::planned).collect();
        if own.iter().any(|other| other.path == *path) {
            let cause = format!("{instance} would give container {container} two mounts at {path}");
            return Some((cause, "choose another path for one of them"));
        }
        let others = self.state.mounts(slot);
        if others.iter().any(|other| other.path == *path) {
            let cause = format!("container {container} mounts something at {path} already");
            return Some((cause, "choose another path, or remove that mount"));
        }
        if let Some(upper) = covering(&others, path, IfMounted::Reuse)
            && let Some(source) =
                self.state.pod_volume(upper.volume).and_then(Volume::kubelet_writes)
        {
            let cause = format!(
                "container {container} mounts a volume of type {source} at {}, which is read-only: {path} below it has no place to be mounted at",
                upper.path
            );
            return Some((cause, "choose another path"));
        }
        let nested = others.iter().chain(&own).find(|other| {
            (new.read_only_ours && other.is_below(&new))
                || (other.read_only_ours && new.is_below(other))
        })?;
        let cause = format!(
            "container {container} has mounts at {path} and {}, and the upper of them is read-only: the lower has no place to be mounted at",
            nested.path
        );
        Some((cause, "choose paths that do not contain each other"))
    }

    fn create(&mut self, name: String, source: &Object) {
        if self.present {
            return;
        }
        let mut volume = Object::new();
        volume.insert("name".into(), name.into());
        volume.extend(source.clone());
        self.additions.volumes.push(volume);
    }

    /// The definition's `app`: variables and mounts of the sidecar's own volumes.
    pub(super) fn extend_app(&mut self, piece: &Piece, targets: &[Target]) {
        let wired: Vec<Slot> = self.instance.wired.clone();
        for slot in wired {
            let container = slot.of(self.state.pod).map_or("", |c| &c.name.0).to_owned();
            for variable in &piece.app.env {
                let name = text(variable, "name");
                if self.state.has_env(slot, name) {
                    self.problem(
                        names::INJECT.to_owned(),
                        format!(
                            "{} sets the variable {name}, which container {container} has already",
                            self.instance.name
                        ),
                        "remove one of them",
                    );
                } else {
                    self.additions.app.entry(slot).or_default().env.push(variable.clone());
                }
            }
            for wanted in &piece.app.volume_mounts {
                let wanted = rename_mount(wanted, self.instance.name, targets);
                let path = clean_path(text(&wanted, "mountPath")).unwrap_or_default();
                if let Some((cause, remedy)) = self.obstacle(slot, &wanted) {
                    let place = self.place(&path);
                    self.problem(place, cause, remedy);
                } else if !self.present || self.state.has_volume(text(&wanted, "name")) {
                    self.additions.app.entry(slot).or_default().mounts.push(wanted);
                }
            }
        }
    }
}

enum Joined {
    /// This volume, and the directory in it.
    Other(String, String),
    /// No wired container has one there.
    Nothing,
    /// There is a problem.
    Impossible,
}

/// Directories into which the container runtime and the kubelet mount files of their own, such as `/etc/hosts` and
/// `/dev/termination-log`, or into which the runtime lets nobody mount.
fn is_vital(path: &str) -> bool {
    matches!(path, "/dev" | "/etc" | "/sys") || below(path, "/proc").is_some()
}

/// The mount that decides what a container sees at the path: the one at it, or the nearest above if it may be joined.
fn covering<'m, 's>(
    mounts: &'m [Mounted<'s>],
    path: &str,
    if_mounted: IfMounted,
) -> Option<&'m Mounted<'s>> {
    let candidates = mounts.iter().filter(|mount| {
        below(path, &mount.path)
            .is_some_and(|rest| rest.is_empty() || if_mounted == IfMounted::Reuse)
    });
    candidates.max_by_key(|mount| mount.path.len())
}

pub(super) fn mount(volume: &str, path: &str, sub_path: &str, read_only: bool) -> Object {
    let mut mount = Object::new();
    mount.insert("name".into(), volume.into());
    mount.insert("mountPath".into(), path.into());
    if !sub_path.is_empty() {
        mount.insert("subPath".into(), sub_path.into());
    }
    if read_only {
        mount.insert("readOnly".into(), true.into());
    }
    mount
}

/// A definition's mount with the volume's name in the pod.
pub(super) fn rename_mount(mount: &Object, instance: &str, targets: &[Target]) -> Object {
    let mut renamed = mount.clone();
    let name = text(mount, "name");
    match targets.iter().find(|target| target.shared == name) {
        Some(target) => {
            renamed.insert("name".into(), target.volume.clone().into());
            let sub_path = join_sub_paths(&target.sub_path, text(mount, "subPath"));
            if !sub_path.is_empty() && !mount.contains_key("subPathExpr") {
                renamed.insert("subPath".into(), sub_path.into());
            }
            if target.read_only {
                renamed.insert("readOnly".into(), true.into());
            }
        }
        None => {
            renamed.insert("name".into(), format!("{instance}-{name}").into());
        }
    }
    renamed
}

/// The container runtime makes a directory for each mount, and cannot where the mount above it is read-only: the
/// container would never start. So a shared volume that the sidecar only reads is mounted writable there. (A directory
/// of the same volume is there already: the kubelet makes it.)
pub(super) fn leave_room_below(mounts: &mut [Json], targets: &[Target]) {
    let place = |mount: &Json| {
        let mount = mount.as_object()?;
        Some((clean_path(text(mount, "mountPath"))?, text(mount, "name").to_owned()))
    };
    let places: Vec<_> = mounts.iter().filter_map(place).collect();
    for mount in mounts {
        let Some((path, volume)) = place(mount) else { continue };
        let is_upper = places
            .iter()
            .any(|(other, of)| *of != volume && below(other, &path).is_some_and(|r| !r.is_empty()));
        if is_upper
            && targets.iter().any(|t| t.read_only && t.volume == volume)
            && let Json::Object(mount) = mount
        {
            mount.shift_remove("readOnly");
        }
    }
}

/// The volume that keeps the API token out.
pub(super) fn no_token_volume() -> Object {
    let mut volume = Object::new();
    volume.insert("name".into(), names::NO_TOKEN_VOLUME.into());
    volume.insert("emptyDir".into(), json!({}));
    volume
}
