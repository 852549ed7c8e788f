//! The visitor store in PostgreSQL: many broker nodes on one database.
//!
//! Every name is looked up in the search path, and the tables are made in its first schema: the user needs no more than a
//! schema of its own. Statements are prepared, so a pooler in between must keep a session to one server connection.

mod commit;
mod fault;
mod link;
pub mod peek;
mod schema;
mod tls;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use deadpool_postgres::Client;
use rustls::RootCertStore;
use uuid::Uuid;

use crate::base::id::VisitorId;
use crate::domain::postgres_url::PostgresUrl;
use crate::domain::record::{Held, Outcome, Write};

use self::commit::commit;
use self::fault::fault;
use self::link::Link;
use super::{Cursor, Sampled, SetAside, Slice, StoreFault, StoreSize, SweepBefore, Swept, VisitorStore, signed, unsigned};

/// Up to so many records are counted; of more, the number is what PostgreSQL last estimated.
const COUNTED_MAX: i64 = 10_000;

const READ: &str = "SELECT EXISTS (SELECT FROM revocation WHERE id = $1), (SELECT record::text FROM visitor WHERE id = $1)";

const REVOCATIONS: &str = "SELECT number, id FROM revocation WHERE number > $1 ORDER BY number LIMIT $2";

/// A record that is being written just now is passed over: somebody saw it. So a sweep waits for nobody.
const SWEEP: &str = "
    WITH slice AS MATERIALIZED (SELECT id FROM visitor WHERE id > $1 ORDER BY id LIMIT $2),
    old AS MATERIALIZED (
        SELECT visitor.id FROM visitor JOIN slice ON visitor.id = slice.id
        WHERE visitor.seen < $3 OR EXISTS (SELECT FROM revocation WHERE revocation.id = visitor.id)
        FOR UPDATE OF visitor SKIP LOCKED
    ),
    gone AS (DELETE FROM visitor USING old WHERE visitor.id = old.id RETURNING 1)
    SELECT (SELECT count(*) FROM gone), (SELECT id FROM slice ORDER BY id DESC LIMIT 1)";

/// So many at a time, so that it ends in time; the next sweep goes on.
const FORGET_REVOCATIONS: &str = "
    DELETE FROM revocation WHERE number IN (SELECT number FROM revocation WHERE at < $1 ORDER BY at LIMIT 100000)";

const SAMPLE: &str = "
    SELECT id, record::text, EXISTS (SELECT FROM revocation WHERE revocation.id = visitor.id)
    FROM visitor WHERE id > $1 ORDER BY id LIMIT $2";

const SET_ASIDE: &str = "
    INSERT INTO set_aside (visitor, change, at, problem) SELECT * FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[])
    ON CONFLICT (visitor, change) DO UPDATE SET at = excluded.at, problem = excluded.problem";

const COUNT_SET_ASIDE: &str = "SELECT count(*) FROM set_aside";

const SIZE: &str = "
    SELECT (SELECT count(*) FROM (SELECT FROM visitor LIMIT $1::bigint + 1) AS counted),
           coalesce(sum(greatest(reltuples, 0)) FILTER (WHERE relispartition), 0)::bigint,
           sum(pg_total_relation_size(oid))::bigint
    FROM pg_class
    WHERE relkind = 'r' AND oid IN (SELECT relid FROM pg_partition_tree('visitor') UNION ALL SELECT 'revocation'::regclass)";

/// A store on a PostgreSQL server.
pub struct PostgresStore(Link);

impl PostgresStore {
    /// A store on the server at `url`. Nothing is connected yet. A server with TLS must show a certificate that the URL's
    /// `sslrootcert` vouches for or, without one, that `roots` do.
    ///
    /// # Errors
    /// When a file of the URL's cannot be used, or the system gives no thread.
    pub fn new(url: &PostgresUrl, roots: Arc<RootCertStore>) -> io::Result<Self> {
        Link::new(url, roots).map(Self)
    }
}

#[async_trait]
impl VisitorStore for PostgresStore {
    async fn prepare(&self) -> Result<(), StoreFault> {
        self.0.prepare().await
    }

    async fn commit(&self, writes: Vec<Arc<Write>>) -> Result<Vec<Outcome>, StoreFault> {
        self.0.call(move |client| Box::pin(async move { commit(client, &writes).await })).await
    }

    async fn read(&self, visitor: VisitorId) -> Result<Held, StoreFault> {
        self.0.call(move |client| Box::pin(async move { read(client, visitor).await.map_err(|error| fault(&error)) })).await
    }

    async fn revocations(&self, cursor: Cursor, limit: usize) -> Result<Vec<(Cursor, VisitorId)>, StoreFault> {
        let (cursor, limit) = (signed(cursor), i64::try_from(limit).unwrap_or(i64::MAX));
        let rows = self.0.call(move |client| {
            Box::pin(async move {
                let ask = async { client.query(&client.prepare_cached(REVOCATIONS).await?, &[&cursor, &limit]).await };
                ask.await.map_err(|error| fault(&error))
            })
        });
        rows.await?.iter().map(|row| Ok((unsigned(row.get(0)), visitor_id(row.get(1))?))).collect()
    }

