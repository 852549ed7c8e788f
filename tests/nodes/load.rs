//! Clients that write without a pause, and note what they were told is stored.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::ask::{api, hop, is_recorded, record, refuse, revocations, set, wait_for};
use crate::support::company::Company;

const CLIENTS: u64 = 4;

/// What a client knows of a visitor.
#[derive(Debug, Clone, Default)]
struct Told {
    visitor: String,
    master: String,
    /// The hop's answer said that the record is written.
    is_written: bool,
    /// The last value that was sent, and the last that was acknowledged, with its version.
    sent: u64,
    set: Option<(u64, u64)>,
    /// A refusal was sent; it was acknowledged.
    is_refusing: bool,
    is_refused: bool,
}

/// Ends what runs until it is over, also when the test fails: it would wait for that for ever.
pub(crate) struct Over<'a>(pub(crate) &'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What all clients know.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<Vec<Told>>);

/// How much was acknowledged.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Count {
    pub(crate) written: usize,
    pub(crate) set: usize,
    pub(crate) refused: usize,
}

impl std::ops::AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        *self = Self { written: self.written + other.written, set: self.set + other.set, refused: self.refused + other.refused };
    }
}

impl Ledger {
    /// Writes with several clients to the node that `port` names, until `fault` has returned. A client that gets no answer
    /// goes on to the next visitor.
    pub(crate) fn write_until(company: &Company, port: &(impl Fn() -> u16 + Sync), fault: impl FnOnce()) -> Self {
        let (ledger, is_over) = (Self::default(), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let over = Over(&is_over);
            for client in 0..CLIENTS {
                let (ledger, is_over) = (&ledger, &is_over);
                scope.spawn(move || {
                    let mut turn = client;
                    while !is_over.load(Ordering::Relaxed) {
                        let told = write(company, port, turn, is_over);
                        ledger.0.lock().expect("no panic").extend(told);
                        turn += 1;
                    }
                });
            }
            fault();
            drop(over);
        });
        ledger
    }

    /// How much was acknowledged.
    pub(crate) fn count(&self) -> Count {
        let all = self.0.lock().expect("no panic");
        Count {
            written: all.iter().filter(|told| told.is_written).count(),
            set: all.iter().filter(|told| told.set.is_some()).count(),
            refused: all.iter().filter(|told| told.is_refused).count(),
        }
    }

    /// What was acknowledged is there. `when` is for the message.
    pub(crate) fn assert_kept(&self, company: &Company, port: u16, when: &str) {
        let revoked: HashSet<_> = revocations(company, port).into_iter().collect();
        for told in self.0.lock().expect("no panic").iter() {
            let found = record(company, port, &told.visitor);
            if told.is_refused {
                assert!(revoked.contains(&told.visitor) && found.is_none(), "{when}: the refusal is lost: {told:?} {found:?}");
                continue;
            }
            // A refusal that nobody acknowledged may count or not.
            let Some(found) = found else {
                let may_miss = told.is_refusing && revoked.contains(&told.visitor);
                assert!(may_miss || !(told.is_written || told.set.is_some()), "{when}: the record is lost: {told:?}");
                continue;
            };
            if let Some((value, version)) = told.set {
                let now = found["properties"]["n"].as_u64().unwrap_or_default();
                assert!((value..=told.sent).contains(&now), "{when}: the value is lost: {told:?} {found}");
                assert!(found["version"].as_u64() >= Some(version), "{when}: the version went back: {told:?} {found}");
            }
        }
    }

    /// Whoever came has a record, acknowledged or not: the node lived on, and nothing waits any more.
    pub(crate) fn assert_all_written(&self, company: &Company, port: u16, when: &str) {
        for told in self.0.lock().expect("no panic").iter().filter(|told| !told.is_refusing) {
            assert!(record(company, port, &told.visitor).is_some(), "{when}: what waited is lost: {told:?}");
        }
    }

    /// The IDs of acknowledged refusals are refused, on hops to the node on `port`.
    pub(crate) fn assert_refused(&self, company: &Company, port: u16, when: &str) {
        for told in self.0.lock().expect("no panic").iter().filter(|told| told.is_refused) {
            let ask = || hop(company, port, Some(&told.master)).expect("an answer");
            wait_for("revocations are known", || ask().visitor.is_none());
            assert_eq!(ask().master.as_deref(), Some("denied"), "{when}: {told:?}");
        }
    }
}

/// A new visitor comes; every second one has properties set, every third then refuses.
fn write(company: &Company, port: &impl Fn() -> u16, turn: u64, is_over: &AtomicBool) -> Option<Told> {
    let Ok(come) = hop(company, port(), None) else {
        std::thread::sleep(std::time::Duration::from_millis(2));
        return None;
    };
    let mut told = Told {
        visitor: come.visitor.expect("a new visitor gets an ID"),
        master: come.master.expect("and a cookie"),
        is_written: come.store.as_deref() == Some("written"),
        ..Told::default()
    };
    if turn.is_multiple_of(2) {
        for n in 1..=4 {
            told.sent = n;
            let Ok(answer) = set(company, port(), &told.visitor, n) else { break };
            match answer.status {
                200 => told.set = Some((n, answer.json()["version"].as_u64().expect("a version"))),
                // The node that is asked now may not be the one where the hop waits to be written.
                404 if !told.is_written => break,
                503 => break,
                _ => panic!("{answer:?}"),
            }
        }
    }
    if turn.is_multiple_of(3) && !is_over.load(Ordering::Relaxed) {
        told.is_refusing = true;
        if let Ok(answer) = refuse(company, port(), &told.visitor) {
            assert!(matches!(answer.status, 200 | 503), "{answer:?}");
            told.is_refused = is_recorded(&answer);
        }
    }
    // Reading must not fail either.
    if let Ok(answer) = api(company, port(), "GET", &format!("visitors/{}", told.visitor), "") {
        assert!(matches!(answer.status, 200 | 404 | 503), "{answer:?}");
    }
    Some(told)
}
