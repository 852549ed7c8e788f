//! No chain is longer than 12 redirects (rule S18): whatever a browser, a proxy or a cache drops or keeps, and however many
//! satellites answer. And a site's secret rotates without a refused hop.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::ask::configuration;
use crate::support::address::{authority, host, resolve, target};
use crate::support::browser::{Browser, Cookie, FIREFOX};
use crate::support::company::Company;
use crate::support::files::{Part, Setup};
use crate::support::process::{Process, free_port, wait_until};
use crate::support::wire::{Answer, send};
use throughline::base::random::SystemRandom;
use throughline::base::secret::SiteSecret;
use throughline::token::keyfile::write_secret_file;

const REDIRECTS_MAX: usize = 12;
/// Where this client gives up, as browsers do.
const PATIENCE: usize = 20;

/// Which cookies a browser keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keeps {
    All,
    None,
    /// A proxy drops `Set-Cookie` from redirects.
    OfPages,
    NotTheId,
    NotTheHop,
}

/// Which of our cookies something takes out of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Strips {
    None,
    TheId,
    TheHop,
}

/// What a cache in front of the secondary keeps of its redirects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caches {
    Nothing,
    Redirects,
    RedirectsAndCookies,
    /// Only those that start a hop.
    StartsAndCookies,
}

#[derive(Debug, Clone, Copy)]
struct Weather {
    keeps: Keeps,
    strips: Strips,
    caches: Caches,
    /// What the browser holds as its ID cookie from before.
    held: Option<&'static str>,
    /// How long each request takes.
    delay: Duration,
}

/// A browser behind a balancer: each request of the secondary goes to the next of `satellites`.
struct Visitor<'a> {
    company: &'a Company,
    satellites: &'a [u16],
    turn: usize,
    language: String,
    weather: Weather,
    jar: BTreeMap<(String, String), String>,
    cache: BTreeMap<String, Answer>,
    /// A proxy takes our parameter out.
    loses_parameter: bool,
}

impl<'a> Visitor<'a> {
    fn new(company: &'a Company, satellites: &'a [u16], weather: Weather, number: usize) -> Self {
        let mut jar = BTreeMap::new();
        if let Some(value) = weather.held {
            jar.insert((host(&company.shop).to_owned(), "throughline".to_owned()), value.to_owned());
        }
        let language = format!("en-US,x-circle-{number};q=0.5");
        let (turn, cache, loses_parameter) = (number, BTreeMap::new(), false);
        Self { company, satellites, turn, language, weather, jar, cache, loses_parameter }
    }

    fn ask(&mut self, url: &str) -> Answer {
        let is_shop = url.starts_with(&self.company.shop);
        let cached = self.cache.get(url).filter(|_| is_shop).cloned();
        let answer = cached.unwrap_or_else(|| self.send(url));
        let Weather { keeps, caches, .. } = self.weather;
        let is_redirect = (300..400).contains(&answer.status);
        if is_shop && is_redirect && caches != Caches::Nothing && (caches != Caches::StartsAndCookies || answer.status == 302) {
            let mut kept = answer.clone();
            if caches == Caches::Redirects {
                kept.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("set-cookie"));
            }
            self.cache.insert(url.to_owned(), kept);
        }
        for line in answer.all("set-cookie") {
            let cookie = Cookie::parse(line);
            let is_kept = match keeps {
                Keeps::All => true,
                Keeps::None => false,
                Keeps::OfPages => !is_redirect,
                Keeps::NotTheId => cookie.name != "throughline" || !is_shop,
                Keeps::NotTheHop => cookie.name != "throughline-hop",
            };
            if is_kept {
                let key = (host(url).to_owned(), cookie.name.clone());
                if cookie.max_age() == Some(0) {
                    self.jar.remove(&key)
                } else {
                    self.jar.insert(key, cookie.value)
                };
            }
        }
        answer
    }

    fn send(&mut self, url: &str) -> Answer {
        std::thread::sleep(self.weather.delay);
        let is_shop = url.starts_with(&self.company.shop);
        let port = if is_shop { self.satellites[self.turn % self.satellites.len()] } else { self.company.broker_port() };
        self.turn += usize::from(is_shop);
        let is_sent = |name: &str| match self.weather.strips {
            Strips::TheId if is_shop => name != "throughline",
            Strips::TheHop => name != "throughline-hop",
            _ => true,
        };
        let cookies = self.jar.iter().filter(|((of, name), _)| of == host(url) && is_sent(name));
        let cookies: Vec<_> = cookies.map(|((_, name), value)| format!("{name}={value}")).collect();
        let cookies = if cookies.is_empty() { String::new() } else { format!("Cookie: {}\r\n", cookies.join("; ")) };
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: {FIREFOX}\r\nAccept: text/html\r\nAccept-Language: {}\r\n\
             Sec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: cross-site\r\n\
             Referer: http://news.localhost:1/\r\n{cookies}\r\n",
            target(url),
            authority(url),
            self.language,
        );
        send(port, request.as_bytes()).unwrap_or_else(|error| panic!("{url} at {port}: {error}"))
    }

    /// The statuses of a navigation, up to the page.
    fn navigate(&mut self, url: &str) -> Vec<u16> {
        let (mut url, mut statuses) = (url.to_owned(), Vec::new());
        loop {
            let answer = self.ask(&url);
            statuses.push(answer.status);
            match answer.header("location") {
                Some(next) if statuses.len() <= PATIENCE => url = resolve(&url, next),
                _ => return statuses,
            }
            if self.loses_parameter {
                url = url.split("?_tl=").next().unwrap_or_default().to_owned();
            }
        }
    }

    fn visitor(&self) -> Option<String> {
        let value = self.jar.get(&(host(&self.company.shop).to_owned(), "throughline".to_owned()))?;
        value.split('.').nth(2).filter(|id| !id.is_empty()).map(String::from)
    }
}

