//! One batch in one transaction, in three rounds: lock and load, write, commit.
//!
//! What keeps the batches of many nodes one after the other:
//!
//! 1. Batches that revoke nothing share a lock; one that revokes has it alone. So nothing is written to an ID while it is
//!    being revoked, and revocations get their numbers in the order in which they are seen: a number that commits after a
//!    higher one would be missed by whoever has read that. Revoking is rare, and a batch short.
//! 2. Rows that are there are locked in the order of their IDs.
//! 3. A row that is not there cannot be locked. When another node was first to write it, the batch begins anew.

use std::sync::Arc;

use deadpool_postgres::Client;
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::base::id::VisitorId;
use crate::domain::record::{Change, Held, Outcome, Write};
use crate::domain::record_batch::{Loaded, Plan, Put, plan, touched};

use super::super::{StoreFault, signed};
use super::fault::fault;
use super::uuid;

/// How often a batch begins anew. Each time another node was first, so that one got on.
const ATTEMPTS_MAX: usize = 10;

/// The first number says whose lock it is ("TLvr"), the second which schema's. It is held to the end of the transaction.
const SHARE: &str = "SELECT pg_advisory_xact_lock_shared(1414297202, hashtext(current_schema()::text))";
const ALONE: &str = "SELECT pg_advisory_xact_lock(1414297202, hashtext(current_schema()::text))";

/// A join, so that each ID is looked for in its own partition alone.
const LOAD: &str = "
    SELECT visitor.id, visitor.record::text FROM unnest($1::uuid[]) AS wanted (id) JOIN visitor ON visitor.id = wanted.id
    ORDER BY visitor.id FOR UPDATE OF visitor";
const REVOKED: &str = "SELECT id FROM revocation WHERE id = ANY ($1::uuid[])";

const INSERT: &str = "
    INSERT INTO visitor (id, seen, record)
    SELECT id, seen, record::json FROM unnest($1::uuid[], $2::bigint[], $3::text[]) AS new (id, seen, record)
    ON CONFLICT DO NOTHING";
const UPDATE: &str = "
    UPDATE visitor SET seen = new.seen, record = new.record::json
    FROM unnest($1::uuid[], $2::bigint[], $3::text[]) AS new (id, seen, record) WHERE visitor.id = new.id";
const DELETE: &str = "DELETE FROM visitor USING unnest($1::uuid[]) AS gone (id) WHERE visitor.id = gone.id";
const SETTLE: &str = "DELETE FROM set_aside USING unnest($1::uuid[]) AS gone (id) WHERE set_aside.visitor = gone.id";
const REVOKE: &str = "
    INSERT INTO revocation (id, at) SELECT id, at FROM unnest($1::uuid[], $2::bigint[]) WITH ORDINALITY AS new (id, at, place)
    ORDER BY place";

/// What an attempt came to.
enum Attempt {
    Done(Vec<Outcome>),
    /// It revokes, and does not have the lock alone.
    NeedsToBeAlone,
    /// Another node was first to write one of the records.
    Overtaken,
}

/// Applies the writes, or none of them.
pub(super) async fn commit(client: &Client, writes: &[Arc<Write>]) -> Result<Vec<Outcome>, StoreFault> {
    let mut alone = writes.iter().any(|write| write.change == Change::Revoke);
    for _ in 0..ATTEMPTS_MAX {
        match attempt(client, writes, alone).await {
            Ok(Attempt::Done(outcomes)) => return Ok(outcomes),
            Ok(Attempt::NeedsToBeAlone) => alone = true,
            Ok(Attempt::Overtaken) => {}
            Err(error) if is_contention(&error) => {}
            Err(error) => return Err(fault(&error)),
        }
        client.batch_execute("ROLLBACK").await.map_err(|error| fault(&error))?;
    }
    Err(StoreFault::Busy("other nodes write the same records".into()))
}

fn is_contention(error: &Error) -> bool {
    matches!(error.code(), Some(&SqlState::T_R_DEADLOCK_DETECTED | &SqlState::T_R_SERIALIZATION_FAILURE))
}

