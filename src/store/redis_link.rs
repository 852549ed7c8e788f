//! A connection to a Redis or Valkey, alone or a cluster, that can do one thing: claim a key.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::cluster_async::ClusterConnection;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo as _, RedisError, RedisResult,
    TlsCertificates, Value,
};
use zeroize::Zeroizing;

use super::recent_set::Claim;

/// Every key begins with this. What follows is 32 hexadecimal digits: a digest of the token's name.
pub const KEY_PREFIX: &str = "throughline:used:";

/// Why it does not work.
pub(super) const NO_ANSWER: &str = "no answer in time";
const STRANGE: &str = "it answers as no Redis does";

/// Which Redis, and how to speak to it.
#[derive(Debug, Clone)]
pub struct RedisSettings {
    /// Its address as a URL without credentials, such as `redis://10.0.0.1:6379`; of a cluster, those of some nodes.
    pub nodes: Vec<String>,
    /// Whether the nodes are of a cluster.
    pub cluster: bool,
    /// The user, where it is not the default one.
    pub username: Option<String>,
    /// The password.
    pub password: Option<Zeroizing<String>>,
    /// Certificate authorities in PEM, for `rediss://`; Mozilla's without.
    pub authorities: Option<Vec<u8>>,
    /// How long a claim may take.
    pub timeout: Duration,
    /// How long a key is remembered.
    pub span: Duration,
}

/// Knows where to connect to; nothing has been connected yet.
pub(super) enum Target {
    One(Client, AsyncConnectionConfig),
    Cluster(ClusterClient),
}

/// A connection. Its copies share it, and many claims are under way on it at once.
#[derive(Clone)]
pub(super) enum Link {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Target {
    /// # Errors
    /// In words, when the settings cannot be used.
    pub(super) fn new(settings: &RedisSettings, connect_within: Duration) -> Result<Self, String> {
        let nodes: Vec<_> =
            settings.nodes.iter().map(|node| info(node, settings)).collect::<RedisResult<_>>().map_err(describe)?;
        let certificates =
            settings.authorities.as_ref().map(|pem| TlsCertificates { client_tls: None, root_cert: Some(pem.clone()) });
        if settings.cluster {
            let builder = ClusterClientBuilder::new(nodes)
                .connection_timeout(connect_within)
                .response_timeout(settings.timeout)
                // The next claim is the next try: whoever waits for this one has no time for more.
                .retries(2)
                .min_retry_wait(5)
                .max_retry_wait(20);
            let builder = certificates.into_iter().fold(builder, ClusterClientBuilder::certs);
            return Ok(Self::Cluster(builder.build().map_err(describe)?));
        }
        let node = nodes.into_iter().next().ok_or("no node is named")?;
        let is_secure = matches!(node.addr(), ConnectionAddr::TcpTls { .. });
        let client = match certificates.filter(|_| is_secure) {
            Some(certificates) => Client::build_with_tls(node, certificates),
            None => Client::open(node),
        };
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(connect_within))
            .set_response_timeout(Some(settings.timeout));
        Ok(Self::One(client.map_err(describe)?, config))
    }

    /// Connects, and shows with a claim that keys can be claimed: a server that only answers may still be a replica, or
    /// refuse this user the command.
    ///
    /// # Errors
    /// In words.
    pub(super) async fn connect(&self) -> Result<Link, String> {
        let link = match self {
            Self::One(client, config) => {
                Link::One(client.get_multiplexed_async_connection_with_config(config).await.map_err(describe)?)
            }
            Self::Cluster(client) => Link::Cluster(client.get_async_connection().await.map_err(describe)?),
        };
        link.clone().try_out(0).await?;
        Ok(link)
    }

    /// How many claims in a row may fail before the connection is made anew. A cluster's looks after itself, and of a cluster
    /// one node may fail alone.
    pub(super) const fn failures_max(&self) -> u32 {
        match self {
            Self::One(..) => 1,
            Self::Cluster(_) => 8,
        }
    }
}

