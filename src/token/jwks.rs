//! JSON Web Key Sets (RFC 7517) with Ed25519 keys (RFC 8037): writing our own, and reading what a site publishes.

use std::collections::HashSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::base::encoding::{base64url, from_base64url};
use crate::base::json::{self, json_object, present};

use super::key::PublicKey;

/// The most keys that a set may hold: far above what any rotation needs.
pub const KEYS_MAX: usize = 16;

#[derive(Serialize)]
struct JwkSet {
    keys: Vec<Jwk>,
}

#[derive(Serialize)]
struct Jwk {
    kty: &'static str,
    crv: &'static str,
    x: String,
    kid: String,
    #[serde(rename = "use")]
    usage: &'static str,
    alg: &'static str,
}

/// The keys as a JWK Set.
#[must_use]
pub fn write_jwks<'a>(keys: impl Iterator<Item = &'a PublicKey>) -> String {
    let keys = keys
        .map(|key| Jwk {
            kty: "OKP",
            crv: "Ed25519",
            x: base64url(key.x()),
            kid: key.id().to_string(),
            usage: "sig",
            alg: "EdDSA",
        })
        .collect();
    serde_json::to_string(&JwkSet { keys }).unwrap_or_default()
}

/// Why a whole set is refused (rule K3). The old set stays in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwksMistake(String);

impl fmt::Display for JwksMistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for JwksMistake {}

#[derive(Deserialize)]
#[serde(remote = "Self")]
struct ReadSet {
    keys: Vec<ReadKey>,
}

/// Members that RFC 7517 knows and we do not need are let be; those that would change the meaning are read and judged.
#[derive(Deserialize)]
#[serde(remote = "Self")]
struct ReadKey {
    kty: String,
    #[serde(default, deserialize_with = "present")]
    crv: Option<String>,
    #[serde(default, deserialize_with = "present")]
    x: Option<String>,
    #[serde(default, deserialize_with = "present")]
    kid: Option<String>,
    #[serde(default, deserialize_with = "present")]
    alg: Option<String>,
    #[serde(rename = "use", default, deserialize_with = "present")]
    usage: Option<String>,
    #[serde(default, deserialize_with = "present")]
    key_ops: Option<Vec<String>>,
    /// With any value, `null` too: a set that has the member is not meant to be public.
    #[serde(default, deserialize_with = "present")]
    d: Option<serde::de::IgnoredAny>,
}

json_object!(ReadSet, ReadKey);

/// Reads a set.
///
/// # Errors
/// When it is no JWK Set, or any key in it is symmetric, private, of another kind, meant for something else, misnamed, of
/// low order, or there twice: one wrong key means that whoever wrote the set cannot be trusted with the others.
pub fn read_jwks(json: &[u8]) -> Result<Vec<PublicKey>, JwksMistake> {
    let set: ReadSet = json::read(json).map_err(|error| JwksMistake(format!("not a JWK Set: {error}")))?;
    if set.keys.is_empty() || set.keys.len() > KEYS_MAX {
        return Err(JwksMistake(format!("the set has {} keys; it must have 1 to {KEYS_MAX}", set.keys.len())));
    }
    let mut seen = HashSet::new();
    set.keys
        .into_iter()
        .enumerate()
        .map(|(index, key)| {
            let key = read_key(key).map_err(|what| JwksMistake(format!("key {}: {what}", index + 1)))?;
            if seen.insert(key.id()) { Ok(key) } else { Err(JwksMistake(format!("the key {} is there twice", key.id()))) }
        })
        .collect()
}

fn read_key(key: ReadKey) -> Result<PublicKey, String> {
    if key.d.is_some() {
        return Err("it is a private key, published; replace it".into());
    }
    if key.kty != "OKP" || key.crv.as_deref() != Some("Ed25519") {
        return Err(format!("kty is {:?}; only OKP with Ed25519 is taken", key.kty));
    }
    if key.alg.as_deref().is_some_and(|alg| alg != "EdDSA" && alg != "Ed25519") {
        return Err("its alg is not EdDSA".into());
    }
    let verifies = |ops: &Vec<String>| ops.iter().any(|op| op == "verify");
    if key.usage.as_deref().is_some_and(|usage| usage != "sig") || !key.key_ops.as_ref().is_none_or(verifies) {
        return Err("it is not meant for signatures".into());
    }
    let x = key.x.as_deref().and_then(from_base64url).ok_or("x is not 32 octets of base64url")?;
    let public = PublicKey::new(x).map_err(|mistake| mistake.to_string())?;
    if key.kid.as_deref() != Some(public.id().as_str()) {
        return Err(format!("its kid must be {:?}, the start of its thumbprint", public.id().as_str()));
    }
    Ok(public)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::key::SigningKey;

    fn jwk(seed: u8) -> String {
        let jwks = write_jwks(std::iter::once(SigningKey::from_seed(&[seed; 32]).unwrap().public()));
        jwks.trim_start_matches("{\"keys\":[").trim_end_matches("]}").to_owned()
    }

    #[test]
    fn reads_what_it_writes() {
        let (one, two) = (SigningKey::from_seed(&[1; 32]).unwrap(), SigningKey::from_seed(&[2; 32]).unwrap());
        let keys = read_jwks(write_jwks([one.public(), two.public()].into_iter()).as_bytes()).unwrap();
        assert_eq!(keys.iter().map(PublicKey::id).collect::<Vec<_>>(), [one.public().id(), two.public().id()]);
    }

    #[test]
    fn k3_one_wrong_key_refuses_the_whole_set() {
        let (good, other) = (jwk(1), jwk(2));
        assert!(read_jwks(format!(r#"{{"keys":[{good},{other}]}}"#).as_bytes()).is_ok());
        for (bad, hint) in [
            (good.clone(), "twice"),
            (r#"{"kty":"oct","k":"AAAA","kid":"x"}"#.into(), "kty"),
            (r#"{"kty":"RSA","n":"AQAB","e":"AQAB","kid":"x"}"#.into(), "kty"),
            (other.replace("\"sig\"", "\"enc\""), "not meant for signatures"),
            (other.replace("\"use\":\"sig\"", "\"key_ops\":[\"sign\"]"), "not meant for signatures"),
            (other.replace("\"EdDSA\"", "\"HS256\""), "alg"),
            (other.replace("\"kty\"", "\"d\":\"AAAA\",\"kty\""), "private"),
            (other.replace("\"kid\":\"", "\"kid\":\"A"), "kid"),
            (other.replace("\"kid\"", "\"kid2\""), "kid"),
            (other.replace("\"x\":\"", "\"x\":\"A"), "x is not"),
        ] {
            let message = read_jwks(format!(r#"{{"keys":[{good},{bad}]}}"#).as_bytes()).expect_err(&bad).to_string();
            assert!(message.contains(hint), "{bad}: {message}");
        }
        for nonsense in ["", "null", "[]", "{}", r#"{"keys":[]}"#, r#"{"keys":{}}"#, "{\"keys\":[]} x"] {
            assert!(read_jwks(nonsense.as_bytes()).is_err(), "{nonsense}");
        }
        let with_member = |value: &[u8]| [b"{\"keys\":[", good.as_bytes(), b"],\"x\":\"", value, b"\"}"].concat();
        assert!(read_jwks(&with_member(b"y")).is_ok());
        assert!(read_jwks(&with_member(b"\xff")).is_err(), "not UTF-8, be it in a member that nobody reads");
    }
}
