//! Caches that keep what is one visitor's own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::deployment::Deployment;
use crate::proxy::{Mistake, Request};
use crate::support::wire::Answer;

/// A cache by URL alone, of the shop's pages, of answers that `keeps` says.
fn cache(keeps: impl Fn(&Request, &Answer) -> bool + Send + Sync + 'static) -> Mistake {
    let kept: Arc<Mutex<HashMap<String, Answer>>> = Arc::default();
    let inside = Arc::clone(&kept);
    Mistake::both(
        move |request| {
            let mut kept = inside.lock().unwrap_or_else(PoisonError::into_inner);
            // A run begins by looking whether there is a page; the next one shall find the cache empty, too.
            if request.is_for_page() && request.header("sec-fetch-mode").or(request.header("x-throughline-visitor")).is_none() {
                kept.clear();
            }
            kept.get(&request.target).filter(|_| request.is_for_page() && request.method == "GET").cloned()
        },
        move |request, answer| {
            if request.is_for_page() && request.method == "GET" && keeps(request, answer) {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.entry(request.target.clone()).or_insert_with(|| answer.clone());
            }
        },
    )
}

#[test]
fn s15_the_redirect_is_kept() {
    let report = Deployment::shared().with(cache(|_, answer| answer.status == 302));
    report.fails(&[("cdn-cache", "one visitor's answer goes to others")]);
    assert!(report.text.contains("two first-time visitors got the same redirect"), "{}", report.text);
}

#[test]
fn the_page_is_kept_for_everybody() {
    let report = Deployment::shared().with(cache(|_, answer| answer.status == 200));
    report.fails(&[("cdn-cache", "Let no cache keep")]);
    assert!(report.text.contains("a cache keeps the page, and visitors that get it from there get no ID"), "{}", report.text);
}

#[test]
fn a_page_with_set_cookie_is_kept() {
    let sets_cookie = |_: &Request, answer: &Answer| answer.status == 200 && answer.header("set-cookie").is_some();
    let report = Deployment::shared().with(cache(sets_cookie));
    report.fails(&[("cdn-cache", "proxy_no_cache $http_set_cookie")]);
}

#[test]
fn a_page_of_somebody_who_is_known_is_kept() {
    let is_known = |request: &Request, answer: &Answer| answer.status == 200 && request.header("cookie").is_some();
    let report = Deployment::shared().with(cache(is_known));
    report.fails(&[("cdn-cache", "Let no cache keep")]);
}

#[test]
fn a_cache_that_says_so_is_heard() {
    let report = Deployment::shared().with(Mistake::after(|request, answer| {
        if request.is_for_page() && answer.status == 302 {
            answer.headers.push(("CF-Cache-Status".into(), "HIT".into()));
        }
    }));
    report.fails(&[("cdn-cache", "follow the origin's Cache-Control")]);
}
