//! A14: a node that starts while the list of ended IDs is out of reach, with the real program and PostgreSQL.

use serde_json::{Value, json};

use crate::ask::{Hop, api, hop, is_recorded, refuse, wait_for};
use crate::away::setup;
use crate::support::address;
use crate::support::browser::Browser;
use crate::support::company::Company;
use crate::support::files::{Part, Setup};
use crate::support::postgres::Postgres;
use crate::support::process::Process;
use crate::support::wire::{connect, send};

/// What a node says of its list.
fn revocations(port: u16, origin: &str) -> Value {
    let request = format!("GET /_throughline/health HTTP/1.1\r\nHost: {}\r\n\r\n", address::authority(origin));
    let answer = send(port, request.as_bytes()).expect("an answer");
    assert_eq!(answer.status, 200, "pages go on: {answer:?}");
    answer.json()["revocations"].clone()
}

/// A company whose broker is a process of its own, on PostgreSQL.
fn company(server: &Postgres) -> Company {
    let whole = setup(&server.new_database());
    Company::start_split(Setup { broker_tables: whole.tables.clone(), tables: String::new(), ..whole })
}

/// Kills a process and starts it again. `0` is the broker, `1` the satellites.
fn restart(company: &mut Company, index: usize) {
    let (name, port) = [("broker", company.broker_port()), ("satellites", company.port())][index];
    company.processes[index].kill();
    company.processes[index] = Process::serve(&company.folder.path().join(format!("{name}.toml")));
    wait_for("it listens again", || connect(port).is_ok());
}

fn remove_file(company: &Company) {
    std::fs::remove_file(company.folder.path().join("throughline.ended")).expect("the file is there");
}

/// A browser that all sites know, and the ID.
fn known(company: &Company) -> (Browser, String) {
    let mut browser = Browser::new();
    for site in [&company.shop, &company.learn] {
        browser.navigate(&format!("{site}/p.html"));
    }
    let visitor = browser.visitor(&company.shop).expect("an ID");
    for site in [&company.learn, &company.brand] {
        assert_eq!(browser.visitor(site).as_ref(), Some(&visitor));
    }
    (browser, visitor)
}

fn forget(browser: &mut Browser, site: &str) {
    let answer = browser.post(&format!("{site}/_throughline/forget"), "{}");
    assert_eq!(answer.json(), json!({"consent": "denied", "everywhere": true}));
}

fn master(browser: &Browser, company: &Company) -> String {
    browser.cookie(&company.brand, "throughline").expect("a master cookie").to_owned()
}

