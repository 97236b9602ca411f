//! Requests and limits: what keeps a pod Guaranteed, and within the resources of the pod as a whole.

use serde_json::{Map, Value as Json};

use super::additions::{Object, State, text};
use super::view::{Amounts, Container, PodView, Scalar};
use crate::sidecar::value::quantity;

/// The resources that count for both.
pub(super) const COUNTED: [&str; 2] = ["cpu", "memory"];

impl Amounts<'_> {
    fn of(&self, resource: &str) -> Option<&Scalar<'_>> {
        if resource == "cpu" { self.cpu.as_ref() } else { self.memory.as_ref() }
    }

    fn amount(&self, resource: &str) -> Option<i128> {
        quantity(&self.of(resource)?.0)
    }
}

/// Whether all of a pod's containers have limits, and requests equal to them
/// (`k8s.io/component-helpers/.../qos`; a request that is not written equals its limit).
pub(super) fn is_guaranteed(pod: &PodView<'_>) -> bool {
    let guaranteed = |container: &Container<'_>| {
        COUNTED.iter().all(|resource| {
            let limit = container.resources.limits.amount(resource);
            let request = container.resources.requests.amount(resource).or(limit);
            limit.is_some_and(|l| l > 0) && request == limit
        })
    };
    !pod.containers().is_empty()
        && pod.containers().iter().chain(pod.init_containers()).all(guaranteed)
}

/// Whether a sidecar's container requests CPU, and may use more.
pub(super) fn may_burst(container: &Object) -> bool {
    let amount = |kind| container.get("resources").and_then(|r| r.get(kind)?.get("cpu"));
    amount("requests").is_some() && amount("limits").is_none()
}

/// Makes requests and limits of a sidecar's container equal, so that the pod stays Guaranteed.
///
/// # Errors
/// The resource of which the container has neither.
pub(super) fn equalise(container: &mut Object) -> Result<(), &'static str> {
    let resources = container.entry("resources").or_insert_with(|| Json::Object(Map::new()));
    let Json::Object(resources) = resources else { return Ok(()) };
    for resource in COUNTED {
        let given = ["limits", "requests"]
            .iter()
            .find_map(|kind| resources.get(*kind)?.get(resource).cloned());
        let Some(given) = given else { return Err(resource) };
        for kind in ["limits", "requests"] {
            let amounts = resources.entry(kind).or_insert_with(|| Json::Object(Map::new()));
            if let Json::Object(amounts) = amounts {
                amounts.insert(resource.into(), given.clone());
            }
        }
    }
    Ok(())
}

/// A resource of which a container requests more than its limit.
pub(super) struct Excess {
    pub(super) resource: String,
    pub(super) request: String,
    pub(super) limit: String,
}

/// The first resource of which a container requests more than its limit: the API server refuses such a pod.
pub(super) fn request_beyond_limit(container: &Object) -> Option<Excess> {
    let resources = container.get("resources")?;
    let (requests, limits) = (resources.get("requests")?.as_object()?, resources.get("limits")?);
    requests.iter().find_map(|(resource, request)| {
        let limit = limits.get(resource)?;
        (json_amount(request)? > json_amount(limit)?).then(|| Excess {
            resource: resource.clone(),
            request: written(request),
            limit: written(limit),
        })
    })
}

/// Why the pod's own resources are not enough for these containers besides, if they are not.
pub(super) fn beyond_pod_level(
    state: &State<'_, '_>,
    init: &[Object],
    containers: &[Object],
) -> Option<String> {
    let pod_level = state.pod.spec.resources.as_ref()?;
    for resource in COUNTED {
        if let Some(allowed) = pod_level.requests.of(resource).or(pod_level.limits.of(resource))
            && let Some(most) = quantity(&allowed.0)
        {
            let sum = sum_of_requests(state, init, containers, resource);
            if sum > most {
                return Some(format!(
                    "with it the containers request {} of {resource}, more than the {} of the whole pod",
                    show(sum, resource),
                    allowed.0
                ));
            }
        }
        if let Some(allowed) = pod_level.limits.of(resource)
            && let Some(most) = quantity(&allowed.0)
        {
            let over = init
                .iter()
                .chain(containers)
                .find(|c| rendered_amount(c, "limits", resource).is_some_and(|l| l > most));
            if let Some(container) = over {
                let limit = rendered_amount(container, "limits", resource).unwrap_or_default();
                return Some(format!(
                    "container {} has a limit of {} of {resource}, more than the {} of the whole pod",
                    text(container, "name"),
                    show(limit, resource),
                    allowed.0
                ));
            }
        }
    }
    None
}

/// What the scheduler counts (`k8s.io/component-helpers/resource`): all that run together, or, if that is more, an
/// init container with the native sidecars that started before it.
fn sum_of_requests(
    state: &State<'_, '_>,
    init: &[Object],
    containers: &[Object],
    resource: &str,
) -> i128 {
    let present = |c: &Container<'_>| {
        c.resources
            .requests
            .amount(resource)
            .or(c.resources.limits.amount(resource))
            .unwrap_or_default()
    };
    let rendered = |c: &Object| {
        rendered_amount(c, "requests", resource)
            .or(rendered_amount(c, "limits", resource))
            .unwrap_or_default()
    };
    let ours = state
        .planned
        .init_containers
        .iter()
        .chain(init)
        .map(|c| (text(c, "restartPolicy") == "Always", rendered(c)));
    let theirs = state.pod.init_containers().iter().map(|c| (c.is_native_sidecar(), present(c)));
    let (mut native, mut peak) = (0, 0);
    for (is_native, amount) in ours.chain(theirs) {
        if is_native {
            native += amount;
        } else {
            peak = peak.max(native + amount);
        }
    }
    let app: i128 = state.pod.containers().iter().map(present).sum();
    let beside: i128 = state.planned.containers.iter().chain(containers).map(rendered).sum();
    peak.max(native + app + beside)
}

fn rendered_amount(container: &Object, kind: &str, resource: &str) -> Option<i128> {
    json_amount(container.get("resources")?.get(kind)?.get(resource)?)
}

fn json_amount(amount: &Json) -> Option<i128> {
    quantity(&written(amount))
}

/// A quantity as it is written: as text, or as a number.
fn written(amount: &Json) -> String {
    amount.as_str().map_or_else(|| amount.to_string(), ToOwned::to_owned)
}

/// An amount as people write it: CPU in thousandths, memory in Mi.
fn show(amount: i128, resource: &str) -> String {
    const ONE: i128 = 1_000_000_000;
    if resource == "cpu" {
        format!("{}m", amount * 1000 / ONE)
    } else {
        format!("{}Mi", amount / ONE / 1024 / 1024)
    }
}
