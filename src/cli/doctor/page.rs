//! Who must get the page and no hop, what must not count, and that nobody is sent round in circles.

use crate::base::id::VisitorId;
use crate::cli::checkup::Checkup;
use crate::domain::contract::path;

use super::basics::{REDIRECTS_MAX, answered};
use super::names::{CRAWLER, FORWARDED_HOST, GPC, NO_LOOP, POST, PREFETCH, SPOOFED_HEADERS};
use super::party::{Answer, Party};
use super::refusals::clean_up;
use super::setting::{Setting, Unable};
use super::start::HopUrl;
use super::visitor::{Header, Visitor};
use super::walk::walk;

const GOOGLEBOT: &str = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
const OUTSIDER: &str = "throughline-doctor.invalid";

/// A kind of request that must get the page as it is.
struct Left {
    check: &'static str,
    headers: &'static [Header],
    needs: &'static str,
    advice: &'static str,
}

const LEFT: [Left; 3] = [
    Left {
        check: PREFETCH,
        headers: &[("Sec-Purpose", "prefetch"), ("Purpose", "prefetch")],
        needs: "a prefetch",
        advice: "Let Sec-Purpose and Purpose through to the satellite: a prefetch must not use up a visitor's hop.",
    },
    Left {
        check: CRAWLER,
        headers: &[("User-Agent", GOOGLEBOT), ("Referer", "")],
        needs: "a crawler",
        advice: "Let User-Agent through as it comes, and send crawlers nowhere: search engines would lose the page.",
    },
    Left {
        check: GPC,
        headers: &[("Sec-GPC", "1")],
        needs: "a visitor with Global Privacy Control",
        advice: "Let Sec-GPC through to the satellite. If the site has honour_gpc = false on purpose, this stays; mind the law.",
    },
];

/// Prefetches, crawlers, visitors who refuse by their browser, and what is no GET.
pub(super) async fn left_alone(setting: &Setting<'_>, checkup: &mut Checkup) -> Result<(), Unable> {
    let origin = &setting.site.origin;
    for Left { check, headers, needs, advice } in LEFT {
        let mut visitor = if check == CRAWLER { Visitor::new(setting.random)? } else { setting.visitor().await? };
        let answer = visitor.visit(&setting.site, &setting.page, headers).await;
        let Some(answer) = answered(checkup, check, origin, answer) else { continue };
        match fault(&answer) {
            None => checkup.ok(check, origin, format!("{needs} gets the page, and no cookie")),
            Some(fault) => checkup.fail(check, origin, format!("{needs} {fault}"), advice),
        };
    }
    let posted = setting.visitor().await?.post(&setting.site, &setting.page).await;
    let Some(answer) = answered(checkup, POST, origin, posted) else { return Ok(()) };
    if HopUrl::of(&answer).is_none() {
        checkup.ok(POST, origin, format!("a POST goes to the application ({})", answer.status));
    } else {
        let advice = "Let the method through as it comes: a form that is sent on a hop is lost.";
        checkup.fail(POST, origin, "a POST is sent on a hop", advice);
    }
    Ok(())
}

fn fault(answer: &Answer) -> Option<String> {
    if HopUrl::of(answer).is_some() {
        Some("is sent on a hop".to_owned())
    } else if answer.status != 200 {
        Some(format!("gets {}, and not the page", answer.summary()))
    } else if !answer.our_cookies().is_empty() {
        Some("is given a cookie of ours".to_owned())
    } else {
        None
    }
}

/// A browser without cookies gets its page, and is left alone the second time.
pub(super) async fn no_loop(setting: &Setting<'_>, broker: &Party, checkup: &mut Checkup) -> Result<(), Unable> {
    let origin = &setting.site.origin;
    let mut visitor = setting.visitor().await?.without_cookies();
    let mut goes_again = false;
    for _ in 0..2 {
        let walked = walk(&[&setting.site, broker], &mut visitor, &setting.page, &[]).await?;
        let seen = if walked.is_endless() {
            format!("a browser without cookies is still being redirected after {REDIRECTS_MAX} times")
        } else if walked.answer.status != 200 {
            format!("a browser without cookies ends at {} and not at the page", walked.answer.summary())
        } else {
            goes_again = walked.hops > 0;
            continue;
        };
        let advice = "See which part of the deployment redirects: Throughline ends every chain with the page. Set-Cookie, Cookie and \
            the query must pass it as they come.";
        checkup.fail(NO_LOOP, origin, seen, advice);
        clean_up(broker, visitor).await;
        return Ok(());
    }
    clean_up(broker, visitor).await;
    if !goes_again {
        checkup.ok(NO_LOOP, origin, "a browser without cookies gets its page, and goes on no second hop");
    } else {
        let advice = "Let the client's address, User-Agent and Accept-Language through: the satellite knows by them whom it has \
            sent on a hop in vain ([listen] trusted_proxies, X-Forwarded-For).";
        checkup.fail(NO_LOOP, origin, "a browser without cookies goes on a hop again", advice);
    }
    Ok(())
}

