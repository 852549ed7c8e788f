//! Super properties: what the company's pages note about a visitor, to go along with every event on every site.
//!
//! A change comes from a page's script, so nothing of it is believed: it is read whole, judged whole, and made whole or not
//! at all. The limits are in [`contract`](super::contract).

mod reading;
mod refusal;

use std::collections::{BTreeMap, BTreeSet};
use std::{fmt, io};

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use refusal::{Limit, PropertyRefusal};

use self::reading::Tree;
use super::contract::{
    PROPERTIES_LENGTH_MAX, PROPERTIES_MAX, PROPERTY_DEPTH_MAX, PROPERTY_KEY_LENGTH_MAX, PROPERTY_VALUE_LENGTH_MAX,
};

/// What the keys begin with that analytics libraries keep for themselves (rule X3): `$device_id`, `__timers`. `__proto__`
/// is one of them, for another reason: it changes an object in place of filling it.
pub const RESERVED_PREFIXES: [&str; 2] = ["$", "__"];

/// Other keys that analytics libraries keep for themselves (rule X3), as their requests and stores spell them. Who carries
/// one of them to another site carries an identity or a session there, past consent and past the visitor ID.
pub const RESERVED_KEYS: [&str; 19] = [
    "anonymousId",
    "anonymous_id",
    "clientId",
    "client_id",
    "deviceId",
    "device_id",
    "distinctId",
    "distinct_id",
    "domain_userid",
    "duid",
    "insert_id",
    "mp_keyword",
    "mp_lib",
    "network_userid",
    "sessionId",
    "session_id",
    "token",
    "userId",
    "user_id",
];

/// A visitor's super properties: JSON values by key, valid by construction. `null` is a value like any other: a key that
/// has it is there, and `set_once` leaves it alone.
///
/// Integers of up to 64 bits are exact; every other number is a double, as it is in a page. Reading this from JSON trusts
/// our own store and checks nothing.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Properties(BTreeMap<String, Value>);

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is noted about a visitor is no business of a log (rule R8).
        write!(f, "Properties({} keys)", self.0.len())
    }
}

impl Properties {
    /// The value of one property.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Makes a change, all of it or nothing.
    ///
    /// # Errors
    /// When the visitor would have too many properties, or too much of them. A change that writes nothing is always made:
    /// a record from a version with wider limits can still shrink.
    pub fn change(&mut self, change: &PropertyChange) -> Result<(), PropertyRefusal> {
        let kept = |key: &String| !change.remove.contains(key);
        let mut next: BTreeMap<_, _> =
            self.0.iter().filter(|(key, _)| kept(key)).map(|(key, value)| (key.clone(), value.clone())).collect();
        let mut writes = false;
        for (key, value) in &change.set {
            next.insert(key.clone(), value.clone());
            writes = true;
        }
        for (key, value) in &change.set_once {
            if !next.contains_key(key) {
                next.insert(key.clone(), value.clone());
                writes = true;
            }
        }
        if writes && next.len() > PROPERTIES_MAX {
            return Err(PropertyRefusal::whole(Limit::TooManyKeys));
        }
        if writes && json_length(&next) > PROPERTIES_LENGTH_MAX {
            return Err(PropertyRefusal::whole(Limit::TooLarge));
        }
        self.0 = next;
        Ok(())
    }
}

/// What is to change; its keys and values have been checked, and no key is in it twice. In JSON it is what
/// [`parse`](Self::parse) reads.
#[derive(Clone, Default, PartialEq, Serialize)]
pub struct PropertyChange {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    set: BTreeMap<String, Value>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    set_once: BTreeMap<String, Value>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    remove: BTreeSet<String>,
}

impl fmt::Debug for PropertyChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { set, set_once, remove } = self;
        write!(f, "PropertyChange(set {}, set_once {}, remove {})", set.len(), set_once.len(), remove.len())
    }
}

