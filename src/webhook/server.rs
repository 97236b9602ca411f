//! Connections: accepted, handed to the routes, drained.
//!
//! A loop of our own, because the API server does not repeat a broken call: every wait here has a deadline, and none
//! of them ends a connection that the API server still means to use.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a connection may be idle, or take to send a request's header. The API server keeps idle ones for 90 s,
/// and loses the call that it sends just when we close.
const HEADER: Duration = Duration::from_secs(120);
/// How often an HTTP/2 peer is asked whether it is still there.
const PING: Duration = Duration::from_secs(60);
/// How long requests in flight may take to finish after the shutdown.
const DRAIN: Duration = Duration::from_secs(10);
/// How long to wait when a connection cannot be accepted, most often for want of file descriptors.
const BACK_OFF: Duration = Duration::from_millis(100);

/// Serves `router` on `listener` until `shutdown`; then accepts no more, lets the requests in flight finish within a
/// deadline, and returns.
///
/// Listener and shutdown come from outside, so that a test can choose both.
pub async fn run(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    router: Router,
    shutdown: impl Future<Output = ()>,
) {
    let acceptor = TlsAcceptor::from(tls);
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(_finished) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    let (acceptor, router, watcher) =
                        (acceptor.clone(), router.clone(), graceful.watcher());
                    connections.spawn(connection(stream, peer, acceptor, router, watcher));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    sleep(BACK_OFF).await;
                }
            },
        }
    }
    drop(listener);
    if timeout(DRAIN, graceful.shutdown()).await.is_err() {
        tracing::warn!(connections = connections.len(), "requests were cut off at the deadline");
    }
}

/// One connection, from handshake to end.
async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    acceptor: TlsAcceptor,
    router: Router,
    watcher: Watcher,
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
