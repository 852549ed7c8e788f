//! Crawlers and link unfurlers by what they call themselves (rule S5). A second guard: they send no `Sec-Fetch-*`, or
//! run no navigation, so the first guard (rule S2) has stopped most of them already.

/// Parts of user agents, lower case. General words first; they stop most.
const NAMES: [&str; 28] = [
    "bot",
    "crawl",
    "spider",
    "slurp",
    "preview",
    "scrap",
    "facebookexternalhit",
    "facebookcatalog",
    "meta-external",
    "whatsapp/",
    "skypeuripreview",
    "embedly",
    "vkshare",
    "quora link",
    "mediapartners",
    "lighthouse",
    "pagespeed",
    "gtmetrix",
    "pingdom",
    "uptime",
    "curl/",
    "wget/",
    "python-",
    "go-http-client",
    "java/",
    "libwww",
    "feedfetcher",
    "axios/",
];

/// What holds one of the names and is a person's browser all the same: a maker of phones.
const PEOPLE: &str = "cubot";

/// Whether a user agent calls itself a crawler, an unfurler or a script. No user agent at all is no browser either.
#[must_use]
pub fn is_crawler(user_agent: Option<&str>) -> bool {
    let Some(user_agent) = user_agent else { return true };
    let lower = user_agent.to_ascii_lowercase();
    let lower = if lower.contains(PEOPLE) { lower.replace(PEOPLE, "") } else { lower };
    NAMES.iter().any(|name| lower.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s5_crawlers_and_unfurlers_are_known_and_browsers_are_not() {
        let list = include_str!("../../tests/data/user_agents.txt");
        let mut seen = [0, 0];
        for line in list.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (kind, user_agent) = line.split_once(' ').unwrap();
            assert_eq!(is_crawler(Some(user_agent)), kind == "crawler", "{user_agent}");
            seen[usize::from(kind == "crawler")] += 1;
        }
        assert!(seen[0] >= 8 && seen[1] >= 16, "{seen:?}");
        assert!(is_crawler(None));
    }
}
