//! T10: each JSON document that a node reads, altered in every way that serde by itself would let pass.

use serde_json::{Value, json};
use throughline::base::json::read;
use throughline::domain::documents::{Health, Metadata};
use throughline::domain::record::{Record, Versioned};
use throughline::domain::reports::{Reports, ReportsAnswer, Revocations, VisitorDocument};
use throughline::token::jwks::read_jwks;

const ID: &str = "00010203-0405-4607-8809-0a0b0c0d0e0f";

type Read = fn(&[u8]) -> bool;

fn documents() -> Vec<(&'static str, Value, Read)> {
    let site = json!({"first": 1, "last": 2, "consent": {"implied": 1}});
    let first_touch = json!({"at": 1, "referrer": "https://search.example/", "landing": "https://shop.example/"});
    let record = json!({
        "created": 1, "first_touch": first_touch, "sites": {"https://shop.example": site}, "version": 1,
        "aliases": {ID: {"site": "https://shop.example", "at": 2}},
    });
    let mut visitor = record.clone();
    visitor["visitor"] = json!(ID);
    let reports = json!({"reports": [
        {"kind": "seen", "visitor": ID, "at": 1, "basis": "implied"},
        {"kind": "refusal", "visitor": ID, "at": 1},
        {"kind": "alias", "visitor": ID, "other": ID, "at": 1},
        {"kind": "link", "from": "https://shop.example", "token": "a.b.c", "at": 1, "basis": "granted", "held": ID},
    ]});
    let entry =
        json!({"origin": "https://shop.example", "jwks_uri": "https://t.shop.example/x", "satellite": "https://t.shop.example"});
    let metadata = json!({
        "protocol": 1, "issuer": "https://www.brand.example", "hop_endpoint": "https://www.brand.example/_throughline/hop",
        "whoami_endpoint": "https://www.brand.example/_throughline/whoami",
        "jwks_uri": "https://www.brand.example/_throughline/jwks.json", "sites": [entry],
    });
    let health =
        json!({"status": "ok", "broker": "closed", "api_key": "refused", "store": {"status": "ok", "waiting": 0, "lost": 0}});
    let jwks = json!({"keys": [{
        "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        "kid": "kPrK_qmxVWaYVA9w", "use": "sig", "alg": "EdDSA", "key_ops": ["verify"],
    }]});
    vec![
        ("reports", reports, |text| read::<Reports>(text).is_ok()),
        ("answer to reports", json!({"outcomes": ["recorded", "revoked"]}), |text| read::<ReportsAnswer>(text).is_ok()),
        ("revocations", json!({"revoked": [ID], "cursor": 1, "more": false}), |text| read::<Revocations>(text).is_ok()),
        ("visitor", visitor, |text| read::<VisitorDocument>(text).is_ok()),
        ("record", record, |text| read::<Record>(text).is_ok()),
        ("properties", json!({"version": 1, "properties": {}}), |text| read::<Versioned>(text).is_ok()),
        ("metadata", metadata, |text| read::<Metadata>(text).is_ok()),
        ("health", health, |text| read::<Health>(text).is_ok()),
        ("key set", jwks, |text| read_jwks(text).is_ok()),
    ]
}

/// What is done to one object.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Alteration {
    /// A list of its values stands in its place.
    List,
    /// It stands in a list.
    InList,
    /// Its first key is there twice, in another spelling.
    DoubledKey,
    /// A key that is not known is there twice.
    DoubledUnknownKey,
    /// `null` stands in its place.
    Null,
}

/// Writes `value`, with object number `at` altered.
fn write(value: &Value, next: &mut usize, at: usize, alteration: Alteration) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(|item| write(item, next, at, alteration)).collect();
            format!("[{}]", items.join(","))
        }
        Value::Object(members) => {
            let is_it = *next == at;
            *next += 1;
            let members: Vec<_> = members.iter().map(|(key, member)| (key, write(member, next, at, alteration))).collect();
            let mut pairs: Vec<_> = members.iter().map(|(key, member)| format!("\"{key}\":{member}")).collect();
            match alteration {
                Alteration::List if is_it => {
                    return format!("[{}]", members.iter().map(|(_, member)| member.as_str()).collect::<Vec<_>>().join(","));
                }
                Alteration::InList if is_it => return format!("[{{{}}}]", pairs.join(",")),
                Alteration::Null if is_it => return "null".into(),
                Alteration::DoubledUnknownKey if is_it => pairs.extend(["\"zz\":1".to_owned(), "\"zz\":1".to_owned()]),
                Alteration::DoubledKey if is_it => {
                    let Some((key, member)) = members.first() else { return "[]".into() };
                    let first = u32::from(key.chars().next().unwrap());
                    pairs.push(format!("\"\\u{first:04x}{}\":{member}", &key[1..]));
                }
                _ => {}
            }
            format!("{{{}}}", pairs.join(","))
        }
        other => other.to_string(),
    }
}

