//! What only the real engine answers: its patches, and what it sees of a pod.

use std::sync::Arc;

use assert_cmd::Command;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use outrigger::inject::{self, Context, Namespace, PodView, Settings};
use outrigger::sidecar::Catalog;
use serde_json::{Value, json};

use crate::client::{Server, post};
use crate::{by_namespace, pod, review, with};

fn asking(sidecars: &str) -> Value {
    with(pod(), "/metadata/annotations", json!({"outrigger.dev/inject": sidecars}))
}

async fn answers(server: &Server, review: &Value) -> Value {
    let reply = server.target.send(post(review.to_string())).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let answer: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(answer["response"]["uid"], review["request"]["uid"]);
    answer["response"].clone()
}

async fn start() -> Server {
    let catalog = Catalog::builtin();
    let settings =
        Settings { native: true, image: "outrigger:test".to_owned(), ..Settings::default() };
    Server::start(Arc::new(move |pod: &PodView<'_>, namespace: &str| {
        let namespace = Namespace { name: namespace.to_owned(), ..Namespace::default() };
        inject::decide(
            pod,
            &Context { namespace: &namespace, catalog: &catalog, settings: &settings },
        )
    }))
    .await
}

#[tokio::test]
async fn patches_apply() {
    let server = start().await;
    let object = asking("topz");
    let response = answers(&server, &review("default", &object)).await;
    assert_eq!(response["allowed"], true, "{response}");
    assert_eq!(response["patchType"], "JSONPatch", "{response}");
    let patch = STANDARD.decode(response["patch"].as_str().unwrap()).unwrap();
    let mut patched = object.clone();
    json_patch::patch(&mut patched, &serde_json::from_slice::<json_patch::Patch>(&patch).unwrap())
        .unwrap();
    assert_eq!(patched["spec"]["shareProcessNamespace"], true);
    assert_eq!(patched["spec"]["containers"], object["spec"]["containers"]);
    assert_eq!(patched["spec"]["initContainers"][0]["name"], "topz");

    let again = answers(&server, &review("default", &patched)).await;
    assert_eq!(again.get("patch"), None, "{again}");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn refusals_name_every_problem() {
    let server = start().await;
    let object = asking("tpoz, git-sync");
    let response = answers(&server, &review("default", &object)).await;
    assert_eq!(response["allowed"], false, "{response}");
    assert_eq!(response["status"]["code"], 422);
    let message = response["status"]["message"].as_str().unwrap();
    for part in ["topz", "git-sync.outrigger.dev/repo", "git-sync.outrigger.dev/path"] {
        assert!(message.contains(part), "{message}");
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn unreadable_pods_that_ask_are_refused_with_the_path() {
    let server = start().await;
    for (object, path) in [
        (with(asking("topz"), "/spec/containers", json!("x")), "spec.containers: invalid type"),
        (
            with(asking("topz"), "/spec/containers", json!([{"name": 5}])),
            "spec.containers[0].name: invalid type",
        ),
    ] {
        let response = answers(&server, &review("default", &object)).await;
        assert_eq!(response["allowed"], false, "{response}");
        let message = response["status"]["message"].as_str().unwrap();
        assert!(message.contains(path), "{message}");
        assert!(message.contains("outrigger.dev/inject"), "{message}");
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_panic_refuses_a_pod_that_asks() {
    let server = Server::start(Arc::new(by_namespace)).await;
    let response = answers(&server, &review("panic", &asking("topz"))).await;
    assert_eq!(response["allowed"], false, "{response}");
    assert_eq!(response["status"]["code"], 500);
    let message = response["status"]["message"].as_str().unwrap();
    assert!(message.starts_with("outrigger itself failed"), "{message}");
    server.stop().await.unwrap();
}

#[test]
fn the_demo_tells_its_story_and_ends() {
    let output = Command::cargo_bin("outrigger").unwrap().arg("demo").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for part in [
        "  outrigger.dev/inject: topz, git-sync, log\n",
        "/mutate?timeout=3s\n  200 OK",
        "\n  add /spec/initContainers",
        "\n+   shareProcessNamespace: true\n",
        "\n+   - name: topz\n",
        "\n+   - name: git-sync\n",
        "\n+   - name: log\n",
        "\n  apiVersion: v1\n",
    ] {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
    assert!(!text.contains('\u{1b}'), "colour in a pipe");
}
