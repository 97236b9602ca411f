//! Certificate and key, from files, anew when they change.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject, SectionKind};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};

/// Why a certificate and its key cannot be used. Each text names the file, and what it should hold.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file cannot be read.
    #[error("cannot read {}: {reason}; expected a PEM file with {expected}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
        /// Why not. (No `source`: a chain of errors would say it twice.)
        reason: std::io::Error,
    },
    /// The file is not PEM.
    #[error("{} is not a PEM file: {reason}; expected {expected}", path.display())]
    NotPem {
        /// Which file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
        /// What the PEM reader says.
        reason: String,
    },
    /// The file is PEM, but does not hold what it should.
    #[error("{} holds {found}; expected {expected}", path.display())]
    Absent {
        /// Which file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
        /// What it does hold.
        found: String,
    },
    /// Clients' certificates cannot be told by this.
    #[error("{} cannot tell clients: {reason}; expected {CLIENT_CA}", path.display())]
    ClientCa {
        /// Which file.
        path: PathBuf,
        /// What rustls says.
        reason: String,
    },
    /// Both are in order, but do not belong together.
    #[error(
        "the key in {} is not that of the certificate in {}; expected the key of the first certificate in the file",
        key.display(), cert.display()
    )]
    Mismatch {
        /// The key's file.
        key: PathBuf,
        /// The certificate's file.
        cert: PathBuf,
    },
    /// The contents are not what their PEM labels say, or of a kind that is not supported.
    #[error(
        "the certificate in {} and the key in {} cannot be used: {reason}; expected an X.509 certificate with an \
         ECDSA (P-256, P-384), Ed25519 or RSA key", cert.display(), key.display()
    )]
    Unusable {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What rustls says.
        reason: rustls::Error,
    },
}

/// The files that make a TLS configuration.
#[derive(Debug, Clone)]
pub struct Files {
    /// The server's certificate, then those of its issuers.
    pub cert: PathBuf,
    /// The certificate's private key.
    pub key: PathBuf,
    /// Who must have issued the clients' certificates; without it, none are asked for.
    pub client_ca: Option<PathBuf>,
}

/// A TLS configuration, and how long it is good for.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: ServerConfig,
    /// When the certificate expires, in seconds of Unix time.
    pub not_after: i64,
}

const CERTIFICATE: &str = "the server's certificate, then those of its issuers, if any";
const KEY: &str = "the certificate's private key, not encrypted";

const CLIENT_CA: &str = "the certificates of those who issue clients' certificates";

impl Files {
    /// What a server needs to speak TLS 1.2 and 1.3, and HTTP/2 and 1.1 in them.
    ///
    /// # Errors
    /// A file cannot be read or does not hold what it should, or certificate and key do not belong together.
    pub fn load(&self) -> Result<Loaded, TlsError> {
        let Self { cert, key, client_ca } = self;
        let chain: Vec<CertificateDer<'static>> = items(cert, CERTIFICATE)?;
        let mut keys: Vec<PrivateKeyDer<'static>> = items(key, KEY)?;
        let not_after = expiry(&chain[0]).unwrap_or_default();
        let unusable = |reason| TlsError::Unusable { cert: cert.clone(), key: key.clone(), reason };
        let clients = match client_ca {
            None => WebPkiClientVerifier::no_client_auth(),
            Some(path) => clients_of(path)?,
        };
        let config =
            configured(chain, keys.swap_remove(0), clients).map_err(|error| match error {
                rustls::Error::InconsistentKeys(_) => {
                    TlsError::Mismatch { key: key.clone(), cert: cert.clone() }
                }
                source => unusable(source),
            })?;
        Ok(Loaded { config, not_after })
    }

    /// What is in the files now: enough to see that they changed.
    fn contents(&self) -> Vec<Option<Vec<u8>>> {
        let paths = [Some(&self.cert), Some(&self.key), self.client_ca.as_ref()];
        paths.into_iter().flatten().map(|path| std::fs::read(path).ok()).collect()
    }

    /// Looks every so often whether the files have changed, and then puts what is in them into `current`. What cannot
    /// be used is reported and left: the last good configuration goes on.
    ///
    /// Looking is enough. A Secret reaches its volume within a minute or so; and watches on the files of a mounted
    /// Secret go dead with the first exchange of the directory that they are in.
    pub async fn follow(
        self,
        every: Duration,
        current: Arc<ArcSwap<ServerConfig>>,
        on_change: impl Fn(Result<i64, TlsError>),
    ) {
        let mut seen = self.contents();
        loop {
            tokio::time::sleep(every).await;
            let now = self.contents();
            if now == seen {
                continue;
            }
            seen = now;
            on_change(self.load().map(|Loaded { config, not_after }| {
                current.store(Arc::new(config));
                not_after
            }));
        }
    }
}

