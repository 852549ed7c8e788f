//! What must hold before any hop: the endpoints answer, the proxy in front passes on what a browser sends, nothing is open
//! that should not be.

use actix_web::http::Method;
use url::{Position, Url};

use crate::base::origin::Origin;
use crate::cli::checkup::Checkup;
use crate::domain::contract::{PREFIX, path};
use crate::domain::documents::Health;
use crate::token::jwks::read_jwks;
use crate::token::key::PublicKey;
use crate::token::keyset::JWKS_MAX_AGE;

use super::names::{
    AUTH_CLOSED, ERROR_PAGES, FETCH_METADATA, GO_CLOSED, HEALTH, HOST_KEPT, HTTPS_ONLY, JWKS, ME_PRIVATE, PAGE, SDK,
};
use super::party::{Answer, Party, shown, without_query};
use super::setting::{Setting, Unable};
use super::visitor::{USER_AGENT, Visitor};

/// Nobody's site (RFC 2606).
const OUTSIDER: &str = "https://throughline-doctor.invalid";

/// A page that leads round in circles is given up on.
pub(super) const REDIRECTS_MAX: usize = 10;

const PASS_HOST: &str = "Pass everything below /_throughline/ on to the satellite, with the host as it came \
    (nginx: proxy_set_header Host $http_host;), and see that the site is in the satellite's configuration.";

/// The answer; without one, the check has failed.
pub(super) fn answered<E: Into<Unable>>(
    checkup: &mut Checkup,
    check: &'static str,
    origin: &Origin,
    outcome: Result<Answer, E>,
) -> Option<Answer> {
    match outcome {
        Ok(answer) => Some(answer),
        Err(error) => {
            let advice = "See that the server runs, and what its log says of this request.";
            checkup.fail(check, origin, error.into().to_string(), advice);
            None
        }
    }
}

/// A plain request, by nobody in particular.
pub(super) async fn plain(party: &Party, path: &str, more: &[(&str, &str)]) -> Result<Answer, Unable> {
    let usual = [("User-Agent", USER_AGENT), ("Accept", "*/*")];
    let is_changed = |name: &str| more.iter().any(|(other, _)| *other == name);
    let headers: Vec<_> = usual
        .iter()
        .filter(|(name, _)| !is_changed(name))
        .chain(more)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Ok(party.send(Method::GET, path, &headers, "").await?)
}

/// Whether the node answers for itself, and, on a secondary, whether it sees the broker. `None`: nobody answers at all.
pub(super) async fn health(party: &Party, checkup: &mut Checkup) -> Option<bool> {
    let origin = &party.origin;
    let answer = answered(checkup, HEALTH, origin, plain(party, path::HEALTH, &[]).await)?;
    let Ok(health) = serde_json::from_slice::<Health>(&answer.body) else {
        checkup.fail(
            HEALTH,
            origin,
            format!("{} answers {}, and it is not Throughline's", path::HEALTH, answer.summary()),
            PASS_HOST,
        );
        return Some(false);
    };
    if answer.status != 200 || health.status != Health::OK {
        let advice = "It has no key to sign with. Look into its log, and at its keys: throughline keys list FILE.";
        checkup.fail(HEALTH, origin, format!("it is \"{}\"", shown(&health.status)), advice);
        return Some(false);
    }
    match health.broker.as_deref() {
        Some("open") => {
            let advice = "Start the broker, and see that the satellite's machine can reach the primary's origin over HTTPS. \
                Until then pages are served without an ID.";
            checkup.fail(HEALTH, origin, "the satellite does not reach its broker", advice);
            return Some(false);
        }
        Some(circuit) if circuit != "closed" => {
            let advice = "Wait some seconds and ask again; if it stays so, look into the satellite's log.";
            checkup.fail(HEALTH, origin, format!("the way to the broker is \"{}\"", shown(circuit)), advice);
            return Some(false);
        }
        _ => {}
    }
    match health.store {
        Some(store) if store.status != Health::OK || store.lost > 0 => {
            let seen =
                format!("the store is \"{}\", {} writes wait, {} are lost", shown(&store.status), store.waiting, store.lost);
            checkup.warn(HEALTH, origin, seen, "Look at the database and into the broker's log. Hops go on meanwhile.");
        }
        _ => {
            checkup.ok(HEALTH, origin, "it is well");
        }
    }
    Some(true)
}

/// `me` is for the site's own pages, and the site is known by `Host`: so it tells which site the node believes to be.
pub(super) async fn host_kept(setting: &Setting<'_>, checkup: &mut Checkup) {
    let origin = &setting.site.origin;
    let headers = [("Origin", origin.as_str())];
    let Some(answer) = answered(checkup, HOST_KEPT, origin, plain(&setting.site, path::ME, &headers).await) else { return };
    if answer.status == 200 {
        checkup.ok(HOST_KEPT, origin, "the satellite knows itself by this name");
    } else {
        let advice = "The proxy in front must pass the Host on as it came (nginx: proxy_set_header Host $http_host;).";
        checkup.fail(HOST_KEPT, origin, "the satellite takes itself for another site", advice);
    }
}