impl PropertyChange {
    /// Reads `{"set": {..}, "set_once": {..}, "remove": [..]}`, of which every member may be missing. `set` writes,
    /// `set_once` writes what is not there yet, `remove` takes out. The caller bounds the body's length.
    ///
    /// # Errors
    /// When it is not that, or a key or value is beyond a limit, reserved, or there twice.
    pub fn parse(body: &[u8]) -> Result<Self, PropertyRefusal> {
        let bad_shape = || PropertyRefusal::whole(Limit::BadShape);
        let Tree::Object(members) = reading::read(body).map_err(PropertyRefusal::whole)? else { return Err(bad_shape()) };
        let mut change = Self::default();
        let mut names = BTreeSet::new();
        let mut keys = BTreeSet::new();
        for (name, member) in members {
            match (name.as_str(), member) {
                ("set", Tree::Object(pairs)) => change.set = checked_pairs(pairs, &mut keys)?,
                ("set_once", Tree::Object(pairs)) => change.set_once = checked_pairs(pairs, &mut keys)?,
                ("remove", Tree::List(items)) => {
                    for item in items {
                        let Tree::Scalar(Value::String(key)) = item else { return Err(bad_shape()) };
                        check_key(&key, &mut keys)?;
                        change.remove.insert(key);
                    }
                }
                _ => return Err(bad_shape()),
            }
            if !names.insert(name) {
                return Err(bad_shape());
            }
        }
        Ok(change)
    }

    /// Whether there is nothing to change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.set_once.is_empty() && self.remove.is_empty()
    }
}

/// `seen` holds the keys of the whole change.
fn checked_pairs(pairs: Vec<(String, Tree)>, seen: &mut BTreeSet<String>) -> Result<BTreeMap<String, Value>, PropertyRefusal> {
    let mut checked = BTreeMap::new();
    for (key, tree) in pairs {
        check_key(&key, seen)?;
        let value = tree.into_value(PROPERTY_DEPTH_MAX).map_err(|limit| PropertyRefusal::of(&key, limit))?;
        if json_length(&value) > PROPERTY_VALUE_LENGTH_MAX {
            return Err(PropertyRefusal::of(&key, Limit::ValueTooLarge));
        }
        checked.insert(key, value);
    }
    Ok(checked)
}

fn check_key(key: &str, seen: &mut BTreeSet<String>) -> Result<(), PropertyRefusal> {
    let limit = if key.is_empty() {
        Limit::EmptyKey
    } else if key.len() > PROPERTY_KEY_LENGTH_MAX {
        Limit::KeyTooLong
    } else if key.chars().any(char::is_control) {
        Limit::BadCharacter
    } else if RESERVED_PREFIXES.iter().any(|prefix| key.starts_with(prefix)) || RESERVED_KEYS.contains(&key) {
        Limit::ReservedKey
    } else if !seen.insert(key.to_owned()) {
        Limit::SameKeyTwice
    } else {
        return Ok(());
    };
    Err(PropertyRefusal::of(key, limit))
}

