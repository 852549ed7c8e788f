//! States that an alert looks at: the last reload, the list of ended IDs, the certificate.

use std::fs;
use std::process::Command;

use crate::support::company::Company;
use crate::support::files::Setup;
use crate::support::process::{Process, free_port, wait_until};
use crate::support::wire;
use crate::watched::{Watched, with_admin};
use throughline::token::keyfile::write_secret_file;

/// The value of a metric without labels, once the listener is there.
fn value(admin: u16, name: &str) -> Option<f64> {
    let request = format!("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:{admin}\r\n\r\n");
    let text = wire::send(admin, request.as_bytes()).ok()?.text();
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

fn becomes(admin: u16, name: &str, expected: f64) {
    wait_until(name, || false, || value(admin, name) == Some(expected))
        .unwrap_or_else(|problem| panic!("{problem}: {:?}", value(admin, name)));
}

#[test]
fn a_refused_reload_shows_until_one_is_taken() {
    let watched = Watched::start(Setup::default());
    assert_eq!(value(watched.admin, "throughline_last_reload_ok"), Some(1.0));
    let file = watched.company.folder.path().join("all.toml");
    let good = fs::read_to_string(&file).expect("a configuration");
    fs::write(&file, format!("{good}\n[nonsense]\n")).expect("a configuration");
    watched.company.processes[0].signal("HUP");
    becomes(watched.admin, "throughline_last_reload_ok", 0.0);
    fs::write(&file, good).expect("a configuration");
    watched.company.processes[0].signal("HUP");
    becomes(watched.admin, "throughline_last_reload_ok", 1.0);
}

#[test]
fn revocations_that_cannot_be_read_show() {
    let watched = Watched::start(Setup::default());
    becomes(watched.admin, "throughline_revocations_up", 1.0);
    let (setup, admin) = with_admin(Setup::default());
    let _company = Company::start_without_broker(setup);
    becomes(admin, "throughline_revocations_up", 0.0);
}

#[test]
fn the_end_of_the_served_certificate_is_exported() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = Command::new(env!("CARGO_BIN_EXE_throughline"))
        .args(["init", "--primary", "https://www.brand.example", "--site", "https://shop.example", "--consent", "implied"])
        .arg("--folder")
        .arg(folder.path())
        .output();
    assert!(made.is_ok_and(|made| made.status.success()), "init");
    let mut parameters = rcgen::CertificateParams::new(vec!["www.brand.example".to_owned()]).expect("a name");
    parameters.not_after = rcgen::date_time_ymd(2031, 5, 6);
    let key = rcgen::KeyPair::generate().expect("a key");
    fs::write(folder.path().join("chain.pem"), parameters.self_signed(&key).expect("a certificate").pem()).expect("a file");
    write_secret_file(&folder.path().join("key.pem"), &key.serialize_pem()).expect("a file");
    let config = folder.path().join("throughline.toml");
    let admin = free_port();
    let text = fs::read_to_string(&config).expect("a file");
    let listen = format!("127.0.0.1:{}", free_port());
    let text = text.replace("127.0.0.1:8400", &listen).replace("127.0.0.1:8401", &format!("127.0.0.1:{admin}"));
    let text = text.replacen("[listen]\n", "[listen]\ntls_certificate = \"chain.pem\"\ntls_key = \"key.pem\"\n", 1);
    assert!(text.contains("tls_key"), "{text}");
    fs::write(&config, text).expect("a file");
    let _process = Process::serve(&config);
    // 2031-05-06 00:00 UTC.
    becomes(admin, "throughline_tls_certificate_not_after_timestamp_seconds", 1_935_792_000.0);
}
