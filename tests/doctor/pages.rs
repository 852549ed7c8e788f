//! What the application or a proxy adds to pages, and takes from Throughline by it; and applications that do nothing wrong.

use crate::deployment::{Deployment, HOSTS};
use crate::proxy::{Mistake, Request};
use crate::support::wire::Answer;

const SDK_PAGE: &str = "<!doctype html><title>shop</title><script src=\"/_throughline/sdk.js\"></script>\n";

/// An application that answers every page of a host, in a way of its own.
fn on_pages(host: &'static str, change: impl Fn(&Request, &mut Answer) + Send + Sync + 'static) -> Mistake {
    Mistake::after(move |request, answer| {
        let is_page = request.path() == "/p.html" && answer.status == 200;
        if is_page && request.header("host").is_some_and(|of| of.starts_with(host)) {
            change(request, answer);
        }
    })
}

fn with_header(name: &'static str, value: &'static str) -> Mistake {
    on_pages("shop.", move |_, answer| answer.headers.push((name.into(), value.into())))
}

fn with_body(body: &'static str) -> Mistake {
    on_pages("shop.", move |_, answer| answer.body = body.into())
}

/// A page with the SDK, under this policy.
fn with_policy(policy: &'static str) -> Mistake {
    on_pages("shop.", move |_, answer| {
        answer.body = SDK_PAGE.into();
        answer.headers.push(("Content-Security-Policy".into(), policy.into()));
    })
}

#[test]
fn s2_pages_without_a_referrer_are_named() {
    for policy in ["no-referrer", "same-origin", "strict-origin, no-referrer", "No-Referrer, nonsense"] {
        let report = Deployment::shared().with(with_header("Referrer-Policy", policy));
        report.fails(&[("referrer-policy", "strict-origin-when-cross-origin")]);
    }
    let report = Deployment::shared().with(with_body("<meta name=\"referrer\" content=\"no-referrer\">"));
    report.fails(&[("referrer-policy", "carries no ID")]);
}

#[test]
fn x1_a_policy_that_blocks_the_sdk_is_named() {
    for policy in ["default-src 'none'", "script-src https://cdn.test", "script-src 'self'; connect-src 'none'"] {
        let report = Deployment::shared().with(with_policy(policy));
        report.fails(&[("content-policy", "Add 'self' to script-src and to connect-src")]);
    }
}

#[test]
fn a_form_that_could_not_become_a_hop_is_told_of() {
    let report = Deployment::shared().with(with_policy("default-src 'self'; form-action 'self'"));
    let found = report.findings().find(|found| found["check"] == "form-action").expect("a finding").to_string();
    // Where navigations within the site start hops, this is a fault; elsewhere it is good to know.
    assert!(found.contains("lacks https://www.brand.test") && found.contains("hop_inside"), "{found}");
    assert!(report.named("failed").into_iter().all(|check| check == "form-action"), "{}", report.text);
}

#[test]
fn a_strict_cookie_of_the_application_is_told_of() {
    let report = Deployment::shared().with(with_header("Set-Cookie", "session=1; Path=/; Secure; HttpOnly; SameSite=Strict"));
    report.warns(&[("strict-cookies", "strict_cookies = true")]);
    assert!(report.text.contains("the application sets session"), "{}", report.text);
}

#[test]
fn pages_that_delete_cookies_are_named() {
    let report = Deployment::shared().with(with_header("Clear-Site-Data", "\"cache\", \"cookies\""));
    report.fails(&[("site-data", "answer to a logout only")]);
}

#[test]
fn a_worker_that_answers_navigations_is_named() {
    let report = Deployment::shared().with(Mistake::both(
        |request| {
            (request.path() == "/sw.js").then(|| Answer {
                status: 200,
                headers: vec![("Content-Type".into(), "text/javascript".into())],
                body: b"addEventListener('fetch', event => event.respondWith(caches.match(event.request)))".to_vec(),
            })
        },
        |request, answer| {
            if request.is_for_page() && answer.status == 200 {
                answer.body = b"<script>navigator.serviceWorker.register('/sw.js')</script>".to_vec();
            }
        },
    ));
    report.warns(&[("service-worker", "leave navigations alone")]);
}

/// Nothing of this is a fault, so nothing may be found.
#[test]
fn a_busy_application_is_no_fault() {
    let company = Deployment::shared();
    for host in ["shop.", "www."] {
        for (name, value) in [
            ("Set-Cookie", "session=1; Path=/; Secure; HttpOnly; SameSite=Lax"),
            ("Content-Security-Policy", "default-src 'self'; script-src 'self' 'nonce-abc'"),
            ("Content-Security-Policy-Report-Only", "default-src 'none'"),
            ("Referrer-Policy", "no-referrer, strict-origin-when-cross-origin"),
            ("Vary", "Accept-Encoding"),
            ("Age", "30"),
            ("X-Cache", "HIT"),
            ("Cross-Origin-Opener-Policy", "same-origin"),
        ] {
            let mistake = on_pages(host, move |_, answer| {
                answer.body = SDK_PAGE.into();
                answer.headers.push((name.into(), value.into()));
            });
            let proxy = company.proxy(std::sync::Arc::clone(&company.tls), mistake);
            let site = if host == "www." { HOSTS[0] } else { HOSTS[1] };
            let url = format!("https://{site}:{}/p.html?x=1", company.port);
            let report = company.examine(&url, [proxy.ip(), proxy.ip()], true);
            assert_eq!((report.code, report.json["outcome"].as_str()), (0, Some("ok")), "{host} {name}\n{}", report.text);
        }
    }
}

#[test]
fn s8_an_application_that_sets_cookies_is_no_fault_where_visitors_are_asked_first() {
    let company = Deployment::start("required");
    // A session first, by a redirect: on every site, also where a balancer adds a cookie to whatever passes.
    let session = |request: &mut Request| {
        let is_new = request.path() == "/p.html" && !request.header("cookie").is_some_and(|all| all.contains("session="));
        let url = request.target.clone();
        (is_new && request.method == "GET" && request.header("user-agent").is_some()).then(|| Answer {
            status: 302,
            headers: vec![("Location".into(), url), ("Set-Cookie".into(), "session=1; Path=/; Secure; HttpOnly".into())],
            body: Vec::new(),
        })
    };
    for (site, url) in [(HOSTS[0], "p.html"), (HOSTS[1], "p.html?x=1")] {
        let sets = Mistake::after(|_, answer| answer.headers.push(("Set-Cookie".into(), "balancer=7; Path=/; Secure".into())));
        for (what, mistake) in [("a balancer's cookie", sets), ("a session by a redirect", Mistake::before(session))] {
            let proxy = company.proxy(std::sync::Arc::clone(&company.tls), mistake);
            let url = format!("https://{site}:{}/{url}", company.port);
            let report = company.examine(&url, [proxy.ip(), proxy.ip()], true);
            let failed = report.named("failed");
            // A browser without cookies never gets past such a session; that is the application's own doing.
            let is_well = failed.iter().all(|check| what.starts_with("a session") && *check == "no-loop");
            assert!(is_well && report.named("warning").is_empty(), "{site}, {what}\n{}", report.text);
        }
    }
}
