//! SIGHUP: other sites, keys and log level without a lost request, and nothing at all from a configuration with mistakes.

use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::support::browser::Browser;
use crate::support::company::Company;
use crate::support::files::Setup;
use crate::support::process::wait_until;
use crate::support::wire;

/// Changes the configuration of a company in one process, and sends the signal.
fn reload(company: &Company, change: impl FnOnce(String) -> String) {
    let file = company.folder.path().join("all.toml");
    fs::write(&file, change(fs::read_to_string(&file).unwrap())).unwrap();
    company.processes[0].signal("HUP");
}

fn said(company: &Company, what: &str) {
    wait_until(what, || false, || company.stderr().contains(what))
        .unwrap_or_else(|problem| panic!("{problem}: {}", company.stderr()));
}

/// Lets the clients stop, also where the test fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// The lines of another site, which has a secret and keys.
fn late(company: &Company) -> String {
    for (what, file) in [("secret", "late.secret"), ("create", "late.keys.json")] {
        let file = company.folder.path().join(file);
        let made = Command::new(env!("CARGO_BIN_EXE_throughline")).args(["keys", what]).arg(file).output();
        assert!(made.is_ok_and(|made| made.status.success()), "keys {what}");
    }
    let lines = ["consent = \"implied\"", "secret_file = \"late.secret\"", "key_file = \"late.keys.json\"\n"].join("\n");
    format!("\n[[site]]\norigin = \"http://late.localhost:{}\"\n{lines}", company.port())
}

#[test]
fn sighup_under_load_serves_another_site_and_loses_no_request() {
    let company = Company::start(Setup::default());
    let (port, served, over) = (company.port(), AtomicUsize::new(0), AtomicBool::new(false));
    let request = format!("GET /p.html HTTP/1.1\r\nHost: shop.localhost:{port}\r\n\r\n");
    std::thread::scope(|scope| {
        let _end = Ends(&over);
        let clients: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    while !over.load(Ordering::SeqCst) {
                        assert_eq!(wire::send(port, request.as_bytes()).expect("an answer").status, 200);
                        served.fetch_add(1, Ordering::SeqCst);
                    }
                })
            })
            .collect();
        wait_until("there is load", || false, || served.load(Ordering::SeqCst) > 50).unwrap();
        reload(&company, |text| text + &late(&company));
        said(&company, "the configuration was read again");
        let before = served.load(Ordering::SeqCst);
        wait_until("there is load afterwards", || false, || served.load(Ordering::SeqCst) > before + 50).unwrap();
        over.store(true, Ordering::SeqCst);
        for client in clients {
            client.join().expect("no request was lost");
        }
    });

    // The new site is known to the broker and to its own satellite, and has its hops.
    let new = format!("http://late.localhost:{port}");
    let has_hop = || {
        let mut browser = Browser::new();
        let visit = browser.navigate(&format!("{new}/p"));
        visit.statuses() == [302, 302, 303, 404] && browser.cookie(&new, "throughline").is_some()
    };
    wait_until("the new site has hops", || false, has_hop).unwrap_or_else(|problem| panic!("{problem}: {}", company.stderr()));
}

#[test]
fn a_configuration_with_mistakes_changes_nothing_and_is_told_of() {
    let company = Company::start(Setup::default());
    let port = company.port();
    reload(&company, |text| text.replace("consent = \"implied\"", "consent = \"whatever\""));
    said(&company, "everything stays as it was");
    let all = company.folder.path().join("all.toml");
    let line = fs::read_to_string(&all).unwrap().lines().position(|line| line.contains("whatever")).unwrap() + 1;
    said(&company, &format!("all.toml:{line}: "));
    assert_eq!(
        wire::send(port, format!("GET /p.html HTTP/1.1\r\nHost: shop.localhost:{port}\r\n\r\n").as_bytes()).unwrap().status,
        200
    );

    // What only a restart can change is not half changed.
    reload(&company, |text| {
        text.replace("whatever", "implied").replace("replay_entries = 100000", "replay_entries = 200000") + &late(&company)
    });
    said(&company, "only a restart can change [limits]");
    let refused = wire::send(port, format!("GET /p HTTP/1.1\r\nHost: late.localhost:{port}\r\n\r\n").as_bytes()).unwrap();
    assert_eq!(refused.status, 421, "none of it counts");
}

#[test]
fn sighup_changes_the_log_level() {
    let company = Company::start(Setup::default());
    reload(&company, |text| text.replace("level = \"info\"", "level = \"debug\""));
    said(&company, "the configuration was read again");
    let mut browser = Browser::new();
    browser.navigate(&format!("{}/p.html", company.shop));
    said(&company, "DEBUG");
}
