//! The hop by script, for pages without a server of their own: the satellite is on a sub-domain, and the page's script does what the
//! middleware does elsewhere.
//!
//! `me` says whether a hop may begin on a page, by the same decision as for a page that is served here. `GET /_throughline/start`
//! begins it. The token comes back in the page's URL, and the script brings it to `exchange`.

use actix_web::http::header::HeaderValue;
use actix_web::{HttpRequest, HttpResponse};

use crate::domain::consent::Standing;
use crate::domain::decision::{Decision, Facts, decide};
use crate::domain::hop_request::{decode, fits_beside};
use crate::domain::referrer::Referrer;
use crate::domain::site_cookie::{Identity, SiteState, Source};
use crate::domain::url::PageUrl;
use crate::http::answer::{Redirect, Refusal, redirect};
use crate::http::client_address::ClientKey;
use crate::http::event::{Event, Step};
use crate::http::facts::{SEC_FETCH_SITE, facts_beside, text};
use crate::http::host::PLAIN_HTTP;
use crate::http::{Env, ServedSite};

use super::Satellite;
use super::page::{Page, Request, Served, circuit, visitor};

/// Never a redirect, since there is nowhere to go back to (rules L1, U1).
const NO_PAGE: Refusal = Refusal {
    status: 400,
    code: "not_a_page_of_the_site",
    advice: "This address begins a visit to a page of one website, and the page that it names is not on that website.",
};

/// What the page's script may do.
pub(super) struct Offer {
    /// Whether the browser may go to `start` now.
    pub(super) may_start: bool,
    /// Who the visitor is, a new provisional ID among others.
    pub(super) identity: Option<Identity>,
    /// What goes with the answer.
    pub(super) cookie: Option<HeaderValue>,
}

/// What the script may do on the page that it names. `None` for a site whose satellite is on its own origin, and for a script
/// that asks of no page.
pub(super) fn offer(satellite: &Satellite, env: &Env, served: &ServedSite, request: &HttpRequest) -> Option<Offer> {
    served.site.satellite.as_ref()?;
    let page = page_named(served, request)?;
    // `start` will be asked by a navigation from the page, and this one is asked by that page's script.
    let as_navigation = |asked| Facts {
        is_get: true,
        fetch_dest: Some("document"),
        fetch_mode: Some("navigate"),
        fetch_site: None,
        accepts_html: true,
        ..asked
    };
    Some(on_page(satellite, env, served, request, &page, as_navigation, |request, decision, client| {
        let state = &request.facts.cookies.state;
        let held = state.identity.filter(|_| request.standing.basis().is_some());
        if matches!(decision, Decision::Start(_)) {
            // Where `start` does not find it, the browser drops cookies, and goes nowhere (rule S16).
            let probe = (!request.facts.keeps_cookies()).then(|| request.set_id(&SiteState::default())).flatten();
            return Offer { may_start: true, identity: held, cookie: probe };
        }
        let Some(Page::Serve(Served { visitor, cookie, .. })) = request.follow(decision, None, client) else {
            return Offer { may_start: false, identity: held, cookie: None };
        };
        let minted = || visitor.id().map(|visitor| Identity { visitor, source: Source::Provisional, created: request.now });
        Offer { may_start: false, identity: held.or_else(minted), cookie }
    }))
}

/// Sends the browser on a hop from the page that it names, or back to that page with the parameter empty, so that its script
/// does not begin again.
#[must_use]
pub fn start(satellite: &Satellite, env: &Env, served: &ServedSite, request: &HttpRequest) -> HttpResponse {
    let Some(page) = page_named(served, request) else {
        env.observer.saw(&Event { site: &served.site.origin, asking: None, step: Step::Page, code: NO_PAGE.code, flow: None });
        return NO_PAGE.page();
    };
    if env.came_by_http(&served.site, request.head()) {
        env.observer.saw(&Event { site: &served.site.origin, asking: None, step: Step::Page, code: PLAIN_HTTP, flow: None });
        return redirect(Redirect::Onward, page.with_empty_parameter(), None);
    }
    let referrer = parameter(request.query_string(), "referrer=").and_then(|text| Referrer::parse(&text));
    // A link from elsewhere could make the visitor's first touch up; the page's own script comes from the same site.
    let is_told_by_page = matches!(text(request.headers(), &SEC_FETCH_SITE), Some("same-site" | "same-origin"));
    let referrer = referrer.filter(|referrer| is_told_by_page && fits_beside(&page, referrer));
    let outcome = on_page(
        satellite,
        env,
        served,
        request,
        &page,
        |asked| asked,
        |request, decision, client| {
            if decision == Decision::Probe
                && let Some(client) = client().known()
            {
                request.satellite.bare_clients.claim(client, request.env.clock.uptime());
            }
            let page = request.follow(decision, referrer, client);
            page.unwrap_or_else(|| Page::Serve(Served::plain(visitor(None, request.standing))))
        },
    );
    match outcome {
        Page::Answer(answer) => answer,
        Page::Serve(Served { cookie, .. }) => redirect(Redirect::Onward, page.with_empty_parameter(), cookie),
    }
}

/// Decides on the page as if it had been asked for here, and lets `then` make something of it.
fn on_page<'r, T>(
    satellite: &'r Satellite,
    env: &'r Env,
    served: &'r ServedSite,
    request: &'r HttpRequest,
    page: &'r PageUrl,
    adjust: impl FnOnce(Facts<'r>) -> Facts<'r>,
    then: impl FnOnce(&Request<'_>, Decision, &dyn Fn() -> ClientKey) -> T,
) -> T {
    let (site, headers, now) = (&served.site, request.headers(), env.clock.now());
    let (cookies, is_revoked) = env.read_id(headers, site, now);
    let mut facts = adjust(facts_beside(cookies, request.method(), page.path_and_query(), headers, &env.cookies));
    let standing: Standing = facts.standing(site);
    let peer = request.peer_addr().map(|address| address.ip());
    let client = || env.proxies.client_key(peer, headers);
    if !facts.keeps_cookies() {
        facts.is_bare_client = client().known().is_some_and(|key| satellite.bare_clients.contains(key, env.clock.uptime()));
    }
    let decision = decide(&facts, site, circuit(satellite, env, &site.origin), now);
    then(&Request { satellite, env, served, head: request.head(), facts: &facts, standing, is_revoked, now }, decision, &client)
}

fn page_named(served: &ServedSite, request: &HttpRequest) -> Option<PageUrl> {
    let text = parameter(request.query_string(), "page=")?;
    PageUrl::parse(&served.site.origin, &text).ok()
}

/// The value of a parameter that is there once.
fn parameter(query: &str, name: &str) -> Option<String> {
    let mut values = query.split('&').filter_map(|pair| pair.strip_prefix(name));
    let value = values.next()?;
    values.next().is_none().then(|| decode(value)).flatten()
}
