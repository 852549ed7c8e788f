//! Headers of the site's own pages that take from Throughline what it needs.

use crate::base::origin::Origin;
use crate::cli::checkup::Checkup;
use crate::domain::contract::path;

use super::csp::Policies;
use super::markup::metas;
use super::names::{CONTENT_POLICY, FORM_ACTION, REFERRER_POLICY, SERVICE_WORKER, SITE_DATA, STRICT_COOKIES};
use super::party::{Answer, shown};
use super::setting::{Setting, Unable};
use super::start::HopUrl;
use super::visitor::Visitor;
use super::walk::walk;

/// Looks at the page that was shown.
pub(super) async fn of_page(setting: &Setting<'_>, visitor: &mut Visitor, checkup: &mut Checkup) {
    let origin = &setting.site.origin;
    let Some(page) = &setting.shown else {
        for check in [REFERRER_POLICY, CONTENT_POLICY, SITE_DATA, SERVICE_WORKER] {
            checkup.skip(check, origin, "no page came to look at");
        }
        return;
    };
    match referrer_policy(page) {
        Some(policy @ ("no-referrer" | "same-origin")) => {
            let advice = "Use strict-origin-when-cross-origin, or strict-origin: without a Referer, a link to another of your sites \
                carries no ID, and under no-referrer the consent forms of the page are refused.";
            checkup.fail(REFERRER_POLICY, origin, format!("the page has Referrer-Policy: {policy}"), advice)
        }
        policy => checkup.ok(REFERRER_POLICY, origin, policy.unwrap_or("none of its own")),
    };
    content_policy(origin, page, checkup);
    let cleared = page.values("clear-site-data").find(|value| value.contains("\"cookies\"") || value.contains("\"*\""));
    match cleared {
        Some(value) => {
            let advice =
                "Send Clear-Site-Data with the answer to a logout only: on a page, it deletes the visitor's ID each time.";
            checkup.fail(SITE_DATA, origin, format!("the page has Clear-Site-Data: {}", shown(value)), advice)
        }
        None => checkup.ok(SITE_DATA, origin, "the page deletes no cookies"),
    };
    service_worker(setting, page, visitor, checkup).await;
}

/// The policy that a browser follows: the last that it knows, and the page's own tag before the header.
fn referrer_policy(page: &Answer) -> Option<&'static str> {
    const KNOWN: [&str; 8] = [
        "no-referrer",
        "no-referrer-when-downgrade",
        "origin",
        "origin-when-cross-origin",
        "same-origin",
        "strict-origin",
        "strict-origin-when-cross-origin",
        "unsafe-url",
    ];
    let known = |value: &str| {
        let words = value.rsplit(',').map(|word| word.trim().to_ascii_lowercase());
        words.into_iter().find_map(|word| KNOWN.into_iter().find(|policy| *policy == word))
    };
    let metas = metas(&page.text(), "name", "referrer");
    let headers: Vec<_> = page.values("referrer-policy").collect();
    metas.iter().rev().find_map(|value| known(value)).or_else(|| known(&headers.join(",")))
}

fn content_policy(origin: &Origin, page: &Answer, checkup: &mut Checkup) {
    if !page.repeats(path::SDK) && !page.repeats(path::ME) {
        checkup.ok(CONTENT_POLICY, origin, "the page does not load the SDK");
        return;
    }
    let policies = Policies::of(page);
    let advice = "Add 'self' to script-src and to connect-src of the page's Content-Security-Policy.";
    match (policies.allow_script(origin, origin), policies.allow_request(origin, origin)) {
        (true, true) => checkup.ok(CONTENT_POLICY, origin, "it allows the SDK and its requests"),
        (false, _) => checkup.fail(CONTENT_POLICY, origin, "the page's Content-Security-Policy blocks sdk.js", advice),
        (true, false) => {
            checkup.fail(CONTENT_POLICY, origin, "the page's Content-Security-Policy blocks the SDK's requests", advice)
        }
    };
}

