//! C: what the visitor's word, and the operator's, does on all sites.

use std::fs;

use serde_json::json;
use throughline::base::clock::UnixSeconds;
use throughline::base::id::VisitorId;
use throughline::base::secret::Purpose;
use throughline::domain::site_cookie::{Identity, SiteState, Source};

use crate::steps::{ask, company, company_with, known_on, link, new_id, now, patch, report, said, setup, throughline, until};
use crate::support::browser::Browser;
use crate::support::company::Company;
use crate::support::files::Setup;
use crate::support::process::{Process, wait_until};
use crate::support::wire::connect;

/// A browser that all three sites know by one ID.
fn known_everywhere(company: &Company) -> (Browser, String) {
    let (mut browser, visitor) = known_on(&company.shop);
    for site in [&company.learn, &company.brand] {
        browser.navigate(&format!("{site}/p.html"));
        assert_eq!(browser.visitor(site).as_deref(), Some(visitor.as_str()));
    }
    until("all are noted", || company.record("brand", &visitor).is_some());
    (browser, visitor)
}

/// Waits until `site` takes the browser for one that refused: `me` says so, and the next page sets the cookie.
fn assert_ends(browser: &Browser, site: &str) {
    let me = || browser.clone().me(site);
    until("the ID ends there", || me()["consent"] == "denied");
    assert_eq!(me()["visitor"], json!(null));
    let mut page = browser.clone();
    let visit = page.navigate(&format!("{site}/p.html"));
    assert_eq!(visit.statuses(), [200], "no hop: {visit:#?}");
    assert_eq!(page.cookie(site, "throughline"), Some("denied"));
    // By script alone, too.
    let mut script = browser.clone();
    script.me(site);
    assert_eq!(script.cookie(site, "throughline"), Some("denied"));
}

