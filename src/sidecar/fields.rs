//! What the fields of a definition need, where `$(name)` stands in one of them alone, and which of them the
//! kubelet expands itself. From the core/v1 types of Kubernetes.

/// What a field takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    /// Text that nobody expands later.
    Text,
    /// Text in which the kubelet expands `$(VAR)` (`k8s.io/kubernetes/third_party/forked/golang/expansion`).
    Expanded,
    /// A whole number.
    Integer,
    /// A whole number of seconds.
    Seconds,
    /// `true` or `false`.
    Boolean,
    /// A port's number or its name.
    Port,
    /// One path or several.
    Paths,
    /// Written out, so that a definition can be read without a pod: no substitution at all.
    Fixed,
}

const BOOLEANS: [&str; 13] = [
    "allowPrivilegeEscalation",
    "apiToken",
    "appReadOnly",
    "optional",
    "privileged",
    "readOnly",
    "readOnlyRootFilesystem",
    "runAsNonRoot",
    "shareProcessNamespace",
    "sidecarReadOnly",
    "stdin",
    "stdinOnce",
    "tty",
];

const INTEGERS: [&str; 9] = [
    "containerPort",
    "defaultMode",
    "failureThreshold",
    "fsGroup",
    "hostPort",
    "mode",
    "runAsGroup",
    "runAsUser",
    "successThreshold",
];

const PROBES: [&str; 3] = ["livenessProbe", "readinessProbe", "startupProbe"];

/// The field at `path`: the keys from a piece's top, without list positions.
pub(super) fn field(path: &[&str]) -> Field {
    match path {
        ["containers" | "initContainers", inside @ ..] => container_field(inside),
        ["volumes" | "sharedVolumes", "name"] | [.., "volumeMounts", "name"] => Field::Fixed,
        ["sharedVolumes", "ifMounted"] => Field::Fixed,
        ["sharedVolumes", "appPath"] => Field::Paths,
        ["app", "env", "value"] | ["app", "volumeMounts", "subPathExpr"] => Field::Expanded,
        path => common_field(path),
    }
}

fn container_field(inside: &[&str]) -> Field {
    match inside {
        ["name"] | ["volumeMounts", "name"] => Field::Fixed,
        // Probes' commands are expanded, lifecycle hooks' are not (kubelet: prober.go, lifecycle/handlers.go).
        ["command" | "args"] | ["env", "value"] | ["volumeMounts", "subPathExpr"] => {
            Field::Expanded
        }
        [probe, "exec", "command"] if PROBES.contains(probe) => Field::Expanded,
        inside => common_field(inside),
    }
}

fn common_field(path: &[&str]) -> Field {
    match path {
        [.., "httpGet" | "tcpSocket", "port"] => Field::Port,
        [.., "grpc", "port"] | [.., "sleep", "seconds"] => Field::Integer,
        [.., name] if name.ends_with("Seconds") => Field::Seconds,
        [.., name] if INTEGERS.contains(name) => Field::Integer,
        [.., name] if BOOLEANS.contains(name) => Field::Boolean,
        _ => Field::Text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields() {
        for (path, expected) in [
            ("containers/name", Field::Fixed),
            ("containers/image", Field::Text),
            ("containers/args", Field::Expanded),
            ("containers/env/value", Field::Expanded),
            ("containers/env/name", Field::Text),
            ("containers/ports/containerPort", Field::Integer),
            ("containers/livenessProbe/httpGet/port", Field::Port),
            ("containers/livenessProbe/grpc/port", Field::Integer),
            ("containers/livenessProbe/periodSeconds", Field::Seconds),
            ("containers/startupProbe/exec/command", Field::Expanded),
            ("containers/lifecycle/preStop/exec/command", Field::Text),
            ("containers/securityContext/runAsUser", Field::Integer),
            ("containers/volumeMounts/readOnly", Field::Boolean),
            ("containers/volumeMounts/name", Field::Fixed),
            ("initContainers/args", Field::Expanded),
            ("volumes/secret/defaultMode", Field::Integer),
            ("volumes/secret/optional", Field::Boolean),
            ("volumes/emptyDir/sizeLimit", Field::Text),
            ("sharedVolumes/appPath", Field::Paths),
            ("sharedVolumes/sidecarPath", Field::Text),
            ("app/env/value", Field::Expanded),
        ] {
            let path: Vec<_> = path.split('/').collect();
            assert_eq!(field(&path), expected, "{path:?}");
        }
    }
}
