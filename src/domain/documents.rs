//! The JSON documents that nodes read of each other.

use serde::{Deserialize, Serialize};

use crate::base::json::{json_object, present};

/// `/.well-known/throughline` on the primary: what satellites must know of the broker and of each other.
#[derive(Debug, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct Metadata {
    /// The version of the protocol: 1.
    pub protocol: u32,
    /// The primary's origin.
    pub issuer: String,
    /// Where hops go.
    pub hop_endpoint: String,
    /// Where the CORS route is, if it is open.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub whoami_endpoint: Option<String>,
    /// The broker's public keys.
    pub jwks_uri: String,
    /// All registered secondaries.
    pub sites: Vec<SiteEntry>,
}

/// One registered secondary.
#[derive(Debug, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct SiteEntry {
    /// Its exact origin.
    pub origin: String,
    /// Its public keys, always where its satellite is.
    pub jwks_uri: String,
    /// The origin of its satellite, if that is another.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub satellite: Option<String>,
}

/// `/_throughline/health`: whether a node answers, and what it knows of the broker.
#[derive(Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(remote = "Self")]
pub struct Health {
    /// `ok`: it can do what it is there for. `unable`: it has no key to sign with.
    pub status: String,
    /// On a secondary: the state of the circuit breaker over the broker.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub broker: Option<String>,
    /// `refused`: the broker does not accept the API key of this site, so the site takes no IDs.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub api_key: Option<String>,
    /// On a secondary whose process shares its replay memory with others: `ok`, or `down`, and then tokens are refused. Pages do
    /// not need it, so it says nothing on `status`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub replay: Option<String>,
    /// On the primary: how the store does. Hops do not need it, so it says nothing on `status`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub store: Option<StoreHealth>,
    /// On the primary: the digest of the registered sites. A satellite that sees another one fetches the metadata again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sites: Option<String>,
    /// On the primary: the number of the last revocation that this node has read from the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocations_read: Option<u64>,
    /// On a secondary: whether the broker knows the site. Absent until its metadata has been fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered: Option<bool>,
    /// On a secondary whose process knows the other sites from disk: how long ago they were fetched, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub siblings_age_seconds: Option<u64>,
    /// What is known of the list of ended IDs. Absent where a node of an older version answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocations: Option<RevocationsHealth>,
}

/// What a node knows of the list of ended IDs.
#[derive(Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(remote = "Self")]
pub struct RevocationsHealth {
    /// `current`; `stale`: the last look failed; `from_disk`: an earlier process left it, and no look has found it yet; `unknown`:
    /// there is none, and only IDs that this process has minted itself are handed out.
    pub status: String,
    /// How long ago the list was last known to be complete; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub age_seconds: Option<u64>,
}

/// How the store of a broker node does.
#[derive(Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(remote = "Self")]
pub struct StoreHealth {
    /// `ok`; `down`: it takes no writes, which are tried again; `damaged`: part of what it holds cannot be read.
    pub status: String,
    /// Writes that wait.
    pub waiting: u64,
    /// Writes that were given up since the start.
    pub lost: u64,
    /// Writes that failed by themselves and were set aside, of all nodes. `throughline check` names their visitors.
    #[serde(default)]
    pub set_aside: u64,
}

json_object!(written Metadata, SiteEntry, Health, StoreHealth, RevocationsHealth);

impl Health {
    /// The good status.
    pub const OK: &'static str = "ok";
    /// Of the API key: the broker answers it with 401.
    pub const REFUSED: &'static str = "refused";
    /// Of the replay memory: it does not answer.
    pub const DOWN: &'static str = "down";
    /// The bad one.
    pub const UNABLE: &'static str = "unable";
    /// Its process is about to end: whoever balances load sends others elsewhere, while requests are still answered.
    pub const LEAVING: &'static str = "leaving";
}
