//! What Kubernetes asks of a container beyond the types of its fields (`k8s.io/kubernetes/pkg/apis/core/validation`):
//! the API server would refuse every pod that gets a container which breaks one of these.

use serde_json::{Map, Value as Json};

use super::definition::Faults;
use super::value::quantity;

const PROBES: [&str; 3] = ["livenessProbe", "readinessProbe", "startupProbe"];
const HANDLERS: [&str; 4] = ["exec", "httpGet", "tcpSocket", "grpc"];

/// The rules that a container breaks; `one_shot` for one that ends before the application starts.
pub(super) fn broken(container: &Map<String, Json>, one_shot: bool) -> Faults {
    let mut faults = Faults::new();
    let mut fault = |path: String, message: String| faults.push((path, message));
    if one_shot {
        for field in PROBES.into_iter().chain(["lifecycle"]) {
            if container.contains_key(field) {
                fault(field.into(), "a one-shot container can have none; leave it out".into());
            }
        }
    }
    if let Some((path, message)) =
        one_of(container, "imagePullPolicy", &["Always", "IfNotPresent", "Never"])
    {
        fault(path, message);
    }
    let list_of = |key: &str| container.get(key).and_then(Json::as_array).into_iter().flatten();
    for (n, port) in list_of("ports").filter_map(Json::as_object).enumerate() {
        let at = format!("ports[{n}]");
        let number = port.get("containerPort").and_then(Json::as_i64).unwrap_or_default();
        if !(1..=65535).contains(&number) {
            let cause = if number == 0 { "missing".into() } else { format!("{number} is no port") };
            fault(
                format!("{at}.containerPort"),
                format!("{cause}; write a number from 1 to 65535"),
            );
        }
        if let Some((path, message)) = one_of(port, "protocol", &["TCP", "UDP", "SCTP"]) {
            fault(format!("{at}.{path}"), message);
        }
        if let Some(name) = text(port, "name").filter(|name| !is_port_name(name)) {
            fault(
                format!("{at}.name"),
                format!(
                    "{name:?} is not the name of a port; write at most 15 lower-case letters, digits and single dashes"
                ),
            );
        }
    }
    for (n, variable) in list_of("env").filter_map(Json::as_object).enumerate() {
        if let Some(name) = text(variable, "name").filter(|name| name.contains('=')) {
            fault(
                format!("env[{n}].name"),
                format!("{name:?} is not a variable's name; leave out the equals sign"),
            );
        }
    }
    for kind in ["requests", "limits"] {
        let amounts = container.get("resources").and_then(|r| r.get(kind)?.as_object());
        for (resource, amount) in amounts.into_iter().flatten() {
            let is_quantity = match amount {
                Json::String(text) => quantity(text).is_some(),
                other => quantity(&other.to_string()).is_some(),
            };
            if !is_quantity {
                fault(
                    format!("resources.{kind}.{resource}"),
                    format!(
                        "{amount} is not a quantity; write a number with a unit of Kubernetes, such as 100m, 64Mi or 2"
                    ),
                );
            }
        }
    }
    for probe in PROBES {
        let Some(given) = container.get(probe).and_then(Json::as_object) else { continue };
        let handlers = HANDLERS.iter().filter(|handler| given.contains_key(**handler)).count();
        if handlers != 1 {
            fault(
                probe.into(),
                format!("{handlers} ways to probe; write one of {}", HANDLERS.join(", ")),
            );
        }
        for handler in ["httpGet", "tcpSocket", "grpc"] {
            if given.get(handler).is_some_and(|handler| handler.get("port").is_none()) {
                fault(format!("{probe}.{handler}.port"), "missing; write the port to probe".into());
            }
        }
    }
    if let Some(security) = container.get("securityContext").and_then(Json::as_object)
        && security.get("runAsNonRoot") == Some(&Json::Bool(true))
        && security.get("runAsUser").and_then(Json::as_i64) == Some(0)
    {
        fault(
            "securityContext.runAsUser".into(),
            "0 is root, and runAsNonRoot says otherwise; write another user".into(),
        );
    }
    faults
}

/// The fault of a field that has none of the values which there are.
fn one_of(map: &Map<String, Json>, key: &str, known: &[&str]) -> Option<(String, String)> {
    let value = text(map, key).filter(|value| !known.contains(value))?;
    let words = known.join(", ");
    Some((
        key.to_owned(),
        format!("{value:?} is none of those that there are; write one of {words}"),
    ))
}

fn text<'m>(map: &'m Map<String, Json>, key: &str) -> Option<&'m str> {
    map.get(key)?.as_str()
}

/// Whether Kubernetes takes this for the name of a port (`IsValidPortName`).
fn is_port_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=15).contains(&name.len())
        && name.bytes().all(allowed)
        && name.bytes().any(|b| b.is_ascii_lowercase())
        && !name.starts_with('-')
        && !name.ends_with('-')
        && !name.contains("--")
}
