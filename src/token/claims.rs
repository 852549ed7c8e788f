//! What a token says.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use zeroize::Zeroizing;

use crate::base::encoding::{base64url, from_base64url};
use crate::base::json::{json_object, present};
use crate::base::network::Network;

/// How long a bounce or link token lives at most. A longer one is refused even when it is signed (rule T4).
pub const TOKEN_LIFE_MAX: Duration = Duration::from_secs(60);

/// How far two nodes' clocks may differ (rule T4).
pub const CLOCK_SKEW: Duration = Duration::from_secs(5);

/// How long a used token must be remembered: until even a token that was issued "in the future" by as much as the skew
/// allows has expired for everyone. Whoever changes one of the three numbers changes the replay memory with it.
pub const REPLAY_SPAN: Duration = Duration::from_secs(TOKEN_LIFE_MAX.as_secs() + 2 * CLOCK_SKEW.as_secs());

/// The longest token that is looked at, in octets (rules R3, T6).
pub const TOKEN_LENGTH_MAX: usize = 2048;

/// The two kinds of token. The `typ` header keeps them apart (RFC 8725 section 3.11).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenKind {
    /// Broker to satellite, bound to the browser that began the hop.
    Bounce,
    /// Satellite to satellite, carried by a link.
    Link,
}

impl TokenKind {
    /// The `typ` header of this kind.
    #[must_use]
    pub const fn typ(self) -> &'static str {
        match self {
            Self::Bounce => "throughline-bounce+jwt",
            Self::Link => "throughline-link+jwt",
        }
    }
}

/// The secret behind a flow: it stays in the browser's hop cookie.
pub struct FlowSecret(Zeroizing<[u8; 16]>);

impl FlowSecret {
    /// Makes a flow's secret of 16 random octets.
    #[must_use]
    pub fn new(bytes: [u8; 16]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Reads the hop cookie's value.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        from_base64url(text).map(Self::new)
    }

    /// The hop cookie's value.
    #[must_use]
    pub fn to_text(&self) -> String {
        base64url(&*self.0)
    }

    /// What travels in its place: SHA-256 of the cookie's value.
    #[must_use]
    pub fn flow(&self) -> Flow {
        let digest = ring::digest::digest(&ring::digest::SHA256, self.to_text().as_bytes());
        let mut flow = [0; 32];
        flow.copy_from_slice(digest.as_ref());
        Flow(flow)
    }
}

impl fmt::Debug for FlowSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FlowSecret(..)")
    }
}

/// The flow binding: names one browser's one hop, without telling its secret.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flow([u8; 32]);

impl Flow {
    /// 43 characters of base64url.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        from_base64url(text).map(Self)
    }

    /// The 32 octets.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Enough to find the log lines of one hop, and too little to be anything else: 8 hexadecimal digits.
    #[must_use]
    pub const fn fragment(&self) -> impl fmt::Display + use<> {
        FlowFragment([self.0[0], self.0[1], self.0[2], self.0[3]])
    }
}

struct FlowFragment([u8; 4]);

impl fmt::Display for FlowFragment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

/// A token's own random name: 16 octets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TokenId(pub [u8; 16]);

/// The `net` claim of a link token: the network of the client that it was made for (rule L2). The token ID is hashed with
/// it, so the tags of one client's tokens differ. It hides little: all 2^24 IPv4 networks can be tried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NetworkTag([u8; 3]);

impl NetworkTag {
    /// The first 24 bits of SHA-256 over the token's name and the network's octets.
    #[must_use]
    pub fn new(id: TokenId, network: &Network) -> Self {
        let mut context = ring::digest::Context::new(&ring::digest::SHA256);
        context.update(&id.0);
        context.update(network.as_bytes());
        let mut tag = [0; 3];
        tag.copy_from_slice(&context.finish().as_ref()[..3]);
        Self(tag)
    }

    /// 4 characters of base64url.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        from_base64url(text).map(Self)
    }

    /// The 3 octets.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 3] {
        &self.0
    }
}

/// The claims as they travel. All of them must be there, no other may be, none twice.
#[derive(Deserialize)]
#[serde(remote = "Self", deny_unknown_fields)]
pub(super) struct WireClaims {
    pub(super) iss: String,
    pub(super) aud: String,
    pub(super) sub: String,
    pub(super) iat: u64,
    pub(super) exp: u64,
    pub(super) jti: String,
    #[serde(default, deserialize_with = "present")]
    pub(super) flow: Option<String>,
    #[serde(default, deserialize_with = "present")]
    pub(super) net: Option<String>,
}

json_object!(WireClaims);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l2_the_tag_of_a_network_is_another_for_each_token_and_each_network() {
        let tag = |id: u8, address: &str| NetworkTag::new(TokenId([id; 16]), &Network::of(address.parse().unwrap()));
        assert_eq!(tag(1, "192.0.2.1"), tag(1, "192.0.2.200"));
        assert_eq!(tag(1, "192.0.2.1"), tag(1, "::ffff:192.0.2.1"));
        assert_eq!(tag(1, "2001:db8:1::1"), tag(1, "2001:db8:1:2::1"));
        for other in [tag(2, "192.0.2.1"), tag(1, "192.0.3.1"), tag(1, "2001:db8:1::1"), tag(1, "2001:db8:2::1")] {
            assert_ne!(tag(1, "192.0.2.1"), other);
        }
        let text = base64url(tag(1, "192.0.2.1").as_bytes());
        assert_eq!((text.len(), NetworkTag::parse(&text)), (4, Some(tag(1, "192.0.2.1"))));
        for wrong in ["", "AAA", "AAAAA", "AAA=", "AA+A", " AAA", "AAAA="] {
            assert_eq!(NetworkTag::parse(wrong), None, "{wrong:?}");
        }
    }
}
