//! What decides when a connection ends (rule A9). Only its own thread writes what it does, and the registry reads that. It uses
//! atomics only, since each request writes to it; and with one writer, a load and a store are enough where a counter changes.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;
use std::time::Duration;

use crate::base::clock::Clock;

use super::ended::Ended;

/// A connection without a request in service ends after this. Browsers open a new one then. It is twice what a browser's spare
/// connection usually waits for its first request, and the body of a request has as long.
pub(super) const IDLE_TIME_MAX: Duration = Duration::from_secs(30);

/// How long a client may read nothing of its answer.
pub(super) const STALL_TIME: Duration = Duration::from_secs(30);

/// What a client has read buys it more time, up to this. The kernel opens its window in steps, which may take a slow but honest
/// client that long.
pub(super) const STALL_TIME_MAX: Duration = Duration::from_secs(60);

/// A client must read its answer at this rate, in bytes a second. The slowest phones on the air are faster.
pub(super) const READ_RATE_MIN: u64 = 512;

/// After this time without reading, a connection may end in favour of another client. The time is short, since the connection that
/// has not read for the longest ends first, and the other client must be served at once.
const STALLED_FOR_ROOM: Duration = Duration::from_millis(250);

/// What a connection does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    /// No request is in service.
    Nothing,
    /// The application works on the answer, for which it has no time limit.
    Serving,
    /// One of our endpoints waits for the body of the client, for which it has a time limit.
    Receiving,
    /// The client has something to read.
    Reading,
}

/// A connection.
pub(super) struct Connection {
    clock: Arc<dyn Clock>,
    /// Whose limit it counts for; none for a trusted proxy's.
    pub(super) client: Option<[u8; 8]>,
    /// Its place in the registry.
    pub(super) place: AtomicUsize,
    requests: AtomicU32,
    waiting_for_application: AtomicU32,
    waiting_for_body: AtomicU32,
    write_blocked: AtomicBool,
    written: AtomicU64,
    /// When it last made progress: a request, an answer, bytes. In milliseconds of uptime, as all times here.
    progress_at: AtomicU64,
    /// Since when no request is in service.
    idle_since: AtomicU64,
    /// When the system last took bytes of it.
    written_at: AtomicU64,
    /// When the body of an answer was last asked for more.
    asked_at: AtomicU64,
    // What the registry remembers from one look to the next.
    written_before: AtomicU64,
    patience_until: AtomicU64,
    ended: AtomicU8,
    /// Wakes the task that serves it.
    task: Mutex<Option<Waker>>,
}

impl Connection {
    pub(super) fn new(clock: Arc<dyn Clock>, client: Option<[u8; 8]>) -> Self {
        let now = millis(clock.uptime());
        Self {
            clock,
            client,
            place: AtomicUsize::new(usize::MAX),
            requests: AtomicU32::new(0),
            waiting_for_application: AtomicU32::new(0),
            waiting_for_body: AtomicU32::new(0),
            write_blocked: AtomicBool::new(false),
            written: AtomicU64::new(0),
            progress_at: AtomicU64::new(now),
            idle_since: AtomicU64::new(now),
            written_at: AtomicU64::new(now),
            asked_at: AtomicU64::new(now),
            written_before: AtomicU64::new(0),
            patience_until: AtomicU64::new(now + millis(STALL_TIME)),
            ended: AtomicU8::new(0),
            task: Mutex::new(None),
        }
    }

    fn now(&self) -> u64 {
        millis(self.clock.uptime())
    }

    /// Bytes came from the client.
    pub(super) fn has_received(&self) {
        self.progress_at.store(self.now(), Ordering::Relaxed);
    }

    /// Bytes went to the system, or it took none.
    pub(super) fn has_written(&self, count: Option<usize>) {
        let Some(count) = count else { return self.write_blocked.store(true, Ordering::Relaxed) };
        self.written.store(self.written.load(Ordering::Relaxed).wrapping_add(count as u64), Ordering::Relaxed);
        let now = self.now();
        self.progress_at.store(now, Ordering::Relaxed);
        self.written_at.store(now, Ordering::Relaxed);
        if self.write_blocked.load(Ordering::Relaxed) {
            self.write_blocked.store(false, Ordering::Relaxed);
            self.idle_since.store(now, Ordering::Relaxed);
        }
    }

    /// A request begins: its bytes have come just now. It is in service until the answer drops.
    pub(super) fn begin(self: &Arc<Self>) -> InService {
        add(&self.requests, 1);
        add(&self.waiting_for_application, 1);
        InService { connection: Arc::clone(self), waits_for_application: true }
    }

