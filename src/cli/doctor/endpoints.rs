//! Checks that each endpoint of the satellite answers, unaltered, and only to clients that may ask.

use crate::cli::checkup::Checkup;
use crate::domain::contract::{PREFIX, path};
use crate::satellite::sdk::version as script_version;
use crate::token::jwks::read_jwks;
use crate::token::key::PublicKey;
use crate::token::keyset::JWKS_MAX_AGE;

use super::basics::{answered, plain};
use super::blocked::blocked;
use super::names::{AUTH_CLOSED, ENDPOINTS, ERROR_PAGES, GO_CLOSED, JWKS, ME_PRIVATE, SDK};
use super::party::{Answer, Party, shown};
use super::setting::Setting;
use super::visitor::Visitor;

/// A site that cannot exist (RFC 2606).
const OUTSIDER: &str = "https://throughline-doctor.invalid";

/// How long the satellite lets copies of a script without a version live.
const SDK_MAX_AGE_SECONDS: u64 = 3600;

const KEEP_CACHE_CONTROL: &str = "Let caches keep to Cache-Control as it comes, an hour for sdk.js, and clear this copy. A \
    page that names the version (sdk.js?v=...) is not affected.";

/// Reads a key set as satellites do.
pub(super) async fn jwks(party: &Party, checkup: &mut Checkup) -> Vec<PublicKey> {
    let origin = &party.origin;
    let Some(answer) = answered(checkup, JWKS, origin, plain(party, path::JWKS, &[]).await) else { return Vec::new() };
    if answer.status != 200 {
        let (seen, advice) = blocked(path::JWKS, &answer);
        checkup.fail(JWKS, origin, seen, advice);
        return Vec::new();
    }
    let keys = match read_jwks(&answer.body) {
        Ok(keys) => keys,
        Err(mistake) => {
            let advice = "Every satellite refuses this set whole. Serve what Throughline serves, without a change on the way.";
            checkup.fail(JWKS, origin, format!("the key set is refused: {}", shown(&mistake.to_string())), advice);
            return Vec::new();
        }
    };
    let age = answer.header("age").and_then(|age| age.parse::<u64>().ok()).unwrap_or_default();
    if age > JWKS_MAX_AGE.as_secs() || max_age(&answer).is_some_and(|life| life > JWKS_MAX_AGE.as_secs()) {
        let advice = "A rotation of keys counts on copies of 300 s at most: let the cache keep to Cache-Control as it comes.";
        checkup.warn(JWKS, origin, "a cache keeps the key set for too long", advice);
    } else {
        checkup.ok(JWKS, origin, format!("{} keys", keys.len()));
    }
    keys
}

/// The browser SDK comes as the satellite has it. The satellite names versions by their bytes, so a change on the way shows.
pub(super) async fn sdk(setting: &Setting<'_>, checkup: &mut Checkup) {
    let origin = &setting.site.origin;
    let Some(answer) = answered(checkup, SDK, origin, plain(&setting.site, path::SDK, &[]).await) else { return };
    if answer.status != 200 || !answer.says("content-type", "javascript") || answer.body.is_empty() {
        let (seen, advice) = blocked(path::SDK, &answer);
        checkup.fail(SDK, origin, seen, advice);
        return;
    }
    let version = script_version(&answer.body);
    let is_tagged = answer.header("etag").is_some_and(|tag| tag.trim_start_matches("W/").trim_matches('"') == version);
    // The satellite lets a script live for a year if the URL names the version that it has.
    let versioned = format!("{}?v={version}", path::SDK);
    if !is_tagged && !plain(&setting.site, &versioned, &[]).await.is_ok_and(|answer| answer.says("cache-control", "immutable")) {
        let advice = "Serve the script as it comes: no sub_filter, no minifier, no script injection or \"optimisation\" of a CDN for \
            /_throughline/. Pages that name its integrity would not run it, and a changed script may not hold analytics back.";
        checkup.fail(SDK, origin, "the script was changed on its way: its bytes are not those that the satellite sends", advice);
        return;
    }
    let fresh = format!("{}?throughline-doctor={}", path::SDK, setting.number());
    let Some(fresh) = answered(checkup, SDK, origin, plain(&setting.site, &fresh, &[]).await) else { return };
    let life = max_age(&answer).unwrap_or_default();
    if fresh.status == 200 && fresh.body != answer.body {
        let seen = "a cache serves an old script: under a URL that no cache has seen, another comes";
        checkup.fail(SDK, origin, seen, KEEP_CACHE_CONTROL);
    } else if life > SDK_MAX_AGE_SECONDS {
        let seen = format!("caches and browsers are told to keep the script for {life} s, so an upgrade would not reach them");
        checkup.fail(SDK, origin, seen, KEEP_CACHE_CONTROL);
    } else {
        checkup.ok(SDK, origin, format!("{} bytes", answer.body.len()));
    }
}

/// The life in seconds that an answer gives to copies of it.
fn max_age(answer: &Answer) -> Option<u64> {
    let control = answer.header("cache-control")?;
    control.split(',').find_map(|part| part.trim().strip_prefix("max-age=")?.parse().ok())
}

