//! `outrigger serve`, made known to the API server as it would be in a cluster: by a Service.

use std::fs;
use std::process::Command;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use axum::routing::post;
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::{Namespace, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, PostParams};
use outrigger::webhook::server::{self, Limits};
use outrigger::webhook::tls;
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::cluster::{ADDRESS, Cluster, Process, free_port, until};

const NAMESPACE: &str = "outrigger-system";

/// The running webhook.
pub(crate) struct Webhook(Process);

impl Webhook {
    pub(crate) async fn install(cluster: &Cluster) -> Self {
        let host = format!("outrigger.{NAMESPACE}.svc");
        let made = rcgen::generate_simple_self_signed([host]).unwrap();
        let at = |name: &str| cluster.folder().join(name);
        fs::write(at("tls.crt"), made.cert.pem()).unwrap();
        fs::write(at("tls.key"), made.signing_key.serialize_pem()).unwrap();
        let port = free_port();
        let process = Process::start(
            "outrigger",
            cluster.folder(),
            Command::new(env!("CARGO_BIN_EXE_outrigger"))
                .args(["serve", "--health-listen", "127.0.0.1:0", "--log", "info,outrigger=debug"])
                .arg(format!("--listen={ADDRESS}:{port}"))
                .arg("--tls-cert")
                .arg(at("tls.crt"))
                .arg("--tls-key")
                .arg(at("tls.key")),
        );
        let params = PostParams::default();
        let client = || cluster.client.clone();
        let namespaces: Api<Namespace> = Api::all(client());
        namespaces.create(&params, &read(json!({"metadata": {"name": NAMESPACE}}))).await.unwrap();
        let services: Api<Service> = Api::namespaced(client(), NAMESPACE);
        let service = json!({"metadata": {"name": "outrigger"}, "spec": {"ports": [{"port": 443, "targetPort": port}]}});
        services.create(&params, &read(service)).await.unwrap();
        let slices: Api<EndpointSlice> = Api::namespaced(client(), NAMESPACE);
        let slice = json!({
            "metadata": {"name": "outrigger", "labels": {"kubernetes.io/service-name": "outrigger"}},
            "addressType": "IPv4", "ports": [{"port": port}],
            "endpoints": [{"addresses": [ADDRESS], "conditions": {"ready": true}}],
        });
        slices.create(&params, &read(slice)).await.unwrap();
        let configurations: Api<MutatingWebhookConfiguration> = Api::all(client());
        let ca_bundle = ByteString(made.cert.pem().into_bytes());
        let configuration = json!({
            "metadata": {"name": "outrigger"},
            "webhooks": [entry("asked", "Fail", "in", &ca_bundle), entry("inherited", "Ignore", "notin", &ca_bundle)],
        });
        configurations.create(&params, &read(configuration)).await.unwrap();
        let webhook = Self(process);
        webhook.wait_until_called(cluster).await;
        webhook
    }

    /// The API server takes a moment to learn of the configuration and of the Service's endpoints.
    async fn wait_until_called(&self, cluster: &Cluster) {
        let namespace = cluster.namespace(&[("outrigger.dev/injection", "enabled")]).await;
        let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), &namespace);
        let pod: Pod = read(json!({
            "metadata": {"generateName": "first-", "annotations": {"outrigger.dev/inject": "topz"}},
            "spec": {"containers": [{"name": "app", "image": "app"}]},
        }));
        let dry_run = PostParams { dry_run: true, ..PostParams::default() };
        until("the webhook is called", async || {
            let pod = pods.create(&dry_run, &pod).await.ok()?;
            pod.spec?.init_containers
        })
        .await;
    }

    pub(crate) fn log(&self) -> String {
        self.0.log()
    }
}

/// One of the two entries: pods that ask may be refused, others never are.
fn entry(name: &str, failure_policy: &str, annotated: &str, ca_bundle: &ByteString) -> Value {
    let has =
        "has(object.metadata.annotations) && 'outrigger.dev/inject' in object.metadata.annotations";
    let condition = if annotated == "in" { has.to_owned() } else { format!("!({has})") };
    json!({
        "name": format!("{name}.outrigger.dev"),
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": failure_policy,
        "reinvocationPolicy": "IfNeeded",
        "timeoutSeconds": 3,
        "clientConfig": {
            "caBundle": ca_bundle,
            "service": {"namespace": NAMESPACE, "name": "outrigger", "path": "/mutate"},
        },
        "namespaceSelector": {"matchLabels": {"outrigger.dev/injection": "enabled"}},
        "objectSelector": {"matchExpressions": [
            {"key": "outrigger.dev/injection", "operator": "NotIn", "values": ["disabled"]}]},
        "matchConditions": [{"name": name, "expression": condition}],
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"], "scope": "Namespaced"}],
    })
}

/// A typed object from JSON.
pub(crate) fn read<T: serde::de::DeserializeOwned>(json: Value) -> T {
    serde_json::from_value(json).unwrap()
}

/// Another team's webhook, which adds a container to pods of the namespaces that want it. Its name puts it after ours.
pub(crate) async fn install_meddler(cluster: &Cluster) {
    let made = rcgen::generate_simple_self_signed([ADDRESS.to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let tls = tls::server(vec![made.cert.der().clone()], key).unwrap();
    let listener = TcpListener::bind((ADDRESS, 0)).await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let router = Router::new().route("/", post(meddle));
    let tls = Arc::new(ArcSwap::from_pointee(tls));
    tokio::spawn(server::run(listener, tls, router, Limits::default(), std::future::pending()));
    let configuration = json!({
        "metadata": {"name": "z-meddler"},
        "webhooks": [{
            "name": "meddler.example.com",
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "clientConfig": {"url": url, "caBundle": ByteString(made.cert.pem().into_bytes())},
            "namespaceSelector": {"matchLabels": {"meddler": "enabled"}},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
        }],
    });
    let configurations: Api<MutatingWebhookConfiguration> = Api::all(cluster.client.clone());
    configurations.create(&PostParams::default(), &read(configuration)).await.unwrap();
}

async fn meddle(review: String) -> String {
    let review: Value = serde_json::from_str(&review).unwrap();
    let patch = json!([{"op": "add", "path": "/spec/containers/-", "value": {"name": "meddler", "image": "meddler"}}]);
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "response": {"uid": review["request"]["uid"], "allowed": true, "patchType": "JSONPatch",
            "patch": ByteString(patch.to_string().into_bytes())},
    })
    .to_string()
}
