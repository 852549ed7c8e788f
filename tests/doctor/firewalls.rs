//! Parts of the deployment that answer in Throughline's place: firewalls, static hosts, proxies of a server that is down.

use crate::deployment::Deployment;
use crate::proxy::{Mistake, Request};
use crate::support::wire::Answer;

fn page(status: u16, text: &str) -> Answer {
    let headers = vec![("Content-Type".into(), "text/html".into()), ("Server".into(), "a firewall".into())];
    Answer { status, headers, body: text.into() }
}

fn is_for(request: &Request, host: &str, path: &str) -> bool {
    request.path() == path && request.header("host").is_some_and(|of| of.starts_with(host))
}

/// Requests for a path of a host are answered so by something else.
fn answers(host: &'static str, path: &'static str, status: u16) -> Mistake {
    Mistake::before(move |request| is_for(request, host, path).then(|| page(status, "<h1>Request blocked</h1>")))
}

#[test]
fn c1_a_consent_that_does_not_get_through_is_named_by_what_stops_it() {
    for (status, advice) in [(405, "Let POST through"), (403, "firewall"), (404, "Pass everything below"), (503, "start it")] {
        let report = Deployment::shared().with(answers("shop.", "/_throughline/consent", status));
        report.fails(&[("consent", advice)]);
    }
    let report = Deployment::shared().with(Mistake::before(|request| {
        if is_for(request, "shop.", "/_throughline/consent") {
            request.drop_body();
        }
        None
    }));
    report.fails(&[("consent", "Let the body of a POST through")]);
    let report = Deployment::shared().with(Mistake::before(|request| {
        if request.method == "POST" && request.path().starts_with("/_throughline/consent") {
            request.remove("sec-fetch-site");
            request.remove("origin");
        }
        None
    }));
    report.fails(&[("consent", "as they come")]);
}

#[test]
fn s8_where_visitors_are_asked_first_a_blocked_consent_is_the_finding() {
    let company = Deployment::start("required");
    for (status, advice) in [(405, "Let POST through"), (403, "firewall")] {
        let report = company.with(answers("shop.", "/_throughline/consent", status));
        report.fails(&[("consent", advice)]);
    }
}

#[test]
fn c2_a_forget_that_does_not_get_through_is_named() {
    for (status, advice) in [(403, "firewall"), (405, "Let POST through")] {
        let report = Deployment::shared().with(answers("shop.", "/_throughline/forget", status));
        report.fails(&[("forget", advice)]);
    }
    let report = Deployment::shared().with(Mistake::before(|request| {
        if is_for(request, "shop.", "/_throughline/forget") {
            request.remove("cookie");
        }
        None
    }));
    report.fails(&[("forget", "Cookie header of a POST")]);
}

#[test]
fn c2_a_forget_that_something_else_takes_is_found_by_its_effect() {
    let report = Deployment::shared().with(Mistake::before(|request| {
        let answer = || Answer {
            status: 200,
            headers: vec![("Content-Type".into(), "application/json".into())],
            body: br#"{"consent":"denied","everywhere":true}"#.to_vec(),
        };
        is_for(request, "shop.", "/_throughline/forget").then(answer)
    }));
    report.fails(&[("revocation", "reaches the satellite itself")]);
}

#[test]
fn t9_an_api_that_a_firewall_closes_is_named() {
    let report = Deployment::shared()
        .with(Mistake::before(|request| request.target.starts_with("/_throughline/api/").then(|| page(403, "Forbidden"))));
    report.fails(&[("api-closed", "firewall")]);
}

#[test]
fn a_hop_that_a_firewall_stops_is_named() {
    for (status, advice) in [(403, "firewall"), (414, "longer URLs"), (502, "start it")] {
        let report = Deployment::shared().with(Mistake::before(move |request| {
            let is_hop = is_for(request, "www.", "/_throughline/hop") && request.target.contains("&sig=");
            is_hop.then(|| page(status, "<h1>Request blocked</h1>"))
        }));
        report.fails(&[("broker-hop", advice)]);
    }
}

#[test]
fn a_satellite_that_is_down_is_not_a_host_that_was_changed() {
    for status in [502, 503, 504] {
        let report = Deployment::shared().with(answers("shop.", "/_throughline/health", status));
        report.fails(&[("health", "start it")]);
    }
}

#[test]
fn a_host_that_is_only_forwarded_needs_a_trusted_proxy() {
    let report = Deployment::shared().with(Mistake::before(|request| {
        let host = request.header("host").unwrap_or_default().to_owned();
        request.remove("host");
        request
            .headers
            .extend([("Host".to_owned(), "satellite.internal:8400".to_owned()), ("X-Forwarded-Host".to_owned(), host)]);
        None
    }));
    assert_eq!((report.code, report.named("failed").contains("health")), (1, true), "{}", report.text);
    assert!(report.text.contains("[listen] trusted_proxies"), "{}", report.text);
}

