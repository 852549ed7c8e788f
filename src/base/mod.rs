//! Layer 1: what everything else stands on. Knows nothing of tokens, domains or HTTP.

pub mod clock;
pub mod encoding;
pub mod id;
pub mod json;
pub mod network;
pub mod origin;
pub mod random;
pub mod secret;
