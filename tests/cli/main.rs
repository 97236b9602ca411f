//! The command line, by its binary.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod real_engine;

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// A directory with the files that the cases name, relative to it.
struct Place(tempfile::TempDir);

impl Place {
    fn new(files: &[(&str, &[u8])]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        Self(dir)
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_outrigger"));
        command.args(line.split(' ').filter(|word| !word.is_empty()));
        command.current_dir(self.0.path()).env_remove("OUTRIGGER_IMAGE");
        command
    }

    /// Runs `outrigger LINE` with this standard input.
    fn run(&self, line: &str, stdin: &[u8]) -> Output {
        let mut child = self
            .command(line)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut pipe = child.stdin.take().unwrap();
        let stdin = stdin.to_vec();
        // Whether all of it is read is the program's business.
        let writer = std::thread::spawn(move || drop(pipe.write_all(&stdin)));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        output
    }

    /// Runs `outrigger LINE`, and expects the exit code, what stderr contains (nothing: that it is empty), and what
    /// stdout is, if that matters. A failure must leave stdout empty.
    #[track_caller]
    fn check(&self, line: &str, stdin: &[u8], code: i32, stderr: &[&str], stdout: Option<&[u8]>) {
        let output = self.run(line, stdin);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "outrigger {line}: {said}");
        for text in stderr {
            assert!(said.contains(text), "outrigger {line}: not in stderr: {text}\n{said}");
        }
        assert!(!stderr.is_empty() || said.is_empty(), "outrigger {line}: {said}");
        let stdout = if code == 0 { stdout } else { Some(&b""[..]) };
        if let Some(expected) = stdout {
            let shown = String::from_utf8_lossy(&output.stdout);
            assert_eq!(shown, String::from_utf8_lossy(expected), "outrigger {line}");
        }
    }
}

fn example(name: &str) -> Vec<u8> {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests/examples");
    fs::read(examples.join(name)).unwrap()
}

const POD: &[u8] = b"kind: Pod\nmetadata: {name: a}\n";

#[test]
fn usage() {
    let place = Place::new(&[("pod.yaml", POD)]);
    for (line, stderr) in [
        ("", "Usage: outrigger <COMMAND>"),
        ("injcet -f pod.yaml", "a similar subcommand exists: 'inject'"),
        ("inject", "--filename <FILE>"),
        ("inject -f", "a value is required for '--filename <FILE>'"),
        ("inject -f pod.yaml --nativ always", "a similar argument exists: '--native'"),
        ("inject -f pod.yaml --native sometimes", "[possible values: always, never, auto]"),
        ("inject -f pod.yaml -o xml", "[possible values: yaml, json, patch]"),
        ("inject -f pod.yaml --image=", "a value is required for '--image <IMAGE>'"),
        (
            "inject -f pod.yaml --kubernetes-version latest",
            "write major and minor, such as 1.31 or v1.31.4",
        ),
        ("completions tcsh", "bash"),
    ] {
        place.check(line, b"", 2, &[stderr], None);
    }
}

#[test]
fn help() {
    let place = Place::new(&[]);
    for (line, first) in [
        ("--help", "A Kubernetes mutating admission webhook that injects sidecars, and says why"),
        ("inject --help", "Add sidecars to the pods in a manifest"),
        ("completions --help", "Print the completion script of a shell"),
        ("--version", concat!("outrigger ", env!("CARGO_PKG_VERSION"))),
    ] {
        let output = place.run(line, b"");
        assert_eq!(output.status.code(), Some(0), "{line}");
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text.lines().next(), Some(first), "{line}");
    }
}

#[test]
fn completions() {
    let place = Place::new(&[]);
    for (shell, mark) in [
        ("bash", "complete -F _outrigger"),
        ("zsh", "#compdef outrigger"),
        ("fish", "complete -c outrigger"),
        ("powershell", "Register-ArgumentCompleter"),
        ("elvish", "edit:completion:arg-completer[outrigger]"),
    ] {
        let output = place.run(&format!("completions {shell}"), b"");
        assert_eq!(output.status.code(), Some(0), "{shell}");
        assert!(String::from_utf8(output.stdout).unwrap().contains(mark), "{shell}");
    }
}

