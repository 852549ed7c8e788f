//! What an answer means that does not come from Throughline. The status shows the cause, and each cause has its own remedy.

use super::party::{Answer, shown};

/// Where the application, or nothing at all, answers in the satellite's place.
pub(super) const PASS_ON: &str = "Pass everything below /_throughline/ on to the satellite, with the host as it came \
    (nginx: proxy_set_header Host $http_host;), and see that the site is in the satellite's configuration.";

const FIREWALL: &str = "A firewall, a bot challenge or a login in front of Throughline refuses this. Exempt everything below \
    /_throughline/, and /.well-known/throughline, from it, for every method.";

const METHOD: &str = "A proxy, a CDN or a static host does not accept POST here. Let POST through to Throughline, with its body.";

/// Where a limit for URLs is lower than a hop needs.
pub(super) const TOO_LONG: &str = "Let longer URLs through: a hop's URL has up to 4,000 bytes (nginx: large_client_header_buffers 4 16k; \
    in a firewall, raise the limit for query strings).";

const DOWN: &str = "The proxy answers by itself, because Throughline does not: start it, see that the proxy's upstream address \
    and port are right, and look into its log.";

const REDIRECTED: &str = "Something in front redirects this: a login, a language choice, a trailing slash. Exempt everything \
    below /_throughline/ from it.";

const UNKNOWN_HOST: &str = "The request arrived under a host that is in no configuration. Pass the host on as it came (nginx: \
    proxy_set_header Host $http_host;). If the proxy puts it into X-Forwarded-Host instead, name the proxy's address in \
    [listen] trusted_proxies. Else add the site to the configuration.";

/// What was seen of an answer that Throughline did not give, and what to do.
pub(super) fn blocked(what: &str, answer: &Answer) -> (String, &'static str) {
    let by = answer.header("server").map(|server| format!(" (server: {})", shown(server))).unwrap_or_default();
    let kind = answer.header("content-type").map(|kind| format!(", {}", shown(kind))).unwrap_or_default();
    let seen = format!("{what} is answered {}{kind}{by}, and not by Throughline", answer.summary());
    let advice = match answer.status {
        _ if answer.header("cf-mitigated").is_some() => FIREWALL,
        401 | 403 | 406 | 418 | 429 | 451 => FIREWALL,
        405 | 501 => METHOD,
        413 | 414 | 431 => TOO_LONG,
        421 => UNKNOWN_HOST,
        502..=504 | 520..=527 => DOWN,
        300..=399 => REDIRECTED,
        _ => PASS_ON,
    };
    (seen, advice)
}
