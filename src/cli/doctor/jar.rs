//! A browser's cookie jar, as far as our two cookies need one (RFC 6265bis): what is kept, for whom, and why not.

use crate::base::origin::Origin;

/// A `Set-Cookie`, as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SetCookie {
    pub(super) name: String,
    pub(super) value: String,
    /// Names in lower case, with their values.
    attributes: Vec<(String, String)>,
}

impl SetCookie {
    /// Reads one; `None` if there is no name.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let mut parts = line.split(';').map(str::trim);
        let (name, value) = parts.next()?.split_once('=')?;
        let attributes = parts.map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (name.to_ascii_lowercase(), value.trim().to_owned())
        });
        Some(Self { name: name.trim().to_owned(), value: value.trim().to_owned(), attributes: attributes.collect() })
    }

    /// The value of an attribute, empty if it is a mere word.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().rev().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Whether it takes the cookie away.
    pub(super) fn removes(&self) -> bool {
        self.attribute("max-age").and_then(|age| age.parse::<i64>().ok()).is_some_and(|age| age <= 0)
    }
}

#[derive(Debug, Clone)]
struct Kept {
    host: String,
    /// With its sub-domains too.
    is_wide: bool,
    path: String,
    secure: bool,
    name: String,
    value: String,
}

impl Kept {
    fn is_for(&self, origin: &Origin, path: &str) -> bool {
        let host = origin.host();
        let is_host = host == self.host || self.is_wide && is_below(host, &self.host);
        let is_path = path
            .strip_prefix(self.path.trim_end_matches('/'))
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']));
        is_host && is_path && (!self.secure || is_safe(origin))
    }
}

/// Chromium and Firefox take `Secure` cookies from this machine without TLS, too.
fn is_safe(origin: &Origin) -> bool {
    origin.is_https() || origin.is_loopback()
}

fn is_below(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
}

/// The jar.
#[derive(Debug, Clone, Default)]
pub(super) struct Jar(Vec<Kept>);

impl Jar {
    /// Keeps a cookie, or takes one away.
    ///
    /// # Errors
    /// With why a browser would not.
    pub(super) fn keep(&mut self, origin: &Origin, cookie: &SetCookie) -> Result<(), &'static str> {
        let secure = cookie.attribute("secure").is_some();
        let path = cookie.attribute("path").filter(|path| path.starts_with('/')).unwrap_or("/");
        let domain = cookie.attribute("domain").map(|domain| domain.trim_start_matches('.').to_ascii_lowercase());
        let domain = domain.filter(|domain| !domain.is_empty());
        let name = cookie.name.to_ascii_lowercase();
        if secure && !is_safe(origin) {
            return Err("it is Secure, and this is not https");
        }
        if (name.starts_with("__host-") || name.starts_with("__secure-")) && !secure {
            return Err("its prefix demands Secure");
        }
        if name.starts_with("__host-") && (domain.is_some() || cookie.attribute("path") != Some("/")) {
            return Err("its prefix __Host- demands Path=/ and no Domain");
        }
        if domain.as_deref().is_some_and(|domain| origin.host() != domain && !is_below(origin.host(), domain)) {
            return Err("its Domain is another");
        }
        let (is_wide, host) = (domain.is_some(), domain.unwrap_or_else(|| origin.host().to_owned()));
        self.0.retain(|kept| (&kept.name, &kept.host, kept.path.as_str()) != (&cookie.name, &host, path));
        if !cookie.removes() {
            let (name, value) = (cookie.name.clone(), cookie.value.clone());
            self.0.push(Kept { host, is_wide, path: path.to_owned(), secure, name, value });
        }
        Ok(())
    }

    /// The `Cookie` header for a request, if there is anything to send.
    pub(super) fn header(&self, origin: &Origin, path: &str) -> Option<String> {
        let pairs = self.0.iter().filter(|kept| kept.is_for(origin, path)).map(|kept| format!("{}={}", kept.name, kept.value));
        Some(pairs.collect::<Vec<_>>().join("; ")).filter(|header| !header.is_empty())
    }

    /// Takes all cookies of that name away from `origin`.
    pub(super) fn forget(&mut self, origin: &Origin, name: &str) {
        self.0.retain(|kept| kept.name != name || !kept.is_for(origin, "/"));
    }

    /// Whether a cookie of that name goes to `origin`.
    pub(super) fn holds(&self, origin: &Origin, name: &str) -> bool {
        self.0.iter().any(|kept| kept.name == name && kept.is_for(origin, "/"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_a_browser_keeps() {
        let shop = Origin::parse("https://shop.example").unwrap();
        let local = Origin::parse("http://shop.localhost:8400").unwrap();
        for (origin, line, header) in [
            (&shop, "a=1; Path=/; Secure; HttpOnly", Some("a=1")),
            (&shop, "__Host-a=1; Path=/; Secure", Some("__Host-a=1")),
            (&shop, "__Host-a=1; Path=/", None),
            (&shop, "__Host-a=1; Path=/x; Secure", None),
            (&shop, "__Host-a=1; Path=/; Secure; Domain=shop.example", None),
            (&shop, "a=1; Domain=.shop.example", Some("a=1")),
            (&shop, "a=1; Domain=brand.example", None),
            (&shop, "a=1; Path=/elsewhere", None),
            (&shop, "a=1; Max-Age=0", None),
            (&local, "a=1; Path=/; Secure", Some("a=1")),
            (&local, "a=1", Some("a=1")),
            (&local, "no cookie", None),
        ] {
            let mut jar = Jar::default();
            let _ = SetCookie::parse(line).map(|cookie| jar.keep(origin, &cookie));
            assert_eq!(jar.header(origin, "/p?x=1").as_deref(), header, "{line}");
        }
        let mut jar = Jar::default();
        for line in ["a=1; Path=/", "b=2; Path=/", "a=3; Path=/", "b=; Max-Age=0; Path=/"] {
            jar.keep(&shop, &SetCookie::parse(line).unwrap()).unwrap();
        }
        assert_eq!(jar.header(&shop, "/").as_deref(), Some("a=3"));
        assert_eq!(jar.header(&Origin::parse("https://learn.example").unwrap(), "/"), None);
    }
}
