//! C1: an ID is not taken where a no could not be told, and a visitor whose no stays on one site hears of it.

use std::fs;

use throughline::base::random::SystemRandom;
use throughline::base::secret::SiteSecret;
use throughline::token::keyfile::write_secret_file;

use crate::support::browser::{Browser, Cookie};
use crate::support::company::Company;
use crate::support::files::Setup;
use crate::support::process::wait_until;

const BROKER: usize = 0;
const SATELLITES: usize = 1;

/// Gives one of the two processes another secret of the shop than the other has, or the old one again.
fn set_secret(company: &Company, process: usize, secret: &str) {
    let reloads = || company.processes[process].stderr().matches("the configuration was read again").count();
    let before = reloads();
    write_secret_file(&company.folder.path().join("shop.secret"), secret).unwrap();
    company.processes[process].signal("HUP");
    wait_until("the configuration is read again", || false, || reloads() > before).unwrap();
}

fn api_key(company: &Company, site: &str) -> Option<String> {
    let health = Browser::new().fetch(&format!("{site}/_throughline/health"));
    assert_eq!((health.status, &health.json()["status"]), (200, &"ok".into()), "{}", company.stderr());
    health.json()["api_key"].as_str().map(String::from)
}

/// Case C2g.
#[test]
fn c1_a_site_whose_key_is_refused_takes_no_ids_and_says_that_a_no_stays_there() {
    let company = Company::start_split(Setup::default());
    let (shop, learn) = (&company.shop, &company.learn);
    let good = fs::read_to_string(company.folder.path().join("shop.secret")).unwrap();
    let other = SiteSecret::generate(&SystemRandom::new()).unwrap().to_text();
    let mut known: Vec<_> = (0..3).map(|_| Browser::new()).collect();
    for browser in &mut known {
        browser.navigate(&format!("{shop}/p.html"));
        assert!(browser.visitor(shop).is_some());
    }
    assert_eq!(api_key(&company, shop), None);

    // The broker has another secret now. The satellite finds out by the first report that fails.
    set_secret(&company, BROKER, &other);
    let forget = format!("{shop}/_throughline/forget");
    let mut by_script = known.pop().unwrap();
    let waits = by_script.visitor(shop).unwrap();
    let answer = by_script.post(&forget, "{}");
    assert_eq!((answer.status, &answer.json()["everywhere"]), (200, &false.into()), "{answer:?}");
    assert_eq!(answer.json()["reason"], "site_refused");
    assert_eq!(by_script.visitor(shop), None);
    assert_eq!((api_key(&company, shop).as_deref(), api_key(&company, learn)), (Some("refused"), None));

    // Without script there is a page that says so and leads back.
    let mut by_form = known.pop().unwrap();
    let headers = [
        ("Content-Type", "application/x-www-form-urlencoded".to_owned()),
        ("Origin", shop.clone()),
        ("Sec-Fetch-Site", "same-origin".to_owned()),
    ];
    let answer = by_form.request("POST", &forget, &headers, b"return=%2Fp.html%3Fa%3D%22%3E%3Cb%3E%26c");
    assert_eq!((answer.status, answer.header("location")), (200, None), "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(answer.header("content-security-policy").unwrap().contains("default-src 'none'"));
    assert_eq!((answer.header("cache-control"), answer.header("x-robots-tag")), (Some("no-store"), Some("noindex")));
    assert!(answer.all("set-cookie").map(Cookie::parse).any(|cookie| cookie.value == "denied"));
    let page = answer.text();
    assert!(page.contains("could not be told") && page.contains("site_refused"), "{page}");
    assert!(page.contains(&format!("href=\"{shop}/\"")) && !page.contains("<b>"), "an unfit page falls back: {page}");
    assert_eq!(by_form.visitor(shop), None);

    // No ID comes by a link, nor does a hop begin; the pages are served, and other sites go on.
    let mut linked = Browser::new();
    linked.navigate(&format!("{learn}/p.html"));
    let visitor = linked.visitor(learn);
    assert!(visitor.is_some());
    linked.navigate(&format!("{learn}/p.html"));
    let to: String = url::form_urlencoded::byte_serialize(format!("{shop}/p.html").as_bytes()).collect();
    let visit = linked.follow(&format!("{learn}/_throughline/go?to={to}"));
    assert_eq!(visit.page().status, 200, "{visit:#?}");
    assert_ne!(linked.visitor(shop), visitor);
    let mut new = Browser::new();
    assert_eq!(new.navigate(&format!("{shop}/p.html")).page().status, 200);

    // The log says it once, with what to do.
    let said = company.processes[SATELLITES].stderr();
    assert_eq!(said.matches("API key refused by the broker").count(), 1, "{said}");
    assert!(said.contains("secret_file") && !said.contains(good.trim()) && !said.contains(&**other), "{said}");

    // Put right at the broker: the satellite looks again, and what waited is told.
    set_secret(&company, BROKER, &good);
    company.processes[SATELLITES].signal("HUP");
    wait_until("the key is accepted", || false, || api_key(&company, shop).is_none()).unwrap();
    wait_until("the no is told", || false, || company.record("shop", &waits).is_none()).unwrap();
    let mut last = known.pop().unwrap();
    let visitor = last.visitor(shop).unwrap();
    let answer = last.post(&forget, "{}");
    // On a busy machine, a second may not be enough; a refused key is something else.
    assert_ne!(answer.json()["reason"], "site_refused");
    wait_until("the no is told", || false, || company.record("shop", &visitor).is_none())
        .unwrap_or_else(|problem| panic!("{problem}: {}", company.stderr()));
    let mut new = Browser::new();
    new.navigate(&format!("{shop}/p.html"));
    assert!(new.visitor(shop).is_some());
}

/// A broker that is down has refused nothing.
#[test]
fn c1_a_broker_that_is_down_has_refused_no_key() {
    let mut company = Company::start_split(Setup::default());
    let mut browser = Browser::new();
    browser.navigate(&format!("{}/p.html", company.shop));
    company.processes[BROKER].kill();
    let answer = browser.post(&format!("{}/_throughline/forget", company.shop), "{}");
    assert_eq!((&answer.json()["everywhere"], &answer.json()["reason"]), (&false.into(), &"not_yet".into()));
    assert_eq!(api_key(&company, &company.shop), None);
}
