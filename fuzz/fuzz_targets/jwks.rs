//! A key set that a site publishes (rules K3, T8).
#![no_main]

use std::collections::HashSet;

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use throughline::token::jwks::{KEYS_MAX, read_jwks, write_jwks};
use throughline::token::key::PublicKey;

fuzz_target!(|json: &[u8]| {
    let Ok(keys) = read_jwks(json) else { return };
    assert!((1..=KEYS_MAX).contains(&keys.len()));
    let ids: Vec<_> = keys.iter().map(PublicKey::id).collect();
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
    // Another reader sees the same keys, and none that is private, symmetric or for something else.
    let set: Value = serde_json::from_slice(json).unwrap();
    let members = set["keys"].as_array().unwrap();
    assert_eq!(members.len(), keys.len());
    for (member, key) in members.iter().zip(&keys) {
        assert_eq!((member["kty"].as_str(), member["crv"].as_str()), (Some("OKP"), Some("Ed25519")));
        assert_eq!(member["kid"].as_str(), Some(key.id().as_str()));
        assert!(member["d"].is_null());
        assert!(["sig"].map(Value::from).contains(&member["use"]) || member["use"].is_null());
        assert!(["EdDSA", "Ed25519"].map(Value::from).contains(&member["alg"]) || member["alg"].is_null());
    }
    let again = read_jwks(write_jwks(keys.iter()).as_bytes()).unwrap();
    assert_eq!(again.iter().map(PublicKey::id).collect::<Vec<_>>(), ids);
});
