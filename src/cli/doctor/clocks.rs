//! The clocks of the nodes, each beside this machine's at the same moment.

use actix_web::http::header::HttpDate;

use crate::base::clock::UnixSeconds;
use crate::base::origin::Origin;
use crate::cli::checkup::Checkup;
use crate::token::claims::CLOCK_SKEW;

use super::names::CLOCK_SKEW as CLOCKS;
use super::party::Answer;

/// What clocks say, each beside this machine's at the same moment.
#[derive(Default)]
pub(super) struct Clocks {
    /// Whose, and by how many seconds it is ahead.
    seen: Vec<(String, i64)>,
}

impl Clocks {
    /// `at` is the time of this machine's clock when the answer came, which may be some time ago.
    pub(super) fn add(&mut self, whose: String, time: UnixSeconds, at: UnixSeconds) {
        let (time, own) = (i64::try_from(time.0).unwrap_or(i64::MAX), i64::try_from(at.0).unwrap_or(i64::MAX));
        self.seen.push((whose, time.saturating_sub(own)));
    }

    pub(super) fn add_date(&mut self, origin: &Origin, answer: &Answer, at: UnixSeconds) {
        let date = answer.header("date").and_then(|date| date.parse::<HttpDate>().ok()).map(std::time::SystemTime::from);
        if let Some(since) = date.and_then(|date| date.duration_since(std::time::SystemTime::UNIX_EPOCH).ok()) {
            self.add(origin.to_string(), UnixSeconds(since.as_secs()), at);
        }
    }

    pub(super) fn tell(&self, site: &Origin, checkup: &mut Checkup) {
        let allowed = i64::try_from(CLOCK_SKEW.as_secs()).unwrap_or_default();
        let ahead = self.seen.iter().map(|(_, ahead)| *ahead);
        let (Some(least), Some(most)) = (ahead.clone().min(), ahead.max()) else {
            checkup.skip(CLOCKS, site, "no answer has a Date");
            return;
        };
        let list = self.seen.iter().map(|(whose, ahead)| format!("{whose} {ahead:+} s")).collect::<Vec<_>>().join(", ");
        if most.saturating_sub(least) > allowed {
            let advice = "Set the clocks of all nodes by NTP. Tokens live a minute, and 5 s are forgiven.";
            checkup.fail(CLOCKS, site, format!("the clocks disagree: {list}"), advice);
        } else if least < -allowed || most > allowed {
            let advice = "Site and broker agree, so visitors are served well; but either they or this machine need NTP.";
            checkup.warn(CLOCKS, site, format!("the clocks differ from this machine's: {list}"), advice);
        } else {
            checkup.ok(CLOCKS, site, format!("within {allowed} s"));
        }
    }
}
