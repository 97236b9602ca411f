//! `outrigger serve`: the webhook.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::engine::{Engine, EngineArgs};
use crate::inject::{self, Context, Namespace};
use crate::sidecar::value;
use crate::webhook::metrics::Metrics;
use crate::webhook::server::Limits;
use crate::webhook::verdict::Decide;
use crate::webhook::{routes, server, tls};

/// How often the certificate's files are looked at.
const RELOAD: Duration = Duration::from_secs(5);

/// Run the webhook: HTTPS for the API server, plain HTTP for the kubelet's probes
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where to serve HTTPS; port 0 takes a free one, which the log names
    #[arg(long, value_name = "ADDR", env = "OUTRIGGER_LISTEN", default_value = "0.0.0.0:8443")]
    listen: SocketAddr,
    /// Where to serve /healthz and /readyz, without TLS
    #[arg(
        long,
        value_name = "ADDR",
        env = "OUTRIGGER_HEALTH_LISTEN",
        default_value = "0.0.0.0:8081"
    )]
    health_listen: SocketAddr,
    /// PEM file with the server's certificate, then those of its issuers
    #[arg(long, value_name = "FILE", env = "OUTRIGGER_TLS_CERT")]
    tls_cert: PathBuf,
    /// PEM file with the certificate's private key
    #[arg(long, value_name = "FILE", env = "OUTRIGGER_TLS_KEY")]
    tls_key: PathBuf,
    /// PEM file with those who issue clients' certificates; then only callers with such a certificate are served
    #[arg(long, value_name = "FILE", env = "OUTRIGGER_CLIENT_CA")]
    client_ca: Option<PathBuf>,
    /// How long to go on serving after SIGTERM, not ready any more, until the callers have learnt of it
    #[arg(long, value_name = "DURATION", env = "OUTRIGGER_DRAIN", default_value = "15s", value_parser = duration)]
    drain: Duration,
    /// Most connections at once; more have to wait
    #[arg(long, value_name = "N", env = "OUTRIGGER_MAX_CONNECTIONS", default_value_t = 4096)]
    max_connections: u32,
    /// What is logged, such as debug or outrigger=debug,warn
    #[arg(long, value_name = "FILTER", env = "OUTRIGGER_LOG", default_value = "info")]
    log: String,
    #[command(flatten)]
    engine: EngineArgs,
}

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// A file cannot be used, or an address is not free.
pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    // Taken apart here, so that an option that nobody uses does not compile.
    let Args {
        listen,
        health_listen,
        tls_cert,
        tls_key,
        client_ca,
        drain,
        max_connections,
        log,
        engine,
    } = args;
    start_log(&log)?;
    let files = tls::Files { cert: tls_cert, key: tls_key, client_ca };
    let tls::Loaded { config, not_after } = files.load()?;
    let tls = Arc::new(ArcSwap::from_pointee(config));
    let metrics = Arc::new(Metrics::default());
    metrics.certificate(not_after);
    let engine = engine.load()?;
    for fault in &engine.faults {
        tracing::warn!(%fault, "definition left out");
    }
    let webhook = routes::webhook(decide(engine), Arc::clone(&metrics));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        // Before the first answer, so that no signal comes too early to be seen.
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let listener = bind(listen, "--listen").await?;
        let health_listener = bind(health_listen, "--health-listen").await?;
        tracing::info!(
            address = %listener.local_addr()?,
            health = %health_listener.local_addr()?,
            "listening"
        );

        let ready = Arc::new(AtomicBool::new(true));
        let health =
            axum::serve(health_listener, routes::health(Arc::clone(&ready), Arc::clone(&metrics)));
        // Runs through the drain and ends with the runtime: the kubelet must be able to ask until the last moment.
        let _probes = tokio::spawn(health.into_future());
        let _following = tokio::spawn(files.follow(RELOAD, Arc::clone(&tls), move |changed| {
            report(&metrics, changed);
        }));
        let shutdown = async {
            let signal = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            ready.store(false, Ordering::Relaxed);
            tracing::info!(signal, "shutting down");
        };
        let limits = Limits { connections: max_connections as usize, drain };
        server::run(listener, tls, webhook, limits, shutdown).await;
        tracing::info!("stopped");
        Ok(ExitCode::SUCCESS)
    })
}

/// Says what came of a change of the certificate's files.
fn report(metrics: &Metrics, changed: Result<i64, tls::TlsError>) {
    match changed {
        Ok(not_after) => {
            metrics.certificate(not_after);
            metrics.reloaded("loaded");
            tracing::info!(not_after, "certificate reloaded");
        }
        Err(error) => {
            metrics.reloaded("kept");
            tracing::warn!(%error, "certificate changed, but the old one goes on");
        }
    }
}

/// A Go duration, as everywhere in Kubernetes.
fn duration(text: &str) -> Result<Duration, String> {
    let nanos = value::duration(text).and_then(|nanos| u64::try_from(nanos).ok());
    nanos
        .map(Duration::from_nanos)
        .ok_or_else(|| "write numbers with units, such as 15s".to_owned())
}

/// The decision about a pod, by the engine.
pub(super) fn decide(engine: Engine) -> Arc<Decide> {
    Arc::new(move |pod, namespace| {
        let namespace = Namespace { name: namespace.to_owned(), ..Namespace::default() };
        let Engine { catalog, settings, faults: _ } = &engine;
        inject::decide(pod, &Context { namespace: &namespace, catalog, settings })
    })
}

async fn bind(address: SocketAddr, option: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}; choose another address by {option}"))
}

/// Logs to stderr: lines for people on a terminal, JSON for collectors elsewhere. Panics are logged too.
fn start_log(filter: &str) -> anyhow::Result<()> {
    let filter: EnvFilter = filter.parse().with_context(|| {
        format!("--log {filter:?} is no filter; expected one such as debug or outrigger=debug,warn")
    })?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        log.init();
    } else {
        log.json().flatten_event(true).init();
    }
    std::panic::set_hook(Box::new(|panic| tracing::error!(%panic, "panic")));
    Ok(())
}
