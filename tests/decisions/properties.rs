//! Super properties: whatever a page's script sends, a visitor's record stays within its limits, and a refused change
//! leaves no trace.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Map, Number, Value, json};
use throughline::domain::contract::{
    PROPERTIES_LENGTH_MAX, PROPERTIES_MAX, PROPERTY_DEPTH_MAX, PROPERTY_KEY_LENGTH_MAX, PROPERTY_VALUE_LENGTH_MAX,
};
use throughline::domain::properties::{Limit, Properties, PropertyChange, RESERVED_KEYS, RESERVED_PREFIXES};

fn keys() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "[a-z]{1,2}",
        1 => "k{127,130}",
        1 => "[$_a]{1,3}",
        1 => prop::sample::select(RESERVED_KEYS.to_vec()).prop_map(String::from),
        1 => any::<String>(),
    ]
}

fn values() -> impl Strategy<Value = Value> {
    let scalars = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        // So few digits that serde_json reads them exactly without its `float_roundtrip`.
        any::<i32>().prop_map(|number| Value::from(f64::from(number) / 1024.0)),
        any::<String>().prop_map(Value::from),
        (1000..1040usize).prop_map(|length| Value::from("x".repeat(length))),
    ];
    scalars.prop_recursive(6, 24, 4, |value| {
        prop_oneof![
            prop::collection::vec(value.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z_]{0,9}|__proto__", value, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn bodies() -> impl Strategy<Value = Value> {
    let pairs = || prop::collection::btree_map(keys(), values(), 0..12);
    (pairs(), pairs(), prop::collection::vec(keys(), 0..6)).prop_map(|(set, set_once, remove)| {
        // Most keys in one member only, since a change with one in two says no more than that it is refused.
        let set_once: BTreeMap<_, _> = set_once.into_iter().filter(|(key, _)| key.len() < 2 || !set.contains_key(key)).collect();
        let remove: Vec<_> =
            remove.into_iter().filter(|key| key.len() < 2 || !(set.contains_key(key) || set_once.contains_key(key))).collect();
        json!({ "set": set, "set_once": set_once, "remove": remove })
    })
}

/// Records that are already large in one way or the other, so that the limits are near.
fn records() -> impl Strategy<Value = Properties> {
    let named = |count: usize, value: Value| -> Properties {
        let pairs: Map<_, _> = (0..count).map(|number| (format!("k{number}"), value.clone())).collect();
        serde_json::from_value(Value::Object(pairs)).unwrap()
    };
    prop_oneof![
        Just(Properties::default()),
        (90..=PROPERTIES_MAX).prop_map(move |count| named(count, json!(1))),
        (14..=15usize).prop_map(move |count| named(count, json!("x".repeat(1000)))),
    ]
}

fn depth(value: &Value) -> usize {
    let below = match value {
        Value::Array(items) => items.iter().map(depth).max(),
        Value::Object(members) => members.values().map(depth).max(),
        _ => None,
    };
    1 + below.unwrap_or(0)
}

fn assert_within_limits(properties: &Properties) -> Result<(), TestCaseError> {
    prop_assert!(properties.len() <= PROPERTIES_MAX);
    prop_assert!(serde_json::to_vec(properties).unwrap().len() <= PROPERTIES_LENGTH_MAX);
    for (key, value) in properties.iter() {
        prop_assert!((1..=PROPERTY_KEY_LENGTH_MAX).contains(&key.len()), "{key:?}");
        prop_assert!(!key.contains(char::is_control), "{key:?}");
        prop_assert!(!RESERVED_KEYS.contains(&key) && !RESERVED_PREFIXES.iter().any(|prefix| key.starts_with(prefix)), "{key:?}");
        prop_assert!(depth(value) <= PROPERTY_DEPTH_MAX, "{value}");
        prop_assert!(value.to_string().len() <= PROPERTY_VALUE_LENGTH_MAX, "{value}");
        prop_assert!(!value.to_string().contains("\\u0000") && !value.to_string().contains("\"__proto__\":"), "{value}");
    }
    Ok(())
}

/// What the record must be after a change that was made, told in other words than the code's.
fn expected(before: &Properties, body: &Value) -> Value {
    let mut all = serde_json::to_value(before).unwrap().as_object().unwrap().clone();
    for (key, value) in body["set_once"].as_object().unwrap() {
        all.entry(key).or_insert_with(|| value.clone());
    }
    all.extend(body["set"].as_object().unwrap().clone());
    for key in body["remove"].as_array().unwrap() {
        all.remove(key.as_str().unwrap());
    }
    Value::Object(all)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_change_is_made_whole_or_not_at_all(before in records(), body in bodies()) {
        let Ok(change) = PropertyChange::parse(body.to_string().as_bytes()) else { return Ok(()) };
        let mut after = before.clone();
        match after.change(&change) {
            Ok(()) => {
                prop_assert_eq!(serde_json::to_value(&after).unwrap(), expected(&before, &body));
                assert_within_limits(&after)?;
            }
            Err(refusal) => {
                prop_assert!(matches!(refusal.limit, Limit::TooManyKeys | Limit::TooLarge), "{refusal}");
                prop_assert_eq!(after, before);
            }
        }
    }

    #[test]
    fn set_once_never_replaces(before in records(), pairs in prop::collection::btree_map("k[0-9]{1,3}|[a-z]", values(), 0..8)) {
        let Ok(change) = PropertyChange::parse(json!({ "set_once": pairs }).to_string().as_bytes()) else { return Ok(()) };
        let mut after = before.clone();
        let _ = after.change(&change);
        for (key, value) in before.iter() {
            prop_assert_eq!(after.get(key), Some(value));
        }
    }

    #[test]
    fn what_is_refused_says_which_limit_and_what_is_taken_reads_the_same_again(body in bodies()) {
        match PropertyChange::parse(body.to_string().as_bytes()) {
            Ok(change) => {
                let written = serde_json::to_vec(&change).unwrap();
                prop_assert_eq!(PropertyChange::parse(&written).unwrap(), change);
            }
            Err(refusal) => {
                let message = refusal.to_string();
                prop_assert!(refusal.key.is_some() && message.len() < 1000 && !message.contains(char::is_control), "{message}");
                prop_assert!(!matches!(refusal.limit, Limit::NotJson | Limit::BadShape), "{message}");
            }
        }
    }

    #[test]
    fn any_octets_are_read_or_refused(body in prop_oneof![
        prop::collection::vec(any::<u8>(), 0..64),
        "[{}\\[\\]\",:a-c0-9se_\\\\ -]{0,40}".prop_map(String::into_bytes),
        "\\{\"set\":\\{\"a\":[\\[\\]{}\",:a-c0-9eE.+-]{0,20}\\}\\}".prop_map(String::into_bytes),
    ]) {
        let taken = PropertyChange::parse(&body);
        if taken.is_ok() {
            prop_assert!(serde_json::from_slice::<Value>(&body).is_ok_and(|value| value.is_object()));
        }
    }
}

#[test]
fn integers_that_no_double_can_hold_come_back_as_they_were() {
    for number in [Number::from(9_007_199_254_740_993_i64), i64::MAX.into(), i64::MIN.into(), u64::MAX.into()] {
        let mut all = Properties::default();
        all.change(&PropertyChange::parse(json!({ "set": { "a": number } }).to_string().as_bytes()).unwrap()).unwrap();
        let stored = serde_json::to_string(&all).unwrap();
        let read: Properties = serde_json::from_str(&stored).unwrap();
        assert_eq!(read.get("a"), Some(&Value::Number(number)));
    }
}
