//! `outrigger serve`, made known to the API server as it would be in a cluster: by a Service.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use axum::Router;
use axum::routing::post;
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::{Namespace, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, Patch, PatchParams, PostParams};
use outrigger::webhook::server::{self, Limits};
use outrigger::webhook::tls;
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

use crate::cluster::{ADDRESS, Cluster, Process, free_port, until};

const NAMESPACE: &str = "outrigger-system";

/// A webhook with its Service, its configuration and its replicas.
pub(crate) struct Webhook {
    name: &'static str,
    port: u16,
    replicas: Vec<Mutex<Process>>,
    slices: Api<EndpointSlice>,
    folder: PathBuf,
}

impl Webhook {
    /// Installs a webhook for namespaces with this label, on each of the addresses a replica.
    pub(crate) async fn install(
        cluster: &Cluster,
        name: &'static str,
        label: (&str, &str),
        addresses: &[&'static str],
    ) -> Self {
        let made = rcgen::generate_simple_self_signed([format!("{name}.{NAMESPACE}.svc")]).unwrap();
        let folder = cluster.folder().join(name);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("tls.crt"), made.cert.pem()).unwrap();
        fs::write(folder.join("tls.key"), made.signing_key.serialize_pem()).unwrap();
        let port = free_port();
        let params = PostParams::default();
        let client = || cluster.client.clone();
        let namespaces: Api<Namespace> = Api::all(client());
        // There already, if this is not the first webhook.
        let _ = namespaces.create(&params, &read(json!({"metadata": {"name": NAMESPACE}}))).await;
        let services: Api<Service> = Api::namespaced(client(), NAMESPACE);
        let service = json!({"metadata": {"name": name}, "spec": {"ports": [{"port": 443, "targetPort": port}]}});
        services.create(&params, &read(service)).await.unwrap();
        let slices: Api<EndpointSlice> = Api::namespaced(client(), NAMESPACE);
        let replicas =
            addresses.iter().map(|address| Mutex::new(serve(name, &folder, address, port)));
        let webhook = Self { name, port, replicas: replicas.collect(), slices, folder };
        webhook.slices.create(&params, &webhook.slice(addresses)).await.unwrap();
        let configurations: Api<MutatingWebhookConfiguration> = Api::all(client());
        let ca_bundle = ByteString(made.cert.pem().into_bytes());
        let entry = |which: &str, policy: &str| entry(name, label, which, policy, &ca_bundle);
        let configuration = json!({
            "metadata": {"name": name},
            "webhooks": [entry("asked", "Fail"), entry("inherited", "Ignore")],
        });
        configurations.create(&params, &read(configuration)).await.unwrap();
        wait_until_called(cluster, label).await;
        webhook
    }

    fn slice(&self, addresses: &[&str]) -> EndpointSlice {
        let endpoint =
            |address: &&str| json!({"addresses": [address], "conditions": {"ready": true}});
        read(json!({
            "metadata": {"name": self.name, "labels": {"kubernetes.io/service-name": self.name}},
            "addressType": "IPv4", "ports": [{"port": self.port}],
            "endpoints": addresses.iter().map(endpoint).collect::<Vec<_>>(),
        }))
    }

    /// Says which replicas are ready, as the controller of endpoints would.
    pub(crate) async fn publish(&self, addresses: &[&str]) {
        let slice = serde_json::to_value(self.slice(addresses)).unwrap();
        self.slices.patch(self.name, &PatchParams::default(), &Patch::Merge(slice)).await.unwrap();
    }

    /// Starts a replica anew, after it has ended.
    pub(crate) async fn restart(&self, replica: usize, address: &'static str) {
        *self.replicas[replica].lock().unwrap() =
            serve(self.name, &self.folder, address, self.port);
        until("the replica listens", async || TcpStream::connect((address, self.port)).await.ok())
            .await;
    }

    /// Sends a signal to a replica.
    pub(crate) fn signal(&self, replica: usize, signal: &str) {
        self.replicas[replica].lock().unwrap().signal(signal);
    }

    /// Waits until a replica has ended, and says how.
    pub(crate) async fn ended(&self, replica: usize) -> Option<i32> {
        until("the replica ends", async || self.replicas[replica].lock().unwrap().ended())
            .await
            .code()
    }

    pub(crate) fn log(&self) -> String {
        self.replicas.iter().map(|replica| replica.lock().unwrap().log()).collect()
    }
}

/// One replica.
fn serve(name: &'static str, folder: &Path, address: &str, port: u16) -> Process {
    Process::start(
        name,
        folder,
        Command::new(env!("CARGO_BIN_EXE_outrigger"))
            .args(["serve", "--health-listen", "127.0.0.1:0", "--log", "info,outrigger=debug"])
            // The API server learns within milliseconds that an endpoint is gone; the rest is for a busy machine.
            .args(["--drain", "3s"])
            .arg(format!("--listen={address}:{port}"))
            .arg("--tls-cert")
            .arg(folder.join("tls.crt"))
            .arg("--tls-key")
            .arg(folder.join("tls.key")),
    )
}

/// The API server takes a moment to learn of the configuration and of the Service's endpoints.
async fn wait_until_called(cluster: &Cluster, label: (&str, &str)) {
    let namespace = cluster.namespace(&[label]).await;
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

/// One of the two entries: pods that ask may be refused, others never are.
fn entry(
    service: &str,
    label: (&str, &str),
    which: &str,
    policy: &str,
    ca_bundle: &ByteString,
) -> Value {
    let has =
        "has(object.metadata.annotations) && 'outrigger.dev/inject' in object.metadata.annotations";
    let condition = if which == "asked" { has.to_owned() } else { format!("!({has})") };
    json!({
        "name": format!("{which}.outrigger.dev"),
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": policy,
        "reinvocationPolicy": "IfNeeded",
        "timeoutSeconds": 3,
        "clientConfig": {
            "caBundle": ca_bundle,
            "service": {"namespace": NAMESPACE, "name": service, "path": "/mutate"},
        },
        "namespaceSelector": {"matchLabels": {label.0: label.1}},
        "objectSelector": {"matchExpressions": [
            {"key": "outrigger.dev/injection", "operator": "NotIn", "values": ["disabled"]}]},
        "matchConditions": [{"name": which, "expression": condition}],
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
