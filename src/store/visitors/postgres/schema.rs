//! Brings the schema to this version: in one transaction, behind a lock that all nodes take.

use deadpool_postgres::Client;

use super::super::StoreFault;
use super::super::migrations::{POSTGRES, missing};
use super::link::{class, describe, fault};

/// The first number says whose lock it is ("TLvs"), the second which schema's. It is held to the end of the transaction.
const LOCK: &str = "SELECT pg_advisory_xact_lock(1414297203, hashtext(current_schema()::text))";

const EXISTS: &str = "
    SELECT to_regclass(quote_ident(current_schema()) || '.throughline_schema') IS NOT NULL,
           current_setting('server_encoding')";

/// Makes what is missing. Many nodes may do so at once.
pub(super) async fn migrate(client: &Client) -> Result<(), StoreFault> {
    let in_words = |error: tokio_postgres::Error| match class(&error) {
        // Who may not make tables, or has others of these names, must be told at the start.
        Some("42" | "3F" | "0A") => StoreFault::Refused(format!("the schema cannot be made: {}", describe(&error))),
        _ => fault(&error),
    };
    client.batch_execute("BEGIN").await.map_err(in_words)?;
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
