//! etcd, kube-apiserver and kube-controller-manager, on an address of their own.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::api::{Api, PostParams};
use kube::{Client, Config};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde_json::json;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// An address that is no loopback one, since the API server speaks HTTP/2 to those. `make test-cluster` makes it, in a
/// network namespace without any way out.
pub(crate) const ADDRESS: &str = "10.96.7.1";
/// Another one, for a second replica on the same port.
pub(crate) const SECOND_ADDRESS: &str = "10.96.7.2";

/// How long anything may take that the cluster does by itself.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A cluster without nodes.
pub(crate) struct Cluster {
    pub(crate) client: Client,
    namespaces: AtomicU32,
    folder: TempDir,
    processes: Vec<Process>,
}

/// Ended with the run, and its log shown if that failed.
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    pub(crate) fn start(name: &'static str, folder: &Path, command: &mut Command) -> Self {
        let log = folder.join(format!("{name}.log"));
        let out = File::create(&log).unwrap();
        let err = out.try_clone().unwrap();
        let child = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn();
        let child = child.unwrap_or_else(|error| die(&format!("cannot start {name}: {error}")));
        Self { name, child, log }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(crate) fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    fn check(&mut self) {
        if let Ok(Some(status)) = self.child.try_wait() {
            die(&format!("{} ended, {status}:\n{}", self.name, tail(&self.log())));
        }
    }
}

fn tail(log: &str) -> String {
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}

#[expect(clippy::panic, reason = "nothing can be tested without a cluster")]
pub(crate) fn die(message: &str) -> ! {
    panic!("{message}")
}

/// A port that is free now.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind((ADDRESS, 0))
        .unwrap_or_else(|error| {
            die(&format!("no address {ADDRESS} ({error}): run `make test-cluster`"))
        })
        .local_addr()
        .unwrap()
        .port()
}

impl Cluster {
    pub(crate) async fn start() -> Self {
        let programs = std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
        let programs = programs
            .unwrap_or_else(|| die("KUBEBUILDER_ASSETS is not set: run `make test-cluster`"));
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let program = |name: &str| Command::new(programs.join(name));

        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.distinguished_name.push(DnType::CommonName, "test cluster");
        let authority =
            CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        fs::write(at("ca.crt"), authority.pem()).unwrap();
        let issue = |name: &str, common: &str, organization: Option<&str>| {
            let mut params = CertificateParams::new([ADDRESS.to_owned()]).unwrap();
            params.distinguished_name.push(DnType::CommonName, common);
            if let Some(organization) = organization {
                params.distinguished_name.push(DnType::OrganizationName, organization);
            }
            let key = KeyPair::generate().unwrap();
            fs::write(
                at(&format!("{name}.crt")),
                params.signed_by(&key, &authority).unwrap().pem(),
            )
            .unwrap();
            fs::write(at(&format!("{name}.key")), key.serialize_pem()).unwrap();
        };
        issue("server", "kube-apiserver", None);
        issue("admin", "kubernetes-admin", Some("system:masters"));
        issue("accounts", "service-accounts", None);

        let (clients, peers, secure) = (free_port(), free_port(), free_port());
        let etcd_url = format!("http://{ADDRESS}:{clients}");
        let peer_url = format!("http://{ADDRESS}:{peers}");
        let mut processes = vec![Process::start(
            "etcd",
            folder.path(),
            program("etcd").arg("--data-dir").arg(at("etcd")).args([
                format!("--listen-client-urls={etcd_url}"),
                format!("--advertise-client-urls={etcd_url}"),
                format!("--listen-peer-urls={peer_url}"),
                format!("--initial-advertise-peer-urls={peer_url}"),
                format!("--initial-cluster=default={peer_url}"),
                "--unsafe-no-fsync".to_owned(),
            ]),
        )];
        let file = |name: &str| at(name).display().to_string();
        processes.push(Process::start(
            "kube-apiserver",
            folder.path(),
            program("kube-apiserver").args([
                format!("--etcd-servers={etcd_url}"),
                format!("--bind-address={ADDRESS}"),
                format!("--advertise-address={ADDRESS}"),
                format!("--secure-port={secure}"),
                format!("--tls-cert-file={}", file("server.crt")),
                format!("--tls-private-key-file={}", file("server.key")),
                format!("--client-ca-file={}", file("ca.crt")),
                "--authorization-mode=RBAC".to_owned(),
                "--service-cluster-ip-range=10.97.0.0/24".to_owned(),
                "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
                format!("--service-account-key-file={}", file("accounts.crt")),
                format!("--service-account-signing-key-file={}", file("accounts.key")),
                // Services are resolved to their endpoints, since there is no kube-proxy.
                "--enable-aggregator-routing=true".to_owned(),
                "--allow-privileged=true".to_owned(),
            ]),
        ));
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {
                "server": format!("https://{ADDRESS}:{secure}"), "certificate-authority": file("ca.crt")}}],
            "users": [{"name": "admin", "user": {
                "client-certificate": file("admin.crt"), "client-key": file("admin.key")}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
        });
        fs::write(at("kubeconfig"), kubeconfig.to_string()).unwrap();
        let kubeconfig: kube::config::Kubeconfig = serde_json::from_value(kubeconfig).unwrap();
        let config = Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await.unwrap();
        let client = Client::try_from(config).unwrap();
        let mut cluster = Self { client, namespaces: AtomicU32::new(0), folder, processes };
        cluster.wait_until_ready().await;
        let path = |name: &str| cluster.folder.path().join(name).display().to_string();
        let manager = Process::start(
            "kube-controller-manager",
            cluster.folder.path(),
            Command::new(programs.join("kube-controller-manager")).args([
                format!("--kubeconfig={}", path("kubeconfig")),
                format!("--service-account-private-key-file={}", path("accounts.key")),
                format!("--root-ca-file={}", path("ca.crt")),
                format!("--bind-address={ADDRESS}"),
                format!("--secure-port={}", free_port()),
                format!("--cert-dir={}", path("manager")),
                "--leader-elect=false".to_owned(),
            ]),
        );
        cluster.processes.push(manager);
        cluster
    }

    async fn wait_until_ready(&mut self) {
        let end = Instant::now() + PATIENCE;
        let request = || axum::http::Request::get("/readyz").body(Vec::new()).unwrap();
        while let Err(error) = self.client.request_text(request()).await {
            self.processes.iter_mut().for_each(Process::check);
            if Instant::now() > end {
                die(&format!(
                    "the API server is not ready: {error}\n{}",
                    tail(&self.processes[1].log())
                ));
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// A folder that goes with the cluster.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A new namespace with these labels, in which pods can be created.
    pub(crate) async fn namespace(&self, labels: &[(&str, &str)]) -> String {
        let name = format!("test-{}", self.namespaces.fetch_add(1, Ordering::Relaxed));
        let labels: serde_json::Map<_, _> =
            labels.iter().map(|(k, v)| ((*k).to_owned(), json!(v))).collect();
        let object = json!({"metadata": {"name": name, "labels": labels}});
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        namespaces
            .create(&PostParams::default(), &serde_json::from_value(object).unwrap())
            .await
            .unwrap();
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), &name);
        until("the namespace has a ServiceAccount", async || {
            accounts.get_opt("default").await.unwrap()
        })
        .await;
        name
    }
}

/// Asks again until there is an answer; the cluster has its time.
pub(crate) async fn until<T>(what: &str, ask: impl AsyncFn() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        if Instant::now() > end {
            die(&format!("not within {PATIENCE:?}: {what}"));
        }
        sleep(Duration::from_millis(50)).await;
    }
}
