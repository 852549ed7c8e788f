//! Proxies that change what the site is asked.

use crate::deployment::Deployment;
use crate::proxy::{Mistake, Request};
use crate::support::wire::Answer;

fn redirect(location: &str) -> Answer {
    Answer { status: 302, headers: vec![("Location".into(), location.into())], body: Vec::new() }
}

/// A mistake in every request for the shop.
fn on_shop(change: impl Fn(&mut Request) + Send + Sync + 'static) -> Mistake {
    Mistake::before(move |request| {
        if request.header("host").is_some_and(|host| host.starts_with("shop.")) {
            change(request);
        }
        None
    })
}

#[test]
fn the_parameter_is_taken_out() {
    let report = Deployment::shared().with(on_shop(|request| {
        if let Some(at) = request.target.find("&_tl=") {
            request.target.truncate(at);
        }
    }));
    report.fails(&[("parameter-kept", "Allow that parameter")]);
}

#[test]
fn cookies_do_not_arrive_at_pages() {
    let report = Deployment::shared().with(on_shop(|request| {
        if request.is_for_page() {
            request.remove("cookie");
        }
    }));
    report.fails(&[("return", "pass the Cookie header of pages on")]);
}

#[test]
fn the_host_is_rewritten_to_another_site() {
    let report = Deployment::shared().with(on_shop(|request| {
        for (name, value) in &mut request.headers {
            if name.eq_ignore_ascii_case("host") {
                *value = value.replace("shop.", "learn.");
            }
        }
    }));
    report.fails(&[("host-kept", "proxy_set_header Host $http_host")]);
}

#[test]
fn the_host_is_rewritten_to_the_upstream() {
    let report = Deployment::shared().with(on_shop(|request| {
        request.remove("host");
        request.headers.push(("Host".into(), "127.0.0.1:8400".into()));
    }));
    assert!(report.named("failed").contains("health") && report.code == 1, "{}", report.text);
    assert!(report.text.contains("Else add the site to the configuration."), "{}", report.text);
}

#[test]
fn sec_fetch_headers_do_not_arrive() {
    let report = Deployment::shared().with(on_shop(|request| {
        for name in ["sec-fetch-dest", "sec-fetch-mode", "sec-fetch-site", "sec-fetch-user"] {
            request.remove(name);
        }
    }));
    report.fails(&[("fetch-metadata", "without them no hop ever starts")]);
}

#[test]
fn f1_a_forwarded_host_of_a_client_is_believed() {
    let report = Deployment::shared().with(Mistake::both(
        |_| None,
        |request, answer| {
            if let Some(host) = request.header("x-forwarded-host") {
                *answer = redirect(&format!("https://{host}/"));
            }
        },
    ));
    report.fails(&[("forwarded-host", "Overwrite what clients send")]);
}

#[test]
fn f2_a_client_may_say_who_it_is() {
    let report = Deployment::shared().with(Mistake::after(|request, answer| {
        if let (true, Some(id)) = (request.is_for_page(), request.header("x-throughline-visitor")) {
            answer.body = format!("<p>Good day, {id}").into_bytes();
        }
    }));
    report.fails(&[("spoofed-headers", "Remove X-Throughline-* of clients")]);
}

#[test]
fn s5_crawlers_are_redirected() {
    let report = Deployment::shared().with(Mistake::before(|request| {
        let is_crawler = request.header("user-agent").is_some_and(|agent| agent.contains("Googlebot"));
        (is_crawler && request.is_for_page()).then(|| redirect("/for-robots"))
    }));
    report.fails(&[("crawler", "search engines would lose the page")]);
}

#[test]
fn s5_user_agents_are_replaced() {
    let report = Deployment::shared().with(on_shop(|request| {
        request.remove("user-agent");
        request.headers.push(("User-Agent".into(), "Mozilla/5.0 (a CDN)".into()));
    }));
    report.fails(&[("crawler", "Let User-Agent through as it comes")]);
}

