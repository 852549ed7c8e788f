//! What a link gives of the record, and what it ties together: nothing that the broker has not seen (rules L9, L10).

use serde_json::{Value, json};
use throughline::base::clock::UnixSeconds;
use throughline::base::id::VisitorId;
use throughline::base::secret::Purpose;
use throughline::domain::site_cookie::{Identity, SiteState, Source};

use crate::reports::{link_report, token};
use crate::steps::{ask, company, known_on, new_id, now, patch, report, until};
use crate::support::browser::Browser;
use crate::support::company::Company;

/// A new browser that followed a link on shop to learn, with a token that shop signed about `visitor`. The link gives the ID,
/// as soon as the satellite knows shop's keys.
fn sent_to_learn(company: &Company, visitor: &str) -> Browser {
    let mut browser = Browser::new();
    until("the link gives the ID", || {
        browser = Browser::new();
        let token = token(company, "shop", "shop", "learn", visitor, now());
        browser.follow_from(&format!("{}/", company.shop), &format!("{}/p.html?_tl={token}", company.learn));
        browser.visitor(&company.learn).as_deref() == Some(visitor)
    });
    browser
}

/// Asserts that learn can neither see nor change the record of the visitor that it holds.
fn assert_shut(company: &Company, browser: &mut Browser, visitor: &str) {
    let me = browser.me(&company.learn);
    assert_eq!((&me["record"], &me["first_touch"], &me["properties"]), (&json!("none"), &Value::Null, &json!({})), "{me}");
    let written = browser.post(&format!("{}/_throughline/me", company.learn), r#"{"set":{"by":"learn"}}"#);
    assert_eq!((written.status, &written.json()["error"]), (409, &json!("no_visitor")));
    let at = now();
    let link = link_report(company, "shop", &token(company, "shop", "shop", "learn", visitor, at), at);
    assert_eq!(report(company, "learn", &link), "not_seen");
    assert_eq!(company.record("learn", visitor), None);
    assert_eq!(patch(company, "learn", visitor, r#"{"set":{"by":"learn"}}"#).status, 404);
}

/// Case I2.
#[test]
fn l10_a_link_about_a_visitor_whom_its_site_never_saw_gives_nothing_of_the_record() {
    let company = company();
    // One who was only ever on the primary.
    let mut victim = Browser::new();
    victim.navigate(&format!("{}/p.html", company.brand));
    let visitor = victim.visitor(&company.brand).unwrap();
    until("the visit is noted", || company.record("brand", &visitor).is_some());
    assert_eq!(patch(&company, "brand", &visitor, r#"{"set":{"plan":"pro"}}"#).status, 200);
    let mut browser = sent_to_learn(&company, &visitor);
    assert_shut(&company, &mut browser, &visitor);
    let record = company.record("brand", &visitor).unwrap();
    assert_eq!((record["sites"].as_object().unwrap().len(), &record["properties"]), (1, &json!({"plan": "pro"})));

    // One whom the site made up, and one whom it also says that it has seen.
    let (made_up, claimed) = (new_id(), new_id());
    let seen = json!({"kind": "seen", "visitor": claimed, "at": now(), "basis": "implied"});
    assert_eq!(report(&company, "shop", &seen), "recorded");
    for visitor in [&made_up, &claimed] {
        let mut browser = sent_to_learn(&company, visitor);
        assert_shut(&company, &mut browser, visitor);
    }
    assert_eq!(company.record("shop", &made_up), None, "no record is made");
    let record = company.record("shop", &claimed).unwrap();
    assert_eq!(record["sites"][&company.shop]["on_own_word"], true, "{record}");
    assert_eq!(record["sites"].as_object().unwrap().len(), 1);
}

#[test]
fn l10_a_link_that_comes_before_its_sites_own_sighting_counts_once_that_is_there() {
    let company = company();
    let visitor = new_id();
    let mut linked = sent_to_learn(&company, &visitor);
    assert_eq!(linked.me(&company.learn)["record"], "none");
    // The hop that brought the visitor to shop reaches the broker only now.
    let identity = Identity { visitor: VisitorId::parse(&visitor).unwrap(), source: Source::Broker, created: UnixSeconds(now()) };
    let state = SiteState { identity: Some(identity), ..SiteState::default() };
    let mut hopping = Browser::new();
    let key = company.folder.secret("brand").derive(Purpose::MasterCookie);
    hopping.put(&company.brand, "throughline", &state.write(&key));
    hopping.navigate(&format!("{}/p.html", company.shop));
    assert_eq!(hopping.visitor(&company.shop), Some(visitor.clone()));
    assert_eq!(patch(&company, "shop", &visitor, r#"{"set":{"plan":"pro"}}"#).status, 200);
    until("the satellite tells once more", || linked.me(&company.learn)["properties"] == json!({"plan": "pro"}));
    let written = linked.post(&format!("{}/_throughline/me", company.learn), r#"{"set":{"by":"learn"}}"#);
    assert_eq!(written.status, 200, "{written:?}");
}

/// Case I1: links tie one stranger to many visitors, and those to one another. One of them asks to be forgotten.
#[test]
fn l9_one_forget_ends_one_id_whatever_links_tie_together() {
    let company = company();
    let strangers: Vec<_> = (0..2).map(|_| known_on(&company.shop).1).collect();
    let visitors: Vec<_> = (0..3).map(|_| known_on(&company.learn).1).collect();
    let at = now();
    for visitor in &visitors {
        for stranger in &strangers {
            let mut link = link_report(&company, "shop", &token(&company, "shop", "shop", "learn", stranger, at), at);
            link["held"] = json!(visitor);
            assert_eq!(report(&company, "learn", &link), "recorded");
        }
        let aliases = company.record("learn", visitor).unwrap()["aliases"].clone();
        assert!(strangers.iter().all(|stranger| aliases[stranger]["kind"] == "link"), "{aliases}");
    }
    // Two visitor IDs that a hop found in one browser are no more.
    let alias = json!({"kind": "alias", "visitor": visitors[0], "other": visitors[1], "at": at, "provisional": false});
    assert_eq!(report(&company, "learn", &alias), "recorded");
    assert_eq!(company.record("learn", &visitors[0]).unwrap()["aliases"][&visitors[1]]["kind"], "same_browser");
    // Nor does it help to call another's ID provisional.
    let alias = json!({"kind": "alias", "visitor": visitors[0], "other": visitors[2], "at": at});
    assert_eq!(report(&company, "learn", &alias), "recorded");

    assert_eq!(report(&company, "shop", &json!({"kind": "refusal", "visitor": strangers[0], "at": at})), "recorded");
    assert_eq!(report(&company, "learn", &json!({"kind": "refusal", "visitor": visitors[0], "at": at})), "recorded");
    let revoked = ask(&company, "learn", "GET", "revocations", &[], "").json();
    assert_eq!(revoked["revoked"], json!([strangers[0], visitors[0]]));
    assert!(company.record("shop", &strangers[1]).is_some());
    for visitor in &visitors[1..] {
        assert!(company.record("learn", visitor).is_some());
    }
    // A link to an ID that has ended ends nothing either.
    let mut link = link_report(&company, "shop", &token(&company, "shop", "shop", "learn", &strangers[0], at), at);
    link["held"] = json!(visitors[1]);
    assert_eq!(report(&company, "learn", &link), "revoked");
    assert!(company.record("learn", &visitors[1]).is_some());
}