/// A broker, and satellites of the shop: each with the names of its own secret and of the one that it also accepts.
struct Company3 {
    company: Company,
    satellites: Vec<u16>,
}

impl Company3 {
    fn start(broker: (&str, Option<&str>), satellites: &[(&str, Option<&str>)]) -> Self {
        let setup = Setup { probe_interval_ms: 200, log: "warn", ..Setup::default() };
        let mut company = Company::unstarted(setup);
        new_secret(&company);
        let broker = with_secrets(configuration(&company, Part::Broker, "broker", company.broker_port(), ""), broker);
        company.processes.push(Process::serve(&broker));
        let mut ports = Vec::new();
        for (number, secrets) in satellites.iter().enumerate() {
            let port = free_port();
            let file = configuration(&company, Part::Satellites, &format!("satellite-{number}"), port, "");
            company.processes.push(Process::serve(&with_secrets(file, *secrets)));
            ports.push(port);
        }
        let health = |site: &str| format!("GET /_throughline/health HTTP/1.1\r\nHost: {}\r\n\r\n", authority(site)).into_bytes();
        let (shop, ports_to_ask) = (company.shop.clone(), ports.clone());
        let is_ready = || {
            ports_to_ask.iter().all(|port| {
                send(*port, &health(&shop)).is_ok_and(|answer| answer.status == 200 && answer.json()["broker"] == "closed")
            })
        };
        let processes = &mut company.processes;
        let ready = wait_until("all are well", || processes.iter_mut().any(Process::has_ended), is_ready);
        ready.unwrap_or_else(|problem| panic!("{problem}: {}", company.stderr()));
        Self { company, satellites: ports }
    }
}

/// Puts other secrets for the shop into a configuration.
fn with_secrets(file: PathBuf, secrets: (&str, Option<&str>)) -> PathBuf {
    with_secrets_of("shop", file, secrets)
}

fn with_secrets_of(site: &str, file: PathBuf, (own, other): (&str, Option<&str>)) -> PathBuf {
    let text = std::fs::read_to_string(&file).expect("a configuration");
    let other = other.map_or(String::new(), |other| format!("\nalso_accept_secret_file = \"{other}.secret\""));
    let text = text.replace(&format!("secret_file = \"{site}.secret\""), &format!("secret_file = \"{own}.secret\"{other}"));
    std::fs::write(&file, text).expect("a configuration");
    file
}

fn weathers() -> Vec<Weather> {
    let mut weathers = Vec::new();
    for keeps in [Keeps::All, Keeps::None, Keeps::OfPages, Keeps::NotTheId, Keeps::NotTheHop] {
        for strips in [Strips::None, Strips::TheId, Strips::TheHop] {
            for caches in [Caches::Nothing, Caches::Redirects, Caches::RedirectsAndCookies, Caches::StartsAndCookies] {
                for held in [None, Some("probe"), Some("1.b.not.of.this.key"), Some("denied")] {
                    weathers.push(Weather { keeps, strips, caches, held, delay: Duration::ZERO });
                }
            }
        }
    }
    // A hop may take longer than the memories that go by a second (case P1).
    for keeps in [Keeps::All, Keeps::OfPages, Keeps::NotTheId] {
        for strips in [Strips::None, Strips::TheId] {
            let (caches, held) = (Caches::Nothing, Some("1.b.not.of.this.key"));
            weathers.push(Weather { keeps, strips, caches, held, delay: Duration::from_millis(750) });
        }
    }
    weathers
}