/// The same, from a certificate and key in memory, without asking clients for certificates.
///
/// # Errors
/// The two do not belong together, or are of a kind that is not supported.
pub fn server(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, rustls::Error> {
    configured(chain, key, WebPkiClientVerifier::no_client_auth())
}

fn configured(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    clients: Arc<dyn ClientCertVerifier>,
) -> Result<ServerConfig, rustls::Error> {
    // The provider is named, not installed for the whole process: tests then need no such step either.
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(clients)
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Who may call: clients whose certificate one of these has issued.
fn clients_of(path: &Path) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in items::<CertificateDer<'static>>(path, CLIENT_CA)? {
        roots.add(certificate).map_err(|source| TlsError::ClientCa {
            path: path.to_owned(),
            reason: source.to_string(),
        })?;
    }
    let provider = Arc::new(ring::default_provider());
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|source| TlsError::ClientCa { path: path.to_owned(), reason: source.to_string() })
}

/// When a certificate expires, in seconds of Unix time.
fn expiry(certificate: &CertificateDer<'_>) -> Option<i64> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    Some(certificate.validity().not_after.timestamp())
}

/// The items of one kind in a PEM file: at least one.
fn items<T: PemObject>(path: &Path, expected: &'static str) -> Result<Vec<T>, TlsError> {
    let text = std::fs::read(path).map_err(|reason| TlsError::Read {
        path: path.to_owned(),
        expected,
        reason,
    })?;
    let not_pem = |reason: pem::Error| TlsError::NotPem {
        path: path.to_owned(),
        expected,
        reason: reason.to_string(),
    };
    let items = T::pem_slice_iter(&text).collect::<Result<Vec<T>, _>>().map_err(not_pem)?;
    if items.is_empty() {
        let found = contents(&text).map_err(not_pem)?;
        return Err(TlsError::Absent { path: path.to_owned(), expected, found });
    }
    Ok(items)
}

/// What is in a PEM file, in words.
fn contents(text: &[u8]) -> Result<String, pem::Error> {
    let mut found = Vec::new();
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(text) {
        found.push(match section?.0 {
            SectionKind::Certificate => "a certificate",
            SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey => {
                "a private key"
            }
            SectionKind::Csr => "a certificate signing request",
            SectionKind::PublicKey => "a public key",
            _ => "something else",
        });
    }
    found.dedup();
    Ok(if found.is_empty() {
        "nothing that could be used (an encrypted key, perhaps)".to_owned()
    } else {
        found.join(" and ")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_which_file_and_what_was_expected() {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let other = rcgen::KeyPair::generate().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let cert = file("tls.crt", &made.cert.pem());
        let key = file("tls.key", &made.signing_key.serialize_pem());
        let other = file("other.key", &other.serialize_pem());
        let empty = file("empty", "");
        let broken =
            file("broken", "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n");
        let liar = file("liar", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        let secret =
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        let secret = file("secret", secret);
        let missing = folder.path().join("missing");

        let load = |cert: &Path, key: &Path| {
            Files { cert: cert.to_owned(), key: key.to_owned(), client_ca: None }.load()
        };
        // 4096-01-01: what rcgen takes for never.
        assert_eq!(load(&cert, &key).unwrap().not_after, 67_090_118_400);
        let with_ca = Files { cert: cert.clone(), key: key.clone(), client_ca: Some(cert.clone()) };
        assert!(with_ca.load().is_ok());
        let error =
            Files { client_ca: Some(key.clone()), ..with_ca }.load().unwrap_err().to_string();
        assert!(error.ends_with("holds a private key; expected the certificates of those who issue clients' certificates"), "{error}");
        for (cert, key, expected) in [
            (&missing, &key, "cannot read FOLDER/missing: No such file"),
            (&cert, &missing, "expected a PEM file with the certificate's private key"),
            (&empty, &key, "FOLDER/empty holds nothing that could be used"),
            (&key, &key, "FOLDER/tls.key holds a private key; expected the server's certificate"),
            (
                &cert,
                &cert,
                "FOLDER/tls.crt holds a certificate; expected the certificate's private key",
            ),
            (&cert, &secret, "FOLDER/secret holds nothing that could be used (an encrypted key"),
            (
                &cert,
                &other,
                "the key in FOLDER/other.key is not that of the certificate in FOLDER/tls.crt",
            ),
            (&broken, &key, "FOLDER/broken is not a PEM file"),
            (
                &liar,
                &key,
                "the certificate in FOLDER/liar and the key in FOLDER/tls.key cannot be used",
            ),
        ] {
            let error = load(cert, key).unwrap_err().to_string();
            let error = error.replace(folder.path().to_str().unwrap(), "FOLDER");
            assert!(error.contains(expected), "{error}");
        }
    }
}
