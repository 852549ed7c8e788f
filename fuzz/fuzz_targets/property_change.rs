//! Changes of a visitor's super properties, one a line, as a page's script sends them: whatever is made of them stays
//! within the limits, and what is refused leaves no trace.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use throughline::domain::contract::{
    PROPERTIES_LENGTH_MAX, PROPERTIES_MAX, PROPERTY_KEY_LENGTH_MAX, PROPERTY_VALUE_LENGTH_MAX,
};
use throughline::domain::properties::{Properties, PropertyChange, RESERVED_KEYS, RESERVED_PREFIXES};

fuzz_target!(|data: &[u8]| {
    let mut all = Properties::default();
    for line in data.split(|byte| *byte == b'\n') {
        let change = match PropertyChange::parse(line) {
            Ok(change) => change,
            Err(refusal) => {
                assert!(!refusal.to_string().contains(char::is_control), "{refusal:?}");
                continue;
            }
        };
        let theirs: Value = serde_json::from_slice(line).expect("what is taken is JSON to everyone");
        let written = serde_json::to_vec(&change).unwrap();
        assert_eq!(PropertyChange::parse(&written).map(|again| again.is_empty()), Ok(change.is_empty()));
        let before = all.clone();
        if all.change(&change).is_err() {
            assert_eq!(all, before);
            continue;
        }
        for (key, value) in before.iter() {
            let named = |member: &str| theirs[member].get(key).is_some();
            let removed = theirs["remove"].as_array().is_some_and(|keys| keys.iter().any(|removed| removed == key));
            assert!(named("set") || removed || all.get(key) == Some(value), "{key:?} is another");
        }
        for (key, value) in all.iter() {
            assert!(!key.is_empty() && key.len() <= PROPERTY_KEY_LENGTH_MAX && !key.contains(char::is_control), "{key:?}");
            assert!(!RESERVED_KEYS.contains(&key) && !RESERVED_PREFIXES.iter().any(|prefix| key.starts_with(prefix)), "{key:?}");
            assert!(value.to_string().len() <= PROPERTY_VALUE_LENGTH_MAX);
        }
        assert!(all.len() <= PROPERTIES_MAX && serde_json::to_vec(&all).unwrap().len() <= PROPERTIES_LENGTH_MAX);
    }
});