#[test]
fn s4_prefetches_are_not_told_apart() {
    let report = Deployment::shared().with(on_shop(|request| {
        request.remove("sec-purpose");
        request.remove("purpose");
    }));
    report.fails(&[("prefetch", "Let Sec-Purpose and Purpose through")]);
}

#[test]
fn s9_global_privacy_control_does_not_arrive() {
    let report = Deployment::shared().with(on_shop(|request| request.remove("sec-gpc")));
    report.fails(&[("gpc", "Let Sec-GPC through")]);
}

#[test]
fn s1_posts_are_turned_into_gets() {
    let report = Deployment::shared().with(on_shop(|request| {
        if request.is_for_page() && request.method == "POST" {
            request.method = "GET".into();
        }
    }));
    report.fails(&[("post", "Let the method through as it comes")]);
}

#[test]
fn f3_the_endpoints_of_the_proxy_are_open() {
    let report = Deployment::shared().with(Mistake::before(|request| {
        let is_open = request.path() == "/_throughline/auth/forward" && request.header("x-forwarded-uri").is_some();
        is_open.then(|| Answer { status: 200, headers: vec![("X-Throughline-Source".into(), "broker".into())], body: Vec::new() })
    }));
    assert_eq!(report.named("failed").into_iter().collect::<Vec<_>>(), ["auth-closed"], "{}", report.text);
    assert!(report.code == 1 && report.text.contains("close it to the outside (nginx: internal;)"), "{}", report.text);
}

#[test]
fn l1_go_leads_anywhere() {
    let report = Deployment::shared().with(Mistake::before(|request| {
        let to = request.target.strip_prefix("/_throughline/go?to=https%3A%2F%2Fthroughline-doctor.invalid");
        to.map(|_| redirect("https://throughline-doctor.invalid/"))
    }));
    report.fails(&[("go-closed", "Anybody could use this site")]);
}

#[test]
fn the_proxy_redirects_who_has_no_cookies_for_ever() {
    let report = Deployment::shared().with(Mistake::before(|request| {
        let is_stranger = request.is_for_page() && request.header("cookie").is_none() && request.target.contains("_tl=");
        is_stranger.then(|| redirect("/p.html?x=1&_tl="))
    }));
    report.fails(&[("no-loop", "See which part of the deployment redirects")]);
}

#[test]
fn s6_accept_is_replaced() {
    let report = Deployment::shared().with(on_shop(|request| {
        request.remove("accept");
        request.headers.push(("Accept".into(), "*/*".into()));
    }));
    report.fails(&[("hop-starts", "that Sec-Fetch-*, Accept and User-Agent arrive")]);
}

#[test]
fn b2_the_hop_request_is_altered() {
    let report = Deployment::shared().with(Mistake::before(|request| {
        if request.path() == "/_throughline/hop" {
            request.target = request.target.replace("&consent=implied", "&consent=granted");
        }
        None
    }));
    report.fails(&[("broker-hop", "nothing on the way changes the query")]);
}

#[test]
fn cookies_do_not_arrive_at_our_endpoints() {
    let report = Deployment::shared().with(on_shop(|request| {
        if request.path() == "/_throughline/me" {
            request.remove("cookie");
        }
    }));
    report.fails(&[("known-visitor", "the Cookie header arrives at /_throughline/me")]);
}

#[test]
fn the_path_is_rewritten() {
    let report = Deployment::shared().with(on_shop(|request| {
        if request.is_for_page() && request.header("cookie").is_none() {
            request.target = request.target.replace("x=1", "x=2");
        }
    }));
    assert!(report.named("failed").contains("right-page") && report.code == 1, "{}", report.text);
    assert!(report.text.contains("proxy_pass without a path"), "{}", report.text);
}

#[test]
fn the_proxy_brings_an_api_key_of_its_own() {
    let report = Deployment::shared().with(Mistake::before(|request| {
        let is_api = request.target.starts_with("/_throughline/api/");
        is_api.then(|| Answer {
            status: 200,
            headers: vec![("Content-Type".into(), "application/json".into())],
            body: b"{}".to_vec(),
        })
    }));
    report.fails(&[("api-closed", "Let no proxy add an Authorization header")]);
}
