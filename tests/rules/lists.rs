//! The lists in `tests/data`.

use crate::support::company::Company;

/// The return URLs that must be refused, written for shop's own origin: the list is for `https://shop.example`.
pub(crate) fn return_urls_refused(company: &Company) -> Vec<String> {
    let list = include_str!("../data/return_urls_refused.txt");
    let authority = company.shop.strip_prefix("http://").expect("plain http");
    let lines = list.lines().filter(|line| !line.is_empty() && !line.starts_with("# "));
    let urls: Vec<_> = lines
        .map(unescape)
        .map(|line| match line.strip_prefix("http://shop.example/") {
            // What is wrong with it is its scheme, and here the right one is http.
            Some(path) => format!("https://{authority}/{path}"),
            None => line.replace("https:", "http:").replace("shop.example", authority),
        })
        .collect();
    assert!(urls.len() > 60);
    urls
}

/// `\t`, `\n`, `\r` and `\0` in a list stand for the characters themselves.
pub(crate) fn unescape(line: &str) -> String {
    line.replace("\\t", "\t").replace("\\n", "\n").replace("\\r", "\r").replace("\\0", "\0")
}
