//! Whether a cookie of ours arrived as it was sent.

use crate::base::origin::Origin;
use crate::cli::checkup::Checkup;

use super::jar::{Jar, SetCookie};
use super::names::SET_COOKIE;
use super::party::{Answer, shown};

const PASS_COOKIES: &str = "Let the proxy or the cache pass every Set-Cookie line on, as it is (nginx: no proxy_hide_header \
    Set-Cookie; Lambda and CGI: as many lines as there are, not one).";

const AS_IT_IS: &str = "Let the proxy pass Set-Cookie on as it is (nginx: no proxy_cookie_flags, proxy_cookie_path or \
    proxy_cookie_domain; no cookie rules of a firewall or a load balancer).";

/// A cookie that an answer must set.
pub(super) struct Expected {
    /// The check that looks at its attributes.
    pub(super) check: &'static str,
    pub(super) name: &'static str,
    /// It may be `SameSite=None`, for the CORS route.
    pub(super) may_be_none: bool,
}

/// Looks at one cookie. `false`: it did not come, or not so that a browser would send it back.
pub(super) fn look(origin: &Origin, answer: &Answer, expected: &Expected, checkup: &mut Checkup) -> bool {
    let Expected { check, name, may_be_none } = *expected;
    let cookies = answer.cookies();
    let bare = |name: &str| name.trim_start_matches("__Host-").trim_start_matches("__Secure-").to_ascii_lowercase();
    let found = cookies.iter().find(|cookie| cookie.name == name);
    let Some(cookie) = found.or_else(|| cookies.iter().find(|cookie| bare(&cookie.name) == bare(name))) else {
        let seen = format!("{name} is not set: {} Set-Cookie lines came, and it is not among them", cookies.len());
        checkup.fail(SET_COOKIE, origin, seen, PASS_COOKIES);
        return false;
    };
    let faults = faults(origin, cookie, name, may_be_none);
    if faults.is_empty() {
        checkup.ok(check, origin, format!("{name}, as it should be"));
    } else {
        checkup.fail(check, origin, format!("{name}: {}", faults.join("; ")), AS_IT_IS);
    }
    found.is_some() && Jar::default().keep(origin, cookie).is_ok()
}

fn faults(origin: &Origin, cookie: &SetCookie, name: &str, may_be_none: bool) -> Vec<String> {
    let mut faults = Vec::new();
    if cookie.name != name {
        faults.push(format!("it is called {}", shown(&cookie.name)));
    }
    if cookie.attribute("httponly").is_none() {
        faults.push("it has no HttpOnly".into());
    }
    if origin.is_https() && cookie.attribute("secure").is_none() {
        faults.push("it has no Secure".into());
    }
    if cookie.attribute("path") != Some("/") {
        faults.push("its Path is not /".into());
    }
    if cookie.attribute("domain").is_some() {
        faults.push("it has a Domain".into());
    }
    if cookie.attribute("max-age").is_none() && cookie.attribute("expires").is_none() {
        faults.push("it has no Max-Age, so it ends with the browser's session".into());
    }
    match cookie.attribute("samesite") {
        Some(value) if value.eq_ignore_ascii_case("lax") || may_be_none && value.eq_ignore_ascii_case("none") => {}
        Some(value) => faults.push(format!("it is SameSite={}", shown(value))),
        None => faults.push("it has no SameSite".into()),
    }
    if let Err(why) = Jar::default().keep(origin, cookie) {
        faults.push(format!("a browser would not keep it: {why}"));
    }
    faults
}
