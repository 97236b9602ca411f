//! What the properties found, as small as it was found.

use outrigger::inject::{Decision, Namespace, Outcome, PodView, Settings};
use serde_json::{Value as Json, json};

use crate::case::{Case, containers, items, text};
use crate::checks;

/// A pod with these containers, that asks for this; in a namespace that hands that down.
fn case(containers: Json, asked: &[(&str, &str)], inherited: &[(&str, &str)]) -> Case {
    let annotations: serde_json::Map<_, _> =
        asked.iter().map(|(key, value)| ((*key).to_owned(), Json::from(*value))).collect();
    let namespace = Namespace {
        name: "default".into(),
        annotations: inherited.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
    };
    let settings = Settings { image: "outrigger:one".into(), ..Settings::default() };
    let pod = json!({"metadata": {"annotations": annotations}, "spec": {"containers": containers}});
    Case { pod, namespace, settings }
}

fn problems(decision: Decision) -> Vec<String> {
    match decision.outcome {
        Outcome::Refused(problems) => problems.iter().map(ToString::to_string).collect(),
        other => panic!("not refused: {other:?}"),
    }
}

/// All containers, and there are none: the patch had no list to add to.
#[test]
fn all_of_no_containers() {
    for containers in [json!([]), Json::Null] {
        for which in ["*", ","] {
            let asked =
                [("outrigger.dev/inject", "beside"), ("beside.outrigger.dev/containers", which)];
            let found = problems(case(containers.clone(), &asked, &[]).decide());
            assert!(found[0].starts_with("spec.containers: the pod has no container"), "{found:?}");
        }
    }
    let asked = [("outrigger.dev/inject", "beside"), ("beside.outrigger.dev/containers", ",")];
    let found = problems(case(json!([{"name": "app"}]), &asked, &[]).decide());
    assert!(found[0].contains("names no container"), "{found:?}");
}

/// An inherited instance named like the pod's container hid that container from the one that was asked for.
#[test]
fn an_inherited_name_hides_no_container() {
    let asked = [("outrigger.dev/inject", "local")];
    let case = case(json!([{"name": "app"}]), &asked, &[("outrigger.dev/inject", "app=topz")]);
    let (injection, _) = case.injected().unwrap();
    assert_eq!(injection.instances.len(), 1);
    assert!(case.decide().warnings[0].starts_with("inherited sidecar app was left out"));
}

/// A sidecar that was added by one call was wired up, as a container of the application, by the next.
#[test]
fn a_sidecar_is_no_container_of_the_application() {
    let inherited = [
        ("outrigger.dev/inject", "errors=log,app=topz"),
        ("errors.outrigger.dev/containers", "app"),
        ("errors.outrigger.dev/paths", "/var/log/*.log"),
    ];
    twice(&case(json!([{"name": "web"}]), &[], &inherited), 1);
}

/// Two sidecars with one image: the second call took the container of one for that of the other.
#[test]
fn an_image_is_not_an_owner() {
    let inherited = [
        ("outrigger.dev/inject", "docs=git-sync,docs-publish=topz"),
        ("docs.outrigger.dev/repo", "https://example.com/a.git"),
        ("docs.outrigger.dev/path", "/var/www/html"),
    ];
    twice(&case(json!([{"name": "app"}]), &[], &inherited), 1);
}

/// The application's own container, with the name of an inherited instance and by chance its image.
#[test]
fn the_application_is_no_sidecar() {
    let asked = [("outrigger.dev/inject", "topz")];
    let inherited = [("outrigger.dev/inject", "app=topz")];
    twice(&case(json!([{"name": "app", "image": "outrigger:one"}]), &asked, &inherited), 1);
}

/// The second call did not know that a mount above was read-only and its own.
#[test]
fn read_only_mounts_are_known_again() {
    let inherited = [
        ("outrigger.dev/inject", "docs=git-sync,sharer"),
        ("docs.outrigger.dev/repo", "https://example.com/a.git"),
        ("docs.outrigger.dev/path", "/var/www/html"),
        ("sharer.outrigger.dev/paths", "/var/www/html/files"),
    ];
    twice(&case(json!([{"name": "app"}]), &[], &inherited), 1);
}

