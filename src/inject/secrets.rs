//! Who could read a sidecar's Secret: in a shared process namespace, a process may look into the files and variables of
//! another process of the same user, by way of `/proc`.

use serde_json::Value as Json;

use super::additions::{Additions, Object, State, text};
use crate::sidecar::piece::mentions_secret;

/// A container of a sidecar that holds a Secret, and a container of the application with the same user.
pub(super) fn exposed(state: &State<'_, '_>, added: &Additions) -> Option<(String, String)> {
    let spec = &state.pod.spec;
    let plans = [state.planned, added];
    let shared = spec.share_process_namespace == Some(true)
        || plans.iter().any(|plan| plan.share_process_namespace);
    if !shared {
        return None;
    }
    let volumes = plans.iter().flat_map(|plan| &plan.volumes);
    let secret = volumes
        .filter(|volume| volume.values().any(mentions_secret) || volume.contains_key("secret"));
    let secret: Vec<_> = secret.map(|volume| text(volume, "name")).collect();
    let lasting = plans.iter().flat_map(|plan| {
        let native = plan.init_containers.iter().filter(|c| text(c, "restartPolicy") == "Always");
        native.chain(&plan.containers)
    });
    for container in lasting.filter(|container| holds_secret(container, &secret)) {
        let own = container.get("securityContext").and_then(|c| c.get("runAsUser"));
        let user = own.and_then(Json::as_i64).or(spec.security_context.run_as_user);
        let app = state.pod.containers().iter().find(|app| {
            let of_app = app.security_context.run_as_user.or(spec.security_context.run_as_user);
            user.is_some() && of_app == user
        });
        if let Some(app) = app {
            return Some((text(container, "name").to_owned(), app.name.0.to_string()));
        }
    }
    None
}

fn holds_secret(container: &Object, secret_volumes: &[&str]) -> bool {
    let list = |key: &str| container.get(key).and_then(Json::as_array).into_iter().flatten();
    let mounts = |mount: &Json| {
        mount.get("name").and_then(Json::as_str).is_some_and(|n| secret_volumes.contains(&n))
    };
    list("volumeMounts").any(mounts) || list("env").chain(list("envFrom")).any(mentions_secret)
}
