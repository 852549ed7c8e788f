//! The URL of a PostgreSQL server, taken apart: the TLS parameters of libpq are read here, and the driver reads the rest.
//!
//! | `sslmode` | encrypted | the certificate's issuer is checked | the server's name is checked |
//! |---|---|---|---|
//! | `disable` | never | | |
//! | `prefer` (the default) | if the server offers TLS | then yes | then yes |
//! | `require` | always | yes | yes |
//! | `verify-ca` | always | yes | no |
//! | `verify-full` | always | yes | yes |
//!
//! libpq checks nothing with `prefer`, nor with `require` unless it has a root file. Here both check everything: an encrypted
//! connection to an unknown server protects nothing from an attacker on the way.

use std::fmt;
use std::path::PathBuf;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};
use zeroize::Zeroizing;

use super::hop_request::decode;

/// Never repeats what was written: that may hold a password.
const NOT_A_URL: &str = "not a PostgreSQL URL (not repeated here); write one such as \"postgres://user:password@host:5432/database\", special characters percent-encoded";

/// The parameters of libpq that neither we nor the driver know. Others are not named in a message: a `?` in a password that is
/// not percent-encoded would make a parameter of the rest of it.
const OTHERS_OF_LIBPQ: [&str; 20] = [
    "client_encoding",
    "fallback_application_name",
    "gssdelegation",
    "gssencmode",
    "gsslib",
    "keepalives_count",
    "krbsrvname",
    "passfile",
    "replication",
    "require_auth",
    "requirepeer",
    "service",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "sslcertmode",
    "sslcompression",
    "sslcrl",
    "sslcrldir",
    "sslpassword",
    "sslsni",
];

/// How a connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsMode {
    /// Plain.
    Disable,
    /// TLS if the server offers it, else plain.
    #[default]
    Prefer,
    /// TLS or no connection.
    Require,
    /// The same, and the certificate may have any name.
    VerifyCa,
    /// The same as `Require`, under libpq's name.
    VerifyFull,
}

impl TlsMode {
    fn parse(word: &str) -> Result<Self, String> {
        Ok(match word {
            "disable" => Self::Disable,
            "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            _ => return Err("sslmode is none of these: disable, prefer, require, verify-ca, verify-full; write one".into()),
        })
    }

    const fn of_driver(self) -> SslMode {
        match self {
            Self::Disable => SslMode::Disable,
            Self::Prefer => SslMode::Prefer,
            Self::Require | Self::VerifyCa | Self::VerifyFull => SslMode::Require,
        }
    }
}

/// The TLS of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsSettings {
    /// Whether it is encrypted, and what of the server is checked.
    pub mode: TlsMode,
    /// `sslrootcert`: a PEM file of the only authorities to trust.
    pub roots: Option<PathBuf>,
    /// `sslcert` and `sslkey`: PEM files, with which this node proves itself to the server.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// A PostgreSQL server and database, and how the connection to it is protected.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl {
    /// Without the parameters that are read here.
    url: Zeroizing<String>,
    tls: TlsSettings,
}

impl PostgresUrl {
    /// Reads a URL. `file` finds the file that a parameter (its name, and what it says) points at.
    ///
    /// # Errors
    /// With what to write instead. Neither the URL nor a part of it that may be a password is repeated.
    pub fn parse(text: &str, file: impl Fn(&str, &str) -> Result<PathBuf, String>) -> Result<Self, String> {
        let (address, query) = split(text);
        let mut ours = Ours::default();
        let mut url = Zeroizing::new(address.to_owned());
        let mut separator = '?';
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').ok_or(NOT_A_URL)?;
            let name = decode(name).ok_or(NOT_A_URL)?;
            if let Some(place) = ours.place(&name) {
                if place.replace(decode(value).ok_or(NOT_A_URL)?).is_some() {
                    return Err(format!("{name} is there twice; write it once"));
                }
                continue;
            }
            if OTHERS_OF_LIBPQ.contains(&name.as_str()) {
                return Err(format!("libpq's parameter {name} has no effect here; take it out"));
            }
            url.push(separator);
            url.push_str(parameter);
            separator = '&';
        }
        let found = Self { url, tls: ours.settings(file)? };
        let config: Config = found.url.parse().map_err(|_| NOT_A_URL)?;
        if config.get_hosts().is_empty() { Err(NOT_A_URL.into()) } else { Ok(found) }
    }

    /// What the driver connects to.
    ///
    /// # Errors
    /// None for a URL that was read; the driver's own words may repeat it.
    pub fn config(&self) -> Result<Config, tokio_postgres::Error> {
        let mut config: Config = self.url.parse()?;
        // As libpq does: a Unix socket leads to this machine, and PostgreSQL has no TLS there.
        let is_local = config.get_hosts().iter().all(|host| matches!(host, Host::Unix(_)));
        config.ssl_mode(if is_local { SslMode::Disable } else { self.tls.mode.of_driver() });
        Ok(config)
    }

    /// How the connection is protected.
    #[must_use]
    pub const fn tls(&self) -> &TlsSettings {
        &self.tls
    }

    /// The servers and the database, without user and password.
    #[must_use]
    pub fn name(&self) -> String {
        let Ok(config) = self.url.parse::<Config>() else { return "PostgreSQL".to_owned() };
        let ports = config.get_ports();
        let hosts = config.get_hosts().iter().enumerate().map(|(index, host)| {
            let port = ports.get(index).or(ports.first()).copied().unwrap_or(5432);
            match host {
                Host::Tcp(name) => format!("{name}:{port}"),
                Host::Unix(folder) => format!("{} (port {port})", folder.display()),
            }
        });
        let hosts = hosts.collect::<Vec<_>>().join(", ");
        // Without a name, it is the user's own.
        let place = config.get_dbname().map_or_else(|| hosts.clone(), |name| format!("database {name} at {hosts}"));
        format!("PostgreSQL, {place}")
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PostgresUrl(..)")
    }
}

