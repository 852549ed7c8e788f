//! The least of a browser: a cookie jar, the headers of a real one, and redirects, each step of which can be looked at.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use super::address::{authority, host, origin, port, relation, resolve, target, without_fragment};
use super::wire::{self, Answer};

/// What Firefox calls itself.
pub(crate) const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0";

/// Real browsers stop at 20; nothing of ours needs half of that.
const REDIRECTS_MAX: usize = 10;

/// A cookie in the jar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cookie {
    pub(crate) name: String,
    pub(crate) value: String,
    /// What stood behind the value, as it was received.
    pub(crate) attributes: Vec<String>,
}

impl Cookie {
    /// Reads a `Set-Cookie`.
    pub(crate) fn parse(line: &str) -> Self {
        let mut parts = line.split("; ");
        let (name, value) = parts.next().and_then(|pair| pair.split_once('=')).unwrap_or_else(|| panic!("no cookie: {line:?}"));
        Self { name: name.into(), value: value.into(), attributes: parts.map(String::from).collect() }
    }

    /// `Max-Age` in seconds.
    pub(crate) fn max_age(&self) -> Option<i64> {
        self.attributes.iter().find_map(|attribute| attribute.strip_prefix("Max-Age=")?.parse().ok())
    }
}

/// One request of a navigation, and its answer.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) url: String,
    pub(crate) answer: Answer,
}

/// A navigation from its first request to the page.
#[derive(Debug, Clone)]
pub(crate) struct Visit {
    pub(crate) steps: Vec<Step>,
}

impl Visit {
    /// The last answer.
    pub(crate) fn page(&self) -> &Answer {
        &self.steps.last().expect("a visit has a step").answer
    }

    /// Where it ended, with the fragment that the browser would show.
    pub(crate) fn url(&self) -> &str {
        &self.steps.last().expect("a visit has a step").url
    }

    /// The statuses, in order.
    pub(crate) fn statuses(&self) -> Vec<u16> {
        self.steps.iter().map(|step| step.answer.status).collect()
    }

    /// All cookies that were set on the way, by the step.
    pub(crate) fn cookies(&self) -> Vec<(usize, Cookie)> {
        let of = |(index, step): (usize, &Step)| {
            step.answer.all("set-cookie").map(|line| (index, Cookie::parse(line))).collect::<Vec<_>>()
        };
        self.steps.iter().enumerate().flat_map(of).collect()
    }
}

/// A browser. Each new one is another person's: its `Accept-Language` differs, and with it what a site may remember of a
/// client.
#[derive(Debug, Clone)]
pub(crate) struct Browser {
    /// The cookies, by host: ports do not keep cookies apart.
    pub(crate) jar: BTreeMap<String, Vec<Cookie>>,
    /// Keeps no cookie at all.
    pub(crate) blocks_cookies: bool,
    changed: Vec<(String, Option<String>)>,
    language: String,
    at: Option<String>,
}

impl Browser {
    /// A new browser with an empty jar.
    pub(crate) fn new() -> Self {
        static PERSONS: AtomicU32 = AtomicU32::new(0);
        let person = PERSONS.fetch_add(1, Ordering::Relaxed);
        Self {
            jar: BTreeMap::new(),
            blocks_cookies: false,
            changed: Vec::new(),
            language: format!("en-US,x-{person};q=0.5"),
            at: None,
        }
    }

