//! The primary's own pages: they need no hop, and the visitor is known by the master cookie from the first one.

use crate::cli::checkup::Checkup;

use super::basics::answered;
use super::cookies::{Expected, look};
use super::names::{CDN_CACHE, MASTER_COOKIE};
use super::setting::{Setting, Unable};
use super::{finish, page};

/// Looks at the page of a primary that has been reached.
pub(super) async fn look_at_pages(setting: &mut Setting<'_>, checkup: &mut Checkup) -> Result<(), Unable> {
    let origin = &setting.site.origin.clone();
    let name = Setting::cookie_names(origin).0;
    let mut visitor = setting.visitor().await?;
    let first = answered(checkup, MASTER_COOKIE, origin, visitor.navigate(&setting.site, &setting.page, &[]).await);
    let Some(mut first) = first else { return Ok(()) };
    if first.status == 200 && first.cookies().is_empty() {
        // Where the policy is "required", a yes comes first.
        setting.needs_consent = true;
        visitor = setting.visitor().await?;
        first = visitor.navigate(&setting.site, &setting.page, &[]).await?;
    }
    let mut known = None;
    if look(origin, &first, &Expected { check: MASTER_COOKIE, name, may_be_none: true }, checkup) {
        known = finish::known(setting, &mut visitor, checkup).await?;
    }
    let second = setting.visitor().await?.navigate(&setting.site, &setting.page, &[]).await?;
    let value = |answer: &super::party::Answer| {
        answer.cookies().into_iter().find(|cookie| cookie.name == name).map(|cookie| cookie.value)
    };
    if value(&first).is_some() && value(&first) == value(&second) {
        let advice = "Let no cache keep pages that set a cookie: one visitor's ID goes to others.";
        checkup.fail(CDN_CACHE, origin, "two first-time visitors got the same cookie: a cache keeps it", advice);
    } else {
        checkup.ok(CDN_CACHE, origin, "each first-time visitor gets an answer of their own");
    }
    page::left_alone(setting, checkup).await?;
    page::spoofed_headers(setting, known.as_deref().map(|id| (&mut visitor, id)), checkup).await
}
