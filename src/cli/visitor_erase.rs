//! `throughline visitor erase`: asks, erases, and then asks the broker whether it refuses the IDs by now (rule C2).

use std::io::{BufRead, Write};
use std::sync::Arc;
use std::time::Duration;

use actix_web::rt::time::{sleep, timeout};

use crate::base::clock::UnixSeconds;
use crate::base::id::VisitorId;
use crate::base::json;
use crate::base::origin::Origin;
use crate::domain::contract::path;
use crate::domain::documents::Health;
use crate::domain::record::{Change, Outcome, Write as RecordWrite, Writer};
use crate::http::client::Outbound;
use crate::store::visitors::{Cursor, StoreFault, VisitorStore};

use super::Failure;
use super::visitor::{kept, refused};
use super::visitor_text;

/// How long the broker may take to answer, and how long beyond its interval it may take to read the erasure.
const ASK_TIME_MAX: Duration = Duration::from_secs(2);
const READ_TIME_MORE: Duration = Duration::from_secs(3);

/// From one question to the next.
const PAUSE: Duration = Duration::from_millis(100);

/// How often a store that is unavailable is tried: the broker beside may hold its lock.
const TRIES: u32 = 3;

/// How many revocations are read at once.
const PAGE: usize = 1000;

/// The broker that is to refuse what was erased.
pub(super) struct Broker<'a> {
    pub(super) primary: &'a Origin,
    pub(super) outbound: &'a Outbound,
    /// How often it reads the revocations.
    pub(super) interval: Duration,
}

/// What a broker node says of an erasure.
enum Word {
    /// It refuses the IDs.
    Refused,
    /// It answers, and had not read the erasure in time.
    NotInTime,
    /// It could not be asked.
    Unknown(String),
}

/// Erases `ids`. `asker` answers for each, if there is one.
pub(super) async fn erase(
    store: &dyn VisitorStore,
    ids: &[VisitorId],
    at: UnixSeconds,
    mut asker: Option<&mut dyn BufRead>,
    broker: &Broker<'_>,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let mut erased = Vec::new();
    let mut refusal = None;
    for id in ids {
        if let Some(asker) = &mut asker
            && let Err(failure) = ask(*id, &mut **asker, out)
        {
            refusal = Some(failure);
            break;
        }
        erase_one(store, *id, at, &mut erased, out).await?;
    }
    if !erased.is_empty() {
        let word = ask_broker(store, &erased, broker).await;
        say(&word, broker, out)?;
    }
    refusal.map_or(Ok(()), Err)
}

/// Asks for a yes. Anything else ends the command.
fn ask(visitor: VisitorId, asker: &mut dyn BufRead, out: &mut dyn Write) -> Result<(), Failure> {
    write!(out, "Erase {visitor} and its provisional IDs for good? Write yes: ")?;
    out.flush()?;
    let mut answer = String::new();
    let read = asker.read_line(&mut answer).map_err(|error| Failure::fault(format_args!("no answer can be read ({error})")))?;
    match (read, answer.trim()) {
        (_, "yes") => Ok(()),
        (0, _) => Err(Failure::mistake(format_args!(
            "no answer for {visitor}: it was not erased. To erase without a question, add --yes"
        ))),
        _ => Err(Failure::mistake("nothing more was erased")),
    }
}

async fn erase_one(
    store: &dyn VisitorStore,
    visitor: VisitorId,
    at: UnixSeconds,
    erased: &mut Vec<VisitorId>,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    // For the message alone: an unreadable record is erased, too.
    let before = kept(store, visitor).await.ok();
    let write = Arc::new(RecordWrite { visitor, by: Writer::Operator, at, change: Change::Revoke });
    let mut tries = 1;
    let outcomes = loop {
        match store.commit(vec![Arc::clone(&write)]).await {
            Err(StoreFault::Unavailable(_)) if tries < TRIES => tries += 1,
            done => break done.map_err(refused)?,
        }
        sleep(PAUSE).await;
    };
    erased.push(visitor);
    erased.extend(before.iter().flat_map(|kept| kept.alias_records.keys()));
    match outcomes.first() {
        Some(Outcome::Revoked) => Ok(writeln!(out, "{visitor}: was erased before")?),
        _ => Ok(writeln!(out, "{visitor}: {}", visitor_text::erased(before.as_ref()))?),
    }
}

/// Waits until the broker has read the erasure from the store, within bounds.
async fn ask_broker(store: &dyn VisitorStore, erased: &[VisitorId], broker: &Broker<'_>) -> Word {
    let client = broker.outbound.client(ASK_TIME_MAX);
    let asking = async {
        loop {
            let read = match client.get(broker.primary, path::HEALTH).await {
                Ok(body) => json::read::<Health>(&body).ok().and_then(|health| health.revocations_read),
                Err(failure) => return Word::Unknown(failure.to_string()),
            };
            let Some(read) = read else { return Word::Unknown("its health does not say what it has read".into()) };
            match is_read(store, erased, read).await {
                Ok(true) => return Word::Refused,
                Ok(false) => sleep(PAUSE).await,
                Err(fault) => return Word::Unknown(fault.to_string()),
            }
        }
    };
    timeout(broker.interval + READ_TIME_MORE, asking).await.unwrap_or(Word::NotInTime)
}

/// Whether a node that has read the revocations up to `read` knows that all of `erased` are revoked: none of them comes later.
async fn is_read(store: &dyn VisitorStore, erased: &[VisitorId], read: Cursor) -> Result<bool, StoreFault> {
    let mut cursor = read;
    loop {
        let later = store.revocations(cursor, PAGE).await?;
        if later.iter().any(|(_, visitor)| erased.contains(visitor)) {
            return Ok(false);
        }
        match later.last() {
            Some((number, _)) if later.len() == PAGE => cursor = *number,
            _ => return Ok(true),
        }
    }
}

fn say(word: &Word, broker: &Broker<'_>, out: &mut dyn Write) -> Result<(), Failure> {
    let (primary, interval) = (broker.primary, broker.interval.as_secs_f64());
    let of_node = match word {
        Word::Refused => {
            format!("The broker node that answers at {primary} refuses what was erased now. All other nodes and sites do")
        }
        Word::NotInTime => {
            format!(
                "The broker node that answers at {primary} has not read the erasure yet; see its log. All nodes and sites refuse what was erased"
            )
        }
        Word::Unknown(problem) => {
            format!("The broker at {primary} could not be asked ({problem}). All nodes and sites refuse what was erased")
        }
    };
    Ok(writeln!(
        out,
        "{of_node} within {interval} s (revocation_interval_ms of [outbound]) while they run and reach the store; else when they do again."
    )?)
}