#[test]
fn endpoints_that_the_application_answers_are_named() {
    for path in ["/_throughline/me", "/_throughline/exchange"] {
        for status in [404, 200] {
            let report = Deployment::shared().with(answers("shop.", path, status));
            report.fails(&[("endpoints", "Pass everything below /_throughline/ on")]);
        }
    }
    let report = Deployment::shared().with(answers("shop.", "/_throughline/go", 404));
    report.fails(&[("go-closed", "Pass everything below /_throughline/ on")]);
    let report = Deployment::shared().with(answers("www.", "/.well-known/throughline", 403));
    report.fails(&[("metadata", "firewall")]);
}

#[test]
fn x14_a_changed_script_is_named() {
    let report = Deployment::shared().with(Mistake::after(|request, answer| {
        if is_for(request, "shop.", "/_throughline/sdk.js") {
            answer.body.extend_from_slice(b"\n/* optimised */");
        }
    }));
    report.fails(&[("sdk", "Serve the script as it comes")]);
}

#[test]
fn x14_a_script_that_a_cache_keeps_is_named() {
    let report = Deployment::shared().with(Mistake::after(|request, answer| {
        if is_for(request, "shop.", "/_throughline/sdk.js") {
            answer.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("cache-control"));
            answer.headers.push(("Cache-Control".into(), "public, max-age=31536000".into()));
        }
    }));
    report.fails(&[("sdk", "an hour for sdk.js")]);
    // A real script of another version, under the URL that pages use.
    let old = "console.log('an older release')";
    let tag = throughline::satellite::sdk::version(old.as_bytes());
    let report = Deployment::shared().with(Mistake::before(move |request| {
        (request.target == "/_throughline/sdk.js" && is_for(request, "shop.", "/_throughline/sdk.js")).then(|| Answer {
            status: 200,
            headers: vec![("Content-Type".into(), "text/javascript".into()), ("ETag".into(), format!("\"{tag}\""))],
            body: old.into(),
        })
    }));
    report.fails(&[("sdk", "clear this copy")]);
}

#[test]
fn a_redirect_that_takes_the_opener_is_named() {
    let set = |replaces: bool| {
        Mistake::after(move |request, answer| {
            if request.path() == "/_throughline/hop" {
                if replaces {
                    answer.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("cross-origin-opener-policy"));
                }
                answer.headers.push(("Cross-Origin-Opener-Policy".into(), "same-origin".into()));
            }
        })
    };
    Deployment::shared().with(set(true)).fails(&[("opener-kept", "on pages, not on redirects")]);
    Deployment::shared().with(set(false)).warns(&[("opener-kept", "on pages, not on redirects")]);
}

#[test]
fn r2_a_query_that_is_written_anew_is_named() {
    let changes: [fn(&str) -> String; 3] = [
        |query| query.replace("%7e", "~"),
        |query| query.replace('+', "%20"),
        |query| {
            let mut parts: Vec<_> = query.split('&').collect();
            parts.sort_unstable();
            parts.join("&")
        },
    ];
    for change in changes {
        let report = Deployment::shared().with(Mistake::before(move |request| {
            let is_page = request.is_for_page() && !request.target.contains("_tl=");
            if let (true, Some((path, query))) = (is_page, request.target.split_once('?')) {
                request.target = format!("{path}?{}", change(query));
            }
            None
        }));
        report.fails(&[("url-kept", "byte for byte")]);
    }
}

#[test]
fn s14_long_pages_that_are_refused_are_named() {
    let report = Deployment::shared().with(Mistake::before(|request| {
        (request.is_for_page() && request.target.len() > 1024 && !request.target.contains("_tl="))
            .then(|| page(414, "<h1>URI Too Long</h1>"))
    }));
    report.fails(&[("long-url", "longer URLs")]);
}

#[test]
fn b8_a_cookie_that_ends_with_the_session_is_named() {
    let report = Deployment::shared().with(Mistake::after(|request, answer| {
        if request.header("host").is_some_and(|host| host.starts_with("shop.")) {
            for (_, value) in answer.headers.iter_mut().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie")) {
                let parts = value.split("; ").filter(|part| !part.starts_with("Max-Age="));
                *value = parts.collect::<Vec<_>>().join("; ");
            }
        }
    }));
    assert!(report.text.contains("it has no Max-Age") && report.code == 1, "{}", report.text);
    assert!(report.named("failed").contains("local-cookie"), "{}", report.text);
}

#[test]
fn cookies_that_redirects_lose_are_named() {
    let report = Deployment::shared().with(Mistake::after(|_, answer| {
        if (300..400).contains(&answer.status) {
            answer.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("set-cookie"));
        }
    }));
    report.fails(&[("set-cookie", "pass every Set-Cookie line on")]);
}

#[test]
fn s6_a_marker_of_scripts_on_every_request_is_in_the_advice() {
    let report = Deployment::shared().with(Mistake::before(|request| {
        request.headers.push(("X-Requested-With".into(), "XMLHttpRequest".into()));
        None
    }));
    report.fails(&[("hop-starts", "nothing adds X-Requested-With")]);
}
