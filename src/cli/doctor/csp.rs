//! Content-Security-Policy (CSP level 3), as far as it decides on our script, its requests, and forms that become hops.

use crate::base::origin::Origin;

use super::markup::metas;
use super::party::Answer;

/// The policies of a page; all of them must allow something.
pub(super) struct Policies(Vec<Vec<(String, Vec<String>)>>);

impl Policies {
    /// Those in the headers and in the page's own `meta` tags.
    pub(super) fn of(page: &Answer) -> Self {
        let text = page.text();
        let metas = metas(&text, "http-equiv", "content-security-policy");
        let headers = page.values("content-security-policy").map(str::to_owned);
        let all = headers.chain(metas).flat_map(|value| value.split(',').map(directives).collect::<Vec<_>>());
        Self(all.collect())
    }

    /// Whether a script of `origin` may run on a page of `page`. A nonce, a hash or `strict-dynamic` may allow it too, which only
    /// a browser can tell: then it counts as allowed.
    pub(super) fn allow_script(&self, page: &Origin, origin: &Origin) -> bool {
        self.allow(&["script-src-elem", "script-src", "default-src"], page, origin)
    }

    /// Whether a script may send requests to `origin`.
    pub(super) fn allow_request(&self, page: &Origin, origin: &Origin) -> bool {
        self.allow(&["connect-src", "default-src"], page, origin)
    }

    /// Whether a form may lead to `origin`. There is no fallback to `default-src`.
    pub(super) fn allow_form(&self, page: &Origin, origin: &Origin) -> bool {
        self.allow(&["form-action"], page, origin)
    }

    fn allow(&self, names: &[&str], page: &Origin, origin: &Origin) -> bool {
        self.0.iter().all(|policy| {
            let found = names.iter().find_map(|name| policy.iter().find(|(of, _)| of == name));
            found.is_none_or(|(_, sources)| sources.iter().any(|source| matches(source, page, origin)))
        })
    }
}

fn directives(policy: &str) -> Vec<(String, Vec<String>)> {
    let mut directives: Vec<(String, Vec<String>)> = Vec::new();
    for directive in policy.split(';') {
        let mut words = directive.split_ascii_whitespace().map(str::to_ascii_lowercase);
        let Some(name) = words.next() else { continue };
        // The first of one name counts.
        if !directives.iter().any(|(of, _)| *of == name) {
            directives.push((name, words.collect()));
        }
    }
    directives
}

fn matches(source: &str, page: &Origin, origin: &Origin) -> bool {
    if source == "'self'" {
        return page == origin;
    }
    if source.starts_with("'nonce-") || source.starts_with("'sha") || source == "'strict-dynamic'" {
        return true;
    }
    let scheme = if origin.is_https() { "https" } else { "http" };
    if source == "*" || source.strip_suffix(':').is_some_and(|named| named == scheme || named == "http") {
        return true;
    }
    let (named, rest) = source.split_once("://").map_or((None, source), |(scheme, rest)| (Some(scheme), rest));
    let authority = rest.split('/').next().unwrap_or(rest);
    let (host, port) = authority.rsplit_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
    let is_scheme = named.is_none_or(|named| named == scheme || named == "http");
    let is_host = match host.strip_prefix("*.") {
        Some(domain) => origin.host().strip_suffix(domain).is_some_and(|sub| sub.ends_with('.')),
        None => host == origin.host(),
    };
    let default = if origin.is_https() { 443 } else { 80 };
    let is_port = match port {
        Some("*") => true,
        Some(port) => port.parse() == Ok(origin.port()),
        None => origin.port() == default,
    };
    is_scheme && is_host && is_port
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_match_as_browsers_have_it() {
        let shop = Origin::parse("https://shop.example").unwrap();
        let brand = Origin::parse("https://www.brand.example").unwrap();
        for (policy, script, form) in [
            ("", true, true),
            ("default-src 'self'", true, true),
            ("default-src 'none'", false, true),
            ("default-src 'none'; script-src 'self'", true, true),
            ("script-src https://cdn.example", false, true),
            ("script-src 'nonce-abc' 'strict-dynamic'", true, true),
            ("script-src https:", true, true),
            ("script-src 'self'; script-src-elem 'none'", false, true),
            ("script-src *.example", true, true),
            ("form-action 'self'", true, false),
            ("form-action 'self' https://www.brand.example", true, true),
            ("form-action *.brand.example", true, true),
            ("form-action www.brand.example:443/login", true, true),
            ("form-action www.brand.example:8443", true, false),
            ("form-action 'none'; form-action *", true, false),
        ] {
            let policies = Policies(vec![directives(policy)]);
            assert_eq!(policies.allow_script(&shop, &shop), script, "{policy}");
            assert_eq!(policies.allow_form(&shop, &brand), form, "{policy}");
        }
        let both = Policies(vec![directives("script-src *"), directives("script-src 'none'")]);
        assert!(!both.allow_script(&shop, &shop), "all policies must allow it");
    }
}
