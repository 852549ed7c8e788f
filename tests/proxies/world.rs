//! A company in three processes and two proxies: the broker on the primary, one process for both satellites, nginx before
//! the shop, Caddy before learn, and an application behind each.

use std::fs;
use std::path::PathBuf;

use crate::asking::NAVIGATION;
use crate::running::{App, Places, Running, caddy, nginx, signal};
use crate::support::files::{Folder, Part, Setup};
use crate::support::process::{Process, free_port, is_healthy, knows, sees_broker, wait_until};
use crate::support::wire::{self, Answer};

/// The company.
pub(crate) struct World {
    pub(crate) brand: String,
    /// Behind nginx.
    pub(crate) shop: String,
    /// Behind Caddy.
    pub(crate) learn: String,
    pub(crate) satellite: Option<Process>,
    pub(crate) broker: Option<Process>,
    satellite_port: u16,
    broker_port: u16,
    configurations: [PathBuf; 2],
    _proxies: [Running; 2],
    pub(crate) apps: [Running; 2],
    _folder: Folder,
}

/// Which application is behind nginx and which behind Caddy.
pub(crate) type Behind = (App, App);

/// Python behind nginx, Node behind Caddy.
pub(crate) const USUAL: Behind = (App::Python, App::Node);

/// The other way round.
pub(crate) const OTHER: Behind = (App::Node, App::Python);

/// What nginx has beside its example.
#[derive(Debug, Clone, Copy)]
struct Nginx<'a> {
    own_lines: &'a str,
    locations: &'a str,
    servers: &'a str,
    is_patient: bool,
}

impl Nginx<'_> {
    const EXAMPLE: Self = Self { own_lines: "", locations: "", servers: "", is_patient: true };
}

impl World {
    /// Starts everything and waits until visitors can hop.
    pub(crate) fn start(behind: Behind) -> Self {
        Self::start_with(behind, "")
    }

    /// The same, where nginx has further lines for the shop's pages. `{}` in them is the company's folder.
    pub(crate) fn start_with(behind: Behind, nginx_lines: &str) -> Self {
        Self::start_nginx(behind, Nginx { own_lines: nginx_lines, ..Nginx::EXAMPLE })
    }

    /// The same, where nginx has further locations for the shop, and further servers.
    pub(crate) fn start_with_locations(behind: Behind, locations: &str, servers: &str) -> Self {
        Self::start_nginx(behind, Nginx { locations, servers, ..Nginx::EXAMPLE })
    }

    fn start_nginx(behind: Behind, nginx: Nginx<'_>) -> Self {
        let mut world = Self::proxies(behind, nginx);
        world.start_broker();
        world.start_satellite();
        world
    }

    /// The same, with the proxies' own patience, for the test of that.
    pub(crate) fn start_impatient(behind: Behind) -> Self {
        let mut world = Self::proxies(behind, Nginx { is_patient: false, ..Nginx::EXAMPLE });
        world.start_broker();
        world.start_satellite();
        world
    }

    /// Starts the proxies and the applications. Behind the proxies there is no satellite yet.
    pub(crate) fn start_proxies(behind: Behind) -> Self {
        Self::proxies(behind, Nginx::EXAMPLE)
    }

    fn proxies(behind: Behind, nginx: Nginx<'_>) -> Self {
        // Another program may take a port in between; then try again with others.
        let mut attempt = 1;
        loop {
            match Self::try_start(behind, nginx) {
                Ok(world) => return world,
                Err(problem) => assert!(attempt < 3, "{problem}"),
            }
            attempt += 1;
        }
    }

    fn try_start(behind: Behind, configured: Nginx<'_>) -> Result<Self, String> {
        let setup = Setup { listen_lines: "trusted_proxies = [\"127.0.0.1\"]", ..Setup::default() };
        let folder = Folder::new(setup);
        let [broker_port, satellite_port, nginx_port, caddy_port] = std::array::from_fn(|_| free_port());
        let (nginx_app, caddy_app) = (free_port(), free_port());
        let places = Places {
            satellite: satellite_port,
            app: nginx_app,
            kind: behind.0,
            host: "shop.localhost",
            port: nginx_port,
            spare: free_port(),
            is_patient: configured.is_patient,
            locations: configured.locations,
            servers: configured.servers,
            own_lines: &configured.own_lines.replace("{}", &folder.path().display().to_string()),
        };
        fs::write(folder.path().join("passwords"), "operator:{PLAIN}open\n").map_err(|error| error.to_string())?;
        let origins = [
            format!("http://brand.localhost:{broker_port}"),
            format!("http://shop.localhost:{nginx_port}"),
            format!("http://learn.localhost:{caddy_port}"),
        ];
        let configurations =
            [folder.configure(Part::Satellites, satellite_port, &origins), folder.configure(Part::Broker, broker_port, &origins)];
        let apps = [behind.0.start(folder.path(), nginx_app)?, behind.1.start(folder.path(), caddy_app)?];
        let proxies = [
            nginx(folder.path(), places)?,
            caddy(folder.path(), Places { app: caddy_app, kind: behind.1, host: "learn.localhost", port: caddy_port, ..places })?,
        ];
        let [brand, shop, learn] = origins;
        Ok(Self {
            brand,
            shop,
            learn,
            satellite: None,
            broker: None,
            satellite_port,
            broker_port,
            configurations,
            _proxies: proxies,
            apps,
            _folder: folder,
        })
    }

