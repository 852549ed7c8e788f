//! deploy/alerts.yml and deploy/prometheus.yml against the nodes that they are for. `promtool` is not in Debian's packages, so
//! the expressions are taken apart here.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::fleet::{NODES, fleet};
use crate::support::process::wait_until;

fn yaml(file: &str) -> Value {
    let program = "import json, sys, yaml; json.dump(yaml.safe_load(open(sys.argv[1])), sys.stdout)";
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let read = Command::new("python3").args(["-c", program]).arg(&file).output().expect("python3");
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    serde_json::from_slice(&read.stdout).expect("JSON")
}

fn rules() -> Vec<Value> {
    yaml("deploy/alerts.yml")["groups"][0]["rules"].as_array().expect("rules").clone()
}

/// Each metric of an expression, with what stands between its braces.
fn selectors(expression: &str) -> Vec<(String, String)> {
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let starts = expression.match_indices(|letter: char| is_letter(letter)).map(|(at, _)| at);
    let starts = starts.filter(|at| !expression[..*at].ends_with(is_letter));
    starts
        .filter_map(|at| {
            let rest = &expression[at..];
            let end = rest.find(|letter: char| !is_letter(letter)).unwrap_or(rest.len());
            let (name, behind) = rest.split_at(end);
            let is_metric = name.starts_with("throughline_") || name.starts_with("process_");
            let braces = behind.strip_prefix('{').and_then(|inside| inside.split_once('}')).map_or("", |(inside, _)| inside);
            is_metric.then(|| (name.to_owned(), braces.to_owned()))
        })
        .collect()
}

/// What a node's listener for operators answers.
fn metrics(address: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap_or_else(|error| panic!("{address}: {error}"));
    stream
        .write_all(format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes())
        .expect("it reads");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("it answers");
    assert!(text.starts_with("HTTP/1.1 200"), "{address}: {text}");
    text
}

#[test]
fn every_alert_looks_at_metrics_and_labels_that_every_node_has() {
    let fleet = fleet();
    let rules = rules();
    assert!(rules.len() > 15, "{}", rules.len());
    let metrics_document =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md")).expect("docs/metrics.md");
    for node in NODES {
        let text = metrics(&fleet.admin(node));
        let exported: BTreeSet<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
        for rule in &rules {
            let (name, expression) = (rule["alert"].as_str().expect("a name"), rule["expr"].as_str().expect("an expression"));
            let severity = rule["labels"]["severity"].as_str();
            assert!(matches!(severity, Some("page" | "ticket")), "{name}: {severity:?}");
            assert!(metrics_document.contains(&format!("`{name}`")), "{name} has no row in docs/metrics.md");
            assert_eq!(expression.matches('(').count(), expression.matches(')').count(), "{name}");
            let selectors = selectors(expression);
            assert!(!selectors.is_empty(), "{name}: {expression}");
            for (metric, labels) in selectors {
                let family = metric.strip_suffix("_bucket").unwrap_or(&metric);
                assert!(exported.contains(family), "{name} looks at {metric}, which {node} does not export");
                let row = metrics_document.lines().find(|line| line.starts_with(&format!("| `{family}`"))).expect("a row");
                for label in labels.split(',').filter(|label| !label.is_empty()) {
                    let label = label.split(['=', '!', '~']).next().unwrap_or_default();
                    assert!(label == "job" || row.contains(&format!("`{label}`")), "{name}: {metric} has no label {label}");
                }
            }
        }
        // What the alerts compare is there from the start, and well.
        for well in ["throughline_last_reload_ok 1", "throughline_revocations_up 1", "throughline_replay_up 1"] {
            // A satellite that started before its broker asks again after some seconds.
            let is_well = || metrics(&fleet.admin(node)).lines().any(|line| line == well);
            wait_until(well, || false, is_well).unwrap_or_else(|problem| panic!("{node}: {problem}"));
        }
    }
}

#[test]
fn prometheus_collects_from_every_node_of_compose_at_its_admin_address() {
    let configuration = yaml("deploy/prometheus.yml");
    let targets: BTreeSet<_> = configuration["scrape_configs"][0]["static_configs"]
        .as_array()
        .expect("targets")
        .iter()
        .flat_map(|group| group["targets"].as_array().expect("targets").clone())
        .map(|target| target.as_str().expect("an address").to_owned())
        .collect();
    let services = yaml("docker-compose.yml")["services"].clone();
    let expected: BTreeSet<_> = NODES
        .into_iter()
        .map(|node| {
            let role = node.split('-').next().expect("a role");
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("deploy/{role}/throughline.toml"));
            let text = fs::read_to_string(file).expect("a configuration");
            let admin = text.split("[admin]\n").nth(1).expect("[admin]");
            let port = admin.split(['"', ':']).nth(2).expect("a port");
            format!("{}:{port}", services[node]["networks"]["company"]["ipv4_address"].as_str().expect("an address"))
        })
        .collect();
    assert_eq!(targets, expected);
    assert_eq!(configuration["rule_files"][0], "alerts.yml");
}
