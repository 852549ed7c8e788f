//! The ID cookie: what a site knows of a browser.
//!
//! One cookie holds the visitor ID, where it came from, the visitor's choice, and when the last hop was begun. A MAC
//! protects it: who knows an ID cannot act as it. Two values need no MAC, since they give nothing: `denied`, which must
//! outlive any change of keys, and `probe`, which only shows that the browser keeps cookies.
//!
//! Without its MAC, the cookie of a visitor is 55 octets: what SHA-256 takes in one block with its own 9.
//!
//! ```text
//! 1.<b|l|p|n>.<visitor ID, or nothing>.<created>.<u|g>.<hop begun, or 0>.<43 characters of MAC>
//! ```

use std::fmt::Write as _;
use std::time::Duration;

use crate::base::clock::UnixSeconds;
use crate::base::encoding::push_base64url;
use crate::base::id::VisitorId;
use crate::base::secret::MacKey;

use super::consent::Choice;
use super::contract::{HOP_PAUSE, REFUSAL_LIFE};

const DENIED: &str = "denied";
const PROBE: &str = "probe";

/// Where a visitor ID came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// The broker: by a hop, by the CORS route, or because this is the primary.
    Broker,
    /// A link of another of the company's sites.
    Link,
    /// Minted here while the broker could not be asked.
    Provisional,
}

impl Source {
    /// The word that `me` and the application are told.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Broker => "broker",
            Self::Link => "link",
            Self::Provisional => "provisional",
        }
    }

    const fn letter(self) -> char {
        match self {
            Self::Broker => 'b',
            Self::Link => 'l',
            Self::Provisional => 'p',
        }
    }
}

/// A visitor, as a site knows one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The ID.
    pub visitor: VisitorId,
    /// Where it came from.
    pub source: Source,
    /// When this site learned it; its cookie's life counts from here (rule B8).
    pub created: UnixSeconds,
}

/// What a site knows of a browser.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SiteState {
    /// Who it is.
    pub identity: Option<Identity>,
    /// What the visitor said.
    pub choice: Choice,
    /// When the last hop was begun that has not brought an ID.
    pub hop_begun: Option<UnixSeconds>,
}

impl SiteState {
    /// A refusal: nothing else is kept.
    pub const DENIED: Self = Self { identity: None, choice: Choice::Denied, hop_begun: None };

    /// Whether the last hop is too recent for another (rule S12). A moment in the future is a clock that was set back; it
    /// counts as recent, since the other answer could loop.
    #[must_use]
    pub fn hop_paused(&self, now: UnixSeconds) -> bool {
        self.hop_begun.is_some_and(|begun| now.since(begun) < HOP_PAUSE)
    }

    /// The cookie's value.
    #[must_use]
    pub fn write(&self, key: &MacKey) -> String {
        if self.choice == Choice::Denied {
            return DENIED.into();
        }
        if *self == Self::default() {
            return PROBE.into();
        }
        let mut value = String::with_capacity(128);
        match &self.identity {
            Some(Identity { visitor, source, created }) => {
                let _ = write!(value, "1.{}.{}.{created}", source.letter(), visitor.text(&mut VisitorId::buffer()));
            }
            None => value.push_str("1.n..0"),
        }
        let choice = if self.choice == Choice::Granted { 'g' } else { 'u' };
        // `0` says "none". A clock that stands at its very beginning begins hops too, and must not forget them.
        let begun = self.hop_begun.map_or(0, |begun| begun.0.max(1));
        let _ = write!(value, ".{choice}.{begun}");
        let tag = key.tag(&[value.as_bytes()]);
        value.push('.');
        push_base64url(&mut value, &tag);
        value
    }

    /// How long the cookie must live from `now`, when an ID lives `cookie_life` from its creation.
    #[must_use]
    pub fn life(&self, cookie_life: Duration, now: UnixSeconds) -> Duration {
        match (self.choice, &self.identity) {
            (Choice::Denied, _) => REFUSAL_LIFE,
            (_, Some(identity)) => cookie_life.saturating_sub(now.since(identity.created)),
            (Choice::Granted, None) => cookie_life,
            (Choice::None, None) => HOP_PAUSE,
        }
    }
}

