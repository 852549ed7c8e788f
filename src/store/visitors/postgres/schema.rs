//! Brings the schema to this version: in one transaction, behind a lock that all nodes take.

use deadpool_postgres::Client;

use super::super::StoreFault;
use super::super::migrations::{POSTGRES, missing};
use super::fault::{READ_ONLY_REMEDY, RIGHTS_REMEDY, class, describe, fault};

/// The first number says whose lock it is ("TLvs"), the second which schema's. It is held to the end of the transaction.
const LOCK: &str = "SELECT pg_advisory_xact_lock(1414297203, hashtext(current_schema()::text))";

const EXISTS: &str = "
    SELECT to_regclass(quote_ident(current_schema()) || '.throughline_schema') IS NOT NULL,
           current_setting('server_encoding')";

/// Which of the rights that writing needs are missing, and whether the server takes no writes at all.
const WRITABLE: &str = "
    SELECT string_agg(format('%s on %s', needed.privilege, needed.name), ', '),
           current_setting('transaction_read_only') = 'on'
    FROM (VALUES ('visitor', 'SELECT'), ('visitor', 'INSERT'), ('visitor', 'UPDATE'), ('visitor', 'DELETE'),
                 ('revocation', 'SELECT'), ('revocation', 'INSERT'), ('revocation', 'DELETE'),
                 ('set_aside', 'SELECT'), ('set_aside', 'INSERT'), ('set_aside', 'UPDATE'), ('set_aside', 'DELETE'))
         AS needed (name, privilege)
    WHERE to_regclass(needed.name) IS NOT NULL AND NOT has_table_privilege(to_regclass(needed.name), needed.privilege)";

/// Sees that the tables can be written, so that a node says so at its start and not with the first write.
pub(super) async fn check_writable(client: &tokio_postgres::Client) -> Result<(), StoreFault> {
    match unwritable(client).await.map_err(|error| fault(&error))? {
        None => Ok(()),
        Some(what) => Err(StoreFault::Unavailable(what)),
    }
}

/// Why the tables that are there cannot be written, and what to do.
pub(super) async fn unwritable(client: &tokio_postgres::Client) -> Result<Option<String>, tokio_postgres::Error> {
    let row = client.query_one(WRITABLE, &[]).await?;
    let (missing, is_read_only): (Option<String>, bool) = (row.try_get(0)?, row.try_get(1)?);
    if is_read_only {
        return Ok(Some(format!("writing is not possible; {READ_ONLY_REMEDY}")));
    }
    Ok(missing.map(|missing| format!("its user lacks rights: {missing}; {RIGHTS_REMEDY}")))
}

/// Makes what is missing. Many nodes may do so at once.
pub(super) async fn migrate(client: &Client) -> Result<(), StoreFault> {
    let in_words = |error: tokio_postgres::Error| match class(&error) {
        // Who may not make tables, or has others of these names, must be told at the start.
        Some("42" | "3F" | "0A") => StoreFault::Refused(format!("the schema cannot be made: {}", describe(&error))),
        _ => fault(&error),
    };
    // Many nodes that start at once wait for each other.
    client.batch_execute("BEGIN; SET LOCAL lock_timeout = 0").await.map_err(in_words)?;
    // The lock comes before the look at the version: of many that start at once, one does it.
    client.execute(LOCK, &[]).await.map_err(in_words)?;
    let row = client.query_one(EXISTS, &[]).await.map_err(in_words)?;
    let (exists, encoding): (bool, &str) = (row.get(0), row.get(1));
    if encoding != "UTF8" {
        return Err(StoreFault::Refused(format!("the database's encoding is {encoding}; make one with ENCODING 'UTF8'")));
    }
    let found = if exists {
        let row = client.query_opt("SELECT version FROM throughline_schema", &[]).await.map_err(in_words)?;
        let version = row.and_then(|row| row.try_get::<_, i32>(0).ok()).and_then(|version| u32::try_from(version).ok());
        version.ok_or_else(|| StoreFault::Refused("the table throughline_schema holds no version; it is not ours".into()))?
    } else {
        0
    };
    let steps = missing(&POSTGRES, found)?;
    for step in steps {
        client.batch_execute(step).await.map_err(in_words)?;
    }
    if !steps.is_empty() {
        let version = i32::try_from(POSTGRES.len()).unwrap_or(i32::MAX);
        client.execute("UPDATE throughline_schema SET version = $1", &[&version]).await.map_err(in_words)?;
    }
    client.batch_execute("COMMIT").await.map_err(in_words)
}