/// An endpoint that no other check asks for is the satellite's too.
pub(super) async fn endpoints(setting: &Setting<'_>, visitor: &mut Visitor, checkup: &mut Checkup) {
    let origin = &setting.site.origin;
    // Of a primary, it is an unknown address of ours.
    let asked = visitor.fetch(&setting.site, path::EXCHANGE, &[]).await;
    let Some(answer) = answered(checkup, ENDPOINTS, origin, asked) else { return };
    if answer.refusal().is_some() || answer.json().get("whoami").is_some() {
        checkup.ok(ENDPOINTS, origin, "Throughline answers below /_throughline/");
    } else {
        let (seen, advice) = blocked(path::EXCHANGE, &answer);
        checkup.fail(ENDPOINTS, origin, seen, advice);
    }
}

/// No other site's page may read who the visitor is, and no cache may keep it.
pub(super) async fn me_private(setting: &Setting<'_>, visitor: &mut Visitor, checkup: &mut Checkup) {
    let origin = &setting.site.origin;
    let foreign = visitor.fetch(&setting.site, path::ME, &[("Origin", OUTSIDER), ("Sec-Fetch-Site", "cross-site")]).await;
    let Some(foreign) = answered(checkup, ME_PRIVATE, origin, foreign) else { return };
    let Some(own) = answered(checkup, ME_PRIVATE, origin, visitor.fetch(&setting.site, path::ME, &[]).await) else { return };
    if foreign.header("access-control-allow-origin").is_some() {
        let advice =
            "Take Access-Control-Allow-Origin out for everything below /_throughline/: Throughline sets it where it belongs.";
        checkup.fail(ME_PRIVATE, origin, "pages of other sites may read it (Access-Control-Allow-Origin)", advice);
    } else if !own.says("cache-control", "no-store") {
        let advice = "Let Cache-Control through as it comes: a cache would give one visitor's ID to others.";
        checkup.fail(ME_PRIVATE, origin, "it may be kept by caches (no no-store)", advice);
    } else {
        checkup.ok(ME_PRIVATE, origin, "for the site's own pages only, and kept by nobody");
    }
}

/// Rule L1.
pub(super) async fn go_closed(setting: &Setting<'_>, visitor: &mut Visitor, checkup: &mut Checkup) {
    let origin = &setting.site.origin;
    let to = format!("{}?to=https%3A%2F%2Fthroughline-doctor.invalid%2F", path::GO);
    let Some(answer) = answered(checkup, GO_CLOSED, origin, visitor.navigate(&setting.site, &to, &[]).await) else { return };
    match answer.status {
        400 if !answer.leads_on() => {
            checkup.ok(GO_CLOSED, origin, "it leads to registered sites only");
        }
        300..400 => {
            let advice = "Anybody could use this site to lead people elsewhere. Let requests below /_throughline/ reach the \
                satellite as they come, and its answers go out as they are.";
            checkup.fail(GO_CLOSED, origin, format!("it leads to a foreign site: {}", answer.summary()), advice);
        }
        _ => {
            let (seen, advice) = blocked(path::GO, &answer);
            checkup.fail(GO_CLOSED, origin, seen, advice);
        }
    }
}

/// The endpoints that a proxy asks for itself are not for the world.
pub(super) async fn auth_closed(setting: &Setting<'_>, checkup: &mut Checkup) {
    let origin = &setting.site.origin;
    let claims = [("X-Forwarded-Uri", "/"), ("X-Original-URI", "/"), ("X-Forwarded-Method", "GET")];
    for name in ["", "forward", "nginx", "envoy", "start"] {
        let path = format!("{PREFIX}auth/{name}");
        let Some(answer) = answered(checkup, AUTH_CLOSED, origin, plain(&setting.site, &path, &claims).await) else { return };
        if matches!(answer.status, 200..=399 | 401) || answer.has_header_like("x-throughline-") {
            let advice = "Only the proxy itself may ask below /_throughline/auth/: close it to the outside (nginx: internal;).";
            checkup.fail(AUTH_CLOSED, origin, format!("{path} answers {} to anybody", answer.summary()), advice);
            return;
        }
    }
    checkup.ok(AUTH_CLOSED, origin, "not reachable from outside");
}

/// An error answer is our own JSON, and repeats nothing of the request.
pub(super) async fn error_pages(party: &Party, checkup: &mut Checkup) {
    const MARK: &str = "throughline-doctor-mark";
    let origin = &party.origin;
    let path = format!("{PREFIX}{MARK}?{MARK}");
    let Some(answer) = answered(checkup, ERROR_PAGES, origin, plain(party, &path, &[]).await) else { return };
    if answer.repeats(MARK) {
        let advice =
            "Throughline's own answers repeat nothing: see which part of the deployment writes this page, and let it not.";
        checkup.fail(ERROR_PAGES, origin, format!("the page of a {} repeats what was asked for", answer.status), advice);
    } else if answer.status == 404 && answer.says("content-type", "json") {
        checkup.ok(ERROR_PAGES, origin, "they repeat nothing");
    } else {
        let advice = "Let Throughline's own errors through (nginx: proxy_intercept_errors off; for /_throughline/).";
        checkup.warn(
            ERROR_PAGES,
            origin,
            format!("an unknown address of ours answers {}, and not our 404", answer.summary()),
            advice,
        );
    }
}
