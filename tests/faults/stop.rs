//! A4: SIGTERM under load drops no request.

use std::io::{Read as _, Write as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::browser::Browser;
use crate::support::company::Company;
use crate::support::files::Setup;
use crate::support::process::wait_until;
use crate::support::wire;

const CLIENTS: usize = 4;

#[test]
fn a4_sigterm_under_load_drops_no_request() {
    // The moment of the signal is chance; a few tries meet more of them.
    for _ in 0..3 {
        let mut company = Company::start(Setup::default());
        let mut known = Browser::new();
        known.navigate(&format!("{}/p.html", company.shop));
        let cookie = known.cookie(&company.shop, "throughline").expect("a local cookie").to_owned();
        let (port, served) = (company.port(), AtomicUsize::new(0));
        let request = format!("GET /p.html HTTP/1.1\r\nHost: shop.localhost:{port}\r\nCookie: throughline={cookie}\r\n\r\n");
        let mut idle = wire::connect(port).expect("it listens");
        idle.write_all(request.as_bytes()).expect("it reads");
        assert_eq!(wire::receive(&mut idle, false).expect("it answers").status, 200);

        std::thread::scope(|scope| {
            let clients: Vec<_> =
                (0..CLIENTS).map(|_| scope.spawn(|| ask_until_told_to_close(port, &request, &served))).collect();
            let busy = || served.load(Ordering::SeqCst) > 50 * CLIENTS;
            wait_until("there is load", || false, busy).unwrap_or_else(|problem| panic!("{problem}"));
            company.processes[0].terminate();
            for client in clients {
                assert_eq!(client.join().expect("no panic"), Ok(()), "a request was dropped");
            }
        });
        wait_until("it has ended", || false, || company.processes[0].has_ended()).unwrap_or_else(|problem| panic!("{problem}"));
        assert_eq!(company.processes[0].exit_code(), Some(0), "{}", company.stderr());
        assert_eq!(idle.read(&mut [0]).ok(), Some(0), "an idle connection is closed, not cut");
    }
}

/// The broker is in the process that ends, and says 503 `leaving` of itself.
#[test]
fn a4_a_broker_that_ends_does_not_warn_of_itself() {
    let mut company = Company::start(Setup { probe_interval_ms: 100, ..Setup::default() });
    let before = company.stderr().len();
    company.processes[0].terminate();
    wait_until("it has ended", || false, || company.processes[0].has_ended()).unwrap_or_else(|problem| panic!("{problem}"));
    let said = company.stderr()[before..].to_owned();
    assert!(said.contains("received SIGTERM"), "{said}");
    assert!(!said.contains("WARN") && !said.contains("ERROR"), "{said}");
}

/// One connection, request after request, until an answer says that it is the last. Every request must have its answer.
fn ask_until_told_to_close(port: u16, request: &str, served: &AtomicUsize) -> Result<(), String> {
    let mut stream = wire::connect(port).map_err(|error| error.to_string())?;
    for number in 0..1_000_000 {
        stream.write_all(request.as_bytes()).map_err(|error| format!("request {number}: {error}"))?;
        let answer = wire::receive(&mut stream, false).map_err(|error| format!("answer {number}: {error}"))?;
        if answer.status != 200 {
            return Err(format!("answer {number}: {}", answer.status));
        }
        served.fetch_add(1, Ordering::SeqCst);
        if answer.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_micros(number % 7 * 100));
    }
    Err("it was never told to close".into())
}
