//! A look at a PostgreSQL store that changes nothing in it, for `throughline check`.

use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use tokio::time::{Instant, timeout};
use tokio_postgres::{Client, Error};
use uuid::Uuid;

use crate::base::clock::UnixSeconds;
use crate::base::id::VisitorId;
use crate::domain::postgres_url::{PostgresUrl, TlsMode};
use crate::domain::record::Held;

use super::super::migrations::{POSTGRES, missing};
use super::super::{PEEK_RECORDS_MAX, Peek, SET_ASIDE_SHOWN, SetAside, StoreFault, unsigned};
use super::fault::{READ_ONLY_REMEDY, RIGHTS_REMEDY, describe, fault};
use super::link::way;
use super::schema::unwritable;

/// How long all of it may take, and how long of that for reading records.
const PEEK_TIME_MAX: Duration = Duration::from_secs(6);
const READING_TIME_MAX: Duration = Duration::from_secs(2);

/// How many records one statement reads.
const SLICE: usize = 1000;

/// No statement of this session writes, or waits for long. Tables are read by their indexes.
const SESSION: &str = "
    SET default_transaction_read_only = on;
    SET statement_timeout = '2s';
    SET lock_timeout = '1s';
    SET enable_seqscan = off;
    SET jit = off";

const PLACE: &str = "
    SELECT current_schema()::text, current_schema() IS NOT NULL AND has_schema_privilege(current_schema(), 'CREATE'),
           to_regclass(quote_ident(current_schema()) || '.throughline_schema') IS NOT NULL,
           to_regclass(quote_ident(current_schema()) || '.set_aside') IS NOT NULL,
           pg_is_in_recovery() OR current_setting('default_transaction_read_only') = 'on',
           current_setting('server_encoding')";

const RECORDS: &str = "SELECT id, record::text FROM visitor WHERE id > $1 ORDER BY id LIMIT $2";

const SET_ASIDE: &str = "SELECT visitor, change, at, problem FROM set_aside ORDER BY at, visitor, change LIMIT $1";

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// What the store holds; `None` before a broker has made its tables.
    pub peek: Option<Peek>,
    /// The connection is encrypted.
    pub is_encrypted: bool,
    /// Why a broker cannot write here just now, and what to do.
    pub unwritable: Option<String>,
}

/// Looks at the store at `url`. `roots` are trusted where the URL names no authorities of its own.
///
/// # Errors
/// [`StoreFault::Unavailable`] when the server is unavailable, or does not let the user in; [`StoreFault::Refused`] when a broker
/// would refuse to start with it.
pub async fn peek(url: &PostgresUrl, roots: Arc<RootCertStore>) -> Result<Seen, StoreFault> {
    let (config, tls) = way(url, roots).map_err(|error| StoreFault::Refused(error.to_string()))?;
    let look = async {
        let (client, connection) = config.connect(tls).await.map_err(|error| match fault(&error) {
            StoreFault::Refused(what) => StoreFault::Unavailable(what),
            fault => fault,
        })?;
        let connected = tokio::spawn(connection);
        let seen = look(&client, url.tls().mode).await;
        drop(client);
        let _ = connected.await;
        seen
    };
    timeout(PEEK_TIME_MAX, look).await.unwrap_or_else(|_| Err(StoreFault::Unavailable("no answer in time".into())))
}

