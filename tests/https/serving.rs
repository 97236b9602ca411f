//! What the server bears: slow callers, many callers, new certificates, its own end.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use outrigger::webhook::server::{self, Limits};
use outrigger::webhook::{routes, tls};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::client::{Reply, Server, Target, post};
use outrigger::webhook::verdict::Decide;

use crate::{by_namespace, pod, review};

/// A drain that does not end within a test.
const LONG: Duration = Duration::from_secs(600);

#[tokio::test]
async fn drains_without_losing_a_call() {
    let server = Server::start_with(untouched(), Limits { drain: LONG, ..Limits::default() }).await;
    let target = Target { ..server.target.clone() };
    let mut kept_alive = target.http1().await;
    let request = || post(review("default", &pod()).to_string());
    let reply = Reply::of(kept_alive.send_request(request()).await.unwrap()).await;
    assert_eq!(reply.header("connection"), "");
    let task = server.stop();
    // Whoever has a connection is told to come back elsewhere, and loses no call.
    loop {
        let reply = Reply::of(kept_alive.send_request(request()).await.unwrap()).await;
        assert_eq!(reply.status, 200);
        if reply.header("connection") == "close" {
            break;
        }
    }
    // And whoever is just coming is served, too.
    let reply = target.send(request()).await;
    assert_eq!((reply.status.as_u16(), reply.header("connection")), (200, "close"));
    assert!(!task.is_finished());
    task.abort();
}

#[tokio::test]
async fn more_connections_have_to_wait() {
    let server =
        Server::start_with(untouched(), Limits { connections: 1, ..Limits::default() }).await;
    let target = server.target.clone();
    let mut first = target.http1().await;
    let second = tokio::spawn(async move { target.http1().await });
    let reply = first.send_request(post(review("default", &pod()).to_string())).await.unwrap();
    assert_eq!(reply.status(), 200);
    assert!(!second.is_finished());
    drop((reply, first));
    second.await.unwrap();
}

/// Sends a part of a request of so many bytes, and reads what comes back until the server says no more.
async fn half_sent(
    target: &Target,
    timeout: &str,
    length: usize,
) -> tokio::task::JoinHandle<String> {
    let mut stream = target.connect("http/1.1").await;
    let head = format!(
        "POST /mutate?timeout={timeout} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{{"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    tokio::spawn(async move {
        let mut answer = Vec::new();
        // The server may end the connection without a farewell, since it has not read all.
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    })
}

#[tokio::test]
async fn a_slow_body_is_answered_before_the_caller_gives_up() {
    let server = Server::start(untouched()).await;
    let answer = half_sent(&server.target, "100ms", 100).await.await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.ends_with("send it at once"), "{answer}");
}

#[tokio::test]
async fn bodies_beyond_memory_are_turned_away() {
    let server = Server::start(untouched()).await;
    let mut waiting = Vec::new();
    for _ in 0..10 {
        waiting.push(half_sent(&server.target, "30s", 7 << 20).await);
    }
    // Which of them are in is up to the scheduler; one more of that size is turned away as soon as nine are.
    loop {
        let answer = half_sent(&server.target, "50ms", 7 << 20).await.await.unwrap();
        if answer.starts_with("HTTP/1.1 503 ") {
            assert!(answer.ends_with("send this one to another replica, or again"), "{answer}");
            break;
        }
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    }
    for task in waiting {
        task.abort();
    }
}

fn write_pair(folder: &Path, certificate: &str, key: &str) {
    std::fs::write(folder.join("tls.key"), key).unwrap();
    std::fs::write(folder.join("tls.crt"), certificate).unwrap();
}

#[tokio::test]
async fn a_new_certificate_is_taken_and_a_bad_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let made = || rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (first, second) = (made(), made());
    write_pair(folder.path(), &first.cert.pem(), &first.signing_key.serialize_pem());
    let path = |name: &str| folder.path().join(name);
    let files = tls::Files { cert: path("tls.crt"), key: path("tls.key"), client_ca: None };
    let current = Arc::new(ArcSwap::from_pointee(files.load().unwrap().config));
    let (changes, mut changed) = mpsc::unbounded_channel();
    let following = files.follow(Duration::from_millis(5), Arc::clone(&current), move |change| {
        changes.send(change.map_err(|error| error.to_string())).unwrap();
    });
    let following = tokio::spawn(following);

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = routes::webhook(untouched(), Arc::default());
    let serving = server::run(listener, current, router, Limits::default(), std::future::pending());
    let serving = tokio::spawn(serving);
    let target = |certificate: &CertificateDer<'static>| Target {
        address,
        certificate: certificate.clone(),
    };
    target(first.cert.der()).connect("http/1.1").await;

    // A new pair, in two steps: in between, or after, it is seen and works.
    write_pair(folder.path(), &second.cert.pem(), &second.signing_key.serialize_pem());
    while changed.recv().await.unwrap().is_err() {}
    target(second.cert.der()).connect("http/1.1").await;

    // A key that belongs to another certificate: the last good pair goes on.
    write_pair(folder.path(), &second.cert.pem(), &first.signing_key.serialize_pem());
    let error = loop {
        if let Err(error) = changed.recv().await.unwrap() {
            break error;
        }
    };
    assert!(error.contains("is not that of the certificate"), "{error}");
    target(second.cert.der()).connect("http/1.1").await;

    // No files at all, and then good ones again.
    std::fs::remove_file(path("tls.crt")).unwrap();
    while changed.recv().await.unwrap().is_ok() {}
    target(second.cert.der()).connect("http/1.1").await;
    write_pair(folder.path(), &first.cert.pem(), &first.signing_key.serialize_pem());
    while changed.recv().await.unwrap().is_err() {}
    target(first.cert.der()).connect("http/1.1").await;
    following.abort();
    serving.abort();
}

#[tokio::test]
async fn only_known_clients_if_so_wished() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    write_pair(folder.path(), &own.cert.pem(), &own.signing_key.serialize_pem());
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(path("ca.crt"), authority.pem()).unwrap();
    let files =
        tls::Files { cert: path("tls.crt"), key: path("tls.key"), client_ca: Some(path("ca.crt")) };
    let config = Arc::new(ArcSwap::from_pointee(files.load().unwrap().config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target =
        Target { address: listener.local_addr().unwrap(), certificate: own.cert.der().clone() };
    let router = routes::webhook(untouched(), Arc::default());
    let serving = tokio::spawn(server::run(
        listener,
        config,
        router,
        Limits::default(),
        std::future::pending(),
    ));

    let key = KeyPair::generate().unwrap();
    let client = CertificateParams::new(["api-server".to_owned()])
        .unwrap()
        .signed_by(&key, &authority)
        .unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let request = || post(review("default", &pod()).to_string());
    let reply = target.send_as(Some((client.der().clone(), key)), request()).await;
    assert_eq!(reply.unwrap().status, 200);
    assert!(target.send_as(None, request()).await.is_err());
    serving.abort();
}

fn untouched() -> Arc<Decide> {
    Arc::new(by_namespace)
}
