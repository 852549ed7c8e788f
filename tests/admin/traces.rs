//! Traces: a collector that was written here receives what a hop did, and nothing of the visitor; and one that is not there
//! costs nothing.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use crate::support::browser::Browser;
use crate::support::files::Setup;
use crate::support::process::{free_port, wait_until};
use crate::support::wire::PATIENCE;
use crate::watched::{Watched, visit};

/// What was posted: head and body.
type Posted = Arc<Mutex<Vec<(String, String)>>>;

/// A collector, and its port.
fn collector() -> (Posted, u16) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let posted = Posted::default();
    let kept = Arc::clone(&posted);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let kept = Arc::clone(&kept);
            std::thread::spawn(move || while take(&stream, &kept).is_some() {});
        }
    });
    (posted, port)
}

/// Takes one request; `None` when the connection has ended.
fn take(mut stream: &TcpStream, kept: &Posted) -> Option<()> {
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut bytes = Vec::new();
    let end = loop {
        let mut octet = [0];
        stream.read_exact(&mut octet).ok()?;
        bytes.push(octet[0]);
        if bytes.ends_with(b"\r\n\r\n") {
            break bytes.len();
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let length = head.split("content-length: ").nth(1)?.split("\r\n").next()?.parse().ok()?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    kept.lock().unwrap_or_else(PoisonError::into_inner).push((head, String::from_utf8(body).ok()?));
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}").ok()
}

/// All spans so far, checked for what every one must have.
fn spans(posted: &Posted) -> Vec<Value> {
    let posted = posted.lock().unwrap_or_else(PoisonError::into_inner);
    let mut spans = Vec::new();
    for (head, body) in posted.iter() {
        assert!(head.starts_with("post /v1/traces http/1.1\r\n") && head.contains("content-type: application/json"), "{head}");
        let request: Value = serde_json::from_str(body).expect("JSON");
        let resource = &request["resourceSpans"][0];
        assert_eq!(resource["resource"]["attributes"][0]["key"], "service.name");
        assert_eq!(resource["resource"]["attributes"][0]["value"]["stringValue"], "throughline");
        spans.extend(resource["scopeSpans"][0]["spans"].as_array().expect("spans").iter().cloned());
    }
    for span in &spans {
        let is_hex = |name: &str, length: usize| {
            let id = span[name].as_str().expect("an ID");
            id.len() == length && id.bytes().all(|digit| digit.is_ascii_hexdigit()) && id.bytes().any(|digit| digit != b'0')
        };
        assert!(is_hex("traceId", 32) && is_hex("spanId", 16), "{span}");
        let time = |name: &str| span[name].as_str().and_then(|nanos| nanos.parse::<u128>().ok()).expect("a time");
        let (start, end) = (time("startTimeUnixNano"), time("endTimeUnixNano"));
        assert!(start <= end && end - start < 60_000_000_000, "{span}");
        let names: Vec<_> = span["attributes"].as_array().expect("attributes").iter().map(|pair| pair["key"].as_str()).collect();
        let is_of_the_broker = matches!(span["name"].as_str(), Some("hop" | "api"));
        let asking = is_of_the_broker.then_some(Some("throughline.asking"));
        let expected: Vec<_> = [Some("throughline.site"), Some("throughline.code")].into_iter().chain(asking).collect();
        assert_eq!(names, expected);
    }
    spans
}

#[test]
fn r8_a_hop_is_one_trace_and_holds_nothing_of_the_visitor() {
    let (posted, port) = collector();
    let tables = format!("[traces]\notlp_endpoint = \"http://127.0.0.1:{port}\"\nsample_percent = 100\n");
    let watched = Watched::start(Setup { tables, ..Setup::default() });
    visit(&watched.company);
    let mut browser = Browser::new();
    browser.navigate(&format!("{}/?x=secret", watched.company.shop));
    let visitor = browser.visitor(&watched.company.shop).expect("an ID");
    let of = |work: &str| spans(&posted).into_iter().filter(|span| span["name"] == work).collect::<Vec<_>>();
    wait_until("the spans", || false, || of("hop").len() >= 4 && of("exchange").len() >= 6 && !of("commit").is_empty())
        .unwrap_or_else(|problem| panic!("{problem}: {:?}", spans(&posted)));
    // Four hops, each with its exchange; a link's exchange and a refused one have traces of their own.
    let exchanges = of("exchange");
    let pairs = of("hop").iter().filter(|hop| exchanges.iter().any(|exchange| exchange["traceId"] == hop["traceId"])).count();
    assert_eq!((of("hop").len(), pairs), (4, 4));
    assert_eq!((&of("hop")[0]["kind"], &of("commit")[0]["kind"]), (&2.into(), &3.into()));
    let code = |span: &Value| span["attributes"][1]["value"]["stringValue"].as_str().map(String::from);
    assert_eq!(code(&of("hop")[0]).as_deref(), Some("hop_minted"));
    let text = posted.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|(_, body)| body.clone()).collect::<String>();
    assert!(!text.contains(&visitor) && !text.contains("secret") && !text.contains("p.html"), "{text}");
}

#[test]
fn a1_a_collector_that_is_not_there_costs_nothing() {
    let tables = format!("[traces]\notlp_endpoint = \"http://127.0.0.1:{}\"\nsample_percent = 100\n", free_port());
    let watched = Watched::start(Setup { tables, ..Setup::default() });
    visit(&watched.company);
    let lost = || {
        let text = watched.get("/metrics").text();
        let line = text.lines().find_map(|line| line.strip_prefix("throughline_trace_spans_lost_total ").map(String::from));
        line.and_then(|count| count.parse::<u64>().ok()).expect("the metric")
    };
    wait_until("spans are lost", || false, || lost() >= 8).unwrap_or_else(|problem| panic!("{problem}: {}", lost()));
    visit(&watched.company);
    let said = watched.company.stderr();
    assert_eq!(said.matches("the collector of [traces] takes no spans").count(), 1, "{said}");
}