    pub(super) fn doing(&self) -> Doing {
        let (requests, waiting) = (self.requests.load(Ordering::Relaxed), self.waiting_for_application.load(Ordering::Relaxed));
        if self.write_blocked.load(Ordering::Relaxed) || requests > waiting {
            Doing::Reading
        } else if requests > 0 && self.waiting_for_body.load(Ordering::Relaxed) >= requests {
            Doing::Receiving
        } else if requests > 0 {
            Doing::Serving
        } else {
            Doing::Nothing
        }
    }

    /// Whether it is over a time limit. Call it about once a second.
    pub(super) fn look(&self, now: Duration) -> Option<Ended> {
        let now = millis(now);
        let written = self.written.load(Ordering::Relaxed);
        let read = written.saturating_sub(self.written_before.swap(written, Ordering::Relaxed));
        match self.doing() {
            Doing::Reading => {
                let patience = self.patience_until.load(Ordering::Relaxed);
                let bought = read.saturating_mul(1000) / READ_RATE_MIN;
                let patience = patience.saturating_add(bought).min(now + millis(STALL_TIME_MAX));
                self.patience_until.store(patience, Ordering::Relaxed);
                (now > patience).then_some(Ended::SlowReader)
            }
            doing => {
                self.patience_until.store(now + millis(STALL_TIME), Ordering::Relaxed);
                let idle_since = self.idle_since.load(Ordering::Relaxed);
                (doing == Doing::Nothing && now > idle_since + millis(IDLE_TIME_MAX)).then_some(Ended::Idle)
            }
        }
    }

    /// How soon it should make room for another: the greatest first. `None` when it is in use.
    ///
    /// Connections without a request go before those whose client does not read; among equals, the one without progress the
    /// longest.
    pub(super) fn dispensable(&self) -> Option<(bool, std::cmp::Reverse<u64>)> {
        match self.doing() {
            Doing::Nothing => Some((true, std::cmp::Reverse(self.progress_at.load(Ordering::Relaxed)))),
            Doing::Reading => {
                // Over HTTP/2, a client that does not read may still send pings and read what answers those.
                let is_blocked = self.write_blocked.load(Ordering::Relaxed);
                let since = (if is_blocked { &self.written_at } else { &self.asked_at }).load(Ordering::Relaxed);
                (self.now() > since + millis(STALLED_FOR_ROOM)).then_some((false, std::cmp::Reverse(since)))
            }
            Doing::Receiving => {
                let since = self.progress_at.load(Ordering::Relaxed);
                (self.now() > since + millis(STALLED_FOR_ROOM)).then_some((false, std::cmp::Reverse(since)))
            }
            Doing::Serving => None,
        }
    }

    /// Ends it. Its own task sees that at once.
    pub(super) fn end(&self, why: Ended) {
        // With the lock held, the task either sees this when it leaves its waker, or is woken by it.
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if self.ended.compare_exchange(0, why as u8, Ordering::Release, Ordering::Relaxed).is_ok()
            && let Some(task) = &*task
        {
            task.wake_by_ref();
        }
    }

    /// Leaves the waker of its task for [`Self::end`], or takes it away: a waker keeps the memory of its task.
    pub(super) fn is_served_by(&self, task: Option<Waker>) {
        *self.task.lock().unwrap_or_else(PoisonError::into_inner) = task;
    }

    /// Whether something has ended it.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire) != 0
    }
}

/// A request whose body is being read.
pub(super) struct ReadsBody(Arc<Connection>);

impl ReadsBody {
    /// The client must act next, until this drops.
    pub(super) fn of(connection: &Arc<Connection>) -> Self {
        add(&connection.waiting_for_body, 1);
        Self(Arc::clone(connection))
    }
}

impl Drop for ReadsBody {
    fn drop(&mut self) {
        add(&self.0.waiting_for_body, -1);
    }
}

/// A request in service, or its answer.
pub(super) struct InService {
    connection: Arc<Connection>,
    waits_for_application: bool,
}

impl InService {
    /// The body of the answer was asked for more. Notes whether the application or the client must act next.
    pub(super) fn waits_for_application(&mut self, waits: bool) {
        if !waits {
            self.connection.asked_at.store(self.connection.now(), Ordering::Relaxed);
        }
        self.turn(waits);
    }

    fn turn(&mut self, waits: bool) {
        if waits != self.waits_for_application {
            self.waits_for_application = waits;
            add(&self.connection.waiting_for_application, if waits { 1 } else { -1 });
        }
    }
}

impl Drop for InService {
    fn drop(&mut self) {
        let now = self.connection.now();
        self.connection.idle_since.store(now, Ordering::Relaxed);
        self.connection.progress_at.store(now, Ordering::Relaxed);
        self.turn(false);
        add(&self.connection.requests, -1);
    }
}

