//! A server on a free port, and what it takes to call it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use arc_swap::ArcSwap;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::{http1, http2};
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use outrigger::webhook::server::Limits;
use outrigger::webhook::verdict::Decide;
use outrigger::webhook::{routes, server, tls};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The webhook, served by this process.
pub(crate) struct Server {
    pub(crate) target: Target,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// Where a webhook listens, and how it proves to be the right one.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) certificate: CertificateDer<'static>,
}

/// A client's certificate and key.
pub(crate) type Identity = (CertificateDer<'static>, PrivateKeyDer<'static>);

/// All of a response.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Server {
    pub(crate) async fn start(decide: Arc<Decide>) -> Self {
        Self::start_with(decide, Limits::default()).await
    }

    pub(crate) async fn start_with(decide: Arc<Decide>, limits: Limits) -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let certificate = made.cert.der().clone();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let tls = tls::server(vec![certificate.clone()], key).unwrap();
        let tls = Arc::new(ArcSwap::from_pointee(tls));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let target = Target { address: listener.local_addr().unwrap(), certificate };
        let (stop, stopped) = oneshot::channel();
        let router = routes::webhook(decide, Arc::default());
        let task = tokio::spawn(server::run(listener, tls, router, limits, async {
            let _ = stopped.await;
        }));
        Self { target, stop, task }
    }

    /// Asks the server to stop; the task ends when it has.
    pub(crate) fn stop(self) -> JoinHandle<()> {
        self.stop.send(()).unwrap();
        self.task
    }
}

impl Target {
    pub(crate) async fn connect(&self, protocol: &str) -> TlsStream<TcpStream> {
        self.connect_as(protocol, None).await
    }

    async fn connect_as(&self, protocol: &str, identity: Option<Identity>) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match identity {
            Some((certificate, key)) => {
                config.with_client_auth_cert(vec![certificate], key).unwrap()
            }
            None => config.with_no_client_auth(),
        };
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let stream = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol.as_bytes()));
        stream
    }

    /// Sends one request as a client that proves who it is, or does not. A server that wants such a proof ends the
    /// connection only after the handshake (TLS 1.3), so that the request fails.
    pub(crate) async fn send_as(
        &self,
        identity: Option<Identity>,
        request: Request<Full<Bytes>>,
    ) -> Result<Reply, hyper::Error> {
        let stream = TokioIo::new(self.connect_as("http/1.1", identity).await);
        let (mut sender, connection) = http1::handshake(stream).await?;
        tokio::spawn(connection);
        Ok(Reply::of(sender.send_request(request).await?).await)
    }

    pub(crate) async fn http1(&self) -> http1::SendRequest<Full<Bytes>> {
        let stream = TokioIo::new(self.connect("http/1.1").await);
        let (sender, connection) = http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    pub(crate) async fn http2(&self) -> http2::SendRequest<Full<Bytes>> {
        let stream = TokioIo::new(self.connect("h2").await);
        let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    /// Sends one request over a connection of its own.
    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Reply {
        Reply::of(self.http1().await.send_request(request).await.unwrap()).await
    }
}

impl Reply {
    pub(crate) async fn of(response: Response<hyper::body::Incoming>) -> Self {
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Self { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// The request that the API server would make.
pub(crate) fn post(body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    request("POST", "/mutate?timeout=10s", "application/json", body)
}

/// Any request; no content type if it is empty.
pub(crate) fn request(
    method: &str,
    path: &str,
    content_type: &str,
    body: impl Into<Bytes>,
) -> Request<Full<Bytes>> {
    let uri = format!("https://localhost{path}");
    let mut request = Request::builder().method(method).uri(uri).header("host", "localhost");
    if !content_type.is_empty() {
        request = request.header("content-type", content_type);
    }
    request.body(Full::new(body.into())).unwrap()
}
