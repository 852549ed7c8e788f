//! `throughline health`, which a container's health check runs.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::company::Company;
use crate::support::files::Setup;
use crate::support::process::{Process, free_port, wait_until};

fn health(config: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_throughline")).args(["health", "--config"]).arg(config).output().expect("it runs")
}

fn assert_says(output: &Output, code: i32, what: &str) {
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), said.contains(what)), (Some(code), true), "{said}");
}

#[test]
fn health_says_whether_the_process_is_well_leaving_or_gone() {
    let mut company = Company::start(Setup::default());
    let config = company.folder.path().join("all.toml");
    assert_says(&health(&config), 0, "ok  http://brand.localhost");
    // It says so itself, and to a load balancer.
    company.processes[0].terminate();
    wait_until("it says that it leaves", || false, || health(&config).status.code() == Some(1)).expect("it leaves");
    wait_until("it has ended", || false, || company.processes[0].has_ended()).expect("it ends");
    assert_says(&health(&config), 1, "is not well");
    let text = fs::read_to_string(&config).expect("a file");
    fs::write(&config, text + "\n[nonsense]\n").expect("a file");
    assert_says(&health(&config), 2, "nonsense");
}

/// In a container it listens on all addresses, without TLS, for an origin with it.
#[test]
fn health_asks_without_tls_behind_a_proxy_that_ends_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = Command::new(env!("CARGO_BIN_EXE_throughline"))
        .args(["init", "--primary", "https://www.brand.example", "--site", "https://shop.example", "--consent", "implied"])
        .arg("--folder")
        .arg(folder.path())
        .output();
    assert!(made.is_ok_and(|made| made.status.success()), "init");
    let config = folder.path().join("throughline.toml");
    let text = fs::read_to_string(&config).expect("a file");
    let text = text.replace("127.0.0.1:8400", &format!("0.0.0.0:{}", free_port()));
    fs::write(&config, text.replace("127.0.0.1:8401", &format!("127.0.0.1:{}", free_port()))).expect("a file");
    assert_says(&health(&config), 1, "is not well");
    let mut process = Process::serve(&config);
    let is_well = || health(&config).status.success();
    wait_until("it is well", || process.has_ended(), is_well).unwrap_or_else(|problem| panic!("{problem}"));
    assert_says(&health(&config), 0, "ok  https://www.brand.example at 127.0.0.1:");
}
