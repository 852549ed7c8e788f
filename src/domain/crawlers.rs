//! Crawlers, link unfurlers, monitors and page-speed testers by what they call themselves (rule S5). A second guard: most of
//! them send no `Sec-Fetch-*`, so rule S2 has stopped them already.
//!
//! The list is data, `crawlers.txt`: one part of a user agent a line, with its source. All parts are searched for in one pass,
//! without an allocation, since this runs for every cookieless navigation.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};

const LIST: &str = include_str!("crawlers.txt");

struct Known {
    /// `None` if the list cannot be compiled; then no user agent counts as a crawler. A test reads the whole list.
    parts: Option<AhoCorasick>,
    is_crawler: Vec<bool>,
}

static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    let (parts, is_crawler): (Vec<_>, Vec<_>) = entries(LIST).map(|[kind, part, ..]| (part, kind == "crawler")).unzip();
    let mut builder = AhoCorasick::builder();
    builder.ascii_case_insensitive(true).match_kind(MatchKind::LeftmostLongest);
    Known { parts: builder.build(parts).ok(), is_crawler }
});

/// The lines of the list: kind, part, what sends it, source.
fn entries(list: &str) -> impl Iterator<Item = [&str; 4]> {
    let lines = list.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.filter_map(|line| {
        let mut fields = line.splitn(4, '|').map(str::trim);
        Some([fields.next()?, fields.next()?, fields.next()?, fields.next()?])
    })
}

/// Whether a user agent calls itself a crawler, an unfurler, a monitor or a script. A request without one is no browser's either.
#[must_use]
pub fn is_crawler(user_agent: Option<&str>) -> bool {
    let Some(user_agent) = user_agent else { return true };
    let Known { parts, is_crawler } = &*KNOWN;
    parts.as_ref().is_some_and(|parts| parts.find_iter(user_agent).any(|found| is_crawler[found.pattern().as_usize()]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: &str = include_str!("../../tests/data/user_agents.txt");

    fn sent() -> impl Iterator<Item = (&'static str, &'static str)> {
        SENT.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(|line| {
            let mut fields = line.splitn(3, ' ');
            let (kind, source, agent) = (fields.next().unwrap(), fields.next().unwrap(), fields.next().unwrap());
            assert!(["crawler", "browser"].contains(&kind) && source.contains("://") && !agent.is_empty(), "{line}");
            (kind, agent)
        })
    }

    #[test]
    fn s5_what_tools_and_browsers_send_today_is_told_apart() {
        let mut seen = [0, 0];
        for (kind, agent) in sent() {
            assert_eq!(is_crawler(Some(agent)), kind == "crawler", "{agent}");
            seen[usize::from(kind == "crawler")] += 1;
        }
        assert!(seen[0] >= 60 && seen[1] >= 80, "{seen:?}");
        assert!(is_crawler(None));
        assert!(!is_crawler(Some("")));
    }

    #[test]
    fn s5_every_line_of_the_list_is_read_and_has_its_source() {
        let lines = LIST.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).count();
        assert_eq!(entries(LIST).count(), lines);
        assert!(KNOWN.parts.is_some());
        for [kind, part, what, source] in entries(LIST) {
            assert!(["crawler", "browser"].contains(&kind), "{part}: {kind}");
            assert!(!part.is_empty() && part == part.to_ascii_lowercase() && !what.is_empty(), "{part}");
            assert!(source.starts_with("https://") && !source.contains(' '), "{part}: {source}");
            assert_eq!(is_crawler(Some(&part.to_ascii_uppercase())), kind == "crawler", "{part}");
        }
    }

    #[test]
    fn s5_every_line_of_the_list_is_of_use() {
        for [kind, part, ..] in entries(LIST) {
            assert!(sent().any(|(of, agent)| of == kind && agent.to_ascii_lowercase().contains(part)), "{part}");
        }
    }
}
