//! A company that is looked at, and a scripted set of visits.

use crate::support::browser::Browser;
use crate::support::company::Company;
use crate::support::files::Setup;
use crate::support::process::free_port;
use crate::support::wire::{self, Answer};

/// A company of one process with a listener for operators.
pub(crate) struct Watched {
    pub(crate) company: Company,
    pub(crate) admin: u16,
}

impl Watched {
    /// A company with `setup`, but for its `[admin]`.
    pub(crate) fn start(setup: Setup) -> Self {
        let (setup, admin) = with_admin(setup);
        Self { company: Company::start(setup), admin }
    }

    /// What the listener answers under its own address.
    pub(crate) fn get(&self, path: &str) -> Answer {
        get(self.admin, &format!("127.0.0.1:{}", self.admin), path)
    }
}

/// The setup with a listener for operators, and its port.
pub(crate) fn with_admin(setup: Setup) -> (Setup, u16) {
    let admin = free_port();
    let tables = format!("[admin]\naddress = \"127.0.0.1:{admin}\"\n{}", setup.tables);
    (Setup { tables, ..setup }, admin)
}

/// Asks for a path under any host.
pub(crate) fn get(port: u16, host: &str, path: &str) -> Answer {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    wire::send(port, request.as_bytes()).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Three visitors. The first two hop to the shop, one of those follows a link to learn; the third comes by the primary and then
/// hops to learn. And a token is tried twice.
pub(crate) fn visit(company: &Company) {
    for number in 0..2 {
        let mut browser = Browser::new();
        let visit = browser.navigate(&format!("{}/p.html?x=1", company.shop));
        assert_eq!(visit.statuses(), [302, 302, 303, 200]);
        if number == 0 {
            let to = format!("{}/p.html", company.learn).replace(':', "%3A").replace('/', "%2F");
            browser.follow_from(&company.shop, &format!("{}/_throughline/go?to={to}", company.shop));
            let used = visit.steps[2].url.clone();
            browser.navigate(&used);
        }
    }
    let mut browser = Browser::new();
    // A visitor of the primary is noted once the cookie has come back (rule A8).
    browser.navigate(&format!("{}/", company.brand));
    browser.navigate(&format!("{}/", company.brand));
    assert_eq!(browser.navigate(&format!("{}/", company.learn)).statuses(), [302, 302, 303, 200]);
}
