//! Connections: accepted, handed to the routes, drained.
//!
//! A loop of our own, because the API server does not repeat a broken call: every wait here has a deadline, and none
//! of them ends a connection that the API server still means to use.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, Version, header};
use axum::middleware::{self, Next};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a connection may be idle, or take to send a request's header. The API server keeps idle ones for 90 s,
/// and loses the call that it sends just when we close.
const HEADER: Duration = Duration::from_secs(120);
/// How often an HTTP/2 peer is asked whether it is still there.
const PING: Duration = Duration::from_secs(60);
/// How long requests in flight may take to finish after the drain.
const CUT_OFF: Duration = Duration::from_secs(10);
/// How long to wait when a connection cannot be accepted, most often for want of file descriptors.
const BACK_OFF: Duration = Duration::from_millis(100);

/// What a server is willing to bear.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at once; more wait until one of these ends.
    pub connections: usize,
    /// How long to go on after the shutdown was asked for: callers need that long to learn of it.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 4096, drain: Duration::ZERO }
    }
}

/// Serves `router` on `listener` until `shutdown`. Then it goes on accepting for the time of the drain, while it asks
/// each caller to come back elsewhere (`Connection: close`): who has a connection, or is just making one, loses no
/// call. At last it accepts no more, lets the requests in flight finish within a deadline, and returns.
///
/// Listener and shutdown come from outside, so that a test can choose both. The TLS configuration is looked up for
/// each connection, so that it can be exchanged.
pub async fn run(
    listener: TcpListener,
    tls: Arc<ArcSwap<ServerConfig>>,
    router: Router,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
) {
    let draining = Arc::new(AtomicBool::new(false));
    let router = router.layer(middleware::from_fn({
        let draining = Arc::clone(&draining);
        move |request, next| close_when(Arc::clone(&draining), request, next)
    }));
    let mut accepting = Accepting {
        listener,
        tls,
        router,
        slots: Arc::new(Semaphore::new(limits.connections)),
        graceful: GracefulShutdown::new(),
        connections: JoinSet::new(),
    };
    tokio::select! {
        () = accepting.accept() => {}
        () = shutdown => {}
    }
    draining.store(true, Ordering::Relaxed);
    let _ = timeout_at(Instant::now() + limits.drain, accepting.accept()).await;
    let Accepting { listener, graceful, connections, .. } = accepting;
    drop(listener);
    if timeout(CUT_OFF, graceful.shutdown()).await.is_err() {
        tracing::warn!(connections = connections.len(), "requests were cut off at the deadline");
    }
}

/// Tells an HTTP/1.1 caller, once the drain has begun, that this connection is not to be used again.
async fn close_when(
    draining: Arc<AtomicBool>,
    request: Request,
    next: Next,
) -> axum::response::Response {
    let is_http1 = request.version() == Version::HTTP_11;
    let mut response = next.run(request).await;
    if is_http1 && draining.load(Ordering::Relaxed) {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// The accept loop. It can be dropped at any await and begun again: nothing is lost.
struct Accepting {
    listener: TcpListener,
    tls: Arc<ArcSwap<ServerConfig>>,
    router: Router,
    slots: Arc<Semaphore>,
    graceful: GracefulShutdown,
    connections: JoinSet<()>,
}

impl Accepting {
    async fn accept(&mut self) {
        while let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await {
            let accepted = loop {
                tokio::select! {
                    accepted = self.listener.accept() => break accepted,
                    Some(_finished) = self.connections.join_next() => {}
                }
            };
            match accepted {
                Ok((stream, peer)) => {
                    let acceptor = TlsAcceptor::from(self.tls.load_full());
                    let (router, watcher) = (self.router.clone(), self.graceful.watcher());
                    self.connections
                        .spawn(connection(stream, peer, acceptor, router, watcher, slot));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    sleep(BACK_OFF).await;
                }
            }
        }
    }
}

/// One connection, from handshake to end.
async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    acceptor: TlsAcceptor,
    router: Router,
    watcher: Watcher,
    _slot: OwnedSemaphorePermit,
) {
    let handshake = async {
        stream.set_nodelay(true)?;
        acceptor.accept(stream).await
    };
    let stream = match timeout(HANDSHAKE, handshake).await.map_err(io::Error::from).flatten() {
        Ok(stream) => stream,
        // Seen by default: most often, it is an API server that was told another CA than ours.
        Err(error) => return tracing::info!(%peer, %error, "TLS handshake failed"),
    };
    // TLS has settled the protocol. Were it guessed from the first bytes instead, no deadline would hold for them.
    let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    tracing::debug!(%peer, http = if h2 { "HTTP/2" } else { "HTTP/1.1" }, "connected");
    let builder = Builder::new(TokioExecutor::new());
    let mut builder = if h2 { builder.http2_only() } else { builder.http1_only() };
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(PING);
    let service = TowerToHyperService::new(router);
    let serving = builder.serve_connection(TokioIo::new(stream), service);
    if let Err(error) = watcher.watch(serving).await {
        tracing::debug!(%peer, error, "connection broke");
    }
}