fn twice(case: &Case, instances: usize) {
    let (injection, after) = case.injected().unwrap();
    assert_eq!(injection.instances.len(), instances);
    let again = case.decide_on(&after);
    assert!(matches!(again.outcome, Outcome::Untouched(_)), "{again:?}");
}

/// An instance and a volume whose names make that of the volume that keeps the API token out.
#[test]
fn one_volume_has_one_meaning() {
    let asked = [
        ("outrigger.dev/inject", "outrigger=sharer"),
        ("outrigger.outrigger.dev/paths", "/shared"),
    ];
    let found = problems(case(json!([{"name": "app"}]), &asked, &[]).decide());
    assert!(
        found[0].contains("outrigger-no-api-token is the name of a volume that Outrigger adds"),
        "{found:?}"
    );
}

/// Two shared volumes of one instance at one place, or one in the other.
#[test]
fn two_volumes_of_one_instance() {
    for (inbox, outbox, cause) in [
        ("/x", "/x", "two mounts at /x"),
        ("/x/y", "/x", "the upper of them is read-only"),
        ("/agent", "/x", "two mounts at /agent"),
        ("/agent/x", "/x", "the upper of them is read-only"),
    ] {
        let asked = [
            ("outrigger.dev/inject", "agent"),
            ("agent.outrigger.dev/inbox", inbox),
            ("agent.outrigger.dev/outbox", outbox),
        ];
        let found = problems(case(json!([{"name": "app"}]), &asked, &[]).decide());
        assert!(found.iter().any(|p| p.contains(cause)), "{inbox}, {outbox}: {found:?}");
    }
}

/// Below what a sidecar mounts to read, the runtime could make no directory for another mount.
#[test]
fn a_mount_below_a_read_only_one() {
    let app =
        json!([{"name": "app", "volumeMounts": [{"name": "data", "mountPath": "/var/log/app"}]}]);
    for paths in ["/var/log/*.log,/var/log/app/*.log", "/var/lib/*", "/var/run/secrets/*"] {
        let asked = [("outrigger.dev/inject", "log"), ("log.outrigger.dev/paths", paths)];
        let mut case = case(app.clone(), &asked, &[]);
        case.pod["spec"]["volumes"] = json!([{"name": "data", "emptyDir": {}}]);
        let (_, after) = case.injected().unwrap();
        checks::mounts_have_places(&case.pod, &after);
        let log = containers(&after).find(|c| text(c, "name") == "log").unwrap();
        let lower = items(log, "volumeMounts").find(|m| text(m, "mountPath") == "/var/log/app");
        assert!(lower.is_none_or(|m| m["readOnly"] == true));
    }
}

/// One problem was said twice, when two containers had it.
#[test]
fn each_problem_once() {
    let asked = [("outrigger.dev/inject", "agent"), ("agent.outrigger.dev/inbox", "/cache")];
    let found = problems(case(json!([{"name": "app"}]), &asked, &[]).decide());
    assert_eq!(
        found,
        ["agent.outrigger.dev/inbox: agent mounts /cache for itself; choose another path"]
    );
}

/// Quantities that are each in order, and whose sum overflowed.
#[test]
fn sums_of_huge_quantities() {
    let huge = json!({"limits": {"cpu": "170141183460469231731687303715", "memory": "9e18"}});
    let containers = json!([{"name": "a", "resources": huge}, {"name": "b", "resources": huge}]);
    let mut case = case(containers, &[("outrigger.dev/inject", "topz")], &[]);
    case.pod["spec"]["resources"] = json!({"limits": {"cpu": "1", "memory": "1Gi"}});
    assert!(problems(case.decide())[0].starts_with("spec.resources: topz: with it"));
}

/// Lists where Kubernetes has objects were read field by field, and the patch did not apply.
#[test]
fn a_list_is_no_object() {
    for pod in [
        json!([{"annotations": {"outrigger.dev/inject": "topz"}}, {"containers": [{"name": "app"}]}]),
        json!({"metadata": [], "spec": {"containers": [{"name": "app"}]}}),
        json!({"spec": [[{"name": "app"}]]}),
        json!({"spec": {"containers": [["app"]]}}),
    ] {
        assert!(PodView::from_json(pod.to_string().as_bytes()).is_err(), "{pod}");
    }
}
