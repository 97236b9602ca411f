//! `outrigger demo`: the webhook at work, without a cluster.
//!
//! All of it is real (certificate, HTTPS, review, engine, patch) but the API server, whose part is played here.

use std::io::{IsTerminal, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, bail};
use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;

use super::engine::EngineArgs;
use super::marked::marked;
use super::serve::decide;
use crate::webhook::server::Limits;
use crate::webhook::verdict::Decide;
use crate::webhook::{routes, server, tls};
use crate::yaml;

const POD: &str = include_str!("../../manifests/examples/demo-pod.yaml");
/// The name by which an API server would call the webhook's Service; the certificate is made out to it.
const HOST: &str = "outrigger.outrigger-system.svc";
/// The call, with the deadline that the API server names.
const PATH: &str = "/mutate?timeout=3s";

/// Show the webhook at work, without a cluster: one review over HTTPS, its patch, and the patched pod
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    engine: EngineArgs,
}

/// Starts the webhook on a loopback port, calls it as an API server would, tells what happened, and ends.
///
/// # Errors
/// The webhook gave anything but a patch for the pod.
pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let decide = decide(args.engine.load()?);
    let pod = yaml::read(POD, yaml::MANIFEST).map_err(anyhow::Error::msg)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let call = runtime.block_on(converse(decide, &review(&pod)))?;
    let stdout = std::io::stdout().lock();
    let colour = stdout.is_terminal() && std::env::var_os("NO_COLOR").is_none();
    tell(stdout, &pod, &call, colour)?;
    Ok(ExitCode::SUCCESS)
}

/// What came of the call.
struct Call {
    address: SocketAddr,
    microseconds: u128,
    status: StatusCode,
    body: Bytes,
}

/// The review that an API server would send for the creation of this pod.
fn review(pod: &Value) -> Value {
    let kind = json!({"group": "", "version": "v1", "kind": "Pod"});
    let resource = json!({"group": "", "version": "v1", "resource": "pods"});
    json!({
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": kind,
            "resource": resource,
            "requestKind": kind,
            "requestResource": resource,
            "name": pod["metadata"]["name"],
            "namespace": pod["metadata"]["namespace"],
            "operation": "CREATE",
            "userInfo": {"username": "kubernetes-admin", "groups": ["system:authenticated"]},
            "object": pod,
            "oldObject": null,
            "dryRun": false,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"}
        }
    })
}

/// Both sides of the conversation: starts the webhook, calls it, and stops it.
async fn converse(decide: Arc<Decide>, review: &Value) -> anyhow::Result<Call> {
    let made = rcgen::generate_simple_self_signed([HOST.to_owned()])?;
    let certificate = made.cert.der().clone();
    let key =
        PrivateKeyDer::try_from(made.signing_key.serialize_der()).map_err(anyhow::Error::msg)?;
    let tls = Arc::new(ArcSwap::from_pointee(tls::server(vec![certificate.clone()], key)?));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let router = routes::webhook(decide, Arc::default());
    let webhook = tokio::spawn(server::run(listener, tls, router, Limits::default(), async {
        let _ = stopped.await;
    }));

    let began = Instant::now();
    let (status, body) = post(address, certificate, serde_json::to_vec(review)?)
        .await
        .context("the call to the webhook failed")?;
    let microseconds = began.elapsed().as_micros();
    drop(stop);
    webhook.await?;
    Ok(Call { address, microseconds, status, body })
}

/// Posts a review over HTTP/1.1 and TLS, trusting this one certificate.
async fn post(
    address: SocketAddr,
    certificate: CertificateDer<'static>,
    review: Vec<u8>,
) -> anyhow::Result<(StatusCode, Bytes)> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate)?;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await?;
    let connector = TlsConnector::from(Arc::new(config));
    let stream = connector.connect(ServerName::try_from(HOST)?, stream).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let _connection = tokio::spawn(connection);
    let request = Request::post(PATH)
        .header(header::HOST, HOST)
        .header(header::ACCEPT, "application/json, */*")
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::USER_AGENT, "kube-apiserver-admission")
        .body(Full::new(Bytes::from(review)))?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    Ok((status, response.into_body().collect().await?.to_bytes()))
}