async fn attempt(client: &Client, writes: &[Arc<Write>], alone: bool) -> Result<Attempt, Error> {
    let mut loaded = Loaded::new();
    let mut wanted = touched(writes);
    let mut begin = Some(if alone { ALONE } else { SHARE });
    let plan = loop {
        load(client, begin.take(), &wanted, &mut loaded).await?;
        match plan(&loaded, writes) {
            Ok(plan) => break plan,
            Err(further) => wanted = further,
        }
    };
    if !plan.revoke.is_empty() && !alone {
        return Ok(Attempt::NeedsToBeAlone);
    }
    if !write(client, &plan).await? {
        return Ok(Attempt::Overtaken);
    }
    client.batch_execute("COMMIT").await?;
    Ok(Attempt::Done(plan.outcomes))
}

/// Loads what is held of `wanted`, and locks it. With a lock to begin with, it begins the transaction.
async fn load(client: &Client, begin: Option<&str>, wanted: &[VisitorId], loaded: &mut Loaded) -> Result<(), Error> {
    let ids: Vec<Uuid> = wanted.iter().copied().map(uuid).collect();
    let (load, revoked) = (client.prepare_cached(LOAD).await?, client.prepare_cached(REVOKED).await?);
    let lock = match begin {
        Some(lock) => Some(client.prepare_cached(lock).await?),
        None => None,
    };
    let begin = async { if lock.is_some() { client.batch_execute("BEGIN").await } else { Ok(()) } };
    let lock = async {
        match &lock {
            Some(lock) => client.execute(lock, &[]).await,
            None => Ok(0),
        }
    };
    // All are sent before the first is answered, in this order.
    let ids: &[&(dyn ToSql + Sync)] = &[&ids];
    let (_, _, rows, revoked) = tokio::try_join!(biased; begin, lock, client.query(&load, ids), client.query(&revoked, ids))?;
    loaded.extend(wanted.iter().map(|visitor| (*visitor, Held::Nothing)));
    for row in rows {
        let held = Held::read(row.try_get(1)?);
        loaded.extend(visitor(row.try_get(0)?).map(|visitor| (visitor, held)));
    }
    for row in revoked {
        loaded.extend(visitor(row.try_get(0)?).map(|visitor| (visitor, Held::Revoked)));
    }
    Ok(())
}

/// Writes what the plan says; `false` when another node was first.
async fn write(client: &Client, plan: &Plan) -> Result<bool, Error> {
    let (new, known): (Vec<&Put>, Vec<&Put>) = plan.put.iter().partition(|put| put.is_new);
    let (revoked, at): (Vec<Uuid>, Vec<i64>) = plan.revoke.iter().map(|(id, at)| (uuid(*id), signed(at.0))).unzip();
    let revoke = async {
        if revoked.is_empty() {
            return Ok(0);
        }
        let (delete, revoke) = (client.prepare_cached(DELETE).await?, client.prepare_cached(REVOKE).await?);
        client.execute(&delete, &[&revoked]).await?;
        client.execute(&client.prepare_cached(SETTLE).await?, &[&revoked]).await?;
        client.execute(&revoke, &[&revoked, &at]).await
    };
    let (inserted, ..) = tokio::try_join!(biased; put(client, INSERT, &new), put(client, UPDATE, &known), revoke)?;
    Ok(inserted == new.len() as u64)
}

async fn put(client: &Client, statement: &str, puts: &[&Put]) -> Result<u64, Error> {
    if puts.is_empty() {
        return Ok(0);
    }
    let ids: Vec<Uuid> = puts.iter().map(|put| uuid(put.visitor)).collect();
    let seen: Vec<i64> = puts.iter().map(|put| signed(put.seen.0)).collect();
    let texts: Vec<&str> = puts.iter().map(|put| put.text.as_str()).collect();
    client.execute(&client.prepare_cached(statement).await?, &[&ids, &seen, &texts]).await
}

fn visitor(id: Uuid) -> Option<VisitorId> {
    VisitorId::from_bytes(id.as_bytes())
}