    async fn sweep(&self, from: Option<VisitorId>, before: SweepBefore, slice: usize) -> Result<Swept, StoreFault> {
        let limit = i64::try_from(slice).unwrap_or(i64::MAX);
        let swept = self
            .0
            .call(move |client| Box::pin(async move { sweep(client, from, before, limit).await.map_err(|error| fault(&error)) }));
        let (deleted, last) = swept.await?;
        Ok(Swept { deleted, next: last.map(visitor_id).transpose()? })
    }

    async fn sample(&self, from: Option<VisitorId>, limit: usize) -> Result<Sampled, StoreFault> {
        let (from, most) = (from.map_or(Uuid::nil(), uuid), i64::try_from(limit).unwrap_or(i64::MAX));
        let rows = self.0.call(move |client| {
            Box::pin(async move {
                let ask = async { client.query(&client.prepare_cached(SAMPLE).await?, &[&from, &most]).await };
                ask.await.map_err(|error| fault(&error))
            })
        });
        let mut slice = Slice::of(limit);
        for row in rows.await? {
            slice.take(visitor_id(row.get(0))?, row.get(1), row.get(2));
        }
        Ok(slice.sampled())
    }

    async fn examine(&self) -> Result<(), StoreFault> {
        // PostgreSQL finds damage where it reads, and says so then.
        Ok(())
    }

    async fn set_aside(&self, writes: Vec<SetAside>) -> Result<(), StoreFault> {
        // A statement may not touch a row twice.
        let writes: BTreeMap<_, _> = writes.into_iter().map(|aside| ((aside.visitor, aside.change.clone()), aside)).collect();
        let of = |column: fn(&SetAside) -> String| writes.values().map(column).collect::<Vec<_>>();
        let ids: Vec<Uuid> = writes.values().map(|aside| uuid(aside.visitor)).collect();
        let at: Vec<i64> = writes.values().map(|aside| signed(aside.at.0)).collect();
        let (changes, problems) = (of(|aside| aside.change.clone()), of(|aside| aside.problem.clone()));
        let put = self.0.call(move |client| {
            Box::pin(async move {
                let put =
                    async { client.execute(&client.prepare_cached(SET_ASIDE).await?, &[&ids, &changes, &at, &problems]).await };
                put.await.map_err(|error| fault(&error))
            })
        });
        put.await.map(drop)
    }

    async fn count_set_aside(&self) -> Result<u64, StoreFault> {
        let counted = self.0.call(|client| {
            Box::pin(async move {
                let ask = async { client.query_one(&client.prepare_cached(COUNT_SET_ASIDE).await?, &[]).await?.try_get(0) };
                ask.await.map_err(|error| fault(&error))
            })
        });
        counted.await.map(unsigned)
    }

    async fn size(&self) -> Result<StoreSize, StoreFault> {
        self.0.call(move |client| Box::pin(async move { size(client).await.map_err(|error| fault(&error)) })).await
    }
}

async fn read(client: &Client, visitor: VisitorId) -> Result<Held, tokio_postgres::Error> {
    let row = client.query_one(&client.prepare_cached(READ).await?, &[&uuid(visitor)]).await?;
    if row.try_get(0)? {
        return Ok(Held::Revoked);
    }
    Ok(row.try_get::<_, Option<&str>>(1)?.map_or(Held::Nothing, Held::read))
}

async fn sweep(
    client: &Client,
    from: Option<VisitorId>,
    before: SweepBefore,
    limit: i64,
) -> Result<(u64, Option<Uuid>), tokio_postgres::Error> {
    let from = from.map_or(Uuid::nil(), uuid);
    let row = client.query_one(&client.prepare_cached(SWEEP).await?, &[&from, &limit, &signed(before.seen.0)]).await?;
    let last: Option<Uuid> = row.try_get(1)?;
    if last.is_none() {
        client.execute(&client.prepare_cached(FORGET_REVOCATIONS).await?, &[&signed(before.revoked.0)]).await?;
    }
    Ok((unsigned(row.try_get(0)?), last))
}

async fn size(client: &Client) -> Result<StoreSize, tokio_postgres::Error> {
    let row = client.query_one(&client.prepare_cached(SIZE).await?, &[&COUNTED_MAX]).await?;
    let (counted, estimate): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    let records = if counted > COUNTED_MAX { estimate.max(counted) } else { counted };
    Ok(StoreSize { records: unsigned(records), octets: unsigned(row.try_get(2)?) })
}

const fn uuid(visitor: VisitorId) -> Uuid {
    Uuid::from_bytes(*visitor.as_bytes())
}

fn visitor_id(uuid: Uuid) -> Result<VisitorId, StoreFault> {
    VisitorId::from_bytes(uuid.as_bytes()).ok_or_else(|| StoreFault::Refused("a row's id is no visitor ID".into()))
}
