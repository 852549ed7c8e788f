//! Checks that a visitor's choice gets through: a yes, a no, and that no other site knows an ID that has ended.
//!
//! It also cleans up: `forget` ends every ID that the doctor's visitors got.

use std::time::Duration;

use actix_web::rt::time::sleep;

use crate::base::origin::Origin;
use crate::cli::checkup::Checkup;
use crate::domain::contract::path;

use super::basics::answered;
use super::blocked::blocked;
use super::broker::siblings;
use super::examine::Surroundings;
use super::names::{CONSENT, FORGET, REVOCATION};
use super::party::{Answer, Party, Trouble};
use super::setting::{Setting, Unable};
use super::visitor::Visitor;
use super::walk::walk;

/// Satellites ask for ended IDs every 5 s by default; with a slow answer, an ID ends everywhere within this time.
const REVOCATION_TIME_MAX: Duration = Duration::from_secs(12);
const REVOCATION_PAUSE: Duration = Duration::from_millis(500);

/// How many other sites are tried until one can be reached.
const SIBLINGS_MAX: usize = 4;

const SAME_ORIGIN: &str =
    "Pass Sec-Fetch-Site, Origin and Host of a POST on as they come: the satellite takes the form for another site's.";
const NO_BODY: &str = "Let the body of a POST through, and its Content-Type (nginx: proxy_pass_request_body on;).";

/// A visitor without an ID says yes. That makes no ID, so nothing is left behind.
pub(super) async fn consent(setting: &Setting<'_>, checkup: &mut Checkup) -> Result<(), Unable> {
    let origin = &setting.site.origin;
    let said = Visitor::new(setting.random)?.agree(&setting.site).await;
    let Some(answer) = answered(checkup, CONSENT, origin, said) else { return Ok(()) };
    if answer.status == 200 && answer.json()["consent"] == "granted" {
        checkup.ok(CONSENT, origin, "a yes gets through");
    } else {
        let (seen, advice) = unheard(path::CONSENT, &answer);
        checkup.fail(CONSENT, origin, seen, advice);
    }
    Ok(())
}

/// Why a visitor's choice was not taken.
fn unheard(path: &str, answer: &Answer) -> (String, &'static str) {
    let advice = match answer.refusal().as_deref() {
        Some("not_same_origin") => SAME_ORIGIN,
        Some("no_choice") => NO_BODY,
        _ if answer.json().get("consent").is_some() => NO_BODY,
        _ => return blocked(&format!("a POST to {path}"), answer),
    };
    (format!("a POST to {path} is answered {}", answer.summary()), advice)
}

/// The visitor asks to be forgotten, and then no site may know the ID. `known` has an ID on the site, and on the broker.
pub(super) async fn forget(
    around: &Surroundings<'_>,
    setting: &Setting<'_>,
    broker: &Party,
    mut known: Visitor,
    checkup: &mut Checkup,
) -> Result<(), Unable> {
    let origin = &setting.site.origin;
    let other = match setting.is_primary {
        true => None,
        false => acquainted(around, setting, broker, &mut known).await?,
    };
    let said = known.forget(&setting.site).await;
    let Some(answer) = answered(checkup, FORGET, origin, said) else { return Ok(()) };
    let body = answer.json();
    match (answer.status, body["consent"].as_str(), body["everywhere"].as_bool()) {
        (200, Some("denied"), Some(true)) => {
            checkup.ok(FORGET, origin, "a no gets through, to the broker too");
        }
        (200, Some("denied"), Some(false)) => {
            let advice = "Let the satellite's machine reach the primary's /_throughline/api/ by POST with its Authorization header, and see \
                the satellite's log: until then the refusal waits, and other sites still know the ID.";
            checkup.fail(FORGET, origin, "the satellite took the no, and the broker has not heard of it within a second", advice);
        }
        (200, Some("denied"), None) => {
            let advice = "Let the Cookie header of a POST through to /_throughline/forget.";
            checkup.fail(FORGET, origin, "the satellite saw no ID to end: the visitor's cookie did not arrive", advice);
        }
        _ => {
            let (seen, advice) = unheard(path::FORGET, &answer);
            checkup.fail(FORGET, origin, seen, advice);
        }
    }
    if checkup.has_failed(FORGET) {
        // It must not stay for that.
        let _ = known.forget(broker).await;
        return Ok(());
    }
    revoked(setting, broker, other.as_ref(), &mut known, checkup).await?;
    Ok(())
}

/// Makes the visitor known on one more site, by a hop of its own; the first that can be reached.
async fn acquainted(
    around: &Surroundings<'_>,
    setting: &Setting<'_>,
    broker: &Party,
    visitor: &mut Visitor,
) -> Result<Option<Party>, Unable> {
    let others = siblings(setting).await.into_iter().filter(|site| *site != broker.origin).take(SIBLINGS_MAX);
    for site in others {
        // Its own faults are no concern of this site's checkup.
        let Some(party) = around.means.reach(&site, around.clock, &mut Checkup::default()) else { continue };
        let agreed = !setting.needs_consent || visitor.agree(&party).await.is_ok();
        let came = agreed && walk(&[&party, broker], visitor, "/", &[]).await.is_ok();
        if came && knows(&party, visitor).await.unwrap_or(false) {
            return Ok(Some(party));
        }
    }
    Ok(None)
}

/// Whether a site has an ID for the visitor.
async fn knows(party: &Party, visitor: &mut Visitor) -> Result<bool, Trouble> {
    Ok(visitor.fetch(party, path::ME, &[]).await?.json()["visitor"].is_string())
}

async fn revoked(
    setting: &Setting<'_>,
    broker: &Party,
    other: Option<&Party>,
    visitor: &mut Visitor,
    checkup: &mut Checkup,
) -> Result<(), Unable> {
    let parties = [Some(&setting.site), Some(broker).filter(|_| !setting.is_primary), other];
    let mut left: Vec<&Party> = parties.into_iter().flatten().collect();
    let asked = left.iter().map(|party| party.origin.to_string()).collect::<Vec<_>>().join(", ");
    let mut waited = Duration::ZERO;
    loop {
        let mut knowing = Vec::new();
        for party in left {
            // A fresh copy each time: an answer that takes the cookie away must not hide what the next would say.
            if knows(party, &mut visitor.clone()).await? {
                knowing.push(party);
            }
        }
        left = knowing;
        if left.is_empty() || waited >= REVOCATION_TIME_MAX {
            break;
        }
        sleep(REVOCATION_PAUSE).await;
        waited += REVOCATION_PAUSE;
    }
    let origin: &Origin = &setting.site.origin;
    if left.is_empty() {
        checkup.ok(REVOCATION, origin, format!("the ended ID is refused by {asked}"));
    } else {
        let still = left.iter().map(|party| party.origin.to_string()).collect::<Vec<_>>().join(", ");
        let advice = "Let these sites read /_throughline/api/revocations of the primary (throughline_revocations_age_seconds in /metrics \
            says since when one cannot), without a cache in between, and see that /_throughline/forget reaches the satellite itself.";
        let seen = format!("{} s after the visitor asked to be forgotten, {still} still knows the ID", waited.as_secs());
        checkup.fail(REVOCATION, origin, seen, advice);
        let _ = visitor.forget(broker).await;
    }
    Ok(())
}

/// Ends the ID that the primary gave to a visitor of the doctor, if it gave one. Whether that works is `forget`'s concern.
pub(super) async fn clean_up(primary: &Party, visitor: Visitor) {
    if visitor.jar.holds(&primary.origin, Setting::cookie_names(&primary.origin).0) {
        let _ = visitor.with_cookies().forget(primary).await;
    }
}
