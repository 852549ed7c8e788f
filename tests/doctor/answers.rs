//! Proxies that change what the site answers.

use crate::deployment::Deployment;
use crate::proxy::{Mistake, Request};
use crate::support::wire::Answer;

/// A mistake in the answers of pages of the shop, and of its endpoints.
fn on_shop(change: impl Fn(&Request, &mut Answer) + Send + Sync + 'static) -> Mistake {
    Mistake::after(move |request, answer| {
        if request.header("host").is_some_and(|host| host.starts_with("shop.")) {
            change(request, answer);
        }
    })
}

fn cookies(answer: &mut Answer, change: impl Fn(usize, &str) -> Option<String>) {
    let mut seen = 0;
    answer.headers.retain_mut(|(name, value)| {
        if !name.eq_ignore_ascii_case("set-cookie") {
            return true;
        }
        seen += 1;
        change(seen, value).map(|changed| *value = changed).is_some()
    });
}

fn remove(answer: &mut Answer, header: &str) {
    answer.headers.retain(|(name, _)| !name.eq_ignore_ascii_case(header));
}

#[test]
fn set_cookie_is_dropped() {
    let report = Deployment::shared().with(on_shop(|_, answer| remove(answer, "set-cookie")));
    report.fails(&[("set-cookie", "pass every Set-Cookie line on")]);
}

#[test]
fn only_the_first_set_cookie_is_kept() {
    let report = Deployment::shared().with(on_shop(|_, answer| cookies(answer, |nth, line| (nth == 1).then(|| line.into()))));
    report.fails(&[("set-cookie", "as many lines as there are, not one")]);
}

#[test]
fn http_only_is_taken_out() {
    let report = Deployment::shared().with(on_shop(|_, answer| cookies(answer, |_, line| Some(line.replace("; HttpOnly", "")))));
    report.fails(&[("hop-cookie", "pass Set-Cookie on as it is"), ("local-cookie", "nginx: no proxy_cookie_flags")]);
    assert!(report.text.contains("it has no HttpOnly"), "{}", report.text);
}

#[test]
fn secure_is_taken_out() {
    let report = Deployment::shared().with(on_shop(|_, answer| cookies(answer, |_, line| Some(line.replace("; Secure", "")))));
    // No browser keeps such a cookie: the hop ends there.
    report.fails(&[("hop-cookie", "pass Set-Cookie on as it is")]);
    assert!(report.text.contains("a browser would not keep it: its prefix demands Secure"), "{}", report.text);
}

#[test]
fn the_prefix_of_cookies_is_taken_out() {
    let report = Deployment::shared().with(on_shop(|_, answer| cookies(answer, |_, line| Some(line.replace("__Host-", "")))));
    report.fails(&[("hop-cookie", "pass Set-Cookie on as it is"), ("local-cookie", "pass Set-Cookie on as it is")]);
    assert!(report.text.contains("it is called throughline-hop"), "{}", report.text);
}

#[test]
fn the_master_cookie_is_given_to_the_whole_domain() {
    let report = Deployment::shared().with(Mistake::after(|request, answer| {
        if request.path() == "/_throughline/hop" {
            cookies(answer, |_, line| Some(format!("{line}; Domain=brand.test")));
        }
    }));
    report.fails(&[("master-cookie", "proxy_cookie_domain")]);
}

#[test]
fn no_store_is_taken_out() {
    let report = Deployment::shared().with(on_shop(|request, answer| {
        if request.is_for_page() {
            remove(answer, "cache-control");
        }
    }));
    report.fails(&[("no-store", "no proxy_hide_header Cache-Control")]);
}

#[test]
fn vary_is_taken_out() {
    let report = Deployment::shared().with(on_shop(|_, answer| remove(answer, "vary")));
    report.warns(&[("vary", "Let Vary through")]);
}