/// What a request's cookies say.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Reading {
    /// The browser sent a cookie of that name, true or not: it keeps cookies.
    pub seen: bool,
    /// What could be believed.
    pub state: SiteState,
    /// They hold an ID that is left out of that state, since the node cannot tell whether it was revoked (rule A14).
    pub is_withheld: bool,
    /// The other secret of a rotation protects that state: the site writes the cookie anew with its own.
    pub by_other_secret: bool,
}

/// The keys that verify an ID cookie.
#[derive(Clone, Copy, Debug)]
pub struct CookieKeys<'a> {
    /// Of the site's own secret.
    pub own: &'a MacKey,
    /// Of the other secret, while the site's secret is rotated.
    pub other: Option<&'a MacKey>,
}

impl<'a> From<&'a MacKey> for CookieKeys<'a> {
    fn from(own: &'a MacKey) -> Self {
        Self { own, other: None }
    }
}

/// Reads all cookies of the name (rule R9): a refusal counts above everything, then the first that verifies with an ID in
/// it that is still alive, then the first that verifies at all.
pub fn read<'a, 'k>(
    values: impl Iterator<Item = &'a str>,
    keys: impl Into<CookieKeys<'k>>,
    cookie_life: Duration,
    now: UnixSeconds,
) -> Reading {
    let keys = keys.into();
    let mut reading = Reading::default();
    for value in values {
        reading.seen = true;
        match value {
            DENIED => return Reading { seen: true, state: SiteState::DENIED, ..Reading::default() },
            PROBE => {}
            _ if reading.state.identity.is_some() => {}
            _ => {
                let better = |state: &SiteState| state.identity.is_some() || reading.state == SiteState::default();
                let read = |key| read_one(value, key, cookie_life, now).filter(better);
                if let Some(state) = read(keys.own) {
                    (reading.state, reading.by_other_secret) = (state, false);
                } else if let Some(state) = keys.other.and_then(read) {
                    (reading.state, reading.by_other_secret) = (state, true);
                }
            }
        }
    }
    reading
}

