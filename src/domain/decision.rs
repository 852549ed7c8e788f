//! The hop decision: what to do with a request for a page, from its facts alone (rules S1 to S16).
//!
//! [`decide`] answers with its reason. It is asked on every request of a site, so what most requests need comes first.

use std::fmt;

use crate::base::clock::UnixSeconds;

use super::breaker::Circuit;
use super::consent::Standing;
use super::crawlers::is_crawler;
use super::hop_request;
use super::parameter::{Parameter, parameter};
use super::site::{Role, Site};
use super::site_cookie::{Identity, Reading, SiteState, Source};
use super::url::PageUrl;

/// The facts of a request, as its headers say them. `http::facts` reads them.
#[derive(Clone, Copy, Default)]
pub struct Facts<'a> {
    /// Path and query, as they came.
    pub path_and_query: &'a str,
    /// The method is GET.
    pub is_get: bool,
    /// `Sec-Fetch-Dest`.
    pub fetch_dest: Option<&'a str>,
    /// `Sec-Fetch-Mode`.
    pub fetch_mode: Option<&'a str>,
    /// `Sec-Fetch-Site`.
    pub fetch_site: Option<&'a str>,
    /// A header says that this is a prefetch, a prerender or a preview.
    pub is_speculative: bool,
    /// `Accept` includes text/html.
    pub accepts_html: bool,
    /// `Range`, `Upgrade` or `X-Requested-With` is there.
    pub is_partial_or_scripted: bool,
    /// `User-Agent`.
    pub user_agent: Option<&'a str>,
    /// `Sec-GPC: 1`.
    pub gpc: bool,
    /// What the ID cookies say.
    pub cookies: Reading,
    /// A hop cookie is there.
    pub has_hop_cookie: bool,
    /// This client lately came back from a hop without cookies.
    pub is_bare_client: bool,
}

impl fmt::Debug for Facts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The query may hold a token, and headers are a client's own words (rules R8, A7).
        f.debug_struct("Facts").field("path", &self.path()).field("cookies", &self.cookies).finish_non_exhaustive()
    }
}

impl<'a> Facts<'a> {
    /// The path alone.
    #[must_use]
    pub fn path(&self) -> &'a str {
        self.path_and_query.split_once('?').map_or(self.path_and_query, |(path, _)| path)
    }

    /// The query, if there is a `?`.
    #[must_use]
    pub fn query(&self) -> Option<&'a str> {
        self.path_and_query.split_once('?').map(|(_, query)| query)
    }

    /// Whether the browser has shown that it keeps our cookies.
    #[must_use]
    pub const fn keeps_cookies(&self) -> bool {
        self.cookies.seen || self.has_hop_cookie
    }

    /// Whether the answer would be shown inside another page.
    #[must_use]
    pub fn is_framed(&self) -> bool {
        matches!(self.fetch_dest, Some("iframe" | "frame" | "fencedframe" | "embed" | "object"))
    }

    /// Where the visitor's consent stands on `site`.
    #[must_use]
    pub const fn standing(&self, site: &Site) -> Standing {
        Standing::new(site.consent, self.cookies.state.choice, self.gpc && site.honour_gpc)
    }

    /// Whether this is a person's browser asking for a whole page to look at (rules S1 to S6).
    ///
    /// # Errors
    /// With the rule that says no.
    pub fn page_navigation(&self, legacy_browsers: bool) -> Result<(), Reason> {
        if !self.is_get {
            return Err(Reason::NotGet);
        }
        match (self.fetch_dest, self.fetch_mode) {
            (Some("document"), Some("navigate")) => {}
            (None, None) if legacy_browsers => {}
            (None, None) => return Err(Reason::NoFetchMetadata),
            _ => return Err(Reason::NotANavigation),
        }
        if self.is_speculative {
            return Err(Reason::Speculative);
        }
        if !self.accepts_html || self.is_partial_or_scripted {
            return Err(Reason::NotAPage);
        }
        if is_crawler(self.user_agent) {
            return Err(Reason::Crawler);
        }
        Ok(())
    }
}

/// The code of an ID that the node cannot judge, since it has no list of revoked IDs (rule A14).
pub const UNJUDGED: &str = "unjudged";

