//! Cases in which sidecars are really added.

use std::fs;

use outrigger::yaml;
use serde_json::{Value, json};

use super::{Place, example};

const ANNOTATIONS: &str = "annotations: {outrigger.dev/inject: topz}";

/// One document for each kind that holds a pod, its name, and where the pod is.
fn kinds() -> Vec<(String, String, &'static str)> {
    let pod = "{containers: [{name: app, image: app}]}";
    let template = format!("{{metadata: {{{ANNOTATIONS}}}, spec: {pod}}}");
    let object = |api: &str, kind: &str, rest: &str| {
        format!("# {kind}\napiVersion: {api}\nkind: {kind}\nmetadata: {{name: web}}\n{rest}\n")
    };
    let mut kinds = Vec::new();
    for (api, kind) in [
        ("apps/v1", "Deployment"),
        ("apps/v1", "StatefulSet"),
        ("apps/v1", "DaemonSet"),
        ("apps/v1", "ReplicaSet"),
        ("v1", "ReplicationController"),
        ("batch/v1", "Job"),
    ] {
        let text = object(api, kind, &format!("spec:\n  odd: 0644 # kept\n  template: {template}"));
        kinds.push((text, kind.to_owned(), "/spec/template"));
    }
    let cron =
        format!("spec: {{schedule: \"@daily\", jobTemplate: {{spec: {{template: {template}}}}}}}");
    let cron = object("batch/v1", "CronJob", &cron);
    kinds.push((cron, "CronJob".to_owned(), "/spec/jobTemplate/spec/template"));
    let pod_template = object("v1", "PodTemplate", &format!("template: {template}"));
    kinds.push((pod_template, "PodTemplate".to_owned(), "/template"));
    let bare =
        format!("kind: Pod\napiVersion: v1\nmetadata: {{name: web, {ANNOTATIONS}}}\nspec: {pod}\n");
    kinds.push((bare.clone(), "Pod".to_owned(), ""));
    let list = format!(
        "kind: List\napiVersion: v1\nitems:\n- kind: Service\n- {}",
        bare.replace('\n', "\n  ")
    );
    kinds.push((list.trim_end().to_owned() + "\n", "List".to_owned(), "/items/1"));
    let typed = format!(
        "apiVersion: apps/v1\nkind: DeploymentList\nitems: [{{spec: {{template: {template}}}}}]\n"
    );
    kinds.push((typed, "DeploymentList".to_owned(), "/items/0/spec/template"));
    kinds
}

fn run(place: &Place, line: &str, stdin: &[u8]) -> String {
    let output = place.run(line, stdin);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "outrigger {line}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

fn run_json(place: &Place, line: &str, stdin: &[u8]) -> Value {
    serde_json::from_str(&run(place, line, stdin)).unwrap()
}

/// The names of a pod's (init) containers.
fn names<'a>(pod: &'a Value, field: &str) -> Vec<&'a str> {
    let containers = pod["spec"][field].as_array().into_iter().flatten();
    containers.map(|container| container["name"].as_str().unwrap()).collect()
}

#[test]
fn every_kind_gets_its_sidecar() {
    let place = Place::new(&[]);
    for (text, kind, at) in kinds() {
        let object = run_json(&place, "inject -f - -o json", text.as_bytes());
        let pod = object.pointer(at).unwrap();
        assert_eq!(names(pod, "initContainers"), ["topz"], "{kind}");
        assert_eq!(names(pod, "containers"), ["app"], "{kind}");
    }
}

#[test]
fn a_second_pass_is_the_identity() {
    let place = Place::new(&[]);
    let stream = kinds().into_iter().map(|(text, _, _)| text).collect::<Vec<_>>().join("---\n");
    let stream = format!("{stream}--- # last\nkind: Service # odd\n# end");
    let mut inputs = vec![stream.into_bytes()];
    for name in ["all.yaml", "httpd-git.yaml", "java-log.yaml", "topz.yaml", "job-topz.yaml"] {
        inputs.push(example(name));
    }
    for input in inputs {
        for options in ["", "--native never"] {
            let once = run(&place, &format!("inject -f - {options}"), &input);
            let twice = run(&place, &format!("inject -f - {options}"), once.as_bytes());
            assert_ne!(once.as_bytes(), input);
            assert_eq!(once, twice);
        }
    }
}

