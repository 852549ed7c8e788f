//! The configuration that `init` writes: what is set, and beside it what else could be.

use std::collections::BTreeSet;

use crate::base::origin::Origin;
use crate::config::Profile;
use crate::domain::consent::ConsentPolicy;

/// A site and the name of its two files.
#[derive(Debug)]
pub(super) struct NamedSite<'a> {
    pub(super) origin: &'a Origin,
    pub(super) name: String,
}

impl NamedSite<'_> {
    /// Relative to the configuration's folder.
    pub(super) fn secret_file(&self) -> String {
        format!("secrets/{}", self.name)
    }

    /// Relative to the configuration's folder.
    pub(super) fn key_file(&self) -> String {
        format!("keys/{}.json", self.name)
    }
}

const HEAD: &str = r##"# Throughline: one visitor, one ID, on all your domains.
#
# This process is the broker and serves every site below. To serve a site elsewhere, write serve = false below its [[site]]
# here; there, use a copy of this file with only that [[site]], its two files, and serve = false below [primary].
#
# Paths are relative to this file. Each "# name = value" shows the default, or an example. Whatever you change, look it over
# with `throughline check`: it says all that is wrong, and what to write instead.
"##;

/// After `addresses`, whose value depends on the profile.
const LISTEN: &str = r#"# tls_certificate = "cert.pem"        # these two to serve https without a proxy in front
# tls_key = "key.pem"
# trusted_proxies = ["127.0.0.1"]     # whose X-Forwarded-For counts, and who may ask for pages of theirs; nobody by default
# unknown_host = "pass"               # "refuse": 421 to a request for any other host
"#;

/// After the keys of the primary.
const PRIMARY: &str = r#"# cookie_days = 395                   # an ID lives so long, counted from its creation; at most 400
# honour_gpc = true                   # "Sec-GPC: 1" is a refusal
# legacy_browsers = false             # true: also link browsers too old to say what they ask for
# skip = ["/download/", "*.tar"]      # never interrupted, besides /api/, /assets/, *.css, *.js and the like
# files = "public"                    # a folder of static pages to serve
# whoami = false                      # true: the CORS route, for browsers that still allow it
"#;

/// After the address for operators: what they see is on from the beginning, on this machine alone.
const ADMIN: &str = r#"# hosts = ["ops.internal"]            # names that it answers to, besides localhost and IP addresses
# sample = 100000                     # visitor records that are read for the page's pictures; 0: none
# sample_every_s = 300                # from one such reading to the next

[log]
level = "info"                        # error, warn, info, debug, trace
format = "human"                      # "json": for programs that read logs

# [traces]                            # spans for OpenTelemetry, as OTLP over HTTP
# otlp_endpoint = "http://127.0.0.1:4318"
# sample_percent = 10                 # of all traces
"#;

const TAIL: &str = r#"
# [outbound]
# ca_file = "extra-ca.pem"            # trusted besides Mozilla's certificate authorities
# resolve = { "www.brand.example" = "127.0.0.1:8443" }   # not looked up, like curl's --resolve
# probe_interval_ms = 1000            # how often a satellite looks whether the broker is well
# probe_timeout_ms = 500
# revocation_interval_ms = 5000       # how often a satellite asks whose IDs have ended

# [store]                             # the visitor records; at the broker alone
# url = "sqlite:throughline.sqlite"   # or "postgres://user@host/database"; url_env = "DATABASE_URL" for one with a password
# retention_days = 761                # a record that no site saw for so long is deleted
# hop_wait_ms = 10                    # a hop waits so long for its first write, and then goes on

# [limits]
# replay_entries = 1000000            # used tokens to remember; when it is full, tokens are refused and pages served
# workers = 2                         # threads; as many as the machine has by default
"#;

/// The whole file.
pub(super) fn text(profile: Profile, consent: ConsentPolicy, sites: &[NamedSite<'_>]) -> String {
    let mut text = HEAD.to_owned();
    text += "\n";
    text += &line("profile", profile.as_str(), "or \"localhost\": plain http, on this machine only");
    text += "\n[listen]\n";
    text += &listen(profile, sites);
    text += LISTEN;
    for (index, site) in sites.iter().enumerate() {
        text += if index == 0 { "\n[primary]\n" } else { "\n[[site]]\n" };
        text += &line("origin", site.origin.as_str(), if index == 0 { "owns the master cookie" } else { "" });
        text += &line("consent", consent.as_str(), if index == 0 { meaning(consent) } else { "" });
        text += &line("secret_file", &site.secret_file(), "");
        text += &line("key_file", &site.key_file(), "");
        if index == 0 {
            text += PRIMARY;
        }
    }
    text += "\n[admin]                               # metrics, health and a page for operators; take it out to have none\n";
    let address = format!("127.0.0.1:{}", admin_port(profile, sites));
    text += &line("address", &address, "never where visitors come; of its own for each process");
    text + ADMIN + TAIL
}

/// On this machine the ports are those of the origins; elsewhere a proxy stands in front, until the operator says otherwise.
fn ports(profile: Profile, sites: &[NamedSite<'_>]) -> BTreeSet<u16> {
    match profile {
        Profile::Production => BTreeSet::from([8400]),
        Profile::Localhost => sites.iter().map(|site| site.origin.port()).collect(),
    }
}

/// The next one that no visitor comes to.
fn admin_port(profile: Profile, sites: &[NamedSite<'_>]) -> u16 {
    let taken = ports(profile, sites);
    (8401..=u16::MAX).find(|port| !taken.contains(port)).unwrap_or(8401)
}

fn listen(profile: Profile, sites: &[NamedSite<'_>]) -> String {
    let ports = ports(profile, sites);
    let addresses: Vec<_> = ports.iter().map(|port| format!("\"127.0.0.1:{port}\"")).collect();
    let comment = match profile {
        Profile::Production => "behind a proxy on this machine; \"0.0.0.0:8443\" to be reached from outside",
        Profile::Localhost => "the ports of the origins below",
    };
    commented(format!("addresses = [{}]", addresses.join(", ")), comment)
}

const fn meaning(consent: ConsentPolicy) -> &'static str {
    match consent {
        ConsentPolicy::Required => "nothing before the visitor's yes; \"implied\": until a no",
        ConsentPolicy::Implied => "until the visitor's no; \"required\": nothing before a yes",
    }
}

fn line(key: &str, value: &str, comment: &str) -> String {
    commented(format!("{key} = \"{value}\""), comment)
}

/// Comments begin in one column.
fn commented(setting: String, comment: &str) -> String {
    if comment.is_empty() { setting + "\n" } else { format!("{setting:<37} # {comment}\n") }
}
