//! The first step of a hop: a first-time visitor is sent on, and each to a hop of their own.

use url::Url;

use crate::base::clock::UnixSeconds;
use crate::base::origin::Origin;
use crate::cli::checkup::Checkup;
use crate::domain::contract::path;

use super::blocked::{PASS_ON, TOO_LONG, blocked};
use super::cookies::{Expected, look};
use super::names::{
    CDN_CACHE, HOP_COOKIE, HOP_STARTS, HOP_STATUS, LOCAL_COOKIE, LONG_URL, NO_STORE, OPENER_KEPT, REFERRER_KEPT, RIGHT_PAGE,
    URL_KEPT, VARY,
};
use super::party::{Answer, shown};
use super::setting::{Setting, Unable};
use super::visitor::Visitor;

const NO_CACHE: &str = "Let no cache keep answers of the sites' pages that are redirects, set a cookie, or say no-store: \
    one visitor's answer goes to others (nginx: proxy_no_cache $http_set_cookie; CDN: follow the origin's Cache-Control).";

/// Where a hop leads, as its URL says in the open.
#[derive(Debug, Clone)]
pub(super) struct HopUrl {
    pub(super) broker: Origin,
    pub(super) path_and_query: String,
    site: String,
    page: String,
    flow: String,
    /// The satellite's clock.
    pub(super) issued_at: Option<UnixSeconds>,
}