/// Cases P1 and P13.
#[test]
fn s18_no_chain_is_longer_than_12_redirects() {
    let old = ("shop", None);
    let fleet = Company3::start(old, &[old, old, ("new", None)]);
    let (company, ports) = (&fleet.company, &fleet.satellites[..]);
    let page = format!("{}/p.html", company.shop);
    let mut longest = 0;
    let mut number = 0;
    for (what, satellites) in [("one", &ports[..1]), ("two", &ports[..2]), ("two secrets", &ports[1..])] {
        for weather in weathers() {
            number += 1;
            let mut visitor = Visitor::new(company, satellites, weather, number);
            for visit in 0..2 {
                let statuses = visitor.navigate(&page);
                assert_eq!(statuses.last(), Some(&200), "{what}, {weather:?}, visit {visit}: {statuses:?}");
                assert!(statuses.len() - 1 <= REDIRECTS_MAX, "{what}, {weather:?}, visit {visit}: {statuses:?}");
                longest = longest.max(statuses.len() - 1);
            }
        }
        let calm =
            Weather { keeps: Keeps::None, strips: Strips::None, caches: Caches::Nothing, held: None, delay: Duration::ZERO };
        let mut lost = Visitor::new(company, &satellites[..1], calm, number);
        lost.loses_parameter = true;
        let statuses = lost.navigate(&page);
        assert!(statuses.last() == Some(&200) && statuses.len() - 1 <= REDIRECTS_MAX, "{what}: {statuses:?}");
    }
    println!("the longest chain: {longest} redirects");
}

/// Case I13: visitors one after another, behind one address with one agent.
#[test]
fn s16_behind_two_satellites_no_look_alike_is_kept_back() {
    let old = ("shop", None);
    let fleet = Company3::start(old, &[old, old]);
    let calm = Weather { keeps: Keeps::All, strips: Strips::None, caches: Caches::Nothing, held: None, delay: Duration::ZERO };
    let mut ids = std::collections::BTreeSet::new();
    for person in 0..40 {
        let mut visitor = Visitor::new(&fleet.company, &fleet.satellites, calm, 7);
        // The balancer does not begin anew with each person.
        visitor.turn = person * 3 + person / 2;
        let statuses = visitor.navigate(&format!("{}/p.html", fleet.company.shop));
        assert_eq!(statuses.first(), Some(&302), "person {person}: {statuses:?}");
        ids.extend(visitor.visitor());
    }
    assert_eq!(ids.len(), 40, "each has an ID, and no two share one");
}

#[test]
fn s18_k1_a_sites_secret_rotates_without_a_refused_hop() {
    let calm = Weather { keeps: Keeps::All, strips: Strips::None, caches: Caches::Nothing, held: None, delay: Duration::ZERO };
    // In the midst of the change: one satellite signs with the old secret, the other with the new one.
    let fleet = Company3::start(("shop", Some("new")), &[("shop", Some("new")), ("new", Some("shop"))]);
    for person in 0..12 {
        let mut visitor = Visitor::new(&fleet.company, &fleet.satellites, calm, 1000 + person);
        let page = format!("{}/p.html", fleet.company.shop);
        assert_eq!(visitor.navigate(&page), [302, 302, 303, 200], "person {person}");
        let id = visitor.visitor();
        assert!(id.is_some());
        for _ in 0..4 {
            assert_eq!(visitor.navigate(&page), [200], "known at both");
            assert_eq!(visitor.visitor(), id);
        }
    }
}

fn new_secret(company: &Company) {
    let secret = SiteSecret::generate(&SystemRandom::new()).expect("randomness").to_text();
    write_secret_file(&company.folder.path().join("new.secret"), &secret).expect("a secret file");
}

/// The master cookie is all that the primary has: a rotation that lost it would make every visitor a new one.
#[test]
fn b6_k1_the_primarys_secret_rotates_and_each_visit_brings_the_master_cookie_along() {
    let mut company = Company::unstarted(Setup { log: "warn", ..Setup::default() });
    new_secret(&company);
    let mut browser = Browser::new();
    let (mut ids, mut cookies) = (Vec::new(), Vec::new());
    for secrets in [("brand", None), ("brand", Some("new")), ("new", Some("brand")), ("new", None)] {
        let file = configuration(&company, Part::Broker, "broker", company.broker_port(), "");
        company.processes = vec![Process::serve(&with_secrets_of("brand", file, secrets))];
        let (port, processes) = (company.broker_port(), &mut company.processes);
        let is_well = || crate::support::process::is_healthy(port, "brand.localhost", true);
        let ready = wait_until("the primary is well", || processes[0].has_ended(), is_well);
        ready.unwrap_or_else(|problem| panic!("{problem}: {}", company.stderr()));
        let visit = browser.navigate(&format!("{}/p.html", company.brand));
        ids.push(browser.visitor(&company.brand).expect("an ID"));
        cookies.push(visit.cookies().len());
        assert_eq!(browser.navigate(&format!("{}/p.html", company.brand)).cookies(), [], "once is enough");
    }
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(cookies, [1, 0, 1, 0], "minted, and written anew once the new secret signs");
}