#[test]
fn patches_fit_their_documents() {
    let place = Place::new(&[]);
    for (text, kind, at) in kinds() {
        let mut object = yaml::read(&text, yaml::MANIFEST).unwrap();
        let patch = run_json(&place, "inject -f - -o patch", text.as_bytes());
        for operation in patch.as_array().unwrap() {
            assert!(operation["path"].as_str().unwrap().starts_with(at), "{kind}: {operation}");
        }
        json_patch::patch(
            &mut object,
            &serde_json::from_value::<json_patch::Patch>(patch).unwrap(),
        )
        .unwrap();
        assert_eq!(object, run_json(&place, "inject -f - -o json", text.as_bytes()), "{kind}");
        let written = run(&place, "inject -f -", text.as_bytes());
        assert_eq!(object, yaml::read(&written, yaml::MANIFEST).unwrap(), "{kind}");
    }

    let pod = &kinds()[8].0;
    let stream = format!("# none\n---\nkind: Service\n---\n{pod}---\nkind: Service\n---\n{pod}");
    let single = run_json(&place, "inject -f - -o patch", pod.as_bytes());
    assert_eq!(
        run_json(&place, "inject -f - -o patch", stream.as_bytes()),
        json!([
            {"document": 2, "object": "Pod/web", "patch": single},
            {"document": 4, "object": "Pod/web", "patch": single},
        ])
    );
}

#[test]
fn what_is_around_a_changed_document_stays() {
    let place = Place::new(&[]);
    let pod = &kinds()[8].0;
    let before = "\u{feff}# licence\n---\nkind:   Service # odd\n\n--- # the pod\n# its comment\n";
    let after = "# about the next\n---\nkind: \"Service\"\n...\n# end";
    let written = run(&place, "inject -f -", format!("{before}{pod}{after}").as_bytes());
    assert!(written.starts_with(before) && written.ends_with(after), "{written}");

    let dos = format!("kind: Service\n---\n# c\n{pod}").replace('\n', "\r\n");
    let written = run(&place, "inject -f -", dos.as_bytes());
    assert!(written.starts_with("kind: Service\r\n---\r\n# c\r\nkind: Pod\r\n"), "{written:?}");
    assert!(written.lines().count() > 20 && !written.replace("\r\n", "").contains(['\r', '\n']));
}

#[test]
fn five_problems_at_once() {
    let text = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  template:
    metadata:
      annotations:
        outrigger.dev/inject: topz, git-sync, lgo
        topz.outrigger.dev/refersh: 2s
        git-sync.outrigger.dev/repo: https://github.com/mdn/beginner-html-site-scripted
        git-sync.outrigger.dev/period: often
    spec:
      containers:
      - {name: app, image: app, ports: [{containerPort: 8090}]}
";
    let place = Place::new(&[("web.yaml", text.as_bytes())]);
    let fixes = [
        "error: web.yaml: Deployment/web: 5 problems\n",
        "lgo",
        "did you mean log",
        "topz.outrigger.dev/refersh",
        "did you mean refresh",
        "git-sync.outrigger.dev/path",
        "git-sync.outrigger.dev/period",
        "often",
        "8090",
        "topz.outrigger.dev/port",
    ];
    place.check("inject -f web.yaml", b"", 1, &fixes, None);
    let said = String::from_utf8(place.run("inject -f web.yaml", b"").stderr).unwrap();
    assert_eq!(said.lines().filter(|line| line.starts_with("  ")).count(), 5, "{said}");
}

