//! A visitor whom a site has not seen: it can neither read nor change nor end, and cannot tell from one that is not there.

use serde_json::json;

use crate::steps::{ask, company, known_on, new_id, now, patch, report};
use crate::support::wire::Answer;

/// All that a client sees of an answer, but for the time.
fn seen(answer: &Answer) -> (u16, Vec<(String, String)>, String) {
    let headers = answer.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("date")).cloned().collect();
    (answer.status, headers, answer.text())
}

#[test]
fn c3_a_foreign_visitor_is_as_one_that_does_not_exist() {
    let company = company();
    let (mut browser, foreign) = known_on(&company.shop);
    assert_eq!(patch(&company, "shop", &foreign, r#"{"set":{"mine":1}}"#).status, 200);
    let before = company.record("shop", &foreign).unwrap();
    let nobody = new_id();
    let (_, revoked) = known_on(&company.shop);
    assert_eq!(report(&company, "shop", &json!({"kind": "refusal", "visitor": revoked, "at": now()})), "recorded");
    let (_, own) = known_on(&company.learn);

    let answers = |visitor: &str| {
        let record = format!("visitors/{visitor}");
        let properties = format!("{record}/properties");
        [
            ask(&company, "learn", "GET", &record, &[], ""),
            ask(&company, "learn", "GET", &format!("{record}?x=1"), &[], ""),
            ask(&company, "learn", "PATCH", &properties, &[], r#"{"set":{"a":1}}"#),
            ask(&company, "learn", "PATCH", &properties, &[("If-Match", "\"1\"")], r#"{"set":{"a":1}}"#),
            ask(&company, "learn", "PATCH", &properties, &[("If-Match", "\"7\"")], r#"{"set":{"a":1}}"#),
        ]
        .map(|answer| seen(&answer))
    };
    let of_nobody = answers(&nobody);
    assert!(of_nobody.iter().all(|(status, ..)| *status == 404), "{of_nobody:?}");
    for visitor in [&foreign, &revoked, "nonsense", &foreign.to_uppercase()] {
        assert_eq!(answers(visitor), of_nobody, "{visitor}");
    }
    let alias =
        |visitor: &str| report(&company, "learn", &json!({"kind": "alias", "visitor": visitor, "other": own, "at": now()}));
    assert_eq!((alias(&foreign), alias(&nobody)), ("not_seen".into(), "not_seen".into()));
    // A sighting of an ID without a record is believed (rule A2: its first write may have been lost), so here an answer does
    // tell of a record; but nothing is changed.
    let sighting = json!({"kind": "seen", "visitor": foreign, "at": now(), "basis": "granted"});
    assert_eq!(report(&company, "learn", &sighting), "not_seen");
    assert_eq!(company.record("shop", &foreign), Some(before));

    // By an alias, a site cannot end or see what it could not by itself.
    assert_eq!(report(&company, "learn", &json!({"kind": "alias", "visitor": own, "other": foreign, "at": now()})), "recorded");
    assert_eq!(report(&company, "learn", &json!({"kind": "refusal", "visitor": own, "at": now()})), "recorded");
    assert_eq!(company.record("learn", &own), None);
    assert!(company.record("shop", &foreign).is_some());
    assert_eq!(browser.visitor(&company.shop).as_ref(), Some(&foreign));

    // A visitor's no outranks that, whichever site brings it.
    assert_eq!(report(&company, "learn", &json!({"kind": "refusal", "visitor": foreign, "at": now()})), "recorded");
    assert_eq!(company.record("shop", &foreign), None);
}
