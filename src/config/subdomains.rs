//! A site whose satellite is on a sub-domain: what may stand beside its origin.
//!
//! That a domain is one under which anybody can have a name (`co.uk`, `github.io`) is not known here: the list of them changes every
//! week. Browsers know, and refuse the cookie; then nobody goes on a hop (rule S16).

use std::net::IpAddr;

use crate::base::origin::Origin;

/// Whether the satellite of `site` may be at `satellite`.
///
/// # Errors
/// With what to write instead.
pub(super) fn beside(site: &Origin, satellite: &Origin) -> Result<(), String> {
    let (page, host) = (site.host(), satellite.host());
    if page == host {
        return Err(format!("\"{satellite}\" has the host of the pages; where the satellite answers there, take this key out"));
    }
    let shared = page.rsplit('.').zip(host.rsplit('.')).take_while(|(one, other)| one == other).count();
    if is_address(page) || is_address(host) || shared < 2 {
        return Err(format!(
            "\"{satellite}\" and the origin \"{site}\" are on different domains, so no cookie is for both; write a sub-domain, such as \"https://t.shop.example\" for \"https://www.shop.example\""
        ));
    }
    Ok(())
}

/// Reads the domain of a cookie that all of `hosts` get.
///
/// # Errors
/// With what to write instead.
pub(super) fn cookie_domain(text: &str, hosts: &[&Origin]) -> Result<String, String> {
    if let Some(bare) = text.strip_prefix('.') {
        return Err(format!("{text:?} begins with a dot; write {bare:?}"));
    }
    if Origin::parse(&format!("https://{text}")).is_err() || text.contains([':', '[']) || is_address(text) {
        return Err(format!("{text:?} is not a domain, as browsers spell it; write one such as \"shop.example\""));
    }
    if !text.contains('.') {
        return Err(format!(
            "{text:?} is a top-level domain, for which no browser takes a cookie; write one such as \"shop.example\""
        ));
    }
    let is_below = |host: &str| host == text || host.strip_suffix(text).is_some_and(|front| front.ends_with('.'));
    match hosts.iter().find(|origin| !is_below(origin.host())) {
        Some(outside) => {
            Err(format!("\"{outside}\" is not below {text:?}, and would not get the cookie; write a domain that both are below"))
        }
        None => Ok(text.to_owned()),
    }
}

fn is_address(host: &str) -> bool {
    host.starts_with('[') || host.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(text: &str) -> Origin {
        Origin::parse(text).unwrap()
    }

    #[test]
    fn where_a_satellite_may_be() {
        for (site, satellite, may) in [
            ("https://www.shop.example", "https://t.shop.example", true),
            ("https://shop.example", "https://t.shop.example", true),
            ("https://www.shop.example", "https://t.www.shop.example", true),
            ("http://www.shop.localhost:8400", "http://t.shop.localhost:8401", true),
            ("https://www.shop.example", "https://www.shop.example:8443", false),
            ("https://www.shop.example", "https://t.learn.example", false),
            ("https://shop.example", "https://learn.example", false),
            ("https://10.1.2.3", "https://9.1.2.3", false),
            ("http://shop.localhost:8400", "http://t.localhost:8400", false),
        ] {
            assert_eq!(beside(&origin(site), &origin(satellite)).is_ok(), may, "{satellite} for {site}");
        }
    }

    #[test]
    fn a_cookie_is_for_a_domain_of_both() {
        let (page, satellite) = (origin("https://www.shop.example"), origin("https://t.shop.example"));
        let read = |text| cookie_domain(text, &[&page, &satellite]);
        assert_eq!(read("shop.example").as_deref(), Ok("shop.example"));
        for (text, hint) in [
            (".shop.example", "write \"shop.example\""),
            ("example", "top-level"),
            ("Shop.example", "spell"),
            ("shop.example.", "spell"),
            ("shop.example:443", "spell"),
            ("shop.example; Secure", "spell"),
            ("127.0.0.1", "spell"),
            ("", "spell"),
            ("www.shop.example", "\"https://t.shop.example\" is not below"),
            ("op.example", "is not below"),
            ("learn.example", "\"https://www.shop.example\" is not below"),
        ] {
            let message = read(text).unwrap_err();
            assert!(message.contains(hint), "{text}: {message}");
        }
        assert!(
            cookie_domain("shop.localhost", &[&origin("http://www.shop.localhost:1"), &origin("http://t.shop.localhost:2")])
                .is_ok()
        );
    }
}
