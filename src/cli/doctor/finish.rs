//! The rest of a hop: to the broker, back with a token, and the page for somebody who is known.

use crate::base::clock::Clock;
use crate::base::origin::Origin;
use crate::cli::checkup::Checkup;
use crate::domain::contract::{PARAMETER, path};
use crate::token::key::PublicKey;
use crate::token::verify::{TokenRefusal, UnverifiedToken, Verifier};

use super::basics::answered;
use super::blocked::{PASS_ON, blocked};
use super::clocks::Clocks;
use super::cookies::{Expected, look};
use super::names::{
    BROKER_HOP, CLOCK_SKEW as CLOCKS, JWKS, KNOWN_PAGE, KNOWN_VISITOR, LOCAL_COOKIE, MASTER_COOKIE, PARAMETER_KEPT, RETURN,
};
use super::party::{Party, shown};
use super::setting::{Setting, Unable};
use super::start::{Begun, HopUrl, look_at_redirect};
use super::visitor::Visitor;

/// What the broker sent the visitor back with.
pub(super) struct Back {
    path_and_query: String,
    token: String,
}

/// The visitor goes on to the broker.
pub(super) async fn to_broker(
    setting: &Setting<'_>,
    broker: &Party,
    begun: &mut Begun,
    keys: &[PublicKey],
    checkup: &mut Checkup,
) -> Option<Back> {
    let (site, origin) = (&setting.site.origin, &broker.origin);
    let mut clocks = Clocks::default();
    clocks.add_date(site, &begun.answer, begun.at);
    if let Some(issued_at) = begun.hop.issued_at {
        clocks.add(format!("{site} (hop request)"), issued_at, begun.at);
    }
    let way = begun.visitor.navigate(broker, &begun.hop.path_and_query, &[]).await;
    let answer = answered(checkup, BROKER_HOP, origin, way)?;
    clocks.add_date(origin, &answer, setting.clock.now());
    clocks.tell(site, checkup);
    if answer.target().is_some() {
        look_at_redirect(origin, &answer, checkup);
    }
    let path = answer.target().and_then(|target| target.strip_prefix(site.as_str())).filter(|rest| rest.starts_with('/'));
    let (302, Some(path)) = (answer.status, path) else {
        let seen = format!("the broker answers {} and does not send the visitor back", answer.summary());
        let (seen, advice) = match answer.refusal().as_deref() {
            Some("unknown_site") => {
                (seen, "The broker does not know the site: add a [[site]] with its exact origin to the broker's configuration.")
            }
            Some("not_a_navigation") => (
                seen,
                "The broker sees no page navigation: let the proxy in front of it pass Sec-Fetch-*, Accept and the method on.",
            ),
            _ => match blocked(path::HOP, &answer) {
                (seen, advice) if advice == PASS_ON => {
                    (seen, "Let the proxy in front of the broker pass /_throughline/hop on, and its 302 out, as they are.")
                }
                blocked => blocked,
            },
        };
        checkup.fail(BROKER_HOP, origin, seen, advice);
        return None;
    };
    let token = path.rsplit_once(&format!("{PARAMETER}=")).map_or("", |(_, token)| token).to_owned();
    if token.is_empty() {
        let advice = "The broker refused the hop: see that both have the same secret of this site, that their clocks agree, and \
            that nothing on the way changes the query. With [log] level = \"debug\" the broker says why.";
        checkup.fail(BROKER_HOP, origin, "the broker sends the visitor back without a token", advice);
        return None;
    }
    let back = Back { path_and_query: path.to_owned(), token };
    if believed(&back.token, site, origin, keys, setting.clock, checkup) && !checkup.has_failed(BROKER_HOP) {
        checkup.ok(BROKER_HOP, origin, "302 back to the page, with a good token");
    }
    let name = Setting::cookie_names(origin).0;
    look(origin, &answer, &Expected { check: MASTER_COOKIE, name, may_be_none: true }, checkup);
    Some(back)
}

/// Verifies the token as the satellite will. Without keys it is left to the satellite.
fn believed(token: &str, site: &Origin, broker: &Origin, keys: &[PublicKey], clock: &dyn Clock, checkup: &mut Checkup) -> bool {
    let refused = match UnverifiedToken::parse(token) {
        Err(refusal) => refusal,
        Ok(_) if keys.is_empty() => return true,
        Ok(token) => {
            let Some(key) = keys.iter().find(|key| key.id() == token.key_id()) else {
                let advice =
                    "The nodes of the broker have different keys, or a cache keeps an old key set: give all the same key file.";
                checkup.fail(JWKS, broker, "the key that signed the token is not in the set", advice);
                return true;
            };
            match token.verify(&Verifier::new(broker, key.clone(), site), clock.now()) {
                Ok(_) => return true,
                Err(refusal) => refusal,
            }
        }
    };
    if matches!(refused, TokenRefusal::Expired | TokenRefusal::BadTimes) {
        let advice = "Set the clocks by NTP. Tokens live a minute, and 5 s are forgiven.";
        checkup.fail(CLOCKS, broker, "the token's times are not of now, by this machine's clock", advice);
        return true;
    }
    let advice =
        "See that nothing on the way changes the URL, and that primary and sites are spelled alike in every configuration.";
    checkup.fail(BROKER_HOP, broker, format!("the token is not believed ({refused})"), advice);
    false
}

