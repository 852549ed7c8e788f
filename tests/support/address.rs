//! The parts of an absolute URL, byte for byte as it is written.

/// `Sec-Fetch-Site`: what the page with the link is to all URLs on the way. Names directly under `localhost` are sites of
/// their own.
pub(crate) fn relation(from: Option<&str>, way: &[&str]) -> &'static str {
    match from {
        None => "none",
        Some(from) if way.iter().all(|url| origin(url) == origin(from)) => "same-origin",
        Some(from) if way.iter().all(|url| host(url) == host(from)) => "same-site",
        Some(_) => "cross-site",
    }
}

/// Where a `Location` leads from `url`. The fragment stays unless it names another.
pub(crate) fn resolve(url: &str, location: &str) -> String {
    let absolute = if location.starts_with('/') { format!("{}{location}", origin(url)) } else { location.to_owned() };
    match (absolute.contains('#'), url.split_once('#')) {
        (false, Some((_, fragment))) => format!("{absolute}#{fragment}"),
        _ => absolute,
    }
}

/// Without `#` and what follows.
pub(crate) fn without_fragment(url: &str) -> &str {
    url.split('#').next().unwrap_or(url)
}

/// Scheme, host and port.
pub(crate) fn origin(url: &str) -> &str {
    let authority_at = url.find("://").unwrap_or_else(|| panic!("not absolute: {url:?}")) + 3;
    let length = url[authority_at..].find(['/', '?', '#']).unwrap_or(url.len() - authority_at);
    &url[..authority_at + length]
}

/// Host and port.
pub(crate) fn authority(url: &str) -> &str {
    origin(url).split_once("://").map_or("", |(_, authority)| authority)
}

/// The host alone.
pub(crate) fn host(url: &str) -> &str {
    authority(url).split(':').next().unwrap_or_default()
}

/// The port of a URL.
pub(crate) fn port(url: &str) -> u16 {
    authority(url).split_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or_else(|| panic!("no port: {url:?}"))
}

/// Path and query, as they go on the wire.
pub(crate) fn target(url: &str) -> &str {
    match &without_fragment(url)[origin(url).len()..] {
        "" => "/",
        target => target,
    }
}