    /// Starts the broker, for the first time or again.
    pub(crate) fn start_broker(&mut self) {
        let broker = self.broker.insert(Process::serve(&self.configurations[1]));
        let port = self.broker_port;
        let is_well = || is_healthy(port, "brand.localhost", true);
        wait_until("the primary is well", || broker.has_ended(), is_well).unwrap_or_else(|problem| panic!("{problem}"));
    }

    /// Starts the satellites, for the first time or again, and waits until visitors can hop through both proxies.
    pub(crate) fn start_satellite(&mut self) {
        let satellite = self.satellite.insert(Process::serve(&self.configurations[0]));
        let (port, learn, shop) = (self.satellite_port, authority(&self.learn), authority(&self.shop));
        let hops = || {
            [&shop, &learn].into_iter().all(|host| {
                let request = format!("GET /_throughline/health HTTP/1.1\r\nHost: {host}\r\n\r\n");
                wire::send(port, request.as_bytes()).is_ok_and(|answer| answer.status == 200 && sees_broker(&answer))
            })
        };
        wait_until("the satellites see the broker", || satellite.has_ended(), hops).unwrap_or_else(|problem| panic!("{problem}"));
        let (shop_port, learn_origin) = (port_of(&self.shop), self.learn.clone());
        wait_until("the sites know each other", || false, || knows(shop_port, "shop.localhost", &learn_origin))
            .unwrap_or_else(|problem| panic!("{problem}"));
        // Each question is another person's: of clients that look alike, one leaves at a time (S16).
        let mut person = 0;
        let mut hops = |site: &str| {
            person += 1;
            // For the one nginx that wants a password: operator, open.
            let more = format!("Accept-Language: x-waiting-{person}\r\nAuthorization: Basic b3BlcmF0b3I6b3Blbg==\r\n");
            ask(site, "GET", "/p", &format!("{NAVIGATION}{more}"), b"").status == 302
        };
        wait_until("visitors hop", || false, || hops(&self.shop) && hops(&self.learn))
            .unwrap_or_else(|problem| panic!("{problem}"));
    }

    /// Waits until the satellites have seen that the broker is gone.
    pub(crate) fn wait_until_noticed(&self) {
        let (port, hosts) = (self.satellite_port, [authority(&self.shop), authority(&self.learn)]);
        let noticed = || {
            hosts.iter().all(|host| {
                let request = format!("GET /_throughline/health HTTP/1.1\r\nHost: {host}\r\n\r\n");
                wire::send(port, request.as_bytes()).is_ok_and(|answer| answer.json()["broker"] != "closed")
            })
        };
        wait_until("the satellites see that the broker is gone", || false, noticed).unwrap_or_else(|problem| panic!("{problem}"));
    }

    /// Where the satellites listen.
    pub(crate) const fn satellite_port(&self) -> u16 {
        self.satellite_port
    }

    /// Ends the satellites at once.
    pub(crate) fn kill_satellite(&mut self) {
        self.satellite = None;
    }

    /// Ends the broker at once.
    pub(crate) fn kill_broker(&mut self) {
        self.broker = None;
    }

    /// Stops the satellites, which then take connections and answer nothing; or lets them go on.
    pub(crate) fn hang_satellite(&self, hangs: bool) {
        let satellite = self.satellite.as_ref().expect("a running satellite");
        signal(satellite.id(), if hangs { "STOP" } else { "CONT" });
    }

    /// Both sites.
    pub(crate) fn sites(&self) -> [&str; 2] {
        [&self.shop, &self.learn]
    }
}

/// Sends a request with these lines of headers to a site's proxy.
pub(crate) fn ask(site: &str, method: &str, target: &str, lines: &str, body: &[u8]) -> Answer {
    let host = authority(site);
    let mut request = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{lines}\r\n").into_bytes();
    request.extend_from_slice(body);
    wire::send(port_of(site), &request).unwrap_or_else(|error| panic!("{method} {site}{target}: {error}"))
}

/// What a page of the applications says in the element of that name.
pub(crate) fn shown(page: &Answer, id: &str) -> String {
    let text = page.text();
    let mark = format!("id=\"{id}\">");
    let at = text.find(&mark).unwrap_or_else(|| panic!("no {id} in {page:?}")) + mark.len();
    text[at..].split('<').next().unwrap_or_default().to_owned()
}

/// Host and port of an origin.
pub(crate) fn authority(origin: &str) -> String {
    crate::support::address::authority(origin).to_owned()
}

fn port_of(origin: &str) -> u16 {
    crate::support::address::port(origin)
}