impl Link {
    /// Claims `key` for `span`.
    ///
    /// # Errors
    /// In words, when nobody knows what became of it.
    pub(super) async fn claim(self, key: u128, span: Duration) -> Result<Claim, String> {
        self.set(&format!("{KEY_PREFIX}{key:032x}"), span).await
    }

    /// Claims a key that belongs to no token. Numbers are spread over the nodes of a cluster.
    ///
    /// # Errors
    /// In words, when it does not work.
    pub(super) async fn try_out(self, number: u32) -> Result<(), String> {
        self.set(&format!("{KEY_PREFIX}try:{}", number % 64), Duration::from_secs(1)).await.map(|_| ())
    }

    async fn set(mut self, key: &str, span: Duration) -> Result<Claim, String> {
        let span = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let mut command = redis::cmd("SET");
        command.arg(key).arg(1).arg("NX").arg("PX").arg(span);
        let answer: RedisResult<Value> = match &mut self {
            Self::One(connection) => command.query_async(connection).await,
            Self::Cluster(connection) => command.query_async(connection).await,
        };
        match answer {
            Ok(Value::Okay) => Ok(Claim::First),
            Ok(Value::Nil) => Ok(Claim::Again),
            Ok(_) => Err(STRANGE.into()),
            Err(error) if error.code() == Some("OOM") => Ok(Claim::Full),
            Err(error) => Err(describe(error)),
        }
    }
}

fn info(node: &str, settings: &RedisSettings) -> RedisResult<ConnectionInfo> {
    let info = node.into_connection_info()?;
    let mut login = info.redis_settings().clone();
    if let Some(username) = &settings.username {
        login = login.set_username(username);
    }
    if let Some(password) = &settings.password {
        login = login.set_password(password.as_str());
    }
    Ok(info.set_redis_settings(login))
}

/// The error in our own words. Not in the server's: it may repeat what it was sent, and that may be a password.
#[expect(clippy::needless_pass_by_value, reason = "map_err hands it over")]
fn describe(error: RedisError) -> String {
    const LOGIN: &str = "it refuses the user or the password";
    // A cluster's first connection fails with what befell one of its nodes, as a text.
    let detail = error.detail().unwrap_or_default();
    // Of an I/O error this is what our own system says.
    let system = std::error::Error::source(&error);
    match (error.kind(), error.code()) {
        (ErrorKind::AuthenticationFailed, _) | (_, Some("WRONGPASS")) => LOGIN.into(),
        (ErrorKind::Io, _) if detail.contains("Password authentication failed") => LOGIN.into(),
        (_, Some("NOAUTH")) => "it wants a password".into(),
        (_, Some("NOPERM")) => format!("this user may not SET keys that begin with {KEY_PREFIX}"),
        (_, Some("READONLY")) => "it is a replica, which takes no writes".into(),
        (_, Some("MOVED")) => "it is a node of a cluster; write cluster = true".into(),
        (_, Some(code)) => format!("it answers with the error {}", code.escape_debug()),
        _ if error.is_timeout() => NO_ANSWER.into(),
        (ErrorKind::Io, None) => system.map_or_else(|| "no node can be reached".into(), ToString::to_string),
        (ErrorKind::Parse, None) => STRANGE.into(),
        (kind, None) => format!("{kind:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t9_settings_and_errors_print_no_password() {
        let settings = RedisSettings {
            nodes: vec!["redis://127.0.0.1:1".into()],
            cluster: false,
            username: None,
            password: Some(Zeroizing::new("hunter2".into())),
            authorities: None,
            timeout: Duration::from_millis(10),
            span: Duration::from_secs(1),
        };
        assert!(!format!("{settings:?}").contains("hunter2"));
        let echoed = RedisError::from((ErrorKind::Extension, "ERR", "unknown command 'AUTH', beginning with: 'hunter2'".into()));
        assert!(!describe(echoed).contains("hunter2"));
        let broken = RedisSettings { nodes: vec!["redis://:hunter2@".into()], ..settings };
        let said = Target::new(&broken, Duration::from_secs(1)).err().unwrap_or_default();
        assert!(!said.is_empty() && !said.contains("hunter2"), "{said}");
    }
}