impl HopUrl {
    /// Reads where an answer leads; `None` if that is no hop.
    pub(super) fn of(answer: &Answer) -> Option<Self> {
        let url = Url::parse(answer.target()?).ok().filter(|url| url.path() == path::HOP)?;
        let value = |name: &str| {
            url.query_pairs().find(|(found, _)| found == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
        };
        Some(Self {
            broker: Origin::parse(&url.origin().ascii_serialization()).ok()?,
            path_and_query: format!("{}?{}", url.path(), url.query().unwrap_or_default()),
            site: value("site"),
            page: value("return"),
            flow: value("flow"),
            issued_at: value("iat").parse().ok().map(UnixSeconds),
        })
    }
}

/// A hop that has begun.
pub(super) struct Begun {
    pub(super) visitor: Visitor,
    pub(super) answer: Answer,
    pub(super) hop: HopUrl,
    /// The time of this machine's clock at that moment.
    pub(super) at: UnixSeconds,
}

/// What came of a first visit.
pub(super) enum Started {
    Hop(Box<Begun>),
    /// The page, where a hop was to be expected.
    NoHop,
    /// Something else, which has been told.
    Told,
}

/// Visits the page until a hop starts, saying yes on the way where the site asks for that.
pub(super) async fn start(setting: &mut Setting<'_>, checkup: &mut Checkup) -> Result<Started, Unable> {
    let origin = setting.site.origin.clone();
    let mut visitor = Visitor::new(setting.random)?;
    let (mut has_agreed, mut has_come_again) = (false, false);
    let mut trace = None;
    loop {
        let answer = visitor.visit(&setting.site, &setting.page, &[]).await?;
        if let Some(hop) = HopUrl::of(&answer) {
            setting.needs_consent = has_agreed;
            let after = if has_agreed { ", once the visitor has agreed" } else { "" };
            checkup.ok(HOP_STARTS, &origin, format!("to {}{after}", hop.broker));
            let at = setting.clock.now();
            return Ok(Started::Hop(Box::new(Begun { visitor, answer, hop, at })));
        }
        if answer.status != 200 {
            let advice = "See which part of the deployment answers so, and let it pass pages on to the satellite.";
            checkup.fail(HOP_STARTS, &origin, format!("a first-time visitor gets {}", answer.summary()), advice);
            return Ok(Started::Told);
        }
        // A cache behind the satellite sends the same header and does no harm. So it counts only if no hop starts.
        trace = trace.or_else(|| answer.cache_trace());
        if !has_come_again && answer.cookies().iter().any(|cookie| cookie.name == Setting::cookie_names(&origin).0) {
            // The satellite is not sure of the browser yet (rule S16).
            has_come_again = true;
        } else if !has_agreed {
            has_agreed = true;
            visitor.agree(&setting.site).await?;
        } else if HopUrl::of(&visitor.visit(&setting.site, &unseen(setting), &[]).await?).is_some() {
            let seen = "the page starts no hop, but with another query it does: a cache keeps the page, and visitors that get it \
                from there get no ID";
            checkup.fail(CDN_CACHE, &origin, seen, NO_CACHE);
            return Ok(Started::Told);
        } else if let Some(trace) = trace {
            let seen = format!("a cache gave the page to a first-time visitor ({trace}), who gets no ID so");
            checkup.fail(CDN_CACHE, &origin, seen, NO_CACHE);
            return Ok(Started::Told);
        } else {
            return Ok(Started::NoHop);
        }
    }
}

/// Tells that no hop started, where nothing else explains it.
pub(super) fn no_hop(origin: &Origin, checkup: &mut Checkup) {
    let advice = "See that the page is served through Throughline and is not on the skip list; that Sec-Fetch-*, Accept and \
        User-Agent arrive as they are, and that nothing adds X-Requested-With or Range; that the proxy which asks below \
        /_throughline/auth/ is in [listen] trusted_proxies; and that the consent policy is the one you mean. With [log] level = \
        \"debug\" the satellite says why it starts no hop.";
    checkup.fail(HOP_STARTS, origin, "a first-time visitor gets the page and no hop, even after saying yes", advice);
}

/// The page, with a query that no cache has seen.
fn unseen(setting: &Setting<'_>) -> String {
    setting.page_with(&format!("throughline-doctor={}", setting.number()))
}

/// The page's URL reaches the satellite byte for byte, and a long one too. Both start a hop that goes no further.
pub(super) async fn urls(setting: &Setting<'_>, checkup: &mut Checkup) -> Result<(), Unable> {
    /// What proxies decode, encode, sort or drop.
    const AWKWARD: &str = "throughline-doctor=z%2Fy+x%20w%7e&b=2&a=1&a=&empty";
    /// As long as the addresses of campaigns become. The hop's own URL is about twice as long.
    const LONG: usize = 1500;
    let origin = &setting.site.origin;
    let awkward = setting.page_with(AWKWARD);
    let answer = setting.visitor().await?.visit(&setting.site, &awkward, &[]).await?;
    match HopUrl::of(&answer) {
        Some(hop) if hop.page == format!("{origin}{awkward}") => checkup.ok(URL_KEPT, origin, "byte for byte"),
        Some(_) => {
            let advice = "Pass path and query on byte for byte: nothing may decode, encode, sort or drop parameters (nginx: \
                proxy_pass without a path; no rewrite with $args; in a CDN, no query string normalisation).";
            checkup.fail(URL_KEPT, origin, "a query with escapes arrives changed at the satellite", advice)
        }
        None => checkup.skip(URL_KEPT, origin, format!("a query with escapes starts no hop ({})", answer.summary())),
    };
    let long = setting.page_with(&format!("throughline-doctor={}", "a".repeat(LONG)));
    let answer = setting.visitor().await?.visit(&setting.site, &long, &[]).await?;
    if HopUrl::of(&answer).is_some() || answer.status == 200 {
        checkup.ok(LONG_URL, origin, format!("a page with a query of {LONG} bytes gets through"));
    } else {
        let (seen, advice) = blocked(&format!("a page with a query of {LONG} bytes"), &answer);
        checkup.fail(LONG_URL, origin, seen, if advice == PASS_ON { TOO_LONG } else { advice });
    }
    Ok(())
}

/// Another first-time visitor must get a hop of their own: else a cache gives one visitor's answer to others.
pub(super) async fn not_cached(setting: &Setting<'_>, first: &Begun, checkup: &mut Checkup) -> Result<bool, Unable> {
    let origin = &setting.site.origin;
    let answer = setting.visitor().await?.visit(&setting.site, &setting.page, &[]).await?;
    let is_same = HopUrl::of(&answer).is_some_and(|hop| hop.flow == first.hop.flow);
    let seen = if is_same {
        "two first-time visitors got the same redirect: a cache keeps it, and would make one person of all".to_owned()
    } else if let Some(trace) = [&answer, &first.answer].into_iter().find_map(redirect_trace) {
        format!("a first-time visitor was answered by a cache ({trace})")
    } else if HopUrl::of(&answer).is_none() && !checkup.has_failed(HOP_STARTS) {
        format!("a first-time visitor got {} where another went on a hop: a cache keeps the page", answer.summary())
    } else {
        return Ok(true);
    };
    checkup.fail(CDN_CACHE, origin, seen, NO_CACHE);
    Ok(false)
}

/// How it shows that a cache gave a redirect of ours. A cache behind the satellite may well give a page.
fn redirect_trace(answer: &Answer) -> Option<String> {
    answer.cache_trace().filter(|_| HopUrl::of(answer).is_some())
}

/// Looks at the redirect that starts a hop (rule S15).
pub(super) fn look_at_start(setting: &Setting<'_>, begun: &Begun, checkup: &mut Checkup) -> bool {
    let (origin, answer, hop) = (&setting.site.origin, &begun.answer, &begun.hop);
    if answer.status == 302 {
        checkup.ok(HOP_STATUS, origin, "302");
    } else {
        let advice = "Let the 302 through as it is: browsers keep a 301 or 308 for good, and 307 and 308 repeat a POST.";
        checkup.fail(HOP_STATUS, origin, format!("the hop starts by {} and not by 302", answer.status), advice);
    }
    look_at_redirect(origin, answer, checkup);
    if answer.says("vary", "cookie") && answer.says("vary", "sec-fetch-dest") {
        checkup.ok(VARY, origin, "the redirect tells caches what it depends on");
    } else {
        let advice =
            "Let Vary through as it comes: a cache that keeps the redirect in spite of no-store tells visitors apart by it.";
        checkup.warn(VARY, origin, "the redirect has not the Vary that the satellite sends", advice);
    }
    let page = format!("{origin}{}", setting.page);
    if hop.site == origin.as_str() && hop.page == page {
        checkup.ok(RIGHT_PAGE, origin, "the hop is for this site, and comes back to this page");
    } else {
        let advice = "The proxy in front must pass host, path and query on as they came (nginx: proxy_pass without a path, \
            and proxy_set_header Host $http_host;).";
        let seen = format!("the hop would come back to {}", shown(super::party::without_query(&hop.page)));
        checkup.fail(RIGHT_PAGE, origin, seen, advice);
    }
    let (id, hop) = Setting::cookie_names(origin);
    let kept = look(origin, answer, &Expected { check: HOP_COOKIE, name: hop, may_be_none: false }, checkup);
    // The note of the attempt; the check of its attributes is made where it carries an ID.
    let noted = answer.cookies().iter().any(|cookie| cookie.name == id)
        || look(origin, answer, &Expected { check: LOCAL_COOKIE, name: id, may_be_none: false }, checkup);
    kept && noted
}

/// What holds for every redirect of ours; it says nothing where all is well.
pub(super) fn look_at_redirect(origin: &Origin, answer: &Answer, checkup: &mut Checkup) {
    if !answer.says("cache-control", "no-store") {
        let advice = "Let Cache-Control: no-store through as it comes (nginx: no proxy_hide_header Cache-Control, no expires).";
        checkup.fail(NO_STORE, origin, "a redirect of ours may be kept by caches", advice);
    }
    if let Some(policy) = answer.header("referrer-policy") {
        let advice =
            "Set Referrer-Policy on pages, not on redirects: on a redirect it takes the outside referrer from the first page.";
        checkup.fail(REFERRER_KEPT, origin, format!("a redirect of ours sets Referrer-Policy: {}", shown(policy)), advice);
    }
    let openers: Vec<_> = answer.values("cross-origin-opener-policy").map(|value| value.trim().to_ascii_lowercase()).collect();
    if let Some(policy) = openers.iter().find(|policy| !policy.starts_with("unsafe-none")) {
        let advice = "Set Cross-Origin-Opener-Policy on pages, not on redirects (nginx: a map on $status, or no add_header below \
            /_throughline/): on a redirect it takes window.opener from a page that was opened as a popup, such as a payment or a login.";
        let seen = format!("a redirect of ours has Cross-Origin-Opener-Policy: {}", shown(policy));
        match openers.len() {
            1 => checkup.fail(OPENER_KEPT, origin, seen, advice),
            _ => checkup.warn(OPENER_KEPT, origin, format!("{seen}, beside our own: browsers ignore the two"), advice),
        };
    }
}
