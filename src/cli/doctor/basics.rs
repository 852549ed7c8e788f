//! What must hold before any hop: the endpoints answer, the proxy in front passes on what a browser sends, nothing is open
//! that should not be.

use actix_web::http::Method;

use crate::base::origin::Origin;
use crate::cli::checkup::Checkup;
use crate::domain::contract::path;
use crate::domain::documents::{Health, StoreHealth};

use super::blocked::blocked;
use super::names::{ENDPOINTS, FETCH_METADATA, HEALTH, HOST_KEPT, HTTPS_ONLY, PAGE};
use super::party::{Answer, Party, shown, without_query};
use super::setting::{Setting, Unable};
use super::start::HopUrl;
use super::visitor::{USER_AGENT, Visitor};

/// A page that leads round in circles is given up on.
pub(super) const REDIRECTS_MAX: usize = 12;

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
        let (seen, advice) = blocked(path::HEALTH, &answer);
        checkup.fail(HEALTH, origin, seen, advice);
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
    if health.replay.as_deref() == Some(Health::DOWN) {
        let advice = "Look at the Redis of [replay] and at the way to it. Until it answers, tokens are refused, and new visitors get no ID.";
        checkup.fail(HEALTH, origin, "the replay memory does not answer", advice);
        return Some(false);
    }
    match health.store {
        Some(StoreHealth { status, waiting, lost, set_aside }) if status != Health::OK || lost > 0 || set_aside > 0 => {
            let status = shown(&status);
            let seen = format!("the store is \"{status}\", {waiting} writes wait, {lost} are lost, {set_aside} are set aside");
            let advice = "Look at the database and into the broker's log; throughline check, at the broker, names the visitors \
                whose writes were set aside. Hops go on meanwhile.";
            checkup.warn(HEALTH, origin, seen, advice);
        }
        _ => {
            checkup.ok(HEALTH, origin, "it is well");
        }
    }
    Some(true)
}

/// `me` is for the site's own pages, and the site is known by `Host`: so it shows which site the node takes this for.
pub(super) async fn host_kept(setting: &Setting<'_>, checkup: &mut Checkup) {
    let origin = &setting.site.origin;
    let headers = [("Origin", origin.as_str())];
    let Some(answer) = answered(checkup, HOST_KEPT, origin, plain(&setting.site, path::ME, &headers).await) else { return };
    match (answer.status, answer.refusal().as_deref()) {
        (200, _) if answer.json().get("consent").is_some() => {
            checkup.ok(HOST_KEPT, origin, "the satellite knows itself by this name");
        }
        (_, Some("not_same_origin")) => {
            let advice = "The proxy in front must pass the Host on as it came (nginx: proxy_set_header Host $http_host;), or put it \
                into X-Forwarded-Host and be named in [listen] trusted_proxies.";
            checkup.fail(HOST_KEPT, origin, "the satellite takes itself for another site", advice);
        }
        _ => {
            let (seen, advice) = blocked(path::ME, &answer);
            checkup.fail(ENDPOINTS, origin, seen, advice);
        }
    }
}

/// Whether there is a page to visit. Asked without the marks of a navigation, so that no hop starts; the site's own redirects are
/// followed, with the cookies that they set.
pub(super) async fn page(setting: &mut Setting<'_>, visitor: &mut Visitor, checkup: &mut Checkup) {
    let origin = setting.site.origin.clone();
    let mut asked = setting.page.clone();
    for _ in 0..REDIRECTS_MAX {
        let answer = visitor.look_at(&setting.site, &asked).await;
        let Some(answer) = answered(checkup, PAGE, &origin, answer) else { return };
        if let Some(next) = answer.own_target(&origin) {
            asked = next;
            continue;
        }
        // A site that takes legacy browsers starts a hop here already.
        if answer.status == 200 || HopUrl::of(&answer).is_some() {
            setting.page = asked;
            checkup.ok(PAGE, &origin, shown(without_query(&setting.page)));
            setting.shown = Some(answer).filter(|answer| answer.status == 200);
            return;
        }
        let advice = match answer.status {
            502..=504 => "The server of the pages does not answer. Start it; the doctor needs a page that is shown with 200.",
            _ => "Give the doctor the URL of a page that this site shows itself.",
        };
        checkup.fail(PAGE, &origin, format!("the page answers {}", answer.summary()), advice);
        return;
    }
    let advice = "Give the doctor the URL of a page that this site shows itself.";
    checkup.fail(PAGE, &origin, format!("the page still redirects after {REDIRECTS_MAX} times"), advice);
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
