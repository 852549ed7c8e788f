//! L7, A12: links lead on while the broker is down, and a site that is taken out at the broker costs no page.

use std::fs;
use std::path::PathBuf;

use crate::support::address;
use crate::support::browser::Browser;
use crate::support::company::Company;
use crate::support::files::{Part, Setup};
use crate::support::process::{Process, free_port, wait_until};
use crate::support::wire::{self, Answer};

fn go(site: &str, to: &str) -> String {
    format!("{site}/_throughline/go?to={}", to.replace(':', "%3A").replace('/', "%2F"))
}

fn health(port: u16, origin: &str) -> serde_json::Value {
    let request = format!("GET /_throughline/health HTTP/1.1\r\nHost: {}\r\n\r\n", address::authority(origin));
    let answer = wire::send(port, request.as_bytes()).expect("an answer");
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

/// A configuration of the company's satellites on `port`, with the last site taken out if `without_learn`.
fn satellites(company: &Company, name: &str, port: u16, without_learn: bool) -> PathBuf {
    let origins = [company.brand.clone(), company.shop.clone(), company.learn.clone()];
    let file = company.folder.configure(Part::Satellites, port, &origins);
    let text = fs::read_to_string(&file).expect("a configuration");
    let file = company.folder.path().join(name);
    let text = if without_learn { without_last_site(&text) } else { text };
    fs::write(&file, text).expect("a configuration");
    file
}

fn without_last_site(text: &str) -> String {
    let at = text.rfind("[[site]]").expect("a site");
    assert!(text[at..].contains("learn.localhost"));
    text[..at].to_owned()
}

/// Ends every process and starts one alone.
fn restart(company: &mut Company, config: &std::path::Path) {
    company.processes.clear();
    company.processes.push(Process::serve(config));
    let port = company.port();
    wait_until("it listens", || company.processes[0].has_ended(), || wire::connect(port).is_ok())
        .unwrap_or_else(|problem| panic!("{problem}: {}", company.stderr()));
}

#[test]
fn l7_a_satellite_that_starts_while_the_broker_is_down_knows_its_siblings_from_disk() {
    let mut company = Company::start_split(Setup::default());
    let file = company.folder.path().join("throughline.siblings");
    let is_kept = || fs::read_to_string(&file).is_ok_and(|text| text.contains("learn.localhost"));
    wait_until("the siblings are on disk", || false, is_kept).unwrap_or_else(|problem| panic!("{problem}"));
    let mut known = Browser::new();
    known.navigate(&format!("{}/p.html", company.shop));
    assert!(known.visitor(&company.shop).is_some());
    let shop_alone = satellites(&company, "shop.toml", company.port(), true);
    let intro = format!("{}/intro", company.learn);
    let link = go(&company.shop, &intro);

    restart(&mut company, &shop_alone);
    let answer = Browser::new().step(&link, Some(&company.shop));
    assert_eq!((answer.status, answer.header("location")), (302, Some(intro.as_str())), "{}", company.stderr());
    let answer = known.step(&link, Some(&company.shop));
    assert!(answer.header("location").unwrap_or_default().starts_with(&format!("{intro}?_tl=ey")), "{answer:?}");
    let said = health(company.port(), &company.shop);
    assert!(said["siblings_age_seconds"].is_u64() && said["registered"].is_null() && said["status"] == "ok", "{said}");
    assert_eq!(Browser::new().navigate(&format!("{}/p.html", company.shop)).statuses(), [200], "no hop (rule S13)");

    // A file that cannot be used stops no start: the primary and the process's own sites are known.
    for bad in [Some("{\"fetched_at\":1,"), None] {
        match bad {
            Some(text) => fs::write(&file, text).expect("written"),
            None => fs::remove_file(&file).expect("removed"),
        }
        restart(&mut company, &shop_alone);
        assert_eq!(company.stderr().contains("siblings_file ignored"), bad.is_some(), "{}", company.stderr());
        for (to, status) in [(&company.brand, 302), (&company.shop, 302), (&company.learn, 400)] {
            let answer = known.step(&go(&company.shop, &format!("{to}/p")), Some(&company.shop));
            assert_eq!(answer.status, status, "{to}: {answer:?}");
        }
    }
}

#[test]
fn l7_the_sites_of_one_process_know_each_other_without_the_broker() {
    let company = Company::start_without_broker(Setup::default());
    for (from, to) in [(&company.shop, &company.learn), (&company.learn, &company.shop), (&company.shop, &company.brand)] {
        let page = format!("{to}/intro?x#f");
        let answer = Browser::new().step(&format!("{}%3Fx%23f", go(from, &format!("{to}/intro"))), Some(from));
        assert_eq!((answer.status, answer.header("location")), (302, Some(page.as_str())), "{from}");
    }
}

#[test]
fn l7_k1_after_a_restart_links_count_by_the_keys_on_disk() {
    let mut company = Company::start_split(Setup::default());
    let file = company.folder.path().join("throughline.siblings");
    // Both key sets: the broker's and the sites' own.
    let is_kept = || fs::read_to_string(&file).is_ok_and(|text| text.matches("\"jwks\"").count() == 3);
    if wait_until("the keys are on disk", || false, is_kept).is_err() {
        panic!("{:?}: {}", fs::read_to_string(&file), company.stderr());
    }
    let mut browser = Browser::new();
    browser.navigate(&format!("{}/p.html", company.shop));
    let visitor = browser.visitor(&company.shop);
    assert!(visitor.is_some());
    let both = satellites(&company, "both.toml", company.port(), false);
    restart(&mut company, &both);
    let visit =
        browser.follow_from(&format!("{}/p.html", company.shop), &go(&company.shop, &format!("{}/p.html", company.learn)));
    assert_eq!(visit.statuses(), [302, 303, 200], "{}", company.stderr());
    assert_eq!(browser.visitor(&company.learn), visitor);
}

/// A page of learn at one node, for somebody new, and the broker's answer if the visitor is sent there.
fn visit_learn(company: &Company, port: u16) -> (Answer, Option<Answer>) {
    let request = format!(
        "GET /p.html HTTP/1.1\r\nHost: {}\r\nUser-Agent: {}\r\nAccept: text/html\r\nAccept-Language: x-{}\r\n\
         Sec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: none\r\n\r\n",
        address::authority(&company.learn),
        crate::support::browser::FIREFOX,
        free_port(),
    );
    let page = wire::send(port, request.as_bytes()).expect("the page");
    let hop = page.header("location").map(|hop| Browser::new().step(hop, Some(&company.learn)));
    (page, hop)
}

#[test]
fn a12_a_site_taken_out_at_the_broker_costs_no_page_and_one_put_in_has_its_hops() {
    let mut company = Company::start_split(Setup { probe_interval_ms: 300, ..Setup::default() });
    let other = free_port();
    company.processes.push(Process::serve(&satellites(&company, "other.toml", other, false)));
    let ports = [company.port(), other];
    let registered = |port, site: &str| health(port, site)["registered"].clone();
    let is_up = || wire::connect(other).is_ok() && registered(other, &company.learn) == true;
    wait_until("the second satellite hops", || false, is_up).unwrap_or_else(|problem| panic!("{problem}"));
    let before = health(company.broker_port(), &company.brand)["sites"].clone();
    assert!(before.is_string(), "{before}");

    // Visitors who are on the way when the site is taken out.
    let on_the_way: Vec<_> = ports
        .map(|port| {
            let (page, _) = visit_learn(&company, port);
            page.header("location").expect("a hop").to_owned()
        })
        .into();
    let file = company.folder.path().join("broker.toml");
    let with_learn = fs::read_to_string(&file).expect("a configuration");
    fs::write(&file, without_last_site(&with_learn)).expect("written");
    company.processes[0].signal("HUP");
    let mut visits = 0;
    let is_noticed = || {
        let mut hops = 0;
        for port in ports {
            let (page, hop) = visit_learn(&company, port);
            visits += 1;
            assert!(matches!(page.status, 200 | 302), "{page:?}");
            if let Some(answer) = hop {
                hops += 1;
                assert_eq!(answer.status, 302, "no visitor ends at the broker: {answer:?}");
                assert!(answer.header("location").is_some_and(|back| back.starts_with(&company.learn)), "{answer:?}");
            }
        }
        hops == 0
    };
    wait_until("both satellites notice", || false, is_noticed).unwrap_or_else(|problem| panic!("{problem}"));
    println!("A12: {visits} visits until both satellites had noticed, none lost");
    for hop in &on_the_way {
        let answer = Browser::new().step(hop, Some(&company.learn));
        let page = format!("{}/p.html?_tl=", company.learn);
        assert_eq!((answer.status, answer.header("location"), answer.header("set-cookie")), (302, Some(page.as_str()), None));
        let forged = Browser::new().step(&hop.replace("consent=implied", "consent=granted"), Some(&company.learn));
        assert_eq!((forged.status, forged.header("location")), (400, None));
    }

    // Everybody says how it is.
    assert_ne!(health(company.broker_port(), &company.brand)["sites"], before);
    for port in ports {
        let said = health(port, &company.learn);
        assert_eq!((&said["status"], &said["broker"], &said["registered"]), (&"ok".into(), &"closed".into(), &false.into()));
        assert_eq!(registered(port, &company.shop), true);
    }
    // Links to the page, which is still served, lead there.
    let page = format!("{}/p.html", company.learn);
    let answer = Browser::new().step(&go(&company.shop, &page), Some(&company.shop));
    assert_eq!((answer.status, answer.header("location")), (302, Some(page.as_str())));

    // Put in again, it is noticed just as soon.
    fs::write(&file, with_learn).expect("written");
    company.processes[0].signal("HUP");
    let hops =
        || ports.iter().all(|port| registered(*port, &company.learn) == true && visit_learn(&company, *port).0.status == 302);
    wait_until("learn has its hops again", || false, hops).unwrap_or_else(|problem| panic!("{problem}: {}", company.stderr()));
    assert_eq!(health(company.broker_port(), &company.brand)["sites"], before);
}

/// A restart forgets which sites were taken out. The satellite asks before it sends anyone again.
#[test]
fn a12_a_broker_that_comes_back_without_a_site_gets_no_visitor_of_it() {
    let mut company = Company::start_split(Setup { probe_interval_ms: 300, ..Setup::default() });
    let port = company.port();
    company.processes[0].kill();
    let is_seen = || health(port, &company.learn)["broker"] == "open";
    wait_until("the satellite sees it", || false, is_seen).unwrap_or_else(|problem| panic!("{problem}"));
    let file = company.folder.path().join("broker.toml");
    let text = fs::read_to_string(&file).expect("a configuration");
    fs::write(&file, without_last_site(&text)).expect("written");
    company.processes.push(Process::serve(&file));
    let hops_go_again = || {
        let (page, hop) = visit_learn(&company, port);
        assert!(page.status == 200 && hop.is_none(), "{page:?}");
        let said = health(port, &company.shop);
        said["broker"] == "closed" && said["registered"] == true
    };
    wait_until("hops go again", || false, hops_go_again).unwrap_or_else(|problem| panic!("{problem}: {}", company.stderr()));
    for _ in 0..20 {
        assert_eq!(visit_learn(&company, port).0.status, 200);
    }
    assert_eq!(health(port, &company.learn)["registered"], false);
}
