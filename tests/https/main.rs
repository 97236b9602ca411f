//! The webhook over real TLS: reviews, bad requests, bad clients, shutdown, and the binary.
//!
//! Most of it is about the edge, with a decision made up here; what needs the engine's own is in `real_engine`.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests fail by panicking, also outside of #[test] functions"
)]

mod binary;
mod client;
mod real_engine;
mod serving;

use std::sync::{Arc, Mutex, mpsc};

use client::{Reply, Server, post, request};
use outrigger::inject::{Decision, Injected, Injection, Outcome, PodView, Problem, Untouched};
use outrigger::webhook::routes::MAX_BODY;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Payload whose drop panics, which escapes a `catch_unwind` that is not prepared for it.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("dropped");
    }
}

/// A decision for each namespace.
fn by_namespace(_pod: &PodView<'_>, namespace: &str) -> Decision {
    let problem = |place: &str| Problem {
        place: place.to_owned(),
        cause: "bad".to_owned(),
        remedy: "be good".to_owned(),
    };
    let outcome = match namespace {
        "inject" => Outcome::Injected(Injection {
            patch: serde_json::from_value(json!([{"op": "add", "path": "/x", "value": 1}]))
                .unwrap(),
            instances: vec![Injected {
                instance: "top".to_owned(),
                sidecar: "topz".to_owned(),
                native: true,
                containers: vec!["top".to_owned()],
            }],
        }),
        "refuse" => Outcome::Refused(vec![problem("a"), problem("b")]),
        "panic" => panic!("boom"),
        "bomb" => std::panic::panic_any(Bomb),
        _ => Outcome::Untouched(Untouched::NotAsked),
    };
    let warnings = if namespace == "warn" { vec!["mind".to_owned()] } else { Vec::new() };
    Decision { outcome, warnings }
}

/// A review as the API server writes it.
fn review(namespace: &str, object: &Value) -> Value {
    json!({
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": namespace,
            "operation": "CREATE",
            "userInfo": {"username": "jane", "groups": ["system:authenticated"]},
            "object": object,
            "oldObject": null,
            "dryRun": false,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"}
        }
    })
}

/// The same with one value changed, added, or (null) removed.
fn with(mut review: Value, pointer: &str, value: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = review.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    if value.is_null() {
        parent.remove(key);
    } else {
        parent.insert(key.to_owned(), value);
    }
    review
}

fn pod() -> Value {
    json!({
        "metadata": {"generateName": "web-", "annotations": {"example.com/a": "<b>"}},
        "spec": {"containers": [{"name": "app", "image": "example.com/app"}]}
    })
}

fn nested(levels: usize) -> Value {
    (0..levels).fold(json!(1), |inner, _| json!([inner]))
}

/// A well-formed answer whose response is `expected`, apart from the uid.
fn check(case: &str, reply: &Reply, uid: &str, expected: &Value) {
    assert_eq!(reply.status, 200, "{case}: {}", reply.text());
    assert_eq!(reply.header("content-type"), "application/json", "{case}");
    let answer: Value = serde_json::from_slice(&reply.body).unwrap();
    let mut response = expected.clone();
    response["uid"] = json!(uid);
    let expected = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response
    });
    assert_eq!(answer, expected, "{case}");
}

/// A bad request's status, and what its sentence begins with.
fn check_bad(case: &str, reply: &Reply, status: u16, sentence: &str) {
    assert_eq!(reply.status, status, "{case}: {}", reply.text());
    assert_eq!(reply.header("content-type"), "text/plain; charset=utf-8", "{case}");
    assert!(reply.text().starts_with(sentence), "{case}: {}", reply.text());
}

const UID: &str = "705ab4f5-6393-11e8-b7cc-42010a800002";

#[tokio::test]
async fn reviews() {
    let server = Server::start(Arc::new(by_namespace)).await;
    let allowed = json!({"allowed": true});
    let injected = json!({
        "allowed": true, "patchType": "JSONPatch",
        "patch": "W3sib3AiOiJhZGQiLCJwYXRoIjoiL3giLCJ2YWx1ZSI6MX1d"
    });
    let refused = json!({"allowed": false, "status": {"code": 422, "reason": "Invalid",
        "message": "2 problems with the sidecars of this pod:\n  1. a: bad; be good\n  2. b: bad; be good"}});
    let warned = |text: &str| json!({"allowed": true, "warnings": [text]});
    let failed = warned(
        "no sidecar was added, because outrigger itself failed (a bug, and its log says more)",
    );
    let inject = review("inject", &pod());
    for (case, review, expected) in [
        ("nothing to do", review("other", &pod()), &allowed),
        ("warning", review("warn", &pod()), &warned("mind")),
        ("patch", inject.clone(), &injected),
        ("refusal", review("refuse", &pod()), &refused),
        ("panic", review("panic", &pod()), &failed),
        ("update", with(inject.clone(), "/request/operation", json!("UPDATE")), &allowed),
        ("subresource", with(inject.clone(), "/request/subResource", json!("binding")), &allowed),
        ("no subresource", with(inject.clone(), "/request/subResource", json!("")), &injected),
        ("other kind", with(inject.clone(), "/request/kind/kind", json!("Service")), &allowed),
        ("other group", with(inject.clone(), "/request/kind/group", json!("apps")), &allowed),
        ("other version", with(inject.clone(), "/request/kind/version", json!("v2")), &allowed),
        ("no kind", with(inject.clone(), "/request/kind", Value::Null), &allowed),
        (
            "no object",
            with(inject.clone(), "/request/object", Value::Null),
            &warned("no sidecar was added, because the pod cannot be read: the pod is missing"),
        ),
        ("unknown fields", with(inject.clone(), "/request/new", json!({"a": [1]})), &injected),
        ("deep", with(inject.clone(), "/request/options", nested(200)), &injected),
        ("deep pod", with(inject.clone(), "/request/object/spec/new", nested(200)), &injected),
    ] {
        let reply = server.target.send(post(review.to_string())).await;
        check(case, &reply, UID, expected);
    }
    server.stop().await.unwrap();
}

