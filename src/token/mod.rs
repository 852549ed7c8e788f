//! Layer 2: keys and tokens.
//!
//! A token is a JWS in compact form (RFC 7515), signed with Ed25519 (RFC 8037). RFC 8725 (JWT best current practice) is
//! the checklist; `verify` says which of its points is kept where.

pub mod claims;
pub mod jwks;
pub mod key;
pub mod keyfile;
pub mod keyset;
pub mod mint;
pub mod verify;