/// Changes a counter that only the calling thread changes.
fn add(counter: &AtomicU32, change: i32) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add_signed(change), Ordering::Relaxed);
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::{ManualClock, UnixSeconds};

    fn connection() -> (Arc<ManualClock>, Arc<Connection>) {
        let clock = Arc::new(ManualClock::at(UnixSeconds(1_790_000_000)));
        let connection = Arc::new(Connection::new(Arc::<ManualClock>::clone(&clock), None));
        (clock, connection)
    }

    /// Looks once a second until something ends the connection; the seconds that it took, 600 at most.
    fn lasts(clock: &ManualClock, connection: &Connection, mut each_second: impl FnMut(u64)) -> (u64, Option<Ended>) {
        for second in 1..=600 {
            clock.advance(Duration::from_secs(1));
            each_second(second);
            if let Some(ended) = connection.look(clock.uptime()) {
                return (second, Some(ended));
            }
        }
        (600, None)
    }

    #[test]
    fn a9_without_a_request_it_ends_whatever_comes() {
        let (clock, connection) = connection();
        let ping = |_| {
            connection.has_received();
            connection.has_written(Some(17));
        };
        assert_eq!(lasts(&clock, &connection, ping), (31, Some(Ended::Idle)));
    }

    #[test]
    fn a9_after_an_answer_it_ends_too() {
        let (clock, connection) = connection();
        let ended = lasts(&clock, &connection, |second| {
            if second == 20 {
                drop(connection.begin());
            }
        });
        assert_eq!(ended, (51, Some(Ended::Idle)));
    }

    #[test]
    fn a9_the_application_may_take_its_time() {
        let (clock, connection) = connection();
        let mut answer = connection.begin();
        assert_eq!(lasts(&clock, &connection, |_| ()), (600, None));
        // An event stream: a few bytes now and then, which the client reads at once.
        let stream = |second| {
            if second % 40 == 0 {
                answer.waits_for_application(false);
                connection.has_written(Some(10));
                answer.waits_for_application(true);
            }
        };
        assert_eq!(lasts(&clock, &connection, stream), (600, None));
    }

    #[test]
    fn a9_a_client_must_read() {
        let slow = Some(Ended::SlowReader);
        for (at_first, bytes, every, blocked, expected) in [
            (0, 0, 1, true, slow),
            (0, 0, 1, false, slow),
            (65_536, 0, 1, true, slow),
            (0, 1, 1, true, slow),
            (65_536, 300, 1, true, slow),
            (0, 600, 1, true, None),
            (0, 600, 1, false, None),
            (0, 100_000, 1, true, None),
            // The window opens in steps.
            (0, 20_000, 30, true, None),
            (65_536, 65_536, 50, true, None),
        ] {
            let (clock, connection) = connection();
            let mut answer = connection.begin();
            answer.waits_for_application(false);
            connection.has_written(Some(at_first));
            let read = |second: u64| {
                if bytes > 0 && second.is_multiple_of(every) {
                    connection.has_written(Some(bytes));
                }
                if blocked {
                    connection.has_written(None);
                }
            };
            let (after, ended) = lasts(&clock, &connection, read);
            assert_eq!(ended, expected, "{bytes} every {every} s");
            assert!(ended.is_none() || (31..150).contains(&after), "{after}");
        }
    }

    #[test]
    fn a9_a_great_deal_read_at_once_buys_a_minute() {
        let (clock, connection) = connection();
        let mut answer = connection.begin();
        answer.waits_for_application(false);
        connection.has_written(Some(10_000_000));
        connection.has_written(None);
        assert_eq!(lasts(&clock, &connection, |_| ()), (62, Some(Ended::SlowReader)));
    }

    #[test]
    fn a9_who_makes_room_first() {
        let (clock, silent) = connection();
        let another = || Arc::new(Connection::new(Arc::<ManualClock>::clone(&clock), None));
        clock.advance(Duration::from_secs(1));
        let [pinging, serving, stalled] = [another(), another(), another()];
        let _served = serving.begin();
        let mut answer = stalled.begin();
        answer.waits_for_application(false);
        assert_eq!((serving.dispensable(), stalled.dispensable()), (None, None));
        clock.advance(Duration::from_secs(1));
        pinging.has_received();
        assert!(silent.dispensable() > pinging.dispensable());
        assert!(pinging.dispensable() > stalled.dispensable() && stalled.dispensable().is_some());
        assert_eq!(serving.dispensable(), None);
    }

    #[test]
    fn a9_an_endpoint_that_waits_for_a_body_holds_no_place() {
        let (clock, connection) = connection();
        let _served = connection.begin();
        clock.advance(Duration::from_secs(1));
        assert_eq!(connection.dispensable(), None, "the application works on the answer");
        let reads = ReadsBody::of(&connection);
        assert!(connection.dispensable().is_some(), "nothing has come for a second");
        connection.has_received();
        assert_eq!(connection.dispensable(), None, "it is coming");
        clock.advance(Duration::from_secs(1));
        drop(reads);
        assert_eq!(connection.dispensable(), None, "it has come");
    }
}
