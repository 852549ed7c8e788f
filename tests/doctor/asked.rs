//! What the command cannot do is a mistake of who asked: exit code 2, and nothing is visited.

use std::process::Command;

#[test]
fn what_cannot_be_run_ends_with_2() {
    for (arguments, hint) in [
        (&["doctor"][..], "URL"),
        (&["doctor", "shop"], "is no URL"),
        (&["doctor", "http://shop.example/"], "plain http"),
        (&["doctor", "ftp://shop.example/"], "has the scheme"),
        (&["doctor", "https://shop.example/", "--resolve", "shop.example"], "host:port:address"),
        (&["doctor", "https://shop.example/", "--ca-file", "/nowhere/ca.pem"], "/nowhere/ca.pem"),
        (&["doctor", "https://shop.example/", "--timeout", "0"], "1..=120"),
        (&["doctor", "--config", "/nowhere/throughline.toml"], "cannot be read"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_throughline")).args(arguments).output().expect("the program runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains(hint), "{arguments:?}: {stderr}");
    }
}

#[test]
fn check_tells_mistakes_to_scripts_in_the_same_form() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_throughline"));
    let output = command.args(["check", "--json", "--config", "/nowhere/throughline.toml"]).output().expect("the program runs");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&json["outcome"], &json["findings"][0]["check"]), (&"failed".into(), &"configuration".into()), "{json}");
    assert!(json["findings"][0]["seen"].as_str().is_some_and(|seen| seen.contains("cannot be read")), "{json}");
}