#[test]
fn the_referrer_is_taken_from_the_first_page() {
    let report = Deployment::shared().with(on_shop(|_, answer| {
        if (300..400).contains(&answer.status) {
            answer.headers.push(("Referrer-Policy".into(), "no-referrer".into()));
        }
    }));
    report.fails(&[("referrer-kept", "Set Referrer-Policy on pages, not on redirects")]);
}

#[test]
fn a_302_becomes_a_301() {
    let report = Deployment::shared().with(on_shop(|_, answer| {
        if answer.status == 302 {
            answer.status = 301;
        }
    }));
    report.fails(&[("hop-status", "Let the 302 through as it is")]);
}

#[test]
fn the_way_back_leads_elsewhere() {
    let report = Deployment::shared().with(on_shop(|_, answer| {
        if answer.status == 303 {
            for (_, value) in answer.headers.iter_mut().filter(|(name, _)| name.eq_ignore_ascii_case("location")) {
                *value = value.replace("/p.html", "/");
            }
        }
    }));
    assert!(report.named("failed").contains("return") && report.code == 1, "{}", report.text);
    assert!(report.text.contains("proxy_redirect off"), "{}", report.text);
}

#[test]
fn the_key_set_of_the_broker_is_not_served() {
    let report = Deployment::shared().with(Mistake::after(|request, answer| {
        if request.path() == "/_throughline/jwks.json" && request.header("host").is_some_and(|host| host.starts_with("www.")) {
            (answer.status, answer.body) = (500, b"Internal Server Error".to_vec());
        }
    }));
    report.fails(&[("jwks", "Pass everything below /_throughline/ on")]);
}

#[test]
fn k3_a_key_is_in_the_set_twice() {
    let report = Deployment::shared().with(on_shop(|request, answer| {
        if request.path() == "/_throughline/jwks.json" {
            let mut set = answer.json();
            let first = set["keys"][0].clone();
            set["keys"].as_array_mut().expect("keys").push(first);
            answer.body = set.to_string().into_bytes();
        }
    }));
    report.fails(&[("jwks", "Every satellite refuses this set whole")]);
    assert!(report.text.contains("is there twice"), "{}", report.text);
}

#[test]
fn k1_a_cache_keeps_the_key_set_for_a_day() {
    let report = Deployment::shared().with(on_shop(|request, answer| {
        if request.path() == "/_throughline/jwks.json" {
            remove(answer, "cache-control");
            answer.headers.push(("Cache-Control".into(), "public, max-age=86400".into()));
        }
    }));
    report.warns(&[("jwks", "copies of 300 s at most")]);
}

#[test]
fn me_may_be_read_by_every_site() {
    let report =
        Deployment::shared().with(on_shop(|_, answer| answer.headers.push(("Access-Control-Allow-Origin".into(), "*".into()))));
    report.fails(&[("me-private", "Take Access-Control-Allow-Origin out")]);
}

#[test]
fn a_clock_is_an_hour_behind() {
    let report = Deployment::shared().with(Mistake::after(|request, answer| {
        if request.header("host").is_some_and(|host| host.starts_with("www.")) {
            remove(answer, "date");
            answer.headers.push(("Date".into(), "Sun, 06 Nov 1994 08:49:37 GMT".into()));
        }
    }));
    report.fails(&[("clock-skew", "Set the clocks of all nodes by NTP")]);
}

#[test]
fn errors_are_shown_as_pages_of_the_proxy() {
    let report = Deployment::shared().with(on_shop(|request, answer| {
        if answer.status == 404 && request.target.contains("mark") {
            remove(answer, "content-type");
            answer.headers.push(("Content-Type".into(), "text/html".into()));
            answer.body = format!("<h1>{} was not found</h1>", request.target).into_bytes();
        }
    }));
    report.fails(&[("error-pages", "Throughline's own answers repeat nothing")]);
}

#[test]
fn no_strict_transport_security() {
    let report = Deployment::shared().with(on_shop(|_, answer| remove(answer, "strict-transport-security")));
    report.warns(&[("https-only", "Strict-Transport-Security")]);
}
