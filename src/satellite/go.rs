//! `GET /_throughline/go?to=<URL>`: a link to another of the company's sites takes the visitor's ID along (rules L1, L5, L7).

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};

use crate::base::origin::Origin;
use crate::base::random::random_bytes;
use crate::domain::arrival::{NO_NETWORK, TOO_MANY};
use crate::domain::contract::PREFIX;
use crate::domain::decision::{Facts, UNJUDGED};
use crate::domain::link_url::{Link, decode};
use crate::domain::site_cookie::Source;
use crate::domain::url::PageUrl;
use crate::http::answer::{Redirect, Refusal, redirect};
use crate::http::event::{Event, Step};
use crate::http::facts::{facts, text};
use crate::http::host::PLAIN_HTTP;
use crate::http::{Env, ServedSite};
use crate::token::claims::{TOKEN_LIFE_MAX, TokenId};
use crate::token::mint::{Statement, Token, link_token};

use super::Satellite;

/// Rule L1.
const NOT_OURS: Refusal = Refusal {
    status: 400,
    code: "not_a_sibling",
    advice: "This link does not lead to one of the company's own websites. If it should, its origin has to be registered at the broker.",
};

/// Answers a followed link.
#[must_use]
pub fn go(satellite: &Satellite, env: &Env, served: &ServedSite, request: &HttpRequest) -> HttpResponse {
    let tell = |code| env.observer.saw(&Event { site: &served.site.origin, asking: None, step: Step::Link, code, flow: None });
    let siblings = satellite.siblings.load();
    let registered = |text: &str| {
        if text == served.site.origin.as_str() { Some(served.site.origin.clone()) } else { siblings.origin(text).cloned() }
    };
    let mut targets = request.query_string().split('&').filter_map(|pair| pair.strip_prefix("to="));
    let target = match (targets.next(), targets.next()) {
        (Some(target), None) => Link::parse(&decode(target), registered).ok(),
        _ => None,
    };
    let Some((origin, link)) = target else {
        tell(NOT_OURS.code);
        let last = page_before(&served.site.origin, request);
        return NOT_OURS.page_with_way_back(last.as_ref(), &PageUrl::front(&served.site.origin));
    };
    let (location, code) = match link {
        Link::Plain(location) => (location, "url_unfit"),
        Link::Page(page) => match token_for(satellite, env, served, &origin, request) {
            Ok(token) => (page.with_token(&token), "decorated"),
            Err(code) => (page.into_location(), code),
        },
    };
    tell(code);
    redirect(Redirect::Onward, location, None)
}

/// The page with the link, if it is one of the site's own. An endpoint of ours is no page to go back to.
fn page_before(site: &Origin, request: &HttpRequest) -> Option<PageUrl> {
    let page = PageUrl::parse(site, text(request.headers(), &header::REFERER)?).ok()?;
    Some(page.clean()).filter(|page| !page.path_and_query().starts_with(PREFIX))
}

/// The token for a link to `origin`, or why the link goes without.
fn token_for(
    satellite: &Satellite,
    env: &Env,
    served: &ServedSite,
    origin: &Origin,
    request: &HttpRequest,
) -> Result<Token, &'static str> {
    let now = env.clock.now();
    // The primary makes its IDs itself (rule B6), and a site needs no token for its own pages.
    if *origin == served.site.origin || *origin == satellite.primary {
        return Err("plain");
    }
    let facts: Facts<'_> = facts(request.method(), "/", request.headers(), env, &served.site, now);
    facts.page_navigation(served.site.legacy_browsers).map_err(|reason| reason.code())?;
    if env.came_by_http(&served.site, request.head()) {
        return Err(PLAIN_HTTP);
    }
    if !env.may(request.head()) {
        return Err(TOO_MANY);
    }
    if facts.standing(&served.site).basis().is_none() {
        return Err("no_consent");
    }
    // A provisional ID is this site's own affair until the broker knows of it.
    if facts.cookies.is_withheld {
        return Err(UNJUDGED);
    }
    let identity = facts.cookies.state.identity.filter(|identity| identity.source != Source::Provisional).ok_or("no_id")?;
    let network = env.network(request.head()).ok_or(NO_NETWORK)?;
    let id = TokenId(random_bytes(&*env.random).map_err(|_| "no_randomness")?);
    let keys = served.keys.load();
    let key = keys.signing_key(now).ok_or("no_key")?;
    let statement =
        Statement { issuer: &served.site.origin, audience: origin, visitor: identity.visitor, now, life: TOKEN_LIFE_MAX, id };
    Ok(link_token(key, &statement, &network))
}
