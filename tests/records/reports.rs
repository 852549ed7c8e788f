//! Reports: what proves a link, what a site's own word is worth, and what is refused.

use std::time::Duration;

use serde_json::{Value, json};
use throughline::base::clock::UnixSeconds;
use throughline::base::id::VisitorId;
use throughline::base::network::Network;
use throughline::base::random::{SystemRandom, random_bytes};
use throughline::token::claims::TokenId;
use throughline::token::mint::{Statement, link_token};

use crate::steps::{ask, company, known_on, link, new_id, now, patch, report, until};
use crate::support::company::Company;

/// A link token of `signer` that says it is from `issuer`.
pub(crate) fn token(company: &Company, signer: &str, issuer: &str, audience: &str, visitor: &str, at: u64) -> String {
    let statement = Statement {
        issuer: &company.origin(issuer),
        audience: &company.origin(audience),
        visitor: VisitorId::parse(visitor).expect("an ID"),
        now: UnixSeconds(at),
        life: Duration::from_secs(60),
        id: TokenId(random_bytes(&SystemRandom::new()).expect("randomness")),
    };
    let keys = company.folder.keys(signer);
    let network = Network::of(std::net::Ipv4Addr::LOCALHOST.into());
    link_token(keys.signing_key(UnixSeconds(now())).expect("a key"), &statement, &network).as_str().to_owned()
}

pub(crate) fn link_report(company: &Company, from: &str, token: &str, at: u64) -> Value {
    json!({"kind": "link", "from": company.origin(from).as_str(), "token": token, "at": at, "basis": "implied"})
}