#[test]
fn all_or_nothing() {
    let pod = &kinds()[8].0;
    let wrong = pod.replace("inject: topz", "inject: tpoz");
    let stream = format!("{pod}---\n{wrong}---\na: [\n---\n{wrong}");
    let stderr = [
        "error: stdin: Pod/web: 1 problem\n  ",
        "did you mean topz",
        "error: stdin: document 3, from line ",
    ];
    let place = Place::new(&[]);
    place.check("inject -f -", stream.as_bytes(), 1, &stderr, None);
    let said = String::from_utf8(place.run("inject -f -", stream.as_bytes()).stderr).unwrap();
    assert_eq!(said.matches("Pod/web: 1 problem\n").count(), 2, "{said}");
    // An annotation is a string; the API server would say so as well.
    let number = pod.replace("inject: topz", "inject: 7");
    place.check("inject -f -", number.as_bytes(), 1, &["error: stdin: Pod/web: "], None);
}

#[test]
fn annotations_above_the_pod_template_add_nothing() {
    let place = Place::new(&[]);
    let text = format!(
        "kind: CronJob\nmetadata: {{name: web, {ANNOTATIONS}}}\nspec:\n  jobTemplate:\n    metadata: {{{ANNOTATIONS}}}\n    \
         spec: {{template: {{spec: {{containers: [{{name: app}}]}}}}}}\n"
    );
    let stderr = [
        "warning: stdin: CronJob/web: metadata.annotations: no effect here: outrigger.dev/inject; move to \
         spec.jobTemplate.spec.template.metadata.annotations\n",
        "warning: stdin: CronJob/web: spec.jobTemplate.metadata.annotations: no effect here: ",
    ];
    place.check("inject -f -", text.as_bytes(), 0, &stderr, Some(text.as_bytes()));
}

#[test]
fn the_namespace_asks_too() {
    let namespace = format!(
        "kind: Namespace\nmetadata: {{name: shop, labels: {{outrigger.dev/injection: enabled}}, {ANNOTATIONS}}}\n"
    );
    let place = Place::new(&[("shop.yaml", namespace.as_bytes())]);
    let pod = |metadata: &str| {
        format!(
            "kind: Pod\nmetadata: {{name: a{metadata}}}\nspec: {{containers: [{{name: app, image: app}}]}}\n"
        )
    };
    for (options, metadata, expected) in [
        ("", "", &[][..]),
        ("--namespace-file shop.yaml", "", &["topz"]),
        ("--namespace-file shop.yaml", ", namespace: shop", &["topz"]),
        ("--namespace-file shop.yaml", ", namespace: other", &[]),
        ("--namespace-file shop.yaml -n other", "", &[]),
        ("--namespace-file shop.yaml -n other", ", namespace: shop", &["topz"]),
        ("--namespace-file shop.yaml", ", annotations: {outrigger.dev/inject: none}", &[]),
    ] {
        let object =
            run_json(&place, &format!("inject -f - -o json {options}"), pod(metadata).as_bytes());
        assert_eq!(names(&object, "initContainers"), expected, "{options} {metadata}");
    }
}

#[test]
fn the_installation_decides() {
    let settings = b"defaults: {topz: {port: 9000}}\n";
    let place = Place::new(&[("settings.yaml", settings)]);
    let pod = &kinds()[8].0;
    for (options, field) in [
        ("", "initContainers"),
        ("--native always --kubernetes-version 1.20", "initContainers"),
        ("--kubernetes-version v1.32.0", "initContainers"),
        ("--kubernetes-version 1.31", "containers"),
        ("--native never", "containers"),
    ] {
        let line = format!(
            "inject -f - -o json --image reg.example/o:7 --settings settings.yaml {options}"
        );
        let object = run_json(&place, &line, pod.as_bytes());
        let containers = object["spec"][field].as_array().unwrap();
        let topz = containers.iter().find(|container| container["name"] == "topz").unwrap();
        assert_eq!(topz["image"], "reg.example/o:7", "{options}");
        assert_eq!(topz["ports"][0]["containerPort"], 9000, "{options}");
    }
}