/// The browser gets no ID on `site`, keeps its cookie, and is sent nowhere.
fn assert_withheld(browser: &Browser, company: &Company, site: &str) {
    let mut browser = browser.clone();
    let before = browser.cookie(site, "throughline").map(String::from);
    let visit = browser.navigate(&format!("{site}/p.html"));
    assert_eq!(visit.statuses(), [200], "no hop: {visit:#?}");
    assert!(visit.cookies().is_empty(), "the cookie stays as it is: {visit:#?}");
    let me = browser.fetch(&format!("{site}/_throughline/me"));
    let said = me.json();
    assert_eq!((&said["visitor"], &said["record"]), (&Value::Null, &"none".into()), "{said}");
    assert_eq!(me.header("set-cookie"), None);
    let other = if *site == company.shop { &company.learn } else { &company.shop };
    let to = format!("{other}/p.html");
    let link = browser.step(&format!("{site}/_throughline/go?to={}", to.replace(':', "%3A").replace('/', "%2F")), Some(site));
    assert_eq!((link.status, link.header("location")), (302, Some(to.as_str())), "no link token");
    let remembered = browser.post(&format!("{site}/_throughline/me"), r#"{"set":{"a":1}}"#);
    assert!(matches!(remembered.status, 503 | 404 | 405), "{remembered:?}");
    assert_eq!(browser.cookie(site, "throughline").map(String::from), before);
}

fn hop_by(company: &Company, master: &str) -> Hop {
    hop(company, company.broker_port(), Some(master)).expect("a hop is answered")
}

/// Case D15, told at the primary, at a secondary, and by the API.
#[test]
fn a14_a_broker_that_starts_without_its_store_hands_out_no_forgotten_id() {
    let mut server = Postgres::start(&[]);
    let mut company = company(&server);
    let (others, living) = known(&company);
    let mut forgotten = Vec::new();
    for way in ["primary", "secondary", "API"] {
        let (mut browser, visitor) = known(&company);
        let before = browser.clone();
        match way {
            "primary" => forget(&mut browser, &company.brand),
            "secondary" => forget(&mut browser, &company.shop),
            _ => assert!(is_recorded(&refuse(&company, company.broker_port(), &visitor).expect("an answer"))),
        }
        // At once, and as hard as can be: nothing of the broker's own look at the store helps.
        server.kill();
        restart(&mut company, 0);
        let port = company.broker_port();
        let said = revocations(port, &company.brand);
        assert!(said["status"] == "from_disk" && said["age_seconds"].is_u64(), "{said}");
        forgotten.push((way, before));
        for (way, browser) in &forgotten {
            let hop = hop_by(&company, &master(browser, &company));
            assert_eq!((&hop.visitor, hop.master.as_deref()), (&None, Some("denied")), "{way}");
            let mut browser = browser.clone();
            let me = browser.me(&company.brand);
            assert_eq!((&me["visitor"], &me["consent"]), (&Value::Null, &"denied".into()), "{way}");
        }
        // Others are served as before (rule A2).
        assert_eq!(hop_by(&company, &master(&others, &company)).visitor.as_ref(), Some(&living));
        assert_eq!(others.clone().visitor(&company.brand).as_ref(), Some(&living));
        server.start_again();
        wait_for("the list is there", || revocations(port, &company.brand)["status"] == "current");
        wait_for("writes are taken", || crate::ask::store(&company, port)["status"] == "ok");
    }
    assert_eq!(hop_by(&company, &master(&others, &company)).visitor.as_ref(), Some(&living));
    assert!(!company.stderr().contains("panicked"), "{}", company.stderr());
}

#[test]
fn a14_a_broker_without_list_and_file_hands_out_no_id_but_those_that_it_mints() {
    let mut server = Postgres::start(&[]);
    let whole = setup(&server.new_database());
    let setup = Setup { whoami: true, broker_tables: whole.tables.clone(), tables: String::new(), ..whole };
    let mut company = Company::start_split(setup);
    let (browser, visitor) = known(&company);
    server.stop();
    remove_file(&company);
    restart(&mut company, 0);
    let port = company.broker_port();
    assert_eq!(revocations(port, &company.brand), json!({"status": "unknown"}));
    let old = master(&browser, &company);
    for _ in 0..3 {
        let hop = hop_by(&company, &old);
        assert_eq!((hop.visitor, hop.master), (None, None), "no ID is minted over the old one");
    }
    assert_withheld(&browser, &company, &company.brand);
    // A new visitor gets an ID, and keeps it.
    let new = hop(&company, port, None).expect("a hop is answered");
    let (id, cookie) = (new.visitor.expect("an ID"), new.master.expect("a cookie"));
    assert_eq!(hop_by(&company, &cookie).visitor.as_ref(), Some(&id));
    let mut first = Browser::new();
    first.navigate(&format!("{}/p.html", company.brand));
    assert!(first.visitor(&company.brand).is_some(), "the primary's own page mints, too");
    // The process after it does not know those either.
    restart(&mut company, 0);
    let hop = hop_by(&company, &cookie);
    assert_eq!((hop.visitor, hop.master), (None, None));
    // A no counts all the same, and at once.
    let mut gone = first.clone();
    let answer = gone.post(&format!("{}/_throughline/forget", company.brand), "{}");
    assert_eq!((answer.status, &answer.json()["consent"]), (200, &"denied".into()), "{answer:?}");
    assert_eq!(first.clone().me(&company.brand)["consent"], "denied");
    // A yes keeps the ID for later.
    let mut yes = browser.clone();
    assert_eq!(yes.post(&format!("{}/_throughline/consent", company.brand), r#"{"choice":"granted"}"#).status, 200);
    server.start_again();
    wait_for("the list is there", || revocations(port, &company.brand)["status"] == "current");
    assert_eq!(hop_by(&company, &old).visitor.as_ref(), Some(&visitor));
    assert_eq!(hop_by(&company, &master(&yes, &company)).visitor.as_ref(), Some(&visitor));
    assert_eq!(hop_by(&company, &cookie).visitor.as_ref(), Some(&id));
    assert_eq!(browser.clone().visitor(&company.brand).as_ref(), Some(&visitor));
    assert_eq!(first.clone().me(&company.brand)["consent"], "denied");
}

#[test]
fn a14_a_satellite_that_starts_while_the_broker_is_down_knows_who_was_forgotten() {
    let server = Postgres::start(&[]);
    let mut company = company(&server);
    let (mut browser, _) = known(&company);
    let (others, living) = known(&company);
    let before = browser.clone();
    forget(&mut browser, &company.shop);
    company.processes[0].kill();
    restart(&mut company, 1);
    let port = company.port();
    let said = revocations(port, &company.shop);
    assert!(said["status"] == "from_disk" && said["age_seconds"].is_u64(), "{said}");
    for site in [&company.shop, &company.learn] {
        assert_eq!(before.clone().me(site)["consent"], "denied");
        let mut page = before.clone();
        assert_eq!(page.navigate(&format!("{site}/p.html")).statuses(), [200]);
        assert_eq!(page.cookie(site, "throughline"), Some("denied"));
        assert_eq!(others.clone().visitor(site).as_ref(), Some(&living), "a known visitor keeps the ID");
    }
}

#[test]
fn a14_a_satellite_without_list_and_file_hands_out_no_id_but_those_that_it_mints() {
    let server = Postgres::start(&[]);
    let mut company = company(&server);
    let (browser, visitor) = known(&company);
    company.processes[0].kill();
    remove_file(&company);
    restart(&mut company, 1);
    let port = company.port();
    assert_eq!(revocations(port, &company.shop), json!({"status": "unknown"}));
    for site in [&company.shop, &company.learn] {
        assert_withheld(&browser, &company, site);
    }
    // Once the probe has failed, a new visitor gets a provisional ID, and keeps it.
    let mut new = Browser::new();
    wait_for("a provisional ID", || {
        assert_eq!(new.navigate(&format!("{}/p.html", company.shop)).statuses(), [200], "no hop");
        new.me(&company.shop)["source"] == "provisional"
    });
    let provisional = new.visitor(&company.shop);
    new.navigate(&format!("{}/p.html", company.shop));
    assert_eq!(new.visitor(&company.shop), provisional);
    assert!(api(&company, company.broker_port(), "GET", "revocations", "").is_err(), "the broker is down");
    // The broker is back, and all is as before.
    company.processes[0] = Process::serve(&company.folder.path().join("broker.toml"));
    wait_for("the list is there", || revocations(port, &company.shop)["status"] == "current");
    for site in [&company.shop, &company.learn] {
        assert_eq!(browser.clone().visitor(site).as_ref(), Some(&visitor));
        assert_eq!(browser.clone().navigate(&format!("{site}/p.html")).statuses(), [200]);
    }
    wait_for("the visitor gets the broker's ID", || {
        new.navigate(&format!("{}/p.html", company.shop));
        new.me(&company.shop)["source"] == "broker"
    });
}

/// A satellite whose broker answers hops while nobody can read the list: its tokens could not be judged, so nobody is sent.
#[test]
fn a14_a_satellite_without_a_list_sends_nobody_on_a_hop_that_could_bring_nothing() {
    let mut server = Postgres::start(&[]);
    let mut company = company(&server);
    let (browser, visitor) = known(&company);
    server.stop();
    let file = company.folder.path().join("throughline.ended");
    let kept = std::fs::read(&file).expect("a list");
    std::fs::remove_file(&file).expect("removed");
    restart(&mut company, 1);
    std::fs::write(&file, kept).expect("the broker's list");
    let port = company.port();
    let circuit = || {
        let request = format!("GET /_throughline/health HTTP/1.1\r\nHost: {}\r\n\r\n", address::authority(&company.shop));
        send(port, request.as_bytes()).expect("an answer").json()["broker"].clone()
    };
    wait_for("the broker answers", || circuit() == "closed");
    assert_eq!(revocations(port, &company.shop), json!({"status": "unknown"}));
    let mut new = Browser::new();
    for _ in 0..3 {
        assert_eq!(new.navigate(&format!("{}/p.html", company.shop)).statuses(), [200]);
    }
    assert_withheld(&browser, &company, &company.shop);
    server.start_again();
    wait_for("the list is there", || revocations(port, &company.shop)["status"] == "current");
    assert_eq!(new.navigate(&format!("{}/p.html", company.shop)).statuses(), [302, 302, 303, 200], "nobody was left out");
    assert_eq!(browser.clone().visitor(&company.shop).as_ref(), Some(&visitor));
}

/// A file that cannot be used stops no start and is replaced.
#[test]
fn a14_a_damaged_or_foreign_file_counts_as_none_and_is_written_anew() {
    let mut company = Company::start(Setup { tables: "[store]\nurl = \"sqlite:visitors.sqlite\"\n".into(), ..Setup::default() });
    let (browser, visitor) = known(&company);
    let file = company.folder.path().join("throughline.ended");
    let good = std::fs::read(&file).expect("a list");
    for bad in [Vec::new(), good[..good.len() - 1].to_vec(), b"[]".to_vec(), vec![0; 4096]] {
        company.processes.clear();
        std::fs::write(&file, &bad).expect("written");
        let origins = [company.brand.clone(), company.shop.clone(), company.learn.clone()];
        company.processes = vec![Process::serve(&company.folder.configure(Part::All, company.port(), &origins))];
        company.wait_until_ready().unwrap_or_else(|problem| panic!("{problem}: {}", company.stderr()));
        assert_eq!(company.stderr().matches("ended_ids_file ignored").count(), 1, "{}", company.stderr());
        assert_eq!(browser.clone().visitor(&company.shop).as_ref(), Some(&visitor));
        wait_for("it is written anew", || std::fs::read(&file).is_ok_and(|now| now.len() == good.len() && now[..8] == good[..8]));
    }
}
