//! What the process tells systemd: a socket of the test's own in its place.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use crate::support::company::Company;
use crate::support::files::{Part, Setup};
use crate::support::process::{Process, wait_until};

/// The next message, as lines.
fn next(socket: &UnixDatagram) -> Vec<String> {
    let mut message = [0; 1024];
    let length = socket.recv(&mut message).expect("a message in time");
    String::from_utf8_lossy(&message[..length]).lines().map(String::from).collect()
}

fn serve(company: &Company, socket: &Path) -> Process {
    let origins = [&company.brand, &company.shop, &company.learn].map(String::clone);
    let file = company.folder.configure(Part::Broker, company.broker_port(), &origins);
    Process::serve_with(&file, &[("NOTIFY_SOCKET", socket.to_str().expect("a path"))])
}

#[test]
fn systemd_is_told_of_start_reload_and_end() {
    let company = Company::unstarted(Setup::default());
    let place = company.folder.path().join("notify");
    let socket = UnixDatagram::bind(&place).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    let mut process = serve(&company, &place);
    assert_eq!(next(&socket), ["READY=1"]);
    // Whoever is told may connect.
    assert!(crate::support::wire::connect(company.broker_port()).is_ok());

    for _ in 0..2 {
        process.signal("HUP");
        let reloading = next(&socket);
        assert_eq!(reloading[0], "RELOADING=1", "{reloading:?}");
        let since = reloading[1].strip_prefix("MONOTONIC_USEC=").and_then(|number| number.parse::<u64>().ok());
        assert!(since.is_some_and(|microseconds| microseconds > 0), "{reloading:?}");
        assert_eq!(next(&socket), ["READY=1"]);
    }
    process.terminate();
    assert_eq!(next(&socket), ["STOPPING=1"]);
    wait_until("it has ended", || false, || process.has_ended()).unwrap_or_else(|problem| panic!("{problem}"));
    assert_eq!(process.exit_code(), Some(0), "{}", process.stderr());
}

/// A reload that is refused ends as well, or systemd would wait for it.
#[test]
fn systemd_is_told_that_a_refused_reload_is_over() {
    let company = Company::unstarted(Setup::default());
    let place = company.folder.path().join("notify");
    let socket = UnixDatagram::bind(&place).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    let process = serve(&company, &place);
    assert_eq!(next(&socket), ["READY=1"]);
    std::fs::write(company.folder.path().join("broker.toml"), "nonsense").expect("a file");
    process.signal("HUP");
    assert_eq!(next(&socket)[0], "RELOADING=1");
    assert_eq!(next(&socket), ["READY=1"]);
    wait_until("the log says so", || false, || process.stderr().contains("everything stays as it was"))
        .unwrap_or_else(|problem| panic!("{problem}: {}", process.stderr()));
}