#[test]
fn files_that_cannot_be_read() {
    let many = b"a: 1\n".repeat(13 << 20);
    let long = format!("---\na: 1\n---\nb: {}\n", "x".repeat(9 << 20));
    let place = Place::new(&[
        ("dir/pod.yaml", POD),
        ("empty.yaml", b""),
        ("comments.yaml", b"# one\n---\n# two\n---\n"),
        ("binary.yaml", b"a: 1\n\x00\x01"),
        ("latin1.yaml", b"a: 1\nb: caf\xe9\n"),
        ("utf16.yaml", b"\xff\xfea\x00"),
        ("many.yaml", &many),
        ("long.yaml", long.as_bytes()),
        ("list.yaml", b"kind: Pod\n---\n- a\n"),
        ("word.yaml", b"hello\n"),
        ("bad.yaml", b"# licence\n---\nkind: Pod\n---\n\na: b\n c: d\n---\ne: [1\n"),
        ("helm.yaml", b"kind: Pod\nmetadata:\n  name: {{ .Release.Name }}\n"),
    ]);
    for (file, stderr) in [
        ("none.yaml", &["error: none.yaml: no such file or directory\n"][..]),
        ("dir", &["error: dir: is a directory; name one file in it\n"]),
        ("empty.yaml", &["error: empty.yaml: empty: no object in it, at most comments\n"]),
        ("comments.yaml", &["error: comments.yaml: empty: no object"]),
        (
            "binary.yaml",
            &[
                "error: binary.yaml: binary data (a zero byte in line 2); give YAML or JSON, in UTF-8\n",
            ],
        ),
        ("latin1.yaml", &["error: latin1.yaml: not UTF-8 in line 2;"]),
        ("utf16.yaml", &["error: utf16.yaml: binary data"]),
        ("many.yaml", &["error: many.yaml: more than 64 MiB; split it\n"]),
        (
            "long.yaml",
            &[
                "error: long.yaml: document 2, from line 3: the document has 943",
                "more than the 8388608",
            ],
        ),
        (
            "list.yaml",
            &[
                "error: list.yaml: document 2, from line 2: not an object; write a map with apiVersion, kind",
            ],
        ),
        ("word.yaml", &["error: word.yaml: document 1, from line 1: not an object"]),
        (
            "bad.yaml",
            &[
                "error: bad.yaml: document 2, from line 4: mapping values are not allowed in this context at line 7,",
                "error: bad.yaml: document 3, from line 8: ",
            ],
        ),
        ("helm.yaml", &["at line 3,", "(a Helm template? pass on what `helm template` prints)"]),
    ] {
        place.check(&format!("inject -f {file}"), b"", 1, stderr, None);
        if !matches!(file, "none.yaml" | "dir") {
            let stdin = fs::read(place.0.path().join(file)).unwrap();
            let stderr: Vec<_> = stderr.iter().map(|text| text.replace(file, "stdin")).collect();
            let stderr: Vec<_> = stderr.iter().map(String::as_str).collect();
            place.check("inject -f -", &stdin, 1, &stderr, None);
        }
    }
}

#[test]
fn what_does_not_change_is_not_touched() {
    let place = Place::new(&[]);
    for text in [
        &b"kind: Pod"[..],
        b"# licence\n\nkind:   Pod   # odd\n...\n# end\n",
        b"---\n---\n# nothing\n--- # two\nkind: 'Pod'\n---\n\n\nkind: \"Service\"\n---\n",
        b"kind: Pod\r\nmetadata:\r\n  name: a\r\n---\r\nkind: ConfigMap\r\n",
        b"\xef\xbb\xbfkind: Pod\n---\nkind: Pod\n",
        b"\xef\xbb\xbf---\nkind: Pod\n",
        b"kind: Odd\nbase: &base {a: 0644, b: yes}\nspec:\n  <<: *base\n  c: |+\n    ---\n    x\n\n\n  d: >-\n   e\n   f\n",
        b"{\"kind\": \"Pod\",\n\t\"metadata\": {\"name\": \"\\u003ca\"}}",
        b"a: 1\na: 2\n1: b\ntrue: c\n",
        b"kind: Deployment\nspec: {template: null}\n",
        b"kind: Deployment\nspec: 7\n",
        b"kind: List\nitems: {}\n",
        "kind: Pod\nmetadata: {name: \"ü\u{2028}\"}\n".as_bytes(),
    ] {
        place.check("inject -f -", text, 0, &[], Some(text));
    }
}

#[test]
fn forms_of_output() {
    let two = b"# a\n---\nkind: Pod\nmetadata: {name: a}\n---\nkind: Odd\nb: 0644\n";
    let place = Place::new(&[("one.yaml", POD), ("two.yaml", two)]);
    for (line, expected) in [
        ("-o yaml -f one.yaml", "kind: Pod\nmetadata: {name: a}\n"),
        (
            "-o json -f one.yaml",
            "{\n  \"kind\": \"Pod\",\n  \"metadata\": {\n    \"name\": \"a\"\n  }\n}\n",
        ),
        (
            "-o json -f two.yaml",
            "{\n  \"apiVersion\": \"v1\",\n  \"kind\": \"List\",\n  \"items\": [\n    {\n      \"kind\": \"Pod\",\n      \
             \"metadata\": {\n        \"name\": \"a\"\n      }\n    },\n    {\n      \"kind\": \"Odd\",\n      \
             \"b\": 420\n    }\n  ]\n}\n",
        ),
        ("-o patch -f one.yaml", "[]\n"),
        ("-o patch -f two.yaml", "[]\n"),
    ] {
        place.check(&format!("inject {line}"), b"", 0, &[], Some(expected.as_bytes()));
    }
}