/// The parameters that the driver does not know, or only in part.
#[derive(Default)]
struct Ours {
    mode: Option<String>,
    roots: Option<String>,
    certificate: Option<String>,
    key: Option<String>,
}

impl Ours {
    fn place(&mut self, name: &str) -> Option<&mut Option<String>> {
        match name {
            "sslmode" => Some(&mut self.mode),
            "sslrootcert" => Some(&mut self.roots),
            "sslcert" => Some(&mut self.certificate),
            "sslkey" => Some(&mut self.key),
            _ => None,
        }
    }

    fn settings(self, file: impl Fn(&str, &str) -> Result<PathBuf, String>) -> Result<TlsSettings, String> {
        let find = |name: &str, path: &str| file(name, path).map_err(|mistake| format!("{name}: {mistake}"));
        let mode = self.mode.as_deref().map_or(Ok(TlsMode::default()), TlsMode::parse)?;
        let roots = self.roots.as_deref().map(|path| find("sslrootcert", path)).transpose()?;
        let client = match (self.certificate.as_deref(), self.key.as_deref()) {
            (Some(certificate), Some(key)) => Some((find("sslcert", certificate)?, find("sslkey", key)?)),
            (None, None) => None,
            (Some(_), None) => return Err("sslcert has no key; write sslkey beside it".into()),
            (None, Some(_)) => return Err("sslkey has no certificate; write sslcert beside it".into()),
        };
        if mode == TlsMode::Disable && (roots.is_some() || client.is_some()) {
            return Err(
                "with sslmode=disable, sslrootcert, sslcert and sslkey have no effect; take them out, or write another sslmode"
                    .into(),
            );
        }
        Ok(TlsSettings { mode, roots, client })
    }
}

/// The part before the `?`, and the query. A `?` may stand in a password, which the driver reads up to the first `@`.
fn split(text: &str) -> (&str, &str) {
    let behind_user = text.find('@').map_or(0, |at| at + 1);
    match text[behind_user..].find('?') {
        Some(at) => (&text[..behind_user + at], &text[behind_user + at + 1..]),
        None => (text, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<PostgresUrl, String> {
        PostgresUrl::parse(text, |_, path| if path == "missing" { Err("is not there".into()) } else { Ok(path.into()) })
    }

    #[test]
    fn our_parameters_are_taken_out_and_the_rest_stays_as_it_was() {
        for (text, left, mode) in [
            ("postgres://a@b/c", "postgres://a@b/c", TlsMode::Prefer),
            ("postgres://a@b/c?sslmode=verify-full", "postgres://a@b/c", TlsMode::VerifyFull),
            ("postgres://a@b/c?sslmode=verify%2Dca&connect_timeout=3", "postgres://a@b/c?connect_timeout=3", TlsMode::VerifyCa),
            ("postgres://a@b?options=-c%20x%3Dy&sslmode=require&", "postgres://a@b?options=-c%20x%3Dy", TlsMode::Require),
            ("postgres://a:p?sslmode=q@b/c", "postgres://a:p?sslmode=q@b/c", TlsMode::Prefer),
            ("postgresql:///c?host=/run&sslmode=disable", "postgresql:///c?host=/run", TlsMode::Disable),
        ] {
            let found = parse(text).unwrap_or_else(|mistake| panic!("{text}: {mistake}"));
            assert_eq!((found.url.as_str(), found.tls.mode), (left, mode), "{text}");
        }
        let found = parse("postgres://a@b?sslrootcert=r%20oot.pem&sslcert=c.pem&sslkey=k.pem").unwrap();
        assert_eq!(found.tls.roots, Some("r oot.pem".into()));
        assert_eq!(found.tls.client, Some(("c.pem".into(), "k.pem".into())));
    }

    #[test]
    fn a_mistake_is_named_and_no_password_is_repeated() {
        for (query, expected) in [
            ("sslmode=allow", "sslmode is none of these"),
            ("sslmode=", "sslmode is none of these"),
            ("sslmode=require&sslmode=disable", "sslmode is there twice"),
            ("sslrootcert=missing", "sslrootcert: is not there"),
            ("sslcert=c.pem", "write sslkey beside it"),
            ("sslkey=k.pem", "write sslcert beside it"),
            ("sslmode=disable&sslrootcert=r.pem", "have no effect"),
            ("sslcrl=x", "libpq's parameter sslcrl has no effect here"),
            ("hunter2=x", "not a PostgreSQL URL (not repeated here)"),
            ("hunter2", "not a PostgreSQL URL (not repeated here)"),
            ("sslmode=%zz", "not a PostgreSQL URL (not repeated here)"),
        ] {
            let mistake = parse(&format!("postgres://ann:hunter2@db/x?{query}")).expect_err(query);
            assert!(mistake.contains(expected) && !mistake.contains("hunter2"), "{query}: {mistake}");
        }
        let url = parse("postgres://ann:hunter2@db/x").unwrap();
        assert!(!format!("{url:?} {}", url.name()).contains("hunter2"));
    }

    #[test]
    fn a_unix_socket_needs_no_tls() {
        let mode = |text: &str| parse(text).unwrap().config().unwrap().get_ssl_mode();
        assert_eq!(mode("postgres:///x?host=/run&sslmode=require"), SslMode::Disable);
        assert_eq!(mode("postgres:///x?host=/run&host=db&sslmode=verify-ca"), SslMode::Require);
    }
}
