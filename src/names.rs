//! Every annotation, label, limit and well-known field name, once.

/// The DNS suffix of everything that belongs to Outrigger.
pub const DOMAIN: &str = "outrigger.dev";
/// What a parameter annotation has between the instance and the parameter: `topz` + this + `port`.
pub const PARAMETER_INFIX: &str = ".outrigger.dev/";
/// What the annotations of Outrigger itself begin with.
pub const OWN_PREFIX: &str = "outrigger.dev/";

/// Annotation on a Pod or Namespace: which sidecars.
pub const INJECT: &str = "outrigger.dev/inject";
/// Annotation on a Pod, written by the webhook: what was injected.
pub const STATUS: &str = "outrigger.dev/status";
/// Label: `enabled` on a Namespace opts in, `disabled` on a Pod opts out.
pub const INJECTION: &str = "outrigger.dev/injection";

/// The pseudo-parameter that says which app containers are wired up.
pub const CONTAINERS: &str = "containers";
/// The pseudo-parameter that chooses between native sidecar and plain container.
pub const MODE: &str = "mode";
/// Names that no parameter may have: they mean something else in an annotation or in `$(name)`.
pub const RESERVED_PARAMETERS: [&str; 6] =
    ["containers", "mode", "instance", "app", "pod", "outrigger"];

/// What people write in the list of sidecars to say something else: no sidecar has such a name.
pub const NO_SIDECARS: [&str; 7] = ["none", "true", "false", "yes", "no", "enabled", "disabled"];

/// `apiVersion` of a sidecar definition.
pub const API_VERSION: &str = "outrigger.dev/v1alpha1";

/// Longest name of a sidecar or an instance, in bytes.
pub const MAX_NAME: usize = 40;
/// Longest container or volume suffix in a definition, in bytes.
/// 40 + `-` + 20 stays below the 63 that Kubernetes allows for a container's name.
pub const MAX_SUFFIX: usize = 20;

/// Longest warning, in characters: the API server cuts at 256 (`k8s.io/apiserver/pkg/endpoints/handlers/warnings.go`).
pub const MAX_WARNING: usize = 200;

/// Which container `kubectl logs` and `kubectl exec` choose.
pub const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";
/// Volumes that do not keep the cluster autoscaler from moving the pod.
pub const SAFE_TO_EVICT: &str = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes";
/// The kubelet's mark on the copy of a static pod.
pub const MIRROR: &str = "kubernetes.io/config.mirror";

/// Where ServiceAccount admission mounts an API token, unless something is mounted there.
pub const TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// The empty volume that keeps the API token out of sidecars.
pub const NO_TOKEN_VOLUME: &str = "outrigger-no-api-token";

/// Whether `text` is a DNS label (RFC 1123) of at most `longest` bytes.
#[must_use]
pub fn is_dns_label(text: &str, longest: usize) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !text.is_empty()
        && text.len() <= longest
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// The candidate most like `name`, if any is near enough to be what was meant.
#[must_use]
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    let length = name.chars().count();
    // Of one letter, nothing would be left that is alike.
    let longest_distance = (length / 3).max(1).min(length.saturating_sub(1));
    candidates
        .into_iter()
        .map(|c| (strsim::damerau_levenshtein(&name, &c.to_lowercase()), c))
        .filter(|(distance, _)| *distance <= longest_distance)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, c)| c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels() {
        for (text, ok) in [
            ("topz", true),
            ("a", true),
            ("git-sync", true),
            ("", false),
            ("-a", false),
            ("a-", false),
            ("A", false),
            ("a.b", false),
            ("a_b", false),
            ("ü", false),
        ] {
            assert_eq!(is_dns_label(text, MAX_NAME), ok, "{text}");
        }
        assert!(is_dns_label(&"a".repeat(40), MAX_NAME));
        assert!(!is_dns_label(&"a".repeat(41), MAX_NAME));
    }

    #[test]
    fn nearest_name() {
        let names = ["topz", "git-sync", "log"];
        assert_eq!(nearest("lgo", names), Some("log"));
        assert_eq!(nearest("gitsync", names), Some("git-sync"));
        assert_eq!(nearest("TOPZ", names), Some("topz"));
        assert_eq!(nearest("perod", ["port", "period"]), Some("period"));
        assert_eq!(nearest("istio", names), None);
        assert_eq!(nearest("*", ["w", "x"]), None);
        assert_eq!(nearest("", ["w"]), None);
        assert_eq!(nearest("W", ["w"]), Some("w"));
    }
}
