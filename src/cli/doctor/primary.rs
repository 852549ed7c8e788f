//! The primary's own pages: they need no hop, and the visitor is known by the master cookie from the first one.

use crate::cli::checkup::Checkup;

use super::basics::answered;
use super::cookies::{Expected, look};
use super::examine::Surroundings;
use super::names::{CDN_CACHE, CONSENT, MASTER_COOKIE};
use super::party::Answer;
use super::refusals::{clean_up, forget};
use super::setting::{Setting, Unable};
use super::visitor::Visitor;
use super::{finish, page};

/// Looks at the page of a primary that has been reached.
pub(super) async fn look_at_pages(
    around: &Surroundings<'_>,
    setting: &mut Setting<'_>,
    checkup: &mut Checkup,
) -> Result<(), Unable> {
    let origin = &setting.site.origin.clone();
    let name = Setting::cookie_names(origin).0;
    let Some((mut visitor, mut first)) = first_visit(setting, checkup).await? else { return Ok(()) };
    if first.status == 200 && first.our_cookies().is_empty() && !checkup.has_failed(CONSENT) {
        // Where the policy is "required", a yes comes first. The application's own cookies say nothing of it.
        setting.needs_consent = true;
        let Some(again) = first_visit(setting, checkup).await? else { return Ok(()) };
        (visitor, first) = again;
    }
    let mut id = None;
    if look(origin, &first, &Expected { check: MASTER_COOKIE, name, may_be_none: true }, checkup) {
        id = finish::known(setting, &mut visitor, checkup).await?;
    }
    let Some((other, second)) = first_visit(setting, checkup).await? else { return Ok(()) };
    let value = |answer: &Answer| answer.cookies().into_iter().find(|cookie| cookie.name == name).map(|cookie| cookie.value);
    if value(&first).is_some() && value(&first) == value(&second) {
        let advice = "Let no cache keep pages that set a cookie: one visitor's ID goes to others.";
        checkup.fail(CDN_CACHE, origin, "two first-time visitors got the same cookie: a cache keeps it", advice);
    } else {
        checkup.ok(CDN_CACHE, origin, "each first-time visitor gets an answer of their own");
    }
    page::left_alone(setting, checkup).await?;
    page::spoofed_headers(setting, id.as_deref().map(|id| (&mut visitor, id)), checkup).await?;
    clean_up(&setting.site, other).await;
    let primary = setting.site.clone();
    match id {
        Some(_) => forget(around, setting, &primary, visitor, checkup).await,
        None => {
            clean_up(&primary, visitor).await;
            Ok(())
        }
    }
}

/// A new visitor, and the answer that gave the master cookie; the last one, if none did.
async fn first_visit(setting: &Setting<'_>, checkup: &mut Checkup) -> Result<Option<(Visitor, Answer)>, Unable> {
    let mut visitor = setting.visitor().await?;
    let visited = visitor.visit_all(&setting.site, &setting.page, &[]).await;
    let (last, before) = match visited {
        Ok(visited) => visited,
        Err(trouble) => {
            let _ = answered(checkup, MASTER_COOKIE, &setting.site.origin, Err::<Answer, _>(trouble));
            return Ok(None);
        }
    };
    let name = Setting::cookie_names(&setting.site.origin).0;
    let gave = before.into_iter().find(|answer| answer.cookies().iter().any(|cookie| cookie.name == name));
    Ok(Some((visitor, gave.unwrap_or(last))))
}