#[test]
fn definitions_of_the_user() {
    let good = "apiVersion: outrigger.dev/v1alpha1\nkind: ClusterSidecar\nmetadata: {name: hello}\n\
                spec: {description: Says hello., containers: [{image: busybox}]}\n";
    let bad = good.replace("name: hello", "name: odd").replace("image: busybox", "imgae: busybox");
    let place = Place::new(&[("mine/a.yaml", good.as_bytes()), ("mine/b.yml", bad.as_bytes())]);
    let pod = |sidecar: &str| kinds()[8].0.replace("inject: topz", &format!("inject: {sidecar}"));
    let line = "inject -f - -o json --sidecars mine";
    let object = run_json(&place, line, pod("hello").as_bytes());
    assert_eq!(names(&object, "initContainers"), ["hello"]);
    // The faulty one is a warning for all, and a refusal for whoever asks for it.
    place.check(line, pod("hello").as_bytes(), 0, &["warning: mine/b.yml: "], None);
    place.check(
        line,
        pod("odd").as_bytes(),
        1,
        &["error: stdin: Pod/web: 1 problem\n", "imgae"],
        None,
    );
    fs::remove_file(place.0.path().join("mine/b.yml")).unwrap();
    place.check(line, pod("hello").as_bytes(), 0, &[], None);
}

#[test]
fn sidecars_listed_shown_and_checked() {
    let good = "apiVersion: outrigger.dev/v1alpha1\nkind: ClusterSidecar\nmetadata: {name: hello}\n\
                spec: {description: Says hello., containers: [{image: busybox}]}\n";
    let bad = good.replace("name: hello", "name: odd").replace("image: busybox", "imgae: busybox");
    let place = Place::new(&[
        ("good/a.yaml", good.as_bytes()),
        ("mixed/a.yaml", format!("{good}---\n{bad}").as_bytes()),
        ("empty/a.yaml", b"# none\n"),
    ]);
    assert_eq!(run(&place, "sidecars list -o name", b""), "git-sync\nlog\ntopz\n");
    let table = run(&place, "sidecars list --sidecars good", b"");
    let cells: Vec<Vec<_>> =
        table.lines().map(|line| line.split_whitespace().take(3).collect()).collect();
    assert_eq!(cells[0], ["NAME", "KIND", "SOURCE"]);
    assert_eq!(cells[2], ["hello", "ClusterSidecar", "good/a.yaml"]);
    assert_eq!(cells.len(), 5);

    let page = run(&place, "sidecars show git-sync", b"");
    for text in [
        "# git-sync\n",
        "    outrigger.dev/inject: git-sync\n    git-sync.outrigger.dev/repo: ",
        "| `git-sync.outrigger.dev/repo` | string | required | ",
        "| `git-sync.outrigger.dev/period` | duration | `60s` | ",
    ] {
        assert!(page.contains(text), "{text}\n{page}");
    }
    let shown = run_json(&place, "sidecars show hello --sidecars good -o json", b"");
    assert_eq!(shown, yaml::read(good, yaml::DEFINITION).unwrap());
    // What is shown as YAML is a definition again.
    let shown = run(&place, "sidecars show hello --sidecars good -o yaml", b"");
    assert_eq!(yaml::read(&shown, yaml::DEFINITION), yaml::read(good, yaml::DEFINITION));

    place.check("sidecars check good", b"", 0, &[], Some(b"hello: ok\n"));
    for (line, stderr) in [
        ("show gitsync", "error: no sidecar is named gitsync; did you mean git-sync?\n"),
        ("show istio", "error: no sidecar is named istio; there are git-sync, log, topz\n"),
        ("show odd --sidecars mixed", "error: the definition of odd is faulty:\n  mixed/a.yaml: "),
        ("check none", "error: none: no such file or directory\n"),
        (
            "check empty",
            "error: empty/a.yaml: defines no sidecar; write a ClusterSidecar or a Sidecar\n",
        ),
    ] {
        place.check(&format!("sidecars {line}"), b"", 1, &[stderr], None);
    }
    let mixed = place.run("sidecars check mixed", b"");
    assert_eq!(mixed.status.code(), Some(1));
    assert_eq!(mixed.stdout, b"hello: ok\n");
    assert!(String::from_utf8(mixed.stderr).unwrap().starts_with("error: odd: mixed/a.yaml: "));
    place.check("sidecars check", b"", 2, &["<FILE|DIR>"], None);
    fs::create_dir(place.0.path().join("bare")).unwrap();
    let nothing = "error: bare: no *.yaml, *.yml or *.json in it\n";
    place.check("sidecars check good bare", b"", 1, &[nothing], None);
}