async fn look(client: &Client, mode: TlsMode) -> Result<Seen, StoreFault> {
    // Before the session's own setting hides the server's.
    let row = client.query_one(PLACE, &[]).await.map_err(in_words)?;
    let (schema, may_create, has_version, has_set_aside): (Option<String>, bool, bool, bool) =
        (row.get(0), row.get(1), row.get(2), row.get(3));
    let (is_read_only, encoding): (bool, String) = (row.get(4), row.get(5));
    if schema.is_none() {
        return Err(StoreFault::Refused("no schema of the search path is there; make one, or name one in search_path".into()));
    }
    if encoding != "UTF8" {
        return Err(StoreFault::Refused(format!("the database's encoding is {encoding}; make one with ENCODING 'UTF8'")));
    }
    let is_encrypted = match mode {
        TlsMode::Disable => false,
        // What a pooler's own connection to the server is counts only where ours is not certain.
        TlsMode::Prefer => {
            let asked = client.query_opt("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", &[]).await;
            asked.map_err(in_words)?.is_some_and(|row| row.get(0))
        }
        TlsMode::Require | TlsMode::VerifyCa | TlsMode::VerifyFull => true,
    };
    let not_now = is_read_only.then(|| format!("writing is not possible; {READ_ONLY_REMEDY}"));
    let found = if has_version { Some(version(client).await?) } else { None };
    let lacks_steps = !missing(&POSTGRES, found.unwrap_or(0))?.is_empty();
    if lacks_steps && !may_create && !is_read_only {
        return Err(StoreFault::Refused(format!("its user may not make tables in the schema; {RIGHTS_REMEDY}")));
    }
    if !is_read_only && let Some(what) = unwritable(client).await.map_err(in_words)? {
        return Err(StoreFault::Refused(what));
    }
    client.batch_execute(SESSION).await.map_err(in_words)?;
    let peek = match found {
        Some(version) => Some(contents(client, version, has_set_aside).await?),
        None => None,
    };
    Ok(Seen { peek, is_encrypted, unwritable: not_now })
}

async fn version(client: &Client) -> Result<u32, StoreFault> {
    let row = client.query_opt("SELECT version FROM throughline_schema", &[]).await.map_err(in_words)?;
    let version = row.and_then(|row| row.try_get::<_, i32>(0).ok()).and_then(|version| u32::try_from(version).ok());
    version.ok_or_else(|| StoreFault::Refused("the table throughline_schema holds no version; it is not ours".into()))
}

async fn contents(client: &Client, version: u32, has_set_aside: bool) -> Result<Peek, StoreFault> {
    let mut peek = Peek { version, ..Peek::default() };
    read_records(client, &mut peek).await.map_err(in_words)?;
    if has_set_aside {
        let limit = i64::try_from(SET_ASIDE_SHOWN).unwrap_or(i64::MAX);
        for row in client.query(SET_ASIDE, &[&limit]).await.map_err(in_words)? {
            let Some(visitor) = VisitorId::from_bytes(row.get::<_, Uuid>(0).as_bytes()) else { continue };
            let at = UnixSeconds(unsigned(row.get(2)));
            peek.set_aside.push(SetAside { visitor, change: row.get(1), at, problem: row.get(3) });
        }
    }
    Ok(peek)
}

/// Looks through the records until it has seen enough of them, or the time is over.
async fn read_records(client: &Client, peek: &mut Peek) -> Result<(), Error> {
    let until = Instant::now() + READING_TIME_MAX;
    let statement = client.prepare(RECORDS).await?;
    let mut from = Uuid::nil();
    while peek.records < PEEK_RECORDS_MAX as u64 && Instant::now() < until {
        let rows = client.query(&statement, &[&from, &i64::try_from(SLICE).unwrap_or(i64::MAX)]).await?;
        for row in &rows {
            from = row.try_get(0)?;
            if matches!(Held::read(row.try_get(1)?), Held::Unreadable) {
                peek.unreadable.extend(VisitorId::from_bytes(from.as_bytes()));
            }
        }
        peek.records += rows.len() as u64;
        if rows.len() < SLICE {
            break;
        }
    }
    Ok(())
}

/// Rights that are missing are a mistake of the operator's, whatever the broker does about them.
fn in_words(error: Error) -> StoreFault {
    match error.code().map(|code| code.code()) {
        Some("42501") => StoreFault::Refused(describe(&error)),
        _ => fault(&error),
    }
}
