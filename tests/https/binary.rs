//! `outrigger serve`, as a process of its own.

use std::io::{BufRead, BufReader, Lines};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{Target, post};
use crate::{UID, check, pod, review};

/// Ends the process if the test fails before it does.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn serve(cert: &Path, key: &Path) -> (Process, Lines<BufReader<ChildStderr>>) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_outrigger"))
        .args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--health-listen",
            "127.0.0.1:0",
            "--drain",
            "0s",
        ])
        .arg("--tls-cert")
        .arg(cert)
        .arg("--tls-key")
        .arg(key)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    (Process(child), lines)
}

/// The next log line with this message.
fn logged(lines: &mut Lines<BufReader<ChildStderr>>, message: &str) -> Value {
    lines
        .map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap())
        .find(|line| line["message"] == message)
        .unwrap_or_else(|| panic!("no line with {message:?}"))
}

async fn plain(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn check_signal(signal: &str) {
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let (mut process, mut lines) = serve(&cert, &key);

    let line = logged(&mut lines, "listening");
    let address = |field: &str| line[field].as_str().unwrap().parse().unwrap();
    let (address, health) = (address("address"), address("health"));
    let target = Target { address, certificate: made.cert.der().clone() };
    let reply = target.send(post(review("default", &pod()).to_string())).await;
    check("served", &reply, UID, &serde_json::json!({"allowed": true}));

    let line = logged(&mut lines, "reviewed");
    for (field, expected) in
        [("uid", UID), ("namespace", "default"), ("result", "untouched"), ("reason", "not-asked")]
    {
        assert_eq!(line[field], expected, "{line}");
    }
    assert_eq!(line["dry_run"], false, "{line}");
    assert!(line["microseconds"].is_u64(), "{line}");
    for path in ["/healthz", "/readyz"] {
        let answer = plain(health, path).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("ok"), "{answer}");
    }

    let answer = plain(health, "/metrics").await;
    for part in [
        "outrigger_decisions_total{result=\"untouched\",reason=\"not-asked\"} 1\n",
        "outrigger_decision_duration_seconds_count 1\n",
        // 4096-01-01: what rcgen takes for never.
        "outrigger_certificate_not_after_timestamp_seconds 67090118400\n",
    ] {
        assert!(answer.contains(part), "{part} is not in {answer}");
    }

    let id = process.0.id().to_string();
    assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    assert_eq!(process.0.wait().unwrap().code(), Some(0), "{signal}");
    logged(&mut lines, "stopped");
}

#[tokio::test]
async fn signals_end_it_cleanly() {
    check_signal("-TERM").await;
    check_signal("-INT").await;
}

#[test]
fn bad_files_are_named() {
    let (mut process, mut lines) = serve(Path::new("/nonexistent/tls.crt"), Path::new("/x"));
    assert_eq!(process.0.wait().unwrap().code(), Some(1));
    let line = lines.next().unwrap().unwrap();
    assert!(line.starts_with("error: cannot read /nonexistent/tls.crt: No such file"), "{line}");
}