#[test]
fn t10_an_altered_object_is_refused_in_every_document() {
    use Alteration::{DoubledKey, DoubledUnknownKey, InList, List, Null};
    for (name, good, is_read) in documents() {
        let mut objects = 0;
        let text = write(&good, &mut objects, usize::MAX, List);
        assert!(is_read(text.as_bytes()), "{name}: {text}");
        assert!(is_read(format!(" {text}\n").as_bytes()), "{name}");
        for alteration in [List, InList, DoubledKey, DoubledUnknownKey, Null] {
            for at in 0..objects {
                let altered = write(&good, &mut 0, at, alteration);
                assert!(!is_read(altered.as_bytes()), "{name}, {alteration:?} at {at}: {altered}");
            }
        }
    }
}

#[test]
fn t10_a_text_is_never_null_or_anything_else() {
    for (name, good, is_read) in documents() {
        let text = good.to_string();
        // Every string value, told from a key by what stands before it.
        let strings = text.match_indices(":\"").map(|(at, _)| at + 1);
        for at in strings {
            let end = at + 1 + text[at + 1..].find('"').unwrap() + 1;
            for other in
                ["null", "0", "true", "[]", "{}", &format!("[{}]", &text[at..end]), &format!("{{{}:null}}", &text[at..end])]
            {
                let altered = format!("{}{other}{}", &text[..at], &text[end..]);
                assert!(!is_read(altered.as_bytes()), "{name}: {altered}");
            }
        }
    }
}

#[test]
fn t10_around_a_document_there_is_nothing() {
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    for (name, good, is_read) in documents() {
        let text = good.to_string();
        let with_member = |value: &str| format!("{},\"zz\":{value}}}", &text[..text.len() - 1]);
        // Reports know all their members; the other documents may grow.
        assert_eq!(is_read(with_member("1").as_bytes()), name != "reports", "{name}");
        for altered in [
            format!("\u{feff}{text}"),
            format!("{text}x"),
            format!("{text}{text}"),
            format!("{text},"),
            format!("{text}\0"),
            format!("[{text}]"),
            text[..text.len() - 1].to_owned(),
            with_member("1e999"),
            with_member(&deep(200)),
            with_member(&deep(1_000_000)),
            deep(1_000_000),
            "{\"a\":".repeat(1_000_000),
            String::new(),
            "null".into(),
            "[]".into(),
            "{}".into(),
        ] {
            assert!(!is_read(altered.as_bytes()), "{name}: {}", altered.chars().take(200).collect::<String>());
        }
        let mut no_text = with_member("\"?\"").into_bytes();
        let at = no_text.iter().rposition(|byte| *byte == b'?').unwrap();
        no_text[at] = 0xff;
        assert!(!is_read(&no_text), "{name}");
    }
}

/// RFC 7517 has private members for each kind of key. A set that shows one is not meant to be public.
#[test]
fn t10_k3_a_private_member_is_refused_whatever_its_value() {
    let (_, good, is_read) = documents().into_iter().find(|(name, ..)| *name == "key set").unwrap();
    let text = good.to_string();
    for value in ["null", "\"\"", "\"AAAA\"", "0", "[]", "{}", "false"] {
        assert!(!is_read(text.replacen("\"kty\"", &format!("\"d\":{value},\"kty\""), 1).as_bytes()), "{value}");
    }
    for name in ["alg", "use", "kid", "key_ops", "crv", "x"] {
        let mut altered = good.clone();
        altered["keys"][0][name] = Value::Null;
        assert!(!is_read(altered.to_string().as_bytes()), "{name}");
    }
}