/// How long this is as JSON without white space, in octets.
fn json_length(value: &impl Serialize) -> usize {
    struct Count(usize);
    impl io::Write for Count {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0 += octets.len();
            Ok(octets.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // JSON values with text for keys can always be written; what could not would be beyond every limit.
    serde_json::to_writer(&mut count, value).map_or(usize::MAX, |()| count.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(body: &str) -> PropertyChange {
        PropertyChange::parse(body.as_bytes()).unwrap_or_else(|refusal| panic!("{body}: {refusal}"))
    }

    fn refused(body: &str) -> (Option<String>, &'static str) {
        let refusal = PropertyChange::parse(body.as_bytes()).expect_err(body);
        (refusal.key, refusal.limit.code())
    }

    fn properties(json: &str) -> Properties {
        serde_json::from_str(json).unwrap()
    }

    fn json(properties: &Properties) -> String {
        serde_json::to_string(properties).unwrap()
    }

    #[test]
    fn each_member_does_what_the_libraries_do_by_that_name() {
        let mut all = properties(r#"{"plan":"free","seats":3,"old":true}"#);
        all.change(&change(r#"{"set":{"plan":"gold","new":null},"set_once":{"seats":9,"first":[1]},"remove":["old","never"]}"#))
            .unwrap();
        assert_eq!(json(&all), r#"{"first":[1],"new":null,"plan":"gold","seats":3}"#);
        all.change(&change(r#"{"set_once":{"new":1}}"#)).unwrap();
        assert_eq!((all.get("new"), all.len()), (Some(&Value::Null), 4), "null is a value");
    }

    #[test]
    fn every_member_may_be_missing_or_empty() {
        for body in ["{}", r#"{"set":{}}"#, r#"{"set":{},"set_once":{},"remove":[]}"#, " {\n} "] {
            assert!(change(body).is_empty(), "{body}");
            assert_eq!(serde_json::to_string(&change(body)).unwrap(), "{}");
        }
        let body = r#"{"set":{"a":1},"set_once":{"b":2},"remove":["c"]}"#;
        assert_eq!(serde_json::to_string(&change(body)).unwrap(), body);
    }

    #[test]
    fn what_is_no_change_is_refused() {
        for body in ["", "{", "{}x", "{}{}", "nul", r#"{"set":{"a":1e999}}"#, r#"{"set":{"a":"\ud800"}}"#, r#"{"set":{"a":NaN}}"#]
        {
            assert_eq!(refused(body), (None, "not_json"), "{body}");
        }
        assert_eq!(PropertyChange::parse(b"{\"set\":{\"a\":\"\xff\"}}").unwrap_err().limit, Limit::NotJson);
        for body in [
            "[]",
            "null",
            "1",
            r#"{"sets":{}}"#,
            r#"{"set":[]}"#,
            r#"{"set":null}"#,
            r#"{"remove":{}}"#,
            r#"{"remove":[1]}"#,
            r#"{"remove":[["a"]]}"#,
            r#"{"set":{},"set":{}}"#,
            r#"{"remove":[],"remove":[]}"#,
        ] {
            assert_eq!(refused(body), (None, "bad_shape"), "{body}");
        }
    }

    #[test]
    fn keys_are_checked_in_every_member() {
        let long = "k".repeat(PROPERTY_KEY_LENGTH_MAX + 1);
        let umlauts = "ü".repeat(PROPERTY_KEY_LENGTH_MAX / 2 + 1);
        let mut cases = vec![("", "empty_key"), (&long, "key_too_long"), (&umlauts, "key_too_long")];
        cases.extend(["a\nb", "a\0", "\u{7f}", "\u{85}"].map(|key| (key, "bad_character")));
        cases.extend(["$device_id", "$initial_referrer", "$", "__timers", "__proto__"].map(|key| (key, "reserved_key")));
        cases.extend(RESERVED_KEYS.map(|key| (key, "reserved_key")));
        for (key, code) in cases {
            let quoted = serde_json::to_string(key).unwrap();
            for body in [
                format!(r#"{{"set":{{{quoted}:1}}}}"#),
                format!(r#"{{"set_once":{{{quoted}:1}}}}"#),
                format!(r#"{{"remove":[{quoted}]}}"#),
            ] {
                let (named, found) = refused(&body);
                assert_eq!(found, code, "{body}");
                assert!(
                    named.is_some_and(|named| key.starts_with(&named) && named.chars().count() <= PROPERTY_KEY_LENGTH_MAX),
                    "{body}"
                );
            }
        }
        for key in ["k".repeat(PROPERTY_KEY_LENGTH_MAX), "user id".into(), "_x".into(), "Token".into(), "ü".into(), "a$__".into()]
        {
            change(&format!(r#"{{"set":{{"{key}":1}}}}"#));
        }
    }

    #[test]
    fn one_key_twice_is_refused_wherever_it_is() {
        for body in [
            r#"{"set":{"a":1,"a":1}}"#,
            r#"{"set":{"a":1},"set_once":{"a":1}}"#,
            r#"{"remove":["a"],"set":{"a":1}}"#,
            r#"{"remove":["a","a"]}"#,
            r#"{"set":{"a":{"x":1,"x":1}}}"#,
            r#"{"set":{"a":[{"x":1,"\u0078":1}]}}"#,
            r#"{"set":{"a":1,"\u0061":1}}"#,
        ] {
            assert_eq!(refused(body), (Some("a".into()), "same_key_twice"), "{body}");
        }
    }

    #[test]
    fn values_are_bounded_in_length_and_depth() {
        let text = |length: usize| format!(r#"{{"set":{{"a":"{}"}}}}"#, "x".repeat(length));
        change(&text(PROPERTY_VALUE_LENGTH_MAX - 2));
        assert_eq!(refused(&text(PROPERTY_VALUE_LENGTH_MAX - 1)), (Some("a".into()), "value_too_large"));
        change(&format!(r#"{{"set":{{"a":[1,{}1]}}}}"#, " ".repeat(PROPERTY_VALUE_LENGTH_MAX)));
        for (value, code) in [
            ("[[[[]]]]", None),
            ("[[[1]]]", None),
            (r#"{"x":[{"y":"z"}]}"#, None),
            ("[[[[1]]]]", Some("too_deep")),
            ("[[[[[]]]]]", Some("too_deep")),
            (r#"{"x":{"x":{"x":{"x":1}}}}"#, Some("too_deep")),
            (r#"["\u0000"]"#, Some("bad_character")),
            (r#"{"\u0000":1}"#, Some("bad_character")),
            (r#"{"__proto__":{}}"#, Some("reserved_key")),
        ] {
            let read = PropertyChange::parse(format!(r#"{{"set":{{"a":{value}}}}}"#).as_bytes());
            assert_eq!(read.err().map(|refusal| refusal.limit.code()), code, "{value}");
        }
        let deep = format!(r#"{{"set":{{"a":{}{}}}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(refused(&deep), (Some("a".into()), "too_deep"));
    }

    #[test]
    fn numbers_come_back_as_they_were() {
        let body = r#"{"set":{"a":[9007199254740993,18446744073709551615,-9223372036854775808,0.1,1e+300,-2.5e-7,-0.0]}}"#;
        let mut all = Properties::default();
        all.change(&change(body)).unwrap();
        assert_eq!(serde_json::to_string(&change(body)).unwrap(), body);
        assert_eq!(properties(&json(&all)), all);
    }

    #[test]
    fn a_visitor_has_so_many_and_so_much_and_a_refused_change_leaves_no_trace() {
        let mut all = Properties::default();
        let some = |range: std::ops::Range<usize>, value: &str| {
            let pairs: Vec<_> = range.map(|number| format!(r#""k{number}":{value}"#)).collect();
            change(&format!(r#"{{"set":{{{}}}}}"#, pairs.join(",")))
        };
        all.change(&some(0..PROPERTIES_MAX, "1")).unwrap();
        let before = all.clone();
        assert_eq!(all.change(&change(r#"{"set":{"k0":2,"more":1}}"#)).unwrap_err().limit, Limit::TooManyKeys);
        let large = format!("\"{}\"", "x".repeat(1000));
        assert_eq!(all.change(&some(0..17, &large)).unwrap_err().limit, Limit::TooLarge);
        assert_eq!(all, before);
        all.change(&change(r#"{"set":{"more":1},"remove":["k0"]}"#)).unwrap();
        let mut wider: Properties = serde_json::from_value((0..200).map(|n| (format!("k{n}"), n)).collect()).unwrap();
        wider.change(&change(r#"{"remove":["k0"],"set_once":{"k1":1}}"#)).unwrap();
        assert_eq!(wider.len(), 199);
    }

    #[test]
    fn messages_name_the_key_and_debug_tells_nothing() {
        let refusal = PropertyRefusal::of(&format!("a\"\n{}", "x".repeat(500)), Limit::KeyTooLong);
        let message = refusal.to_string();
        assert!(message.starts_with(r#""a\"\nxxx"#) && message.contains("x..\": the key is over 128 octets"), "{message}");
        let mut all = Properties::default();
        all.change(&change(r#"{"set":{"secret":"word"}}"#)).unwrap();
        assert_eq!(format!("{all:?} {:?}", change(r#"{"set":{"secret":"word"}}"#)).find("secret"), None);
    }
}
