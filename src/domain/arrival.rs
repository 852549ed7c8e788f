//! A token has arrived and is verified: does it count for this browser, and what becomes of the ID that is there?

use std::fmt;

use crate::base::clock::UnixSeconds;
use crate::base::id::VisitorId;
use crate::base::network::Network;
use crate::base::origin::Origin;
use crate::token::claims::{Flow, TokenKind};
use crate::token::verify::{TokenRefusal, VerifiedToken};

use super::decision::UNJUDGED;
use super::site_cookie::{Identity, SiteState, Source};

/// The code of whatever a client did too often.
pub const TOO_MANY: &str = "too_many";

/// The code of a link whose client's network is not known: where it is made, and where it arrives (rule L2).
pub const NO_NETWORK: &str = "no_network";

/// Why a token changes nothing. The page is served all the same (rule R3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The parameter is empty: the broker had nothing to give.
    Empty,
    /// The broker saw the same refused request again and again (rule S18).
    Stopped,
    /// The parameter is there more than once.
    Repeated,
    /// Consent does not stand here (rule R6).
    NoConsent,
    /// The broker refuses this site's API key: a no about the ID could not be passed on.
    SiteRefused,
    /// The token is not believed.
    Token(TokenRefusal),
    /// The ID that it brings counts no more (rules C1, C2).
    Revoked,
    /// The node cannot tell whether the ID that it brings, or the one that the browser holds, was revoked (rule A14).
    Unjudged,
    /// Another browser's hop, or none, led to this token (rule R4).
    WrongFlow,
    /// The browser does not say that the link's own site led here (rule L2).
    WrongReferrer,
    /// The satellite cannot tell the network of the client that brings a link token (rule L2).
    NoNetwork,
    /// The link token was made for a client on another network (rule L2).
    WrongNetwork,
    /// It was used before (rule T7).
    Replayed,
    /// Nobody can tell whether it was: the replay memory is full, or cannot be reached (rule T7).
    ReplayUnknown,
    /// The client brings too many tokens; this one was not looked at.
    TooMany,
}

impl Refusal {
    /// Whether a visitor that a link brought goes on a hop instead (rule R10). A forged token does not: no link of ours made it. Nor
    /// does one that the replay memory cannot judge: it could not judge the hop's token either.
    #[must_use]
    pub const fn leads_to_a_hop(self) -> bool {
        use TokenRefusal::{BadTimes, Expired, UnknownKey};
        matches!(
            self,
            Self::WrongReferrer
                | Self::WrongNetwork
                | Self::NoNetwork
                | Self::Replayed
                | Self::Token(BadTimes | Expired | UnknownKey)
        )
    }

    /// Whether a hop of this browser usually ends so. Then a stale cookie does not prove that the browser keeps new ones.
    #[must_use]
    pub const fn ends_a_hop(self) -> bool {
        matches!(
            self,
            Self::Empty
                | Self::Stopped
                | Self::SiteRefused
                | Self::TooMany
                | Self::NoConsent
                | Self::Revoked
                | Self::Unjudged
                | Self::WrongFlow
                | Self::ReplayUnknown
        )
    }

    /// Whether it may be one round of a loop (rule S18). A token that comes twice does not come from a new hop, and what is no
    /// token does not come from the broker.
    #[must_use]
    pub const fn may_be_a_round(self) -> bool {
        use TokenRefusal::{Malformed, TooLong, WrongType};
        !matches!(self, Self::Repeated | Self::Replayed | Self::Token(TooLong | Malformed | WrongType))
    }

    /// A stable name for logs and metrics.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Stopped => "stopped",
            Self::Repeated => "repeated",
            Self::NoConsent => "no_consent",
            Self::SiteRefused => "site_refused",
            Self::Token(refusal) => refusal.code(),
            Self::Revoked => "revoked",
            Self::Unjudged => UNJUDGED,
            Self::WrongFlow => "wrong_flow",
            Self::WrongReferrer => "wrong_referrer",
            Self::NoNetwork => NO_NETWORK,
            Self::WrongNetwork => "wrong_network",
            Self::Replayed => "replayed",
            Self::ReplayUnknown => "replay_unknown",
            Self::TooMany => TOO_MANY,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// Two IDs are one visitor.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Alias {
    /// The ID that this site used.
    pub from: VisitorId,
    /// The ID that the token brought.
    pub to: VisitorId,
    /// The site made the first itself, while the broker could not be reached.
    pub was_provisional: bool,
}

/// What a request shows of the browser that brings a token.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bearer<'a> {
    /// The flow of its hop cookie.
    pub flow: Option<Flow>,
    /// The origin that it says led here.
    pub referrer: Option<&'a str>,
    /// The network that it is on; `None` where the satellite cannot tell.
    pub network: Option<Network>,
}

/// Whether a verified token belongs to this browser and this moment. `issuer` is the site whose key signed.
///
/// # Errors
/// Rules R4 and L2.
pub fn check(token: &VerifiedToken, issuer: &Origin, bearer: &Bearer<'_>) -> Result<(), Refusal> {
    match (token.kind(), &bearer.network) {
        (TokenKind::Bounce, _) if token.flow().is_some() && token.flow() == bearer.flow => Ok(()),
        (TokenKind::Bounce, _) => Err(Refusal::WrongFlow),
        (TokenKind::Link, _) if bearer.referrer != Some(issuer.as_str()) => Err(Refusal::WrongReferrer),
        (TokenKind::Link, None) => Err(Refusal::NoNetwork),
        (TokenKind::Link, Some(network)) if token.is_for_network(network) => Ok(()),
        (TokenKind::Link, Some(_)) => Err(Refusal::WrongNetwork),
    }
}

/// What the site knows afterwards, and the alias to report. The token has been used up before this is asked.
///
/// A provisional ID gives way to the broker's; any other ID stays, and a different one in the token is an alias of it
/// (rules R5, L3).
#[must_use]
pub fn adopt(token: &VerifiedToken, state: &SiteState, now: UnixSeconds) -> (SiteState, Option<Alias>) {
    let source = match token.kind() {
        TokenKind::Bounce => Source::Broker,
        TokenKind::Link => Source::Link,
    };
    let brought = Identity { visitor: token.visitor(), source, created: now };
    let alias = state.identity.filter(|held| held.visitor != brought.visitor).map(|held| Alias {
        from: held.visitor,
        to: brought.visitor,
        was_provisional: held.source == Source::Provisional,
    });
    let gives_way = |held: &Identity| held.source == Source::Provisional && source == Source::Broker;
    let identity = match state.identity {
        Some(held) if !gives_way(&held) => held,
        _ => brought,
    };
    // Only an ID that is here to stay ends the pause: a provisional one still waits for its hop (rule S12).
    let hop_begun = state.hop_begun.filter(|_| identity.source == Source::Provisional);
    (SiteState { identity: Some(identity), choice: state.choice, hop_begun }, alias)
}
