//! Which texts fit which parameters.

use super::*;
use serde_json::json;

fn parameter(json: Json) -> Result<Parameter, (&'static str, String)> {
    Parameter::compile(serde_json::from_value(json).unwrap())
}

fn check(definition: Json, text: &str, expected: Result<&str, &str>) {
    let got = parameter(definition)
        .unwrap()
        .parse(text)
        .map(|v| v.to_string())
        .map_err(|m| format!("{}; {}", m.cause, m.remedy));
    assert_eq!(got.as_deref().map_err(String::as_str), expected, "{text}");
}

#[test]
fn values_that_fit_and_do_not() {
    check(json!({"type": "duration"}), " 60s ", Ok("60s"));
    check(
        json!({"type": "duration"}),
        "60",
        Err("is not a duration; write numbers with units, such as 30s, 5m or 1h30m"),
    );
    check(
        json!({"type": "duration", "minimum": "1s"}),
        "10ms",
        Err("is too small; write 1s or more"),
    );
    check(json!({"type": "integer", "maximum": 5}), "6", Err("is too large; write 5 or less"));
    check(
        json!({"type": "integer"}),
        "x",
        Err("is not a whole number; write digits only, such as 3"),
    );
    check(json!({"type": "port"}), "0", Err("is not a port; write a number from 1 to 65535"));
    check(json!({"type": "boolean"}), "yes", Err("is not a boolean; write \"true\" or \"false\""));
    check(json!({"type": "path"}), "/a//b/", Ok("/a/b"));
    check(
        json!({"type": "path"}),
        "../x",
        Err(
            "is not a path to mount at; write an absolute path below /, without .. and without colons, such as /var/www/html",
        ),
    );
    check(
        json!({"type": "quantity"}),
        "64KB",
        Err("is not a quantity; write a number with a unit of Kubernetes, such as 100m, 64Mi or 2"),
    );
    check(
        json!({"type": "string", "pattern": "[a-z]+"}),
        "aB",
        Err("does not match; write what matches [a-z]+"),
    );
    check(
        json!({"type": "string", "values": ["prefix", "raw"]}),
        "prefx",
        Err("is not one of the values; did you mean prefix? write prefix or raw"),
    );
    check(json!({"type": "globs"}), "/var/log/*.log,/b/{x,y}", Ok("/var/log/*.log,/b/{x,y}"));
    check(
        json!({"type": "globs"}),
        "/*.log",
        Err(
            "has the item \"/*.log\", which has no directory of its own; write a path whose files are below a directory, such as /var/log/*.log",
        ),
    );
    check(
        json!({"type": "globs"}),
        "log",
        Err(
            "has the item \"log\", which is not an absolute path; write an absolute path, wildcards allowed, such as /var/log/app/*.log",
        ),
    );
    check(json!({"type": "list", "items": {"type": "port"}}), "80, 443", Ok("80,443"));
    check(
        json!({"type": "list", "items": {"type": "port"}}),
        " , ",
        Err("lists nothing; write one or more values, separated by commas"),
    );
    check(
        json!({"type": "list", "items": {"type": "port"}}),
        "80,x",
        Err("has the item \"x\", which is not a port; write a number from 1 to 65535"),
    );
}

#[test]
fn definitions_that_make_no_sense() {
    for (json, field) in [
        (json!({"type": "integer", "pattern": "x"}), "pattern"),
        (json!({"type": "string", "pattern": "("}), "pattern"),
        (json!({"type": "string", "minimum": "a"}), "minimum"),
        (json!({"type": "list"}), "items"),
        (json!({"type": "list", "items": {"type": "list", "items": {"type": "string"}}}), "items"),
        (json!({"type": "list", "items": {"type": "string", "default": "x"}}), "items"),
        (json!({"type": "string", "items": {"type": "string"}}), "items"),
        (json!({"type": "port", "default": 0}), "default"),
        (json!({"type": "port", "default": {}}), "default"),
        (json!({"type": "duration", "values": ["x"]}), "values"),
        (json!({"type": "string", "required": true, "default": "x"}), "required"),
        (json!({"type": "string", "settableBy": []}), "settableBy"),
    ] {
        assert_eq!(parameter(json.clone()).map(|_| ()).map_err(|e| e.0), Err(field), "{json}");
    }
}