#[test]
fn l2_a_link_makes_the_record_readable_at_its_destination() {
    let company = company();
    let (mut browser, visitor) = known_on(&company.shop);
    assert_eq!(patch(&company, "shop", &visitor, r#"{"set":{"plan":"pro"}}"#).status, 200);
    assert_eq!(company.record("learn", &visitor), None);
    link(&mut browser, &company.shop, &company.learn);
    assert_eq!(browser.visitor(&company.learn).as_deref(), Some(visitor.as_str()));
    until("the broker knows of the link", || company.record("learn", &visitor).is_some());
    let record = company.record("learn", &visitor).unwrap();
    assert_eq!(record["properties"], json!({"plan": "pro"}));
    assert!(record["sites"][&company.learn]["consent"]["implied"].is_u64(), "{record}");
    assert_eq!(patch(&company, "learn", &visitor, r#"{"set":{"seen":true}}"#).status, 200);
    assert_eq!(company.record("shop", &visitor).unwrap()["properties"], json!({"plan": "pro", "seen": true}));
}

#[test]
fn l2_t4_what_proves_nothing_changes_nothing() {
    let company = company();
    let (_, visitor) = known_on(&company.shop);
    let before = company.record("shop", &visitor).unwrap();
    let at = now();
    let good = token(&company, "shop", "shop", "learn", &visitor, at);
    let mut forged = good.clone().into_bytes();
    let last = forged.len() - 10;
    forged[last] = if forged[last] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).unwrap();
    for (what, report_of, outcome) in [
        ("forged", link_report(&company, "shop", &forged, at), "unproved"),
        (
            "for another site",
            link_report(&company, "shop", &token(&company, "shop", "shop", "brand", &visitor, at), at),
            "unproved",
        ),
        ("of another issuer", link_report(&company, "brand", &good, at), "unproved"),
        (
            "signed by another",
            link_report(&company, "shop", &token(&company, "learn", "shop", "learn", &visitor, at), at),
            "unproved",
        ),
        (
            "from nobody",
            json!({"kind": "link", "from": "https://other.example", "token": good, "at": at, "basis": "implied"}),
            "unproved",
        ),
        ("no token", link_report(&company, "shop", "x", at), "unproved"),
        ("expired when it came", link_report(&company, "shop", &good, at + 66), "wrong_time"),
        (
            "expired before",
            link_report(&company, "shop", &token(&company, "shop", "shop", "learn", &visitor, at - 100), at),
            "unproved",
        ),
        ("from the future", link_report(&company, "shop", &good, at + 100), "wrong_time"),
        (
            "too old",
            link_report(&company, "shop", &token(&company, "shop", "shop", "learn", &visitor, at - 86_500), at - 86_500),
            "wrong_time",
        ),
        ("of its own", link_report(&company, "learn", &token(&company, "learn", "learn", "learn", &visitor, at), at), "unproved"),
        (
            "from a site that has not seen the visitor either",
            link_report(&company, "brand", &token(&company, "brand", "brand", "learn", &visitor, at), at),
            "not_seen",
        ),
    ] {
        assert_eq!(report(&company, "learn", &report_of), outcome, "{what}");
        assert_eq!(company.record("learn", &visitor), None, "{what}");
    }
    assert_eq!(company.record("shop", &visitor), Some(before));
    // One that waited for the broker for an hour counts all the same: what it proves was so when it came.
    let (_, waiting) = known_on(&company.shop);
    let old = token(&company, "shop", "shop", "learn", &waiting, at - 3600);
    assert_eq!(report(&company, "learn", &link_report(&company, "shop", &old, at - 3600 + 5)), "recorded");
    assert_eq!(report(&company, "learn", &link_report(&company, "shop", &good, at)), "recorded");
    assert_eq!(report(&company, "learn", &link_report(&company, "shop", &good, at)), "recorded", "told twice");
    assert!(company.record("learn", &visitor).is_some());
    // A no counts by whatever clock it was said, and for as long as any.
    for (visitor, at) in [(&visitor, at - 86_500), (&waiting, at + 3600), (&new_id(), 0)] {
        assert_eq!(report(&company, "learn", &json!({"kind": "refusal", "visitor": visitor, "at": at})), "recorded");
        assert_eq!(company.record("shop", visitor), None);
    }
    let swept = company.folder.path().join("throughline.sqlite");
    let oldest: i64 = rusqlite::Connection::open(swept)
        .and_then(|store| store.query_row("SELECT min(at) FROM revocation", [], |row| row.get(0)))
        .unwrap();
    assert!(oldest >= i64::try_from(at).unwrap(), "it would be swept tomorrow: {oldest}");
}

#[test]
fn a2_a_site_is_believed_where_there_is_no_record() {
    let company = company();
    let visitor = new_id();
    assert_eq!(company.record("shop", &visitor), None);
    let seen = json!({"kind": "seen", "visitor": visitor, "at": now() - 60, "basis": "granted"});
    assert_eq!(report(&company, "shop", &seen), "recorded");
    let record = company.record("shop", &visitor).unwrap();
    assert!(record["sites"][&company.shop]["consent"]["granted"].is_u64(), "{record}");
    assert_eq!(report(&company, "learn", &seen), "not_seen", "now there is one");
    assert_eq!(company.record("learn", &visitor), None);
}

#[test]
fn reports_are_read_whole_or_not_at_all() {
    let company = company();
    let (_, visitor) = known_on(&company.shop);
    let refusal = json!({"kind": "refusal", "visitor": visitor, "at": now()});
    let seen = |visitor: &str| json!({"kind": "seen", "visitor": visitor, "at": now(), "basis": "implied"});
    let post = |body: &Value| ask(&company, "shop", "POST", "reports", &[], &body.to_string());
    let mut too_many = vec![seen(&new_id()); 200];
    assert_eq!(post(&json!({ "reports": too_many })).json()["outcomes"].as_array().unwrap().len(), 200);
    too_many.push(refusal.clone());
    for wrong in [
        json!({ "reports": too_many }),
        json!({"reports": [refusal, {"kind": "other"}]}),
        json!({"reports": [refusal, {"kind": "refusal", "visitor": visitor.to_uppercase(), "at": now()}]}),
        json!({"reports": [refusal, {"kind": "refusal", "visitor": visitor, "at": "now"}]}),
        json!({"reports": [refusal, {"kind": "refusal", "visitor": visitor, "at": -1}]}),
        json!({"reports": [refusal, {"kind": "refusal", "visitor": visitor, "at": now(), "more": 1}]}),
        json!({"reports": [{"kind": "seen", "visitor": visitor, "at": now(), "basis": "denied"}]}),
        json!({"reports": [refusal], "more": 1}),
        json!({"reports": refusal}),
        json!([refusal]),
        json!(null),
    ] {
        let answer = post(&wrong);
        assert_eq!((answer.status, &answer.json()["error"]), (422, &json!("bad_reports")), "{wrong}");
    }
    assert!(company.record("shop", &visitor).is_some(), "nothing was taken");
    // Good ones count beside those that do not.
    let other = new_id();
    let answer =
        post(&json!({"reports": [{"kind": "alias", "visitor": other, "other": new_id(), "at": now()}, refusal, seen(&visitor)]}));
    assert_eq!(answer.json()["outcomes"], json!(["not_seen", "recorded", "revoked"]));
    assert_eq!(company.record("shop", &visitor), None);
}

#[test]
fn c2_revocations_are_told_in_order_and_on_from_a_cursor() {
    let company = company();
    let read = |query: &str| ask(&company, "learn", "GET", &format!("revocations{query}"), &[], "");
    assert_eq!(read("").json(), json!({"revoked": [], "cursor": 0, "more": false}));
    let ids: Vec<_> = (0..5).map(|_| new_id()).collect();
    for id in &ids {
        assert_eq!(report(&company, "shop", &json!({"kind": "refusal", "visitor": id, "at": now()})), "recorded");
    }
    let all = read("?after=0").json();
    assert_eq!((&all["revoked"], &all["more"]), (&json!(ids), &json!(false)));
    let cursor = all["cursor"].as_u64().unwrap();
    assert_eq!(read(&format!("?after={}", cursor - 2)).json()["revoked"], json!(ids[3..]));
    assert_eq!(read(&format!("?after={cursor}")).json(), json!({"revoked": [], "cursor": cursor, "more": false}));
    for wrong in ["?after=", "?after=x", "?after=-1", "?after=1&after=2", "?before=1", "?after=99999999999999999999", "?"] {
        let answer = read(wrong);
        // A lone question mark is an empty query.
        let expected = if wrong == "?" { 200 } else { 422 };
        assert_eq!(answer.status, expected, "{wrong}: {}", answer.text());
    }
}
