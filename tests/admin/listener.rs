//! The listener: who it answers to, and where it is not.

use crate::support::files::Setup;
use crate::support::wire;
use crate::watched::{Watched, get};

#[test]
fn it_answers_under_its_own_names_only_and_visitors_do_not_reach_it() {
    let (setup, _) = crate::watched::with_admin(Setup::default());
    let tables = setup.tables.replace("[admin]\n", "[admin]\nhosts = [\"ops.internal\"]\n");
    let admin = tables.split(':').nth(1).and_then(|rest| rest.split('"').next()).and_then(|port| port.parse().ok()).unwrap();
    let watched = Watched { company: crate::support::company::Company::start(Setup { tables, ..setup }), admin };
    for host in ["127.0.0.1", "localhost", "[::1]:8401", "ops.internal:1"] {
        assert_eq!(get(admin, host, "/metrics").status, 200, "{host}");
    }
    for host in ["evil.example", "ops.internal.evil.example", "brand.localhost", "x"] {
        for path in ["/metrics", "/health", "/", "/sites.json"] {
            let answer = get(admin, host, path);
            assert_eq!((answer.status, answer.json()["error"].as_str()), (421, Some("wrong_host")), "{host} {path}");
        }
    }
    assert_eq!(wire::send(admin, b"GET /metrics HTTP/1.0\r\n\r\n").unwrap().status, 421);
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let request = format!("{method} /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(wire::send(admin, request.as_bytes()).unwrap().status, 405, "{method}");
    }
    assert_eq!(get(admin, "localhost", "/nothing").status, 404);
    // And nothing of ours is at these paths where visitors come.
    let port = watched.company.port();
    for host in [format!("brand.localhost:{port}"), format!("shop.localhost:{port}"), "127.0.0.1".to_owned()] {
        for path in ["/metrics", "/health", "/sites.json", "/sites.csv"] {
            let answer = get(port, &host, path);
            assert!(matches!(answer.status, 404 | 421), "{host}{path}: {answer:?}");
        }
    }
    let answer = get(admin, "localhost", "/metrics");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("cross-origin-resource-policy"), Some("same-origin"));
}

#[test]
fn a4_health_is_that_of_the_whole_process_and_says_when_it_leaves() {
    let mut watched = Watched::start(Setup::default());
    let answer = watched.get("/health");
    assert_eq!(answer.status, 200);
    let health = answer.json();
    assert_eq!(
        (health["status"].as_str(), health["ready"].as_bool(), health["live"].as_bool()),
        (Some("ok"), Some(true), Some(true))
    );
    assert_eq!((health["broker"].as_str(), health["store"].as_str()), (Some("closed"), Some("ok")));
    watched.company.processes[0].terminate();
    crate::support::process::wait_until(
        "it says that it leaves",
        || false,
        || {
            let answer = watched.get("/health");
            answer.status == 503 && answer.json()["status"] == "leaving" && answer.json()["live"] == true
        },
    )
    .unwrap_or_else(|problem| panic!("{problem}"));
    crate::support::process::wait_until("it ends", || false, || watched.company.processes[0].has_ended())
        .unwrap_or_else(|problem| panic!("{problem}"));
    assert_eq!(watched.company.processes[0].exit_code(), Some(0));
}
