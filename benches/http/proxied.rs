//! What Throughline adds to a page that nginx serves: the same nginx and the same application with and without it, asked by
//! turns, one request at a time.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::browser;
use crate::company::{Company, PAGE};
use crate::load::{Connection, Expected};
use crate::process::{Server, free_port};
use crate::{median, sorted, verdict};

const REQUESTS: usize = 20_000;
const TARGET: f64 = 1.0;

const ANSWER: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/html; charset=utf-8\r\n\r\n<!doctype html><title>A page</title><p>Hello.";

/// Prints one line, or says that there is no nginx.
pub(crate) fn measure(program: &str) {
    if Command::new("nginx").arg("-v").stderr(Stdio::null()).status().is_err() {
        println!("(no nginx here, so nothing is said of it)");
        return;
    }
    let [satellite, app, with, without, spare] = std::array::from_fn(|_| free_port());
    let company = Company::on(satellite);
    let _satellite = Server::start(program, satellite, &["ours".into(), satellite.to_string()]);
    let _app = Server::start(program, app, &["limit".into(), app.to_string(), "none".into(), "0".into(), ANSWER.into()]);
    let folder = tempfile::tempdir().expect("a folder");
    let included = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/nginx/throughline");
    std::os::unix::fs::symlink(included, folder.path().join("throughline")).expect("a link");
    let file = folder.path().join("nginx.conf");
    fs::write(&file, configuration(&folder.path().display().to_string(), [satellite, app, with, without, spare]))
        .expect("a file");
    let errors = folder.path().join("errors").display().to_string();
    let _nginx = Server::start("nginx", with, &["-e".into(), errors, "-c".into(), file.display().to_string()]);

    let request = browser(company.shop.authority(), PAGE, &company.local_cookie());
    let expected = Expected { status: "HTTP/1.1 200 ", parts: vec!["<p>Hello.".into()] };
    let mut connections = [with, without].map(Connection::open);
    let mut times = [const { Vec::new() }; 2];
    for number in 0..2 * (REQUESTS + REQUESTS / 10) {
        let which = number % 2;
        let begun = Instant::now();
        connections[which].ask(&request);
        assert!(expected.is_met_by(connections[which].answer()), "a wrong answer, which is not worth timing");
        if number >= REQUESTS / 5 {
            times[which].push(micro(begun.elapsed()));
        }
    }
    let [with, without] = times.map(sorted);
    let p99 = |times: &[f64]| times[times.len() * 99 / 100] / 1000.0;
    let added = p99(&with) - p99(&without);
    println!();
    println!("| what | nginx and Throughline | nginx alone | added | target | |");
    println!("|---|---|---|---|---|---|");
    println!(
        "| a page, median | {:.3} ms | {:.3} ms | {:.3} ms | | |",
        median(&with) / 1000.0,
        median(&without) / 1000.0,
        (median(&with) - median(&without)) / 1000.0
    );
    println!(
        "| a page, p99 | {:.3} ms | {:.3} ms | {added:.3} ms | < {TARGET:.0} ms | {} |",
        p99(&with),
        p99(&without),
        verdict(added < TARGET)
    );
}

fn micro(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000_000.0
}

/// The example's own files, and beside them the same site without Throughline.
fn configuration(folder: &str, [satellite, app, with, without, spare]: [u16; 5]) -> String {
    let shared = include_str!("../../examples/nginx/throughline.conf")
        .replace("127.0.0.1:8400", &format!("127.0.0.1:{satellite}"))
        .replace("127.0.0.1:8399", &format!("127.0.0.1:{spare}"));
    let site = format!(
        "server {{\nlisten 127.0.0.1:{with};\nserver_name shop.localhost;\ninclude throughline/site.conf;\nlocation / {{\n\
         include throughline/proxy.conf;\nproxy_pass http://127.0.0.1:{app};\nproxy_http_version 1.1;\n\
         proxy_set_header Host $http_host;\n}}\n}}\n"
    );
    let temporary: String =
        ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|kind| format!("{kind}_temp_path {folder}/{kind};\n")).concat();
    format!(
        "daemon off;\nmaster_process off;\npid {folder}/pid;\nevents {{}}\nhttp {{\naccess_log off;\nkeepalive_requests 1000000;\n{temporary}{shared}{site}\
         server {{\nlisten 127.0.0.1:{without};\nlocation / {{\nproxy_pass http://127.0.0.1:{app};\nproxy_http_version 1.1;\n\
         proxy_set_header Host $http_host;\n}}\n}}\n}}\n"
    )
}
