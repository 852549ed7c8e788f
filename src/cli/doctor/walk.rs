//! Redirects between the company's sites, followed to their end.

use super::basics::REDIRECTS_MAX;
use super::party::{Answer, Party, Trouble};
use super::start::HopUrl;
use super::visitor::{Header, Visitor};

/// Where a chain of redirects ended.
pub(super) struct Walked {
    /// The last answer; a redirect, if it leads elsewhere or there were too many.
    pub(super) answer: Answer,
    /// How many hops were started.
    pub(super) hops: usize,
    /// The statuses of all answers.
    pub(super) statuses: Vec<u16>,
}

impl Walked {
    /// Whether it never came to an end.
    pub(super) fn is_endless(&self) -> bool {
        self.statuses.len() > REDIRECTS_MAX && self.answer.target().is_some()
    }
}

/// Visits `path` on the first of `parties`, and follows redirects to any of them.
pub(super) async fn walk(parties: &[&Party], visitor: &mut Visitor, path: &str, changed: &[Header]) -> Result<Walked, Trouble> {
    let (mut at, mut path) = (parties[0], path.to_owned());
    let (mut hops, mut statuses) = (0, Vec::new());
    loop {
        let answer = visitor.navigate(at, &path, changed).await?;
        statuses.push(answer.status);
        hops += usize::from(HopUrl::of(&answer).is_some());
        let next = answer.target().and_then(|target| {
            let absolute = parties.iter().find_map(|party| Some((*party, below(target, party)?)));
            absolute.or_else(|| target.starts_with('/').then_some((at, target)))
        });
        match next {
            Some((party, rest)) if statuses.len() <= REDIRECTS_MAX => (at, path) = (party, rest.to_owned()),
            _ => return Ok(Walked { answer, hops, statuses }),
        }
    }
}

fn below<'a>(target: &'a str, party: &Party) -> Option<&'a str> {
    target.strip_prefix(party.origin.as_str()).filter(|rest| rest.starts_with('/'))
}
