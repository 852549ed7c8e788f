//! D14: the limits of the shipped proxies fit those of the nodes. A node must have answered, be it with 503, before a proxy takes it
//! for dead: store, then satellite, then proxy.

use std::fs;
use std::path::Path;
use std::time::Duration;

use throughline::http::remote_records::ASK_TIME_MAX;
use throughline::store::records::STORE_TIME_MAX;

/// The difference between one limit and the next: a busy network's round trip.
const STEP: Duration = Duration::from_millis(500);

/// How long a page may wait for its decision, which waits for neither store nor broker.
const DECISION_MAX: Duration = Duration::from_secs(1);

fn shipped(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect("a shipped file")
}

/// Each time that stands behind `word` in the file, such as `5s` or `100ms`.
fn times(file: &str, word: &str) -> Vec<Duration> {
    let text = shipped(file);
    let found: Vec<_> = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .flat_map(|line| line.match_indices(word).map(|(at, _)| line[at + word.len()..].to_owned()).collect::<Vec<_>>())
        .map(|rest| {
            let rest = rest.trim_start_matches([':', ' ']);
            let end = rest.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '.').unwrap_or(rest.len());
            time(&rest[..end]).unwrap_or_else(|| panic!("{file}: {word} {rest:?} is no time"))
        })
        .collect();
    assert!(!found.is_empty(), "{file} has no {word}");
    found
}

fn time(text: &str) -> Option<Duration> {
    let (number, scale) = text.strip_suffix("ms").map_or((text.strip_suffix('s')?, 1.0), |number| (number, 0.001));
    number.parse::<f64>().ok().map(|number| Duration::from_secs_f64(number * scale))
}

/// Each shipped file: the limits on the node's own addresses, and on the decision about a page.
#[test]
fn a2_every_shipped_proxy_waits_longer_than_a_node_waits_for_its_store() {
    assert!(STORE_TIME_MAX + STEP <= ASK_TIME_MAX, "the satellite hears the broker's own answer");
    let header = "response_header_timeout";
    let caddy = times("examples/caddy/Caddyfile", header);
    let traefik = times("examples/traefik/throughline.yml", "responseHeaderTimeout");
    let envoy = times("examples/envoy/throughline.yaml", " timeout");
    let rows: [(&str, Vec<Duration>, Vec<Duration>); 5] = [
        ("deploy/Caddyfile", times("deploy/Caddyfile", header), Vec::new()),
        ("examples/caddy", caddy[..1].to_vec(), caddy[1..].to_vec()),
        (
            "examples/nginx",
            times("examples/nginx/throughline/satellite.conf", "proxy_read_timeout"),
            times("examples/nginx/throughline/site.conf", "proxy_read_timeout"),
        ),
        ("examples/traefik", traefik[..1].to_vec(), traefik[1..].to_vec()),
        ("examples/envoy", envoy[..1].to_vec(), envoy[1..].to_vec()),
    ];
    for (proxy, own, decisions) in rows {
        for limit in own {
            assert!(limit >= ASK_TIME_MAX + STEP, "{proxy} gives a node up after {limit:?}, which waits for {ASK_TIME_MAX:?}");
        }
        assert!(proxy.starts_with("deploy") || !decisions.is_empty(), "{proxy} has no limit on decisions");
        for limit in decisions {
            assert!(limit <= DECISION_MAX, "{proxy}: a page waits {limit:?} for a satellite that hangs");
        }
    }
}