#[test]
fn options_of_the_engine() {
    let place = Place::new(&[
        ("pod.yaml", POD),
        ("sidecars/notes.txt", b"\xff"),
        ("latin1/a.yaml", b"\xff"),
        ("good.yaml", b"defaults: {topz: {port: 9000, redact: [a, b]}}\n"),
        ("typo.yaml", b"default: {topz: {port: 9000}}\n"),
        ("map.yaml", b"pinned: {topz: {port: {a: b}}}\n"),
    ]);
    for (line, stderr) in [
        ("--sidecars none", "error: none: no such file or directory\n"),
        ("--sidecars pod.yaml", "error: pod.yaml: is a file; name the directory that holds it\n"),
        ("--sidecars latin1", "error: latin1/a.yaml: not UTF-8 in line 1;"),
        ("--settings none", "error: none: no such file or directory\n"),
        (
            "--settings typo.yaml",
            "error: typo.yaml: default: unknown field `default`, expected `defaults` or `pinned`",
        ),
        (
            "--settings map.yaml",
            "error: map.yaml: pinned.topz.port: a map; write a string, number, boolean or list",
        ),
    ] {
        place.check(&format!("inject -f pod.yaml {line}"), b"", 1, &[stderr], None);
    }
    for line in [
        "--sidecars sidecars",
        "--settings good.yaml",
        "--native never",
        "--kubernetes-version v1.31.4-gke.1",
    ] {
        place.check(&format!("inject -f pod.yaml {line}"), b"", 0, &[], Some(POD));
    }
}

#[test]
fn namespace_files() {
    let place = Place::new(&[
        ("pod.yaml", POD),
        ("no-label.yaml", b"kind: Namespace\nmetadata: {name: shop}\n"),
        ("list.yaml", b"- a\n"),
        ("unnamed.yaml", b"kind: Namespace\n"),
        ("number.yaml", b"kind: Namespace\nmetadata: {name: shop, annotations: {topz.outrigger.dev/port: 9000}}\n"),
        ("two.yaml", b"kind: Namespace\nmetadata: {name: a}\n---\nkind: Namespace\nmetadata: {name: b}\n"),
    ]);
    for (file, stderr) in [
        ("none.yaml", "error: none.yaml: no such file or directory\n"),
        (
            "pod.yaml",
            "error: pod.yaml: no Namespace with a name; give what `kubectl get namespace NAME -o yaml` prints\n",
        ),
        ("list.yaml", "error: list.yaml: not an object; write a map"),
        ("unnamed.yaml", "error: unnamed.yaml: no Namespace"),
        (
            "number.yaml",
            "error: number.yaml: annotation topz.outrigger.dev/port: 9000 is not a string; quote it\n",
        ),
        ("two.yaml", "error: two.yaml: holds 2 documents; give one Namespace\n"),
    ] {
        place.check(
            &format!("inject -f pod.yaml --namespace-file {file}"),
            b"",
            1,
            &[stderr],
            None,
        );
    }
    let warning = "warning: no-label.yaml: Namespace/shop: no label outrigger.dev/injection=enabled, so the API server";
    place.check("inject -f pod.yaml --namespace-file no-label.yaml", b"", 0, &[warning], Some(POD));
}

#[test]
fn annotations_above_the_pod_template() {
    let place = Place::new(&[]);
    let text = b"kind: Deployment\nmetadata:\n  name: web\n  annotations: {outrigger.dev/inject: topz}\nspec: {template: {}}\n";
    let warning = "warning: stdin: Deployment/web: metadata.annotations: no effect here: outrigger.dev/inject; \
                   move to spec.template.metadata.annotations\n";
    place.check("inject -f -", text, 0, &[warning], Some(text));
}

#[test]
fn a_closed_pipe_is_no_error() {
    let big = [b"kind: Pod\nnote: ", "x".repeat(4 << 20).as_bytes(), b"\n"].concat();
    let place = Place::new(&[("big.yaml", &big)]);
    let mut child = place
        .command("inject -f big.yaml")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdout.take().unwrap();
    pipe.read_exact(&mut [0; 10]).unwrap();
    drop(pipe);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty());
}
