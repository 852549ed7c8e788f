//! A replay memory in a Redis or Valkey, which many nodes share (rule T7): `SET key 1 NX PX span`.
//!
//! 1. The connection lives on a thread of its own. The threads that serve requests each have a runtime of their own, and what
//!    is connected on one ends with it; here it ends with the memory. Claims go there, and answers come back, over channels.
//! 2. It connects in the background and connects again by itself. A start never waits for it, and no claim does: while there
//!    is no connection, every claim is [`Claim::Unreachable`] at once.
//! 3. A claim that is not answered in time is unreachable too. It may have been noted all the same; then that token is lost,
//!    never used twice. A single server that fails to answer once is let go of, so that a hanging one keeps few pages waiting.
//! 4. Once a second a claim of our own shows how it stands, also where no visitor comes.
//! 5. The log has one line when it goes and one when it is back, however many claims there are in between.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};

use super::recent_set::Claim;
pub use super::redis_link::{KEY_PREFIX, RedisSettings};
use super::redis_link::{Link, NO_ANSWER, Target};
use super::replay::Claiming;

/// How many claims wait for the thread, and how many it has under way. More are [`Claim::Full`].
const WAITING_MAX: usize = 1024;
const UNDER_WAY_MAX: usize = 1024;

/// How long a connection may take to come about. Nobody waits for it.
const CONNECT_TIME: Duration = Duration::from_secs(2);

/// From one attempt to connect to the next: the first pause, doubled up to the last.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// From one claim of our own to the next, and how many in a row show that all is well again.
const TRY_INTERVAL: Duration = Duration::from_secs(1);
const GOOD_TRIES: u32 = 3;

/// The memory. Its thread ends when it is dropped.
#[derive(Debug)]
pub struct RedisReplay {
    asks: mpsc::Sender<Ask>,
    is_connected: Arc<AtomicBool>,
    timeout: Duration,
}

/// A claim that was sent. Whoever waits no longer drops it.
#[derive(Debug)]
pub struct ClaimSoon {
    answer: oneshot::Receiver<Claim>,
    timeout: Duration,
}

#[derive(Debug)]
struct Ask {
    key: u128,
    answer: oneshot::Sender<Claim>,
}

impl RedisReplay {
    /// A memory that begins to connect.
    ///
    /// # Errors
    /// When the settings cannot be used, or the system gives no thread. A Redis that is not there is no error.
    pub fn start(settings: RedisSettings) -> io::Result<Self> {
        let target = Target::new(&settings, CONNECT_TIME).map_err(io::Error::other)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let (asks, asked) = mpsc::channel(WAITING_MAX);
        let is_connected = Arc::new(AtomicBool::new(false));
        let driver = Driver {
            target,
            timeout: settings.timeout,
            span: settings.span,
            is_connected: Arc::clone(&is_connected),
            report: Report { is_well: true, good: 0 },
        };
        std::thread::Builder::new().name("replay-memory".into()).spawn(move || runtime.block_on(driver.run(asked)))?;
        Ok(Self { asks, is_connected, timeout: settings.timeout })
    }

    /// Whether claims can be answered just now.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.is_connected.load(Ordering::Acquire)
    }

    /// Claims `key`.
    #[must_use]
    pub fn claim(&self, key: u128) -> Claiming {
        if !self.is_connected() {
            return Claiming::Now(Claim::Unreachable);
        }
        let (sender, answer) = oneshot::channel();
        match self.asks.try_send(Ask { key, answer: sender }) {
            Ok(()) => Claiming::Soon(ClaimSoon { answer, timeout: self.timeout }),
            Err(mpsc::error::TrySendError::Full(_)) => Claiming::Now(Claim::Full),
            // The thread is gone, which takes a panic.
            Err(mpsc::error::TrySendError::Closed(_)) => Claiming::Now(Claim::Unreachable),
        }
    }
}

impl ClaimSoon {
    /// What became of it. Never later than the memory's time for a claim.
    pub async fn claimed(self) -> Claim {
        match timeout(self.timeout, self.answer).await {
            Ok(Ok(claim)) => claim,
            Ok(Err(_)) | Err(_) => Claim::Unreachable,
        }
    }
}