/// Tells what happened.
fn tell(mut out: impl Write, pod: &Value, call: &Call, colour: bool) -> anyhow::Result<()> {
    let Call { address, microseconds, status, body } = call;
    let answer = String::from_utf8_lossy(body);
    let answered: Value = serde_json::from_slice(body)
        .with_context(|| format!("the webhook's answer is no JSON: {status}, {answer}"))?;
    let Some(patch) = answered["response"]["patch"].as_str() else {
        bail!("the webhook gave no patch for the demo's pod: {status}, {answer}");
    };
    let patch: Value = serde_json::from_slice(&STANDARD.decode(patch)?)?;
    let mut patched = pod.clone();
    json_patch::patch(&mut patched, &serde_json::from_value::<json_patch::Patch>(patch.clone())?)
        .context("the patch does not fit the pod")?;
    let [before, after] = [pod, &patched].map(yaml::write);
    let (before, after) = (before.map_err(anyhow::Error::msg)?, after.map_err(anyhow::Error::msg)?);

    let (bold, plain) = if colour { ("\u{1b}[1m", "\u{1b}[0m") } else { ("", "") };
    writeln!(out, "{bold}1. A pod says in annotations which sidecars it wants{plain}\n")?;
    let annotations = pod["metadata"]["annotations"].as_object();
    for (key, value) in annotations.into_iter().flatten() {
        writeln!(out, "  {key}: {}", value.as_str().unwrap_or_default())?;
    }
    writeln!(
        out,
        "\n{bold}2. The API server asks the webhook, over HTTPS with a fresh certificate{plain}\n"
    )?;
    writeln!(out, "  POST https://{address}{PATH}")?;
    writeln!(out, "  {status}, after {microseconds} microseconds, TLS handshake included")?;
    writeln!(out, "\n{bold}3. The answer is a patch that only adds{plain}\n")?;
    for operation in patch.as_array().into_iter().flatten() {
        let [kind, path] = ["op", "path"].map(|field| operation[field].as_str().unwrap_or("?"));
        writeln!(out, "  {kind} {path} {}", operation["value"])?;
    }
    writeln!(
        out,
        "\n{bold}4. What the API server stores: the pod, and what was added (+){plain}\n"
    )?;
    write!(out, "{}", marked(&before, &after, colour))?;
    writeln!(
        out,
        "\n{bold}That was all, and nothing is left behind.{plain} The same for a file: outrigger inject -f FILE"
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inject::{Decision, Injection, Outcome, PodView, Untouched};

    /// What the demo tells if the webhook decides so.
    fn told(outcome: Outcome) -> anyhow::Result<String> {
        let pod = yaml::read(POD, yaml::MANIFEST).map_err(anyhow::Error::msg)?;
        let decision = Decision { outcome, warnings: Vec::new() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let decide = Arc::new(move |_: &PodView<'_>, _: &str| decision.clone());
        let call = runtime.block_on(converse(decide, &review(&pod)))?;
        let mut text = Vec::new();
        tell(&mut text, &pod, &call, false)?;
        Ok(String::from_utf8(text)?)
    }

    #[test]
    fn tells_what_was_added() {
        let patch = json!([
            {"op": "add", "path": "/spec/shareProcessNamespace", "value": true},
            {"op": "add", "path": "/spec/containers/-", "value": {"name": "topz"}},
        ]);
        let patch = serde_json::from_value(patch).unwrap();
        let text = told(Outcome::Injected(Injection { patch, instances: Vec::new() })).unwrap();
        for part in [
            "\n  outrigger.dev/inject: topz, git-sync, log\n",
            "\n  200 OK, after ",
            "\n  add /spec/shareProcessNamespace true\n  add /spec/containers/- {\"name\":\"topz\"}\n",
            "\n    - name: httpd\n",
            "\n+   - name: topz\n+   shareProcessNamespace: true\n",
        ] {
            assert!(text.contains(part), "{part:?} is not in:\n{text}");
        }
    }

    #[test]
    fn fails_without_a_patch() {
        let error = told(Outcome::Untouched(Untouched::NotAsked)).unwrap_err().to_string();
        assert!(error.starts_with("the webhook gave no patch"), "{error}");
    }
}