fn read_one(value: &str, key: &MacKey, cookie_life: Duration, now: UnixSeconds) -> Option<SiteState> {
    let (signed, tag) = value.rsplit_once('.')?;
    if !key.verify(&[signed.as_bytes()], tag) {
        return None;
    }
    let mut fields = signed.split('.');
    let mut next = || fields.next();
    let (version, letter, visitor, created, choice, begun) = (next()?, next()?, next()?, next()?, next()?, next()?);
    if version != "1" {
        return None;
    }
    let source =
        [Source::Broker, Source::Link, Source::Provisional].into_iter().find(|source| letter.starts_with(source.letter()));
    let identity = match source {
        Some(source) => {
            Some(Identity { visitor: VisitorId::parse(visitor)?, source, created: UnixSeconds(created.parse().ok()?) })
        }
        None => None,
    };
    // Browsers drop an old cookie by themselves; one that somebody kept is no longer believed (rule B8).
    let identity = identity.filter(|identity| now.since(identity.created) < cookie_life);
    let hop_begun = Some(UnixSeconds(begun.parse().ok()?)).filter(|begun| begun.0 != 0);
    Some(SiteState { identity, choice: if choice == "g" { Choice::Granted } else { Choice::None }, hop_begun })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::random::CountingRandom;
    use crate::base::secret::{Purpose, SiteSecret};

    const NOW: UnixSeconds = UnixSeconds(1_790_000_000);
    const LIFE: Duration = Duration::from_secs(395 * 86_400);

    fn key() -> MacKey {
        SiteSecret::generate(&CountingRandom::default()).unwrap().derive(Purpose::LocalCookie)
    }

    fn identity(byte: u8, source: Source) -> Identity {
        let random = CountingRandom::default();
        for _ in 0..byte {
            let _ = crate::base::random::random_bytes::<16>(&random);
        }
        Identity { visitor: VisitorId::mint(&random).unwrap(), source, created: NOW }
    }

    fn states() -> Vec<SiteState> {
        let mut states = vec![SiteState::DENIED, SiteState::default()];
        for choice in [Choice::None, Choice::Granted] {
            for hop_begun in [None, Some(NOW)] {
                for identity in [None, Some(Source::Broker), Some(Source::Link), Some(Source::Provisional)] {
                    states.push(SiteState {
                        identity: identity.map(|source| super::tests::identity(0, source)),
                        choice,
                        hop_begun,
                    });
                }
            }
        }
        states
    }

    fn read_all(values: &[&str]) -> Reading {
        read(values.iter().copied(), &key(), LIFE, NOW)
    }

    #[test]
    fn every_state_comes_back_as_it_was() {
        for state in states() {
            let value = state.write(&key());
            assert!(value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)), "{value}");
            assert!(value.len() < 140);
            assert_eq!(read_all(&[&value]), Reading { seen: true, state, ..Reading::default() });
        }
    }

    #[test]
    fn b5_a_tampered_cookie_is_absent() {
        let value = SiteState { identity: Some(identity(0, Source::Broker)), ..SiteState::default() }.write(&key());
        for index in 0..value.len() {
            let mut changed = value.clone().into_bytes();
            changed[index] = if changed[index] == b'1' { b'2' } else { b'1' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(read_all(&[&changed]), Reading { seen: true, ..Reading::default() }, "{changed}");
            assert_eq!(read_all(&[&value[..index]]).state, SiteState::default());
        }
        let other = SiteSecret::parse("AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA").unwrap();
        let foreign = SiteState { identity: Some(identity(0, Source::Broker)), ..SiteState::default() }
            .write(&other.derive(Purpose::LocalCookie));
        assert_eq!(read_all(&[&foreign]).state.identity, None);
    }

    #[test]
    fn r9_of_two_cookies_the_one_that_verifies_counts() {
        let good = SiteState { identity: Some(identity(0, Source::Broker)), ..SiteState::default() };
        let begun = SiteState { hop_begun: Some(NOW), ..SiteState::default() }.write(&key());
        let value = good.write(&key());
        for values in [["forged", &value], [&value, "forged"], [&begun, &value], [&value, &begun], ["probe", &value]] {
            assert_eq!(read_all(&values).state, good, "{values:?}");
        }
        assert_eq!(read_all(&["forged", "1.b.x.y.z"]), Reading { seen: true, ..Reading::default() });
        assert_eq!(read_all(&[&value, "denied"]).state, SiteState::DENIED);
        assert_eq!(read_all(&[]), Reading::default());
    }

    #[test]
    fn b8_the_life_counts_from_creation() {
        let state = SiteState { identity: Some(identity(0, Source::Broker)), ..SiteState::default() };
        let later = NOW.plus(Duration::from_secs(86_400));
        assert_eq!(state.life(LIFE, NOW), LIFE);
        assert_eq!(state.life(LIFE, later), LIFE - Duration::from_secs(86_400));
        let value = state.write(&key());
        let last = UnixSeconds(NOW.0 + LIFE.as_secs());
        assert!(read([value.as_str()].into_iter(), &key(), LIFE, UnixSeconds(last.0 - 1)).state.identity.is_some());
        assert!(read([value.as_str()].into_iter(), &key(), LIFE, last).state.identity.is_none());
    }

    #[test]
    fn s12_a_hop_that_brought_nothing_pauses_hops_for_a_day() {
        let state = SiteState { hop_begun: Some(NOW), ..SiteState::default() };
        assert!(state.hop_paused(NOW));
        assert!(state.hop_paused(UnixSeconds(NOW.0 + 86_399)));
        assert!(!state.hop_paused(UnixSeconds(NOW.0 + 86_400)));
        assert!(state.hop_paused(UnixSeconds(NOW.0 - 3600)), "a clock that was set back must not loop");
    }
}