/// What runs on the thread.
struct Driver {
    target: Target,
    timeout: Duration,
    span: Duration,
    is_connected: Arc<AtomicBool>,
    report: Report,
}

/// What ended under way: whether it was a claim of our own, and why it failed.
struct Done {
    is_ours: bool,
    outcome: Result<(), String>,
}

impl Driver {
    async fn run(mut self, mut asked: mpsc::Receiver<Ask>) {
        let mut pause = PAUSE_MIN;
        while !asked.is_closed() {
            match timeout(CONNECT_TIME, self.target.connect()).await {
                Ok(Ok(link)) => {
                    pause = PAUSE_MIN;
                    self.is_connected.store(true, Ordering::Release);
                    let failure = self.serve(&link, &mut asked).await;
                    self.is_connected.store(false, Ordering::Release);
                    let Err(why) = failure else { return };
                    self.report.failed(&why);
                }
                Ok(Err(why)) => self.report.failed(&why),
                Err(_) => self.report.failed(NO_ANSWER),
            }
            // Those who asked in the moment of the failure do not wait for the next connection.
            while asked.try_recv().is_ok() {}
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Answers claims until the memory is dropped, or with why the connection cannot be used any more. What is under way then
    /// is dropped with it, and so answered.
    async fn serve(&mut self, link: &Link, asked: &mut mpsc::Receiver<Ask>) -> Result<(), String> {
        let mut under_way = JoinSet::new();
        let mut failures = 0;
        let mut tries = 0;
        let mut next_try = interval_at(Instant::now() + TRY_INTERVAL, TRY_INTERVAL);
        next_try.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                ask = asked.recv(), if under_way.len() < UNDER_WAY_MAX => {
                    let Some(ask) = ask else { return Ok(()) };
                    // Nobody waits any more: claiming it now would only lose the token.
                    if !ask.answer.is_closed() {
                        under_way.spawn(answer(ask, link.clone(), self.span, self.timeout));
                    }
                }
                _ = next_try.tick() => {
                    tries += 1;
                    under_way.spawn(try_out(tries, link.clone(), self.timeout));
                }
                Some(done) = under_way.join_next() => match done {
                    Ok(Done { is_ours, outcome: Ok(()) }) => {
                        failures = 0;
                        if is_ours {
                            self.report.tried_well();
                        }
                    }
                    Ok(Done { outcome: Err(why), .. }) => {
                        failures += 1;
                        if failures >= self.target.failures_max() {
                            return Err(why);
                        }
                        self.report.failed(&why);
                    }
                    Err(panicked) => return Err(panicked.to_string()),
                },
            }
        }
    }
}

async fn answer(ask: Ask, link: Link, span: Duration, within: Duration) -> Done {
    let claim = timeout(within, link.claim(ask.key, span)).await.unwrap_or_else(|_| Err(NO_ANSWER.into()));
    let outcome = claim.as_ref().map(|_| ()).map_err(Clone::clone);
    let _ = ask.answer.send(claim.unwrap_or(Claim::Unreachable));
    Done { is_ours: false, outcome }
}

async fn try_out(number: u32, link: Link, within: Duration) -> Done {
    let outcome = timeout(within, link.try_out(number)).await.unwrap_or_else(|_| Err(NO_ANSWER.into()));
    Done { is_ours: true, outcome }
}

/// Tells the log when it changes.
struct Report {
    is_well: bool,
    good: u32,
}

impl Report {
    fn failed(&mut self, why: &str) {
        if self.is_well {
            tracing::warn!(why, "the shared replay memory cannot be used: tokens are refused until it can, pages are served");
        }
        *self = Self { is_well: false, good: 0 };
    }

    fn tried_well(&mut self) {
        self.good = self.good.saturating_add(1);
        if !self.is_well && self.good >= GOOD_TRIES {
            self.is_well = true;
            tracing::info!("the shared replay memory is well again");
        }
    }
}