/// Forwarded headers of somebody who is no proxy must not decide where a visitor is sent (rule F1).
pub(super) async fn forwarded_host(setting: &Setting<'_>, checkup: &mut Checkup) -> Result<(), Unable> {
    let origin = &setting.site.origin;
    let claims = [
        ("X-Forwarded-Host", OUTSIDER),
        ("X-Original-Host", OUTSIDER),
        ("Forwarded", "host=throughline-doctor.invalid;proto=http"),
        // Else the name would be in the answer of a site that shows its referrers.
        ("Referer", ""),
    ];
    let answer = setting.visitor().await?.navigate(&setting.site, &setting.page, &claims).await;
    let Some(answer) = answered(checkup, FORWARDED_HOST, origin, answer) else { return Ok(()) };
    let leads_there = answer.target().is_some_and(|target| target.contains(OUTSIDER));
    if leads_there || answer.status >= 400 {
        let advice = "Overwrite what clients send (nginx: proxy_set_header X-Forwarded-Host $http_host; proxy_set_header Forwarded \"\";), \
            and believe such headers of proxies only.";
        let seen = if leads_there {
            "X-Forwarded-Host of a client decides where visitors are sent"
        } else {
            "X-Forwarded-Host of a client breaks the page"
        };
        checkup.fail(FORWARDED_HOST, origin, seen, advice);
    } else {
        checkup.ok(FORWARDED_HOST, origin, "X-Forwarded-Host of a client changes nothing");
    }
    Ok(())
}

/// A client must not be able to say who it is (rule F2). What the application is told can only be seen where a page shows it.
pub(super) async fn spoofed_headers(
    setting: &Setting<'_>,
    known: Option<(&mut Visitor, &str)>,
    checkup: &mut Checkup,
) -> Result<(), Unable> {
    let origin = &setting.site.origin;
    let false_id = VisitorId::mint(setting.random)?.to_string();
    let headers: Vec<(String, String)> = ["X-Throughline-Visitor", "x_throughline_visitor", "X-Throughline_Visitor"]
        .into_iter()
        .map(|name| (name.to_owned(), false_id.clone()))
        .chain([("X-Throughline-Source".to_owned(), "broker".to_owned())])
        .collect();
    let mut is_told = false;
    for path in [path::ME, setting.page.as_str()] {
        let answer = setting.site.send(actix_web::http::Method::GET, path, &headers, "").await;
        let Some(answer) = answered(checkup, SPOOFED_HEADERS, origin, answer) else { return Ok(()) };
        is_told |= answer.repeats(&false_id);
    }
    if is_told {
        let advice = "Remove X-Throughline-* of clients, with underscores too, before the application sees them \
            (nginx: proxy_set_header X-Throughline-Visitor $throughline_visitor; underscores_in_headers off;).";
        checkup.fail(
            SPOOFED_HEADERS,
            origin,
            "a client can say which visitor it is: X-Throughline-Visitor from outside counts",
            advice,
        );
        return Ok(());
    }
    let shows = match known {
        Some((visitor, id)) => visitor.navigate(&setting.site, &setting.page, &[]).await?.repeats(id),
        None => false,
    };
    if shows {
        checkup.ok(SPOOFED_HEADERS, origin, "X-Throughline-Visitor from outside does not count");
    } else {
        let why =
            "it does not count in me; what the application is told cannot be seen, since the page does not show the visitor's ID";
        checkup.skip(SPOOFED_HEADERS, origin, why);
    }
    Ok(())
}