/// Whether there is a page to visit. Asked without the marks of a navigation, so that no hop starts; the site's own redirects are
/// followed.
pub(super) async fn page(setting: &mut Setting<'_>, checkup: &mut Checkup) {
    let origin = setting.site.origin.clone();
    for _ in 0..REDIRECTS_MAX {
        let asked = plain(&setting.site, &setting.page, &[("Accept", "text/html")]).await;
        let Some(answer) = answered(checkup, PAGE, &origin, asked) else { return };
        let url = answer.target().and_then(|target| Url::parse(origin.as_str()).and_then(|base| base.join(target)).ok());
        match url {
            Some(url) if url.origin().ascii_serialization() == origin.as_str() => {
                setting.page = url[Position::BeforePath..Position::AfterQuery].to_owned();
            }
            // A site that takes legacy browsers starts a hop here already.
            Some(url) if url.path() == path::HOP => break,
            None if answer.status == 200 => break,
            _ => {
                let advice = "Give the doctor the URL of a page that this site shows itself.";
                checkup.fail(PAGE, &origin, format!("the page answers {}", answer.summary()), advice);
                return;
            }
        }
    }
    checkup.ok(PAGE, &origin, shown(without_query(&setting.page)));
}

/// `me` refuses what a browser marks as another site's request: if it does not, the mark was lost on the way.
pub(super) async fn fetch_metadata(setting: &Setting<'_>, visitor: &mut Visitor, checkup: &mut Checkup) {
    let origin = &setting.site.origin;
    let marked = visitor.fetch(&setting.site, path::ME, &[("Sec-Fetch-Site", "cross-site")]).await;
    let Some(answer) = answered(checkup, FETCH_METADATA, origin, marked) else { return };
    if answer.status == 403 {
        checkup.ok(FETCH_METADATA, origin, "Sec-Fetch-* arrive");
    } else {
        let advice = "Let the proxy or the firewall pass Sec-Fetch-Dest, Sec-Fetch-Mode and Sec-Fetch-Site on: without them no \
            hop ever starts.";
        checkup.fail(FETCH_METADATA, origin, "Sec-Fetch-* do not arrive at the satellite", advice);
    }
}

/// Reads a key set as satellites do.
pub(super) async fn jwks(party: &Party, checkup: &mut Checkup) -> Vec<PublicKey> {
    let origin = &party.origin;
    let Some(answer) = answered(checkup, JWKS, origin, plain(party, path::JWKS, &[]).await) else { return Vec::new() };
    if answer.status != 200 {
        checkup.fail(JWKS, origin, format!("{} answers {}", path::JWKS, answer.summary()), PASS_HOST);
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
    let control = answer.header("cache-control").unwrap_or_default();
    let life = control.split(',').find_map(|part| part.trim().strip_prefix("max-age=")?.parse::<u64>().ok());
    if age > JWKS_MAX_AGE.as_secs() || life.is_some_and(|life| life > JWKS_MAX_AGE.as_secs()) {
        let advice = "A rotation of keys counts on copies of 300 s at most: let the cache keep to Cache-Control as it comes.";
        checkup.warn(JWKS, origin, "a cache keeps the key set for too long", advice);
    } else {
        checkup.ok(JWKS, origin, format!("{} keys", keys.len()));
    }
    keys
}

/// The browser SDK comes as a script.
pub(super) async fn sdk(setting: &Setting<'_>, checkup: &mut Checkup) {
    let origin = &setting.site.origin;
    let Some(answer) = answered(checkup, SDK, origin, plain(&setting.site, path::SDK, &[]).await) else { return };
    if answer.status == 200 && answer.says("content-type", "javascript") && !answer.body.is_empty() {
        checkup.ok(SDK, origin, format!("{} octets", answer.body.len()));
    } else {
        let kind = shown(answer.header("content-type").unwrap_or("no type"));
        checkup.fail(SDK, origin, format!("{} answers {}, {kind}", path::SDK, answer.summary()), PASS_HOST);
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
            checkup.fail(GO_CLOSED, origin, format!("it answers {} and not 400", answer.summary()), PASS_HOST);
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

/// What goes wrong is said in our own words, and repeats nothing.
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

/// Nothing on plain http, and the browser told so.
pub(super) async fn https_only(setting: &Setting<'_>, checkup: &mut Checkup) {
    let origin = &setting.site.origin;
    if !origin.is_https() {
        checkup.skip(HTTPS_ONLY, origin, "plain http, which only this machine may have");
        return;
    }
    let Some(answer) = answered(checkup, HTTPS_ONLY, origin, plain(&setting.site, "/", &[]).await) else { return };
    if answer.header("strict-transport-security").is_some() {
        checkup.ok(HTTPS_ONLY, origin, "it sends Strict-Transport-Security");
    } else {
        let advice = "Send Strict-Transport-Security with every page, so that no visit begins on plain http \
            (nginx: add_header Strict-Transport-Security \"max-age=31536000\" always;).";
        checkup.warn(HTTPS_ONLY, origin, "it sends no Strict-Transport-Security", advice);
    }
}