/// What no `json!` would write.
#[tokio::test]
async fn reviews_as_text() {
    let server = Server::start(Arc::new(by_namespace)).await;
    let text = review("inject", &pod()).to_string();
    let escaped =
        text.replace("<b>", "\\u003cb\\u003e").replace("705ab4f5", "\\u003c\\ud83d\\ude00");
    let reply = server.target.send(post(escaped)).await;
    let uid = UID.replace("705ab4f5", "<😀");
    let response: Value = serde_json::from_slice(&reply.body).unwrap();
    check("escapes", &reply, &uid, &response["response"]);
    assert_eq!(response["response"]["patchType"], "JSONPatch");

    for (case, object) in [
        ("null", "null".to_owned()),
        ("a number", "5".to_owned()),
        ("a text", "\"pod\"".to_owned()),
        ("arrays", nested(200).to_string()),
    ] {
        let review = text.replace(&pod().to_string(), &object);
        let reply = server.target.send(post(review)).await;
        let answer: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(answer["response"]["uid"], UID, "{case}");
        assert_eq!(answer["response"]["allowed"], true, "{case}");
        assert_eq!(answer["response"].get("patch"), None, "{case}");
        let warning = answer["response"]["warnings"][0].as_str().unwrap();
        assert!(warning.starts_with("no sidecar was added, because the pod "), "{case}: {warning}");
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn bad_reviews() {
    let server = Server::start(Arc::new(by_namespace)).await;
    let good = review("inject", &pod());
    let changed = |pointer, value| with(good.clone(), pointer, value).to_string();
    let (uid, request) = ("/request/uid", "/request");
    for (case, body, sentence) in [
        ("empty", String::new(), "the body is empty; send an AdmissionReview"),
        ("blank", " \n".to_owned(), "the body is empty"),
        ("no JSON", "uid: 5".to_owned(), "the body cannot be read: expected value"),
        ("cut off", good.to_string()[..200].to_owned(), "the body cannot be read: request"),
        ("two", format!("{good}{good}"), "the body cannot be read: trailing characters"),
        (
            "null",
            "null".to_owned(),
            "the body cannot be read: invalid type: null, expected an AdmissionReview",
        ),
        (
            "array",
            "[]".to_owned(),
            "the body cannot be read: invalid length 0, expected an AdmissionReview",
        ),
        ("deep", nested(200).to_string(), "the body cannot be read"),
        ("object", "{}".to_owned(), "apiVersion is missing; it must be \"admission.k8s.io/v1\""),
        (
            "old",
            changed("/apiVersion", json!("admission.k8s.io/v1beta1")),
            "apiVersion is \"admission.k8s.io/v1beta1\"; only \"admission.k8s.io/v1\" is understood here",
        ),
        ("kind", changed("/kind", json!("Pod")), "kind is \"Pod\"; only \"AdmissionReview\""),
        ("no request", changed(request, Value::Null), "request is missing"),
        (
            "odd request",
            changed(request, json!("x")),
            "the body cannot be read: request: invalid type",
        ),
        ("no uid", changed(uid, Value::Null), "request.uid is missing"),
        ("empty uid", changed(uid, json!("")), "request.uid is missing"),
        (
            "number uid",
            changed(uid, json!(5)),
            "the body cannot be read: request.uid: invalid type",
        ),
        (
            "array uid",
            changed(uid, json!(["a"])),
            "the body cannot be read: request.uid: invalid type",
        ),
        (
            "odd dryRun",
            changed("/request/dryRun", json!("no")),
            "the body cannot be read: request.dryRun",
        ),
    ] {
        check_bad(case, &server.target.send(post(body)).await, 400, sentence);
    }
    check_bad(
        "not UTF-8",
        &server.target.send(post(&b"{\"kind\":\"\xff\"}"[..])).await,
        400,
        "the body cannot be read",
    );
    let bomb = server.target.send(post(review("bomb", &pod()).to_string())).await;
    check_bad("bomb", &bomb, 500, "outrigger itself failed");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn bad_requests() {
    let server = Server::start(Arc::new(by_namespace)).await;
    let json = "application/json";
    let good = review("inject", &pod()).to_string();
    for (method, path, content_type, body, status, sentence) in [
        ("GET", "/mutate", "", "", 405, "GET is not understood here; POST an AdmissionReview"),
        ("PUT", "/mutate", json, &*good, 405, "PUT is not understood here"),
        ("DELETE", "/mutate", "", "", 405, "DELETE is not understood here"),
        ("POST", "/", json, &good, 404, "nothing is at /; POST an AdmissionReview to /mutate"),
        ("POST", "/mutate/", json, &good, 404, "nothing is at /mutate/"),
        ("POST", "/mutate", "", &good, 415, "the content type is missing; send"),
        ("POST", "/mutate", "text/plain", &good, 415, "the content type is \"text/plain\"; send"),
        ("POST", "/mutate", "application/yaml", &good, 415, "the content type is"),
        ("POST", "/mutate", "application/jsonx", &good, 415, "the content type is"),
    ] {
        let case = format!("{method} {path} {content_type}");
        let reply = server.target.send(request(method, path, content_type, body.to_owned())).await;
        check_bad(&case, &reply, status, sentence);
        assert_eq!(reply.header("allow"), if status == 405 { "POST" } else { "" }, "{case}");
    }
    for content_type in ["application/json; charset=utf-8", "Application/JSON"] {
        let reply =
            server.target.send(request("POST", "/mutate", content_type, good.clone())).await;
        assert_eq!(reply.status, 200, "{content_type}");
    }
    let padded = |length: usize| format!("{good}{}", " ".repeat(length - good.len()));
    let reply = server.target.send(post(padded(MAX_BODY))).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    for length in [MAX_BODY + 1, 2 * MAX_BODY] {
        let sentence = "the body is longer than the 7340032 bytes that are accepted";
        check_bad("long", &server.target.send(post(padded(length))).await, 413, sentence);
        let mut http2 = server.target.http2().await;
        let reply = http2.send_request(post(padded(length))).await.unwrap();
        check_bad("long, HTTP/2", &Reply::of(reply).await, 413, sentence);
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn many_requests_on_one_connection() {
    let server = Server::start(Arc::new(by_namespace)).await;
    let good = review("other", &pod()).to_string();
    let allowed = json!({"allowed": true});
    let mut http1 = server.target.http1().await;
    let mut http2 = server.target.http2().await;
    for _ in 0..2 {
        http1.ready().await.unwrap();
        let reply = Reply::of(http1.send_request(post(good.clone())).await.unwrap()).await;
        check("HTTP/1.1", &reply, UID, &allowed);
        let reply = Reply::of(http2.send_request(post(good.clone())).await.unwrap()).await;
        check("HTTP/2", &reply, UID, &allowed);
    }
    // Both connections are idle now, and must not hold up the end.
    server.stop().await.unwrap();
}

#[tokio::test]
async fn bad_clients_harm_nobody_else() {
    let server = Server::start(Arc::new(by_namespace)).await;
    let address = server.target.address;
    let mut garbage = TcpStream::connect(address).await.unwrap();
    garbage.write_all(b"GET /mutate HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = garbage.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP/"), "served without TLS");

    let silent = TcpStream::connect(address).await.unwrap();
    let quiet = server.target.connect("http/1.1").await;
    let mut half = server.target.connect("http/1.1").await;
    let head = "POST /mutate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 90\r\n\r\n{";
    half.write_all(head.as_bytes()).await.unwrap();
    let mut nonsense = server.target.connect("http/1.1").await;
    nonsense.write_all(b"\x00\x01\x02 nonsense\r\n\r\n").await.unwrap();
    let _ = nonsense.read_to_end(&mut answer).await;
    assert!(answer.ends_with(b"\r\n\r\n"), "{}", String::from_utf8_lossy(&answer));

    let reply = server.target.send(post(review("other", &pod()).to_string())).await;
    check("meanwhile", &reply, UID, &json!({"allowed": true}));
    half.shutdown().await.unwrap();
    drop((half, quiet, silent));
    let reply = server.target.send(post(review("other", &pod()).to_string())).await;
    check("afterwards", &reply, UID, &json!({"allowed": true}));
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_in_flight_finish() {
    let (entered, has_entered) = mpsc::channel();
    let (leave, may_leave) = mpsc::channel();
    let may_leave = Mutex::new(may_leave);
    let server = Server::start(Arc::new(move |pod: &PodView<'_>, namespace: &str| {
        entered.send(()).unwrap();
        may_leave.lock().unwrap().recv().unwrap();
        by_namespace(pod, namespace)
    }))
    .await;
    let mut sender = server.target.http1().await;
    let address = server.target.address;
    let good = post(review("other", &pod()).to_string());
    let reply = tokio::spawn(async move { sender.send_request(good).await });
    tokio::task::block_in_place(|| has_entered.recv()).unwrap();
    let stopped = server.stop();
    while TcpStream::connect(address).await.is_ok() {}
    leave.send(()).unwrap();
    let reply = Reply::of(reply.await.unwrap().unwrap()).await;
    check("in flight", &reply, UID, &json!({"allowed": true}));
    stopped.await.unwrap();
}