/// A service worker that answers navigations stands between the browser and the satellite.
async fn service_worker(setting: &Setting<'_>, page: &Answer, visitor: &mut Visitor, checkup: &mut Checkup) {
    let origin = &setting.site.origin;
    let text = page.text();
    let script = text.split_once("serviceWorker.register(").and_then(|(_, rest)| {
        let rest = rest.trim_start();
        let quote = rest.chars().next().filter(|quote| "\"'`".contains(*quote))?;
        rest[1..].split(quote).next()
    });
    let base = url::Url::parse(&format!("{origin}{}", setting.page)).ok();
    let url =
        script.and_then(|script| base?.join(script).ok()).filter(|url| url.origin().ascii_serialization() == origin.as_str());
    let Some(url) = url else {
        checkup.ok(SERVICE_WORKER, origin, "the page registers none");
        return;
    };
    let answer = visitor.fetch(&setting.site, &url[url::Position::BeforePath..url::Position::AfterQuery], &[]).await;
    if answer.is_ok_and(|answer| answer.repeats("respondWith")) {
        let advice = "Let the worker leave navigations alone: in its fetch event, return without respondWith when event.request.mode \
            is \"navigate\". A page from its cache starts no hop, and a redirect that it follows by itself loses its token.";
        let seen = format!("the page registers {}, which answers requests", shown(url.path()));
        checkup.warn(SERVICE_WORKER, origin, seen, advice);
    } else {
        checkup.ok(SERVICE_WORKER, origin, "the page's worker answers no requests");
    }
}

/// What a hop within the site needs (rule S17), and one from the address bar (rule S19). `known` is a visitor whose hop went well.
pub(super) async fn of_hops(
    setting: &Setting<'_>,
    broker: &super::party::Party,
    known: Option<&Visitor>,
    checkup: &mut Checkup,
) -> Result<(), Unable> {
    let origin = &setting.site.origin;
    let Some(page) = &setting.shown else { return Ok(()) };
    if Policies::of(page).allow_form(origin, &broker.origin) {
        checkup.ok(FORM_ACTION, origin, "forms may lead to the primary");
    } else {
        let within = [("Sec-Fetch-Site", "same-origin"), ("Referer", "")];
        let answer = setting.visitor().await?.navigate(&setting.site, &setting.page, &within).await?;
        let seen = format!("the page's form-action lacks {}", broker.origin);
        if HopUrl::of(&answer).is_some() {
            let advice = format!(
                "Add {} to form-action in Content-Security-Policy, or set hop_inside = false for this site: browsers block a form \
                 that becomes a hop, without a word to the visitor.",
                broker.origin
            );
            checkup.fail(FORM_ACTION, origin, format!("{seen}, and a navigation within the site becomes a hop"), advice);
        } else {
            checkup.ok(FORM_ACTION, origin, format!("{seen}: leave hop_inside = false"));
        }
    }
    let strict = |page: &Answer| {
        let mut cookies = page.cookies().into_iter();
        cookies.find(|cookie| cookie.attribute("samesite").is_some_and(|value| value.eq_ignore_ascii_case("strict")))
    };
    let (Some(cookie), Some(known)) = (strict(page), known) else {
        checkup.ok(STRICT_COOKIES, origin, "the page sets no SameSite=Strict cookie");
        return Ok(());
    };
    // The same visitor, who types the address after this site's cookie was lost.
    let mut typed = known.clone();
    typed.jar.forget(origin, Setting::cookie_names(origin).0);
    typed.jar.forget(origin, Setting::cookie_names(origin).1);
    if setting.needs_consent {
        typed.agree(&setting.site).await?;
    }
    let none = [("Sec-Fetch-Site", "none"), ("Referer", "")];
    let walked = walk(&[&setting.site, broker], &mut typed, &setting.page, &none).await?;
    let ends_by_itself = walked.hops > 0 && !walked.statuses.contains(&303);
    if ends_by_itself {
        checkup.ok(STRICT_COOKIES, origin, "a hop from the address bar ends in a page that goes on by itself");
    } else {
        let advice = "Set strict_cookies = true for this site, or make the cookie SameSite=Lax: Firefox and WebKit do not send a Strict \
            cookie with the page after a hop, so the visitor looks logged out there.";
        let seen = format!("the application sets {}, which is SameSite=Strict", shown(&cookie.name));
        checkup.warn(STRICT_COOKIES, origin, seen, advice);
    }
    Ok(())
}