#[test]
fn c1_forgetting_on_one_site_ends_the_id_on_all() {
    let company = company();
    for (site, path, body) in
        [(&company.shop, "forget", "{}"), (&company.brand, "forget", "{}"), (&company.learn, "consent", r#"{"choice":"denied"}"#)]
    {
        let (mut browser, visitor) = known_everywhere(&company);
        let answer = browser.post(&format!("{site}/_throughline/{path}"), body);
        assert_eq!((answer.status, answer.json()), (200, json!({"consent": "denied", "everywhere": true})), "{site}");
        assert_eq!(browser.cookie(site, "throughline"), Some("denied"));
        for other in [&company.shop, &company.learn, &company.brand].into_iter().filter(|other| *other != site) {
            assert_ends(&browser, other);
        }
        for name in ["shop", "learn", "brand"] {
            assert_eq!(company.record(name, &visitor), None);
        }
    }
    // On the primary it also counts before any page of it was seen: a hop made the master cookie.
    let (mut browser, _) = known_on(&company.shop);
    let answer = browser.post(&format!("{}/_throughline/forget", company.brand), "{}");
    assert_eq!(answer.json(), json!({"consent": "denied", "everywhere": true}));
    assert_ends(&browser, &company.shop);
    // Before there is an ID there is nothing to end.
    let answer = Browser::new().post(&format!("{}/_throughline/forget", company.shop), "{}");
    assert_eq!(answer.json(), json!({"consent": "denied"}));
}

/// A site may hold an ID and not be in its record: what the hop or the link would have written was lost (rule A2).
#[test]
fn c1_a_no_ends_the_id_also_from_a_site_that_the_record_lacks() {
    let company = company();
    let (_, visitor) = known_on(&company.shop);
    let now = UnixSeconds(now());
    let identity = Identity { visitor: VisitorId::parse(&visitor).unwrap(), source: Source::Broker, created: now };
    let state = SiteState { identity: Some(identity), ..SiteState::default() };
    let mut browser = Browser::new();
    let key = company.folder.secret("learn").derive(Purpose::LocalCookie);
    browser.put(&company.learn, "throughline", &state.write(&key));
    assert_eq!(browser.visitor(&company.learn).as_deref(), Some(visitor.as_str()));
    let answer = browser.post(&format!("{}/_throughline/forget", company.learn), "{}");
    assert_eq!(answer.json(), json!({"consent": "denied", "everywhere": true}));
    assert_eq!(company.record("shop", &visitor), None);
}

#[test]
fn c1_a_no_while_the_broker_is_down_is_honoured_once_it_is_back() {
    let mut company = company();
    let (browser, visitor) = known_everywhere(&company);
    company.processes[1].kill();
    let answer = browser.clone().post(&format!("{}/_throughline/forget", company.shop), "{}");
    assert_eq!(answer.json(), json!({"consent": "denied", "everywhere": false, "reason": "not_yet"}));
    // On the other site of the same process it counts already.
    assert_ends(&browser, &company.learn);
    company.start_broker();
    assert_ends(&browser, &company.brand);
    assert_eq!(company.record("learn", &visitor), None);
}

#[test]
fn c1_a_no_outlives_the_satellite_that_took_it() {
    let mut company = company();
    let (browser, visitor) = known_everywhere(&company);
    company.processes[1].kill();
    browser.clone().post(&format!("{}/_throughline/forget", company.shop), "{}");
    company.processes[0].kill();
    company.processes[0] = Process::serve(&company.folder.path().join("satellites.toml"));
    let port = company.port();
    wait_until("the satellites listen", || false, || connect(port).is_ok()).unwrap();
    // It is known here before the broker hears of it, and there after.
    assert_ends(&browser, &company.learn);
    company.start_broker();
    assert_ends(&browser, &company.brand);
    assert_eq!(company.record("learn", &visitor), None);
    let kept = company.folder.path().join("throughline.refusals");
    wait_until("nothing is left to tell", || false, || fs::metadata(&kept).unwrap().len() == 0).unwrap();
}

#[test]
fn c1_a_satellite_that_restarts_learns_all_revocations_again() {
    let mut company = company();
    let (browser, visitor) = known_everywhere(&company);
    assert!(said(&throughline(&company, &["visitor", "erase", "--yes", &visitor])).contains("within 0.1 s"));
    assert_ends(&browser, &company.shop);
    company.processes[0].kill();
    company.processes[0] = Process::serve(&company.folder.path().join("satellites.toml"));
    company.wait_until_ready().unwrap();
    assert_ends(&browser, &company.shop);
}

#[test]
fn c2_what_the_operator_erases_is_gone_everywhere_and_never_returns() {
    let company = company();
    let (mut browser, visitor) = known_everywhere(&company);
    assert_eq!(patch(&company, "shop", &visitor, r#"{"set":{"plan":"pro"}}"#).status, 200);
    // A link that was made before, for a site that does not know the browser.
    let mut linked = browser.clone();
    linked.jar.remove("learn.localhost");
    let target = format!("{}/p.html", company.learn).replace(':', "%3A").replace('/', "%2F");
    let link = linked.step(&format!("{}/_throughline/go?to={target}", company.shop), Some(&company.shop));
    let link = link.header("location").unwrap().to_owned();
    let token = link.split_once("_tl=").unwrap().1.to_owned();

    let told = said(&throughline(&company, &["visitor", "erase", "--yes", &visitor]));
    assert!(told.contains(&format!("{visitor}: erased its record (3 sites, 1 properties)")), "{told}");
    for site in [&company.shop, &company.learn, &company.brand] {
        assert_ends(&browser, site);
    }
    for site in ["shop", "learn", "brand"] {
        assert_eq!(company.record(site, &visitor), None);
        assert_eq!(patch(&company, site, &visitor, r#"{"set":{"a":1}}"#).status, 404);
    }
    // The old master cookie mints nothing, and becomes a refusal.
    let mut old = browser.clone();
    old.jar.remove("shop.localhost");
    let visit = old.navigate(&format!("{}/p.html", company.shop));
    assert_eq!(visit.statuses(), [302, 302, 303, 200], "{visit:#?}");
    assert!(visit.steps[2].url.ends_with("?_tl="), "{visit:#?}");
    assert_eq!(old.cookie(&company.brand, "throughline"), Some("denied"));
    assert_eq!(old.visitor(&company.shop), None);
    // The link's token brings nothing.
    linked.follow_from(&company.shop, &link);
    assert_eq!(linked.visitor(&company.learn), None);

    // Whatever a site reports, it does not come back.
    let at = now();
    for told in [
        json!({"kind": "seen", "visitor": visitor, "at": at, "basis": "granted"}),
        json!({"kind": "alias", "visitor": visitor, "other": new_id(), "at": at}),
        json!({"kind": "refusal", "visitor": visitor, "at": at}),
        json!({"kind": "link", "from": company.shop, "token": token, "at": at, "basis": "implied"}),
    ] {
        assert_eq!(report(&company, "learn", &told), "revoked", "{told}");
    }
    // Who is found to be the same visitor has asked to be forgotten, too.
    let (_, other) = known_on(&company.shop);
    assert_eq!(report(&company, "shop", &json!({"kind": "alias", "visitor": other, "other": visitor, "at": at})), "revoked");
    assert_eq!(company.record("shop", &other), None);
    browser.navigate(&format!("{}/p.html", company.shop));
    assert_eq!(company.record("shop", &visitor), None);
    assert!(said(&throughline(&company, &["visitor", "erase", "--yes", &visitor])).contains("was erased before"));

    // An ID of which nothing is kept is refused all the same: somebody may have asked for it.
    let nobody = new_id();
    assert!(
        said(&throughline(&company, &["visitor", "erase", "--yes", &nobody, &new_id()]))
            .contains("nothing was kept of it; revoked")
    );
    until("it is revoked", || {
        let revoked = ask(&company, "learn", "GET", "revocations", &[], "").json();
        revoked["revoked"].as_array().unwrap().contains(&json!(nobody))
    });
    assert_eq!(report(&company, "shop", &json!({"kind": "seen", "visitor": nobody, "at": at, "basis": "granted"})), "revoked");
}

#[test]
fn c3_an_export_is_what_was_put_in() {
    let company = company();
    let mut browser = Browser::new();
    browser.follow_from("http://news.localhost:1/", &format!("{}/p.html?gclid=7", company.shop));
    let visitor = browser.visitor(&company.shop).unwrap();
    let odd = json!({"plan": "pro", "list": [1, 2.5, {"a": null}], "text": "é \u{202e} \u{1b}[31m"});
    assert_eq!(patch(&company, "shop", &visitor, &json!({ "set": odd }).to_string()).status, 200);
    // A provisional ID of the same browser, with a record by the shop's own word.
    let alias = new_id();
    for of_it in [
        json!({"kind": "seen", "visitor": alias, "at": now(), "basis": "implied"}),
        json!({"kind": "alias", "visitor": visitor, "other": alias, "at": now()}),
    ] {
        assert_eq!(report(&company, "shop", &of_it), "recorded");
    }
    assert_eq!(patch(&company, "shop", &alias, r#"{"set":{"of":"the alias"}}"#).status, 200);
    // Another ID, which a link met: perhaps another person's (rule L9).
    browser.jar.remove("brand.localhost");
    browser.navigate(&format!("{}/p.html", company.learn));
    let evidence = browser.visitor(&company.learn).unwrap();
    assert_ne!(evidence, visitor);
    link(&mut browser, &company.shop, &company.learn);
    until("the link is known", || company.record("shop", &visitor).unwrap()["aliases"].get(&evidence).is_some());

    let export: serde_json::Value =
        serde_json::from_str(&said(&throughline(&company, &["visitor", "export", &visitor]))).unwrap();
    let mut record = company.record("shop", &visitor).unwrap();
    record.as_object_mut().unwrap().remove("visitor");
    assert_eq!((&export["visitor"], &export["revoked"], &export["record"]), (&json!(visitor), &json!(false), &record));
    assert_eq!(export["record"]["properties"], odd);
    assert_eq!(export["record"]["first_touch"]["campaign"], json!({"gclid": "7"}));
    assert_eq!(export["alias_records"][&alias]["record"]["properties"], json!({"of": "the alias"}));
    assert_eq!(export["alias_records"].as_object().unwrap().len(), 1);
    let kinds = [&alias, &evidence].map(|id| export["record"]["aliases"][id]["kind"].clone());
    assert_eq!(kinds, [json!("provisional"), json!("link")]);
    assert_eq!(said(&throughline(&company, &["visitor", "show", &visitor, "--json"])), {
        said(&throughline(&company, &["visitor", "export", &visitor]))
    });

    let shown = said(&throughline(&company, &["visitor", "show", &visitor]));
    for line in [
        "  created      20".to_owned(),
        format!("from http://news.localhost:1/, on {}/p.html", company.shop),
        "    gclid = 7".to_owned(),
        format!("    {}: first 20", company.shop),
        "      consent implied since 20".to_owned(),
        "  properties, version 1".to_owned(),
        "    plan = \"pro\"".to_owned(),
        format!("    {alias}: a provisional ID of the same browser, reported by {}, 20", company.shop),
        format!("    {evidence}: evidence: a link with another visitor ID, reported by {}, 20", company.learn),
        format!("  the provisional ID {alias} has a record of its own"),
    ] {
        assert!(shown.contains(&line), "{line:?} in\n{shown}");
    }
    assert!(!shown.contains(['\u{1b}', '\u{202e}']), "it moves the cursor of nobody's terminal: {shown}");

    // After an erasure, of both, the export says that and no more.
    assert!(
        said(&throughline(&company, &["visitor", "erase", "--yes", &visitor])).contains("and 1 provisional IDs with 1 records")
    );
    assert!(company.record("learn", &evidence).is_some());
    for id in [&visitor, &alias] {
        let export: serde_json::Value = serde_json::from_str(&said(&throughline(&company, &["visitor", "export", id]))).unwrap();
        assert_eq!(export, json!({"visitor": id, "revoked": true, "record": null, "alias_records": {}}));
        assert!(said(&throughline(&company, &["visitor", "show", id])).contains("  revoked: no site takes this ID"));
    }
    let nobody = new_id();
    assert!(said(&throughline(&company, &["visitor", "show", &nobody])).contains("  nothing is kept of this ID"));
}

#[test]
fn c4_each_consent_that_a_hop_stood_on_is_recorded_with_its_time() {
    let company = company_with(Setup { consent: ["implied", "implied", "required"], ..setup() });
    let begun = now();
    let (mut browser, visitor) = known_on(&company.shop);
    browser.post(&format!("{}/_throughline/consent", company.learn), r#"{"choice":"granted"}"#);
    browser.navigate(&format!("{}/p.html", company.learn));
    let consent = |site: &str| company.record("shop", &visitor).unwrap()["sites"][site]["consent"].clone();
    assert_eq!(consent(&company.shop).as_object().unwrap().len(), 1);
    assert!((begun..=now()).contains(&consent(&company.shop)["implied"].as_u64().unwrap()));
    assert!((begun..=now()).contains(&consent(&company.learn)["granted"].as_u64().unwrap()));
    // A yes on shop after it hopped on the policy alone: the next hop stands on both.
    browser.jar.remove("shop.localhost");
    browser.post(&format!("{}/_throughline/consent", company.shop), r#"{"choice":"granted"}"#);
    browser.navigate(&format!("{}/p.html", company.shop));
    until("both are written", || consent(&company.shop).as_object().unwrap().len() == 2);
    assert_eq!(browser.visitor(&company.shop), Some(visitor.clone()));
    assert_eq!(consent(&company.learn).as_object().unwrap().len(), 1);
}