/// Why a request starts no hop. Each has a stable code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The visitor is known (rule S10).
    Known,
    /// S1
    NotGet,
    /// S2
    NotANavigation,
    /// S3
    NoFetchMetadata,
    /// S4
    Speculative,
    /// S5
    Crawler,
    /// S6
    NotAPage,
    /// S7
    Skipped,
    /// S8
    NoConsent,
    /// S8 or S9: the visitor said no, or the browser did.
    Refused,
    /// A14: the node cannot tell whether the visitor's ID was revoked.
    Unjudged,
    /// S12: a hop is in flight.
    HopInFlight,
    /// S12: the last one brought nothing, less than a day ago.
    HopPaused,
    /// S13: the broker has not been probed yet.
    BrokerUnprobed,
    /// S13: the broker does not answer, and the visitor has a provisional ID already.
    BrokerDown,
    /// S14 or U2: the URL would not come back as it is.
    UrlUnfit,
}

impl Reason {
    /// A stable name for logs and metrics.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Known => "known",
            Self::NotGet => "not_get",
            Self::NotANavigation => "not_a_navigation",
            Self::NoFetchMetadata => "no_fetch_metadata",
            Self::Speculative => "speculative",
            Self::Crawler => "crawler",
            Self::NotAPage => "not_a_page",
            Self::Skipped => "skipped",
            Self::NoConsent => "no_consent",
            Self::Refused => "refused",
            Self::Unjudged => UNJUDGED,
            Self::HopInFlight => "hop_in_flight",
            Self::HopPaused => "hop_paused",
            Self::BrokerUnprobed => "broker_unprobed",
            Self::BrokerDown => "broker_down",
            Self::UrlUnfit => "url_unfit",
        }
    }
}

/// What to do with a request for a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The page, with what is known of the visitor.
    Pass(Reason, Option<Identity>),
    /// It carries our parameter: use the token up (rule S11).
    Consume,
    /// Send the visitor on a hop, and back to this page.
    Start(PageUrl),
    /// The page, and find out whether the browser keeps cookies (rule S16).
    Probe,
    /// The page, with a new provisional ID: the broker cannot be asked (rule S13).
    MintProvisional,
    /// The page, with a new visitor ID: this is the primary.
    MintMaster,
}

/// The visitor, when that is all there is to a request: consent stands, the ID is final, and no token waits to be taken
/// (rules S10, S11). So it is with most requests, and to know it takes the cookie and one other header.
#[must_use]
pub fn known(standing: Standing, state: &SiteState, query: Option<&str>) -> Option<Identity> {
    let identity = state.identity.filter(|identity| standing.basis().is_some() && identity.source != Source::Provisional)?;
    (parameter(query) == Parameter::Absent).then_some(identity)
}

/// Decides.
#[must_use]
pub fn decide(facts: &Facts<'_>, site: &Site, circuit: Circuit, now: UnixSeconds) -> Decision {
    let standing = facts.standing(site);
    let state = &facts.cookies.state;
    let identity = if standing.basis().is_some() { state.identity } else { None };
    let pass = |reason| Decision::Pass(reason, identity);

    if known(standing, state, facts.query()).is_some() {
        return pass(Reason::Known);
    }
    if let Err(reason) = facts.page_navigation(site.legacy_browsers) {
        return pass(reason);
    }
    if parameter(facts.query()) != Parameter::Absent {
        return Decision::Consume;
    }
    if site.skip.matches(facts.path()) {
        return pass(Reason::Skipped);
    }
    match standing {
        Standing::Stands(_) => {}
        Standing::Refused => return pass(Reason::Refused),
        Standing::Unknown => return pass(Reason::NoConsent),
    }
    if facts.cookies.is_withheld {
        return pass(Reason::Unjudged);
    }
    let comes_from_here = matches!(facts.fetch_site, Some("same-origin" | "same-site"));
    if !facts.keeps_cookies() && (comes_from_here || facts.is_bare_client) {
        return Decision::Probe;
    }
    if site.role == Role::Primary {
        return Decision::MintMaster;
    }
    if facts.has_hop_cookie {
        return pass(Reason::HopInFlight);
    }
    if state.hop_paused(now) {
        return pass(Reason::HopPaused);
    }
    match circuit {
        Circuit::Closed => {}
        Circuit::Unprobed => return pass(Reason::BrokerUnprobed),
        Circuit::Open | Circuit::HalfOpen if identity.is_some() => return pass(Reason::BrokerDown),
        Circuit::Open | Circuit::HalfOpen => return Decision::MintProvisional,
    }
    match PageUrl::on(&site.origin, facts.path_and_query) {
        Ok(page) if hop_request::fits(&page) => Decision::Start(page),
        _ => pass(Reason::UrlUnfit),
    }
}