    /// Sends `value` for `name` from now on, in place of what it would send.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> &mut Self {
        self.restore(name);
        self.changed.push((name.to_owned(), Some(value.to_owned())));
        self
    }

    /// Sends no header `name` from now on.
    pub(crate) fn omit(&mut self, name: &str) -> &mut Self {
        self.restore(name);
        self.changed.push((name.to_owned(), None));
        self
    }

    /// Sends `name` as a browser does again.
    pub(crate) fn restore(&mut self, name: &str) -> &mut Self {
        self.changed.retain(|(changed, _)| !changed.eq_ignore_ascii_case(name));
        self
    }

    /// Drops all cookies.
    pub(crate) fn clear(&mut self) {
        self.jar.clear();
    }

    /// Drops the cookies of one name on all hosts: their time is over.
    pub(crate) fn expire(&mut self, name: &str) {
        self.jar.values_mut().for_each(|cookies| cookies.retain(|cookie| cookie.name != name));
    }

    /// The cookie of that name that a URL's host would get.
    pub(crate) fn cookie(&self, url: &str, name: &str) -> Option<&str> {
        let cookies = self.jar.get(host(url))?;
        cookies.iter().find(|cookie| cookie.name == name).map(|cookie| cookie.value.as_str())
    }

    /// Puts a cookie into the jar as if the host had set it.
    pub(crate) fn put(&mut self, url: &str, name: &str, value: &str) {
        self.keep(url, Cookie { name: name.into(), value: value.into(), attributes: Vec::new() });
    }

    /// Types an address: follows its redirects.
    pub(crate) fn navigate(&mut self, url: &str) -> Visit {
        self.go(url, None)
    }

    /// Follows a link on the page where it is.
    pub(crate) fn follow(&mut self, url: &str) -> Visit {
        let from = self.at.clone();
        self.go(url, from.as_deref())
    }

    /// Follows a link from another page.
    pub(crate) fn follow_from(&mut self, from: &str, url: &str) -> Visit {
        self.go(url, Some(from))
    }

    /// One navigation request, without following where it leads. `from` is the page with the link, if there is one.
    pub(crate) fn step(&mut self, url: &str, from: Option<&str>) -> Answer {
        let site = relation(from, &[url]);
        self.request("GET", url, &navigation(url, from, site), b"")
    }

    /// A script of the page's own origin fetches `url`.
    pub(crate) fn fetch(&mut self, url: &str) -> Answer {
        let headers = [("Accept", "*/*".to_owned()), ("Referer", format!("{}/", origin(url)))];
        self.request("GET", url, &scripted(headers.into(), "same-origin"), b"")
    }

    /// A script of the page's own origin posts JSON.
    pub(crate) fn post(&mut self, url: &str, json: &str) -> Answer {
        let headers =
            [("Accept", "*/*".to_owned()), ("Content-Type", "application/json".to_owned()), ("Origin", origin(url).to_owned())];
        self.request("POST", url, &scripted(headers.into(), "same-origin"), json.as_bytes())
    }

    /// The sites' `me`.
    pub(crate) fn me(&mut self, site: &str) -> serde_json::Value {
        let answer = self.fetch(&format!("{site}/_throughline/me"));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// The visitor ID that `site` knows this browser by.
    pub(crate) fn visitor(&mut self, site: &str) -> Option<String> {
        self.me(site)["visitor"].as_str().map(String::from)
    }

    fn go(&mut self, url: &str, from: Option<&str>) -> Visit {
        let mut steps: Vec<Step> = Vec::new();
        let mut url = url.to_owned();
        loop {
            let way: Vec<_> = steps.iter().map(|step| step.url.as_str()).chain([url.as_str()]).collect();
            let site = relation(from, &way);
            let answer = self.request("GET", &url, &navigation(&url, from, site), b"");
            let next =
                answer.header("location").filter(|_| (300..400).contains(&answer.status)).map(|location| resolve(&url, location));
            steps.push(Step { url: url.clone(), answer });
            match next {
                Some(next) if steps.len() <= REDIRECTS_MAX => url = next,
                Some(next) => panic!("more than {REDIRECTS_MAX} redirects, the last to {next}"),
                None => break,
            }
        }
        self.at = Some(url);
        Visit { steps }
    }

    /// Sends a request with the browser's cookies and own headers, and keeps what it is told to keep.
    pub(crate) fn request(&mut self, method: &str, url: &str, headers: &[(&str, String)], body: &[u8]) -> Answer {
        let mut all = vec![("User-Agent", FIREFOX.to_owned()), ("Accept-Language", self.language.clone())];
        all.extend(headers.iter().cloned());
        if let Some(cookies) = self.jar.get(host(url)).filter(|cookies| !cookies.is_empty()) {
            let pairs: Vec<_> = cookies.iter().map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
            all.push(("Cookie", pairs.join("; ")));
        }
        if !body.is_empty() || method == "POST" {
            all.push(("Content-Length", body.len().to_string()));
        }
        all.retain(|(name, _)| !self.changed.iter().any(|(changed, _)| changed.eq_ignore_ascii_case(name)));
        all.extend(self.changed.iter().filter_map(|(name, value)| Some((name.as_str(), value.clone()?))));

        let mut request = format!("{method} {} HTTP/1.1\r\nHost: {}\r\n", target(url), authority(url));
        for (name, value) in all {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        let mut bytes = request.into_bytes();
        bytes.extend_from_slice(body);
        let answer = wire::send(port(url), &bytes).unwrap_or_else(|error| panic!("{method} {url}: {error}"));
        for line in answer.all("set-cookie") {
            self.keep(url, Cookie::parse(line));
        }
        answer
    }

    fn keep(&mut self, url: &str, cookie: Cookie) {
        if self.blocks_cookies {
            return;
        }
        let cookies = self.jar.entry(host(url).to_owned()).or_default();
        cookies.retain(|kept| kept.name != cookie.name);
        if cookie.max_age() != Some(0) {
            cookies.push(cookie);
        }
    }
}

fn navigation(url: &str, from: Option<&str>, site: &str) -> Vec<(&'static str, String)> {
    let mut headers = vec![
        ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8".to_owned()),
        ("Upgrade-Insecure-Requests", "1".to_owned()),
        ("Sec-Fetch-Dest", "document".to_owned()),
        ("Sec-Fetch-Mode", "navigate".to_owned()),
        ("Sec-Fetch-Site", site.to_owned()),
        ("Sec-Fetch-User", "?1".to_owned()),
    ];
    // strict-origin-when-cross-origin, the default of all engines.
    if let Some(from) = from {
        let same = origin(from) == origin(url);
        headers.push(("Referer", if same { without_fragment(from).to_owned() } else { format!("{}/", origin(from)) }));
    }
    headers
}

fn scripted(mut headers: Vec<(&'static str, String)>, site: &str) -> Vec<(&'static str, String)> {
    headers.extend([
        ("Sec-Fetch-Dest", "empty".to_owned()),
        ("Sec-Fetch-Mode", "cors".to_owned()),
        ("Sec-Fetch-Site", site.to_owned()),
    ]);
    headers
}
