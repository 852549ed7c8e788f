//! A token has come: believe it or not, use it up, and say what the site knows afterwards (rules R1, R3, R4, R6, L2, L3).
//!
//! In three parts, since the memory of used tokens may be on another machine: [`check`] everything, claim the token, and
//! [`Arriving::finish`].

use actix_web::dev::RequestHead;

use crate::base::clock::UnixSeconds;
use crate::domain::arrival::{self, Alias, Bearer, Refusal};
use crate::domain::consent::{Basis, Standing};
use crate::domain::reports::Report;
use crate::domain::site::Role;
use crate::domain::site_cookie::{Reading, SiteState};
use crate::http::{Env, ServedSite};
use crate::store::recent_set::Claim;
use crate::store::replay::Claiming;
use crate::store::revoked_ids::Verdict;
use crate::token::claims::{Flow, TokenKind};
use crate::token::verify::{TokenRefusal, UnverifiedToken, VerifiedToken};

use super::Satellite;

/// A token that counted.
#[derive(Debug, Clone, Copy)]
pub struct Arrived {
    /// What the site knows now.
    pub state: SiteState,
    /// The hop that is over; none after a link.
    pub flow: Option<Flow>,
    /// A stable name for logs and metrics.
    pub code: &'static str,
}

/// A token, and what came with it.
#[derive(Clone, Copy)]
pub struct Brought<'a> {
    token: &'a str,
    unverified: Result<UnverifiedToken<'a>, TokenRefusal>,
    head: &'a RequestHead,
    referrer: Option<&'a str>,
}

impl<'a> Brought<'a> {
    /// `head` is the request that brought `token`. `referrer` is the origin of the page that led here: as the browser says, or the
    /// page's own script (rule L2).
    #[must_use]
    pub fn new(token: &'a str, head: &'a RequestHead, referrer: Option<&'a str>) -> Self {
        Self { token, unverified: UnverifiedToken::parse(token), head, referrer }
    }

    /// Whether it says that it is a link token.
    #[must_use]
    pub fn is_link(&self) -> bool {
        self.unverified.as_ref().is_ok_and(|token| token.kind() == TokenKind::Link)
    }
}

/// A token that counts if this is its first use.
pub struct Arriving {
    verified: VerifiedToken,
    state: SiteState,
    now: UnixSeconds,
    /// What proves to the broker that a link brought the visitor here.
    link: Option<LinkProof>,
}

struct LinkProof {
    from: String,
    token: String,
    basis: Basis,
}

/// Checks a token for the browser that brought it. Everything but whether it was used before.
///
/// # Errors
/// When it does not count. Nothing has changed then, and the page is to be served (the first law).
pub fn check(
    satellite: &Satellite,
    env: &Env,
    served: &ServedSite,
    brought: &Brought<'_>,
    cookies: &Reading,
    standing: Standing,
) -> Result<Arriving, Refusal> {
    let Brought { token, unverified, head, referrer } = *brought;
    if token.is_empty() {
        return Err(Refusal::Empty);
    }
    let Some(basis) = standing.basis() else { return Err(Refusal::NoConsent) };
    let now = env.clock.now();
    let unverified = unverified.map_err(Refusal::Token)?;
    if served.site.role == Role::Primary {
        // Nobody issues tokens for the primary; one that comes is a site's try to choose the master (rule B6).
        return Err(Refusal::Token(TokenRefusal::WrongParty));
    }
    if satellite.access.is_refused(&served.site.origin) {
        return Err(Refusal::SiteRefused);
    }
    let siblings = satellite.siblings.load();
    if unverified.kind() == TokenKind::Link && referrer.and_then(|origin| siblings.origin(origin)).is_none() {
        return Err(Refusal::WrongReferrer);
    }
    let Some((issuer, verifier)) = siblings.verifier(&unverified, referrer, &served.site.origin) else {
        // It may be a key that was published since the last fetch: fetch again, for the next visitor (rule K2).
        satellite.unknown_key.notify_one();
        return Err(Refusal::Token(TokenRefusal::UnknownKey));
    };
    let verified = unverified.verify(&verifier, now).map_err(Refusal::Token)?;
    let bearer = match verified.kind() {
        TokenKind::Bounce => Bearer { flow: env.cookies.flow(&head.headers, verified.flow()), ..Bearer::default() },
        TokenKind::Link => Bearer { referrer, network: env.network(head), ..Bearer::default() },
    };
    arrival::check(&verified, issuer, &bearer)?;
    match env.revoked.judge(verified.visitor()) {
        Verdict::Living if !cookies.is_withheld => {}
        Verdict::Revoked => return Err(Refusal::Revoked),
        Verdict::Living | Verdict::Unknown => return Err(Refusal::Unjudged),
    }
    let link = match verified.kind() {
        TokenKind::Link => Some(LinkProof { from: issuer.to_string(), token: token.to_owned(), basis }),
        TokenKind::Bounce => None,
    };
    Ok(Arriving { verified, state: cookies.state, now, link })
}

impl Arriving {
    /// Uses the token up. Only now, so that nobody can use up a token that was not theirs to use.
    #[must_use]
    pub fn claim(&self, satellite: &Satellite, env: &Env) -> Claiming {
        satellite.replay.claim(self.verified.replay_key(), env.clock.uptime())
    }

    /// What the site knows now that the claim is decided.
    ///
    /// # Errors
    /// When this is not the first use, or nobody knows (rule T7).
    pub fn finish(self, satellite: &Satellite, served: &ServedSite, claim: Claim) -> Result<Arrived, Refusal> {
        match claim {
            Claim::First => {}
            Claim::Again => return Err(Refusal::Replayed),
            Claim::Full | Claim::Unreachable => return Err(Refusal::ReplayUnknown),
        }
        let (state, alias) = arrival::adopt(&self.verified, &self.state, self.now);
        let report = match (self.link, alias) {
            (Some(LinkProof { from, token, basis }), alias) => {
                Some(Report::Link { from, token, at: self.now, basis, held: alias.map(|alias| alias.from) })
            }
            (None, Some(Alias { from, to, was_provisional })) => {
                Some(Report::Alias { visitor: to, other: from, at: self.now, provisional: was_provisional })
            }
            // The broker sent this token: it knows.
            (None, None) => None,
        };
        if let Some(report) = report {
            satellite.outbox.put(&served.site.origin, report);
        }
        let code = match (alias, self.verified.kind()) {
            (Some(_), _) => "alias",
            (None, TokenKind::Bounce) => "bounce",
            (None, TokenKind::Link) => "link",
        };
        Ok(Arrived { state, flow: self.verified.flow(), code })
    }
}