/// The visitor comes back with the token. The visitor, once known.
pub(super) async fn arrive(setting: &Setting<'_>, mut visitor: Visitor, back: &Back, checkup: &mut Checkup) -> Option<Visitor> {
    let origin = &setting.site.origin;
    let id = Setting::cookie_names(origin).0;
    let answer = answered(checkup, RETURN, origin, visitor.navigate(&setting.site, &back.path_and_query, &[]).await)?;
    match answer.status {
        303 => checkup.ok(PARAMETER_KEPT, origin, format!("{PARAMETER} arrives")),
        200 if answer.our_cookies().is_empty() => {
            let advice =
                "Let the proxy, the firewall or the CDN pass the query on whole: it takes out _tl. Allow that parameter.";
            checkup.fail(PARAMETER_KEPT, origin, format!("{PARAMETER} does not arrive at the satellite"), advice);
            return None;
        }
        200 => {
            let advice =
                "Let the proxy or the CDN pass the Cookie header of pages on (CDN: forward the cookies __Host-throughline*).";
            checkup.fail(RETURN, origin, "the visitor's cookies do not arrive at the satellite", advice);
            return None;
        }
        _ => {
            let advice = "The satellite answers 303 to the clean URL: let that through as it is.";
            checkup.fail(RETURN, origin, format!("the return answers {}", answer.summary()), advice);
            return None;
        }
    };
    look_at_redirect(origin, &answer, checkup);
    let clean = format!("{origin}{}", setting.page);
    if answer.target() == Some(clean.as_str()) {
        checkup.ok(RETURN, origin, "303 to the clean URL");
    } else {
        let advice = "Let Location through as it comes (nginx: proxy_redirect off;).";
        checkup.fail(RETURN, origin, format!("the return leads on to {}", answer.summary()), advice);
    }
    // Where the token counts, both cookies change; where it does not, neither.
    if answer.our_cookies().is_empty() && visitor.jar.holds(origin, id) {
        let advice = "Either Set-Cookie is taken out of this answer, or the satellite refused the token: with [log] level = \"debug\" \
            it says why. Secrets, keys and clocks of the nodes must agree.";
        checkup.fail(RETURN, origin, "the visitor came back with a token, and gets no ID", advice);
        return None;
    }
    look(origin, &answer, &Expected { check: LOCAL_COOKIE, name: id, may_be_none: false }, checkup).then_some(visitor)
}

/// The next page: no hop, and the page's script may ask who it is.
pub(super) async fn known(setting: &Setting<'_>, visitor: &mut Visitor, checkup: &mut Checkup) -> Result<Option<String>, Unable> {
    let origin = &setting.site.origin;
    let Some(page) = answered(checkup, KNOWN_PAGE, origin, visitor.visit(&setting.site, &setting.page, &[]).await) else {
        return Ok(None);
    };
    if page.status != 200 {
        let hop = if HopUrl::of(&page).is_some() { ", on another hop" } else { "" };
        let advice =
            "A visitor who has an ID gets the page. See that the Cookie header arrives, and that no cache keeps redirects.";
        checkup.fail(KNOWN_PAGE, origin, format!("a known visitor gets {}{hop}", page.summary()), advice);
    } else if page.says("cache-control", "s-maxage") || page.says("cache-control", "public") {
        let advice = "Whom a shared cache serves gets no ID. Make pages private, or let the cache only keep what is no page.";
        checkup.warn(KNOWN_PAGE, origin, "the page may be kept by shared caches", advice);
    } else {
        checkup.ok(KNOWN_PAGE, origin, "200, no further hop");
    }
    let me = visitor.fetch(&setting.site, path::ME, &[]).await;
    let Some(me) = answered(checkup, KNOWN_VISITOR, origin, me) else { return Ok(None) };
    let me: serde_json::Value = serde_json::from_slice(&me.body).unwrap_or_default();
    match (me["visitor"].as_str(), me["source"].as_str()) {
        (Some(visitor), Some("broker")) => {
            checkup.ok(KNOWN_VISITOR, origin, "the page's script gets the ID");
            return Ok(Some(visitor.to_owned()));
        }
        (_, source) => {
            let advice =
                "See that the Cookie header arrives at /_throughline/me, and that all nodes of the site have the same secret.";
            let source = shown(source.unwrap_or("none"));
            checkup.fail(KNOWN_VISITOR, origin, format!("the page's script gets no ID of the broker (source: {source})"), advice);
        }
    }
    Ok(None)
}
