//! What keeps an instance out of a pod: names, ports and mounts that something else has, the pod as a whole, and values
//! that do not go together.

use serde_json::Value as Json;

use super::additions::{Mounted, Object, ports, text};
use super::place::Placer;
use super::resources::{self, Excess};
use crate::names::{INJECT, NO_TOKEN_VOLUME, PARAMETER_INFIX};
use crate::sidecar::parameter::Kind;
use crate::sidecar::piece::Piece;
use crate::sidecar::value::{Value, clean_path};

impl Placer<'_, '_, '_> {
    /// What the pod as a whole says against it.
    pub(super) fn check_pod(&mut self, piece: &Piece) {
        let pod = self.state.pod;
        if pod.is_windows() {
            self.problem(
                INJECT,
                format!("{} runs on Linux, and this pod on Windows", self.instance.name),
                "leave it out",
            );
        }
        if !piece.share_process_namespace {
            return;
        }
        if pod.spec.host_pid {
            self.problem(
                "spec.hostPID",
                format!(
                    "{} shares the pod's process namespace, and this pod uses the node's",
                    self.instance.name
                ),
                format!("remove hostPID, or {}", self.instance.name),
            );
        }
        if pod.spec.share_process_namespace == Some(false) {
            self.problem(
                "spec.shareProcessNamespace",
                format!(
                    "{} shares the pod's process namespace, and the pod says false",
                    self.instance.name
                ),
                format!("set it to true, remove it, or leave {} out", self.instance.name),
            );
        }
    }

    pub(super) fn another_has(&mut self, what: &str, name: &str) {
        self.problem(
            INJECT,
            format!("another instance has a {what} {name} too"),
            "rename one of the instances",
        );
    }

    pub(super) fn check_names(&mut self, piece: &Piece) {
        for container in piece.init_containers.iter().chain(&piece.containers) {
            let name = self.full_name(container);
            if self.state.has_planned_container(&name) {
                self.another_has("container", &name);
            }
        }
        let shared = piece.shared_volumes.iter().map(|v| v.name.as_str());
        let names: Vec<_> = piece.volumes.iter().map(|v| text(v, "name")).chain(shared).collect();
        for name in names {
            let name = format!("{}-{name}", self.instance.name);
            if name == NO_TOKEN_VOLUME {
                self.problem(
                    INJECT,
                    format!("{name} is the name of a volume that Outrigger adds"),
                    "rename this instance",
                );
            } else if self.state.pod_volume(&name).is_some() {
                self.problem(
                    INJECT,
                    format!("the pod has a volume {name} of its own"),
                    "rename that volume, or this instance",
                );
            } else if self.state.planned_volume(&name).is_some() {
                self.another_has("volume", &name);
            }
        }
        let token_volume = self.state.pod_volume(NO_TOKEN_VOLUME);
        if !piece.api_token && token_volume.is_some_and(|v| !v.is_empty_dir()) {
            self.problem("spec.volumes", format!("{NO_TOKEN_VOLUME} is the name of a volume that Outrigger adds, and here it is no emptyDir"), "rename that volume");
        }
    }

    /// A port that two containers of a pod listen on works for one of them.
    pub(super) fn check_ports(&mut self, piece: &Piece) {
        let mut seen: Vec<(i64, &str)> = Vec::new();
        for container in &piece.containers {
            for (port, protocol) in ports(container) {
                let holder = self.state.holder_of_port(port, protocol);
                let own = seen.contains(&(port, protocol)).then_some(self.instance.name);
                if let Some(holder) = holder.or(own) {
                    let place = self.instance.annotation_where(|p, value| {
                        p.kind == Kind::Port && *value == Value::Integer(port)
                    });
                    let remedy = if place == INJECT {
                        format!(
                            "leave {} out, or choose another port for {holder}",
                            self.instance.name
                        )
                    } else {
                        "choose another port".to_owned()
                    };
                    self.problem(
                        place,
                        format!(
                            "port {port}/{protocol} of {} is taken by container {holder}",
                            self.instance.name
                        ),
                        remedy,
                    );
                }
                seen.push((port, protocol));
            }
        }
    }

    /// What the API server or the kubelet would refuse in a container of ours, because of values that fit one by one.
    pub(super) fn check_container(&mut self, container: &Object) {
        let name = text(container, "name");
        if let Some(Excess { resource, request, limit }) =
            resources::request_beyond_limit(container)
        {
            let has_parameter = self.instance.sidecar.parameters.contains_key(&resource);
            let place = if has_parameter {
                format!("{}{PARAMETER_INFIX}{resource}", self.instance.name)
            } else {
                INJECT.to_owned()
            };
            self.problem(
                place,
                format!("container {name} requests {request} of {resource}, more than its limit of {limit}"),
                "lower the request, or raise the limit",
            );
        }
        let security = container.get("securityContext");
        let says = |key: &str| security.and_then(|context| context.get(key));
        if says("runAsNonRoot") == Some(&Json::Bool(true))
            && says("runAsUser").is_none()
            && self.state.pod.spec.security_context.run_as_user == Some(0)
        {
            self.problem(
                "spec.securityContext.runAsUser",
                format!("container {name} would take the pod's user 0, and says runAsNonRoot"),
                format!(
                    "give {} a user of its own, or the pod one that is not root",
                    self.instance.name
                ),
            );
        }
    }

    /// Kubernetes allows one mount for each path of a container.
    pub(super) fn check_mounts(&mut self, mounts: &[Json]) {
        let mut seen = Vec::new();
        for path in mounts.iter().filter_map(|m| m.get("mountPath")?.as_str()) {
            let path = clean_path(path).unwrap_or_else(|| path.to_owned());
            if seen.contains(&path) {
                let place = self.instance.annotation_where(|_, value| {
                    value.to_string() == path || value.directories().contains(&path)
                });
                self.problem(
                    place,
                    format!("{} mounts {path} for itself", self.instance.name),
                    "choose another path",
                );
                return;
            }
            seen.push(path);
        }
        let all = || mounts.iter().filter_map(Json::as_object).map(Mounted::planned);
        for upper in all().filter(|upper| upper.read_only_ours) {
            if let Some(lower) = all().find(|lower| lower.is_below(&upper)) {
                let place = self.instance.annotation_where(|_, value| {
                    [&upper.path, &lower.path].iter().any(|path| {
                        value.to_string() == **path
                            || value.directories().iter().any(|d| d == *path)
                    })
                });
                self.problem(
                    place,
                    format!(
                        "{} mounts {} for reading only, and {} below it has no place to be mounted at",
                        self.instance.name, upper.path, lower.path
                    ),
                    "choose another path",
                );
                return;
            }
        }
    }
}
