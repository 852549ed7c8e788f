//! Connections to PostgreSQL, and the bounds of every call.
//!
//! 1. They live on one thread of their own. The threads that serve requests each have a runtime of their own, and what is
//!    connected on one ends with it. Calls are sent here whole: whoever asks only waits for the answer.
//! 2. Every call ends in time, also where a server hangs or a network swallows everything. What was under way is let go of.
//! 3. After a fault a connection is never used again: its transaction may be open. When the server cannot be had, all idle
//!    ones go with it, since they are likely as dead, and the next call looks at the schema again.
//! 4. No message holds the URL, or what the server says beside its main message: that can be a visitor ID (rule R8).

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deadpool_postgres::{Client, Hook, HookError, Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use rustls::RootCertStore;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};
use tokio_postgres::Config;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::domain::postgres_url::PostgresUrl;

use super::super::StoreFault;
use super::fault::no_connection;
use super::schema::{check_writable, migrate};
use super::tls::client_tls;

/// How long a call may take, with everything.
const CALL_TIME_MAX: Duration = Duration::from_secs(5);

/// How long one address of the server may take to be reached; the URL may say otherwise.
const CONNECT_TIME: Duration = Duration::from_millis(1500);

/// How long it takes at most to be connected and logged in, and to have a turn.
const CREATE_TIME_MAX: Duration = Duration::from_secs(3);
const WAIT_TIME_MAX: Duration = Duration::from_secs(3);

/// Connections of one node. Its writes need one, its reads are short, and many nodes share a server's hundred.
const CONNECTIONS_MAX: usize = 4;

/// What every connection begins with.
///
/// - A statement ends in time, and so does the transaction of a node that hangs in the middle: others wait for its locks. Our own
///   batches are short, so a lock that takes half a second is held by something else, and other writes go before it.
/// - What is committed is on disk. An operator may ask for more than that, and not for less.
/// - Plans are made once, for tables that are large: every statement goes by an index, also before the first statistics.
const SESSION: &str = "
    SET statement_timeout = '3s';
    SET lock_timeout = '500ms';
    SET idle_in_transaction_session_timeout = '5s';
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';
    SET default_transaction_isolation = 'read committed';
    SET plan_cache_mode = force_generic_plan;
    SET enable_seqscan = off;
    SET jit = off";

/// What a call does with its connection.
pub(super) type Work<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreFault>> + Send + 'a>>;

/// The connections of one store. Its thread ends when it is dropped.
pub(super) struct Link {
    shared: Arc<Shared>,
    runtime: Handle,
    _until_dropped: oneshot::Sender<()>,
}

struct Shared {
    pool: Pool,
    /// The schema was looked at since the last fault.
    is_ready: AtomicBool,
}

impl Link {
    /// # Errors
    /// When a file of the URL's cannot be used, or the system gives no thread.
    pub(super) fn new(url: &PostgresUrl, roots: Arc<RootCertStore>) -> io::Result<Self> {
        let (config, tls) = way(url, roots)?;
        let manager = Manager::from_config(config, tls, ManagerConfig { recycling_method: RecyclingMethod::Fast });
        let begin = Hook::async_fn(|client: &mut deadpool_postgres::ClientWrapper, _| {
            Box::pin(async move { client.batch_execute(SESSION).await.map_err(HookError::Backend) })
        });
        let pool = Pool::builder(manager)
            .max_size(CONNECTIONS_MAX)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(WAIT_TIME_MAX))
            .create_timeout(Some(CREATE_TIME_MAX))
            .recycle_timeout(Some(CREATE_TIME_MAX))
            .post_create(begin)
            .build()
            .map_err(io::Error::other)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let handle = runtime.handle().clone();
        let (until_dropped, dropped) = oneshot::channel();
        let run = move || {
            let _ = runtime.block_on(dropped);
            // A name that is being looked up must not hold the end.
            runtime.shutdown_background();
        };
        std::thread::Builder::new().name("throughline-store".into()).spawn(run)?;
        let shared = Arc::new(Shared { pool, is_ready: AtomicBool::new(false) });
        Ok(Self { shared, runtime: handle, _until_dropped: until_dropped })
    }

    /// Looks at the schema, makes what is missing, and sees that it can be written. Reading needs only the schema.
    pub(super) async fn prepare(&self) -> Result<(), StoreFault> {
        self.shared.is_ready.store(false, Ordering::Relaxed);
        self.call(|client| Box::pin(check_writable(client))).await
    }

    /// Does `work` with a connection to a server that is ready.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        work: impl for<'a> FnOnce(&'a Client) -> Work<'a, T> + Send + 'static,
    ) -> Result<T, StoreFault> {
        let shared = Arc::clone(&self.shared);
        let answer = self.runtime.spawn(async move { shared.call(work).await });
        answer.await.unwrap_or_else(|_| Err(StoreFault::Unavailable("its thread has ended".into())))
    }
}

/// How to reach the server: address, times, and TLS.
pub(super) fn way(url: &PostgresUrl, roots: Arc<RootCertStore>) -> io::Result<(Config, MakeRustlsConnect)> {
    // The library's own words may repeat the URL.
    let mut config = url.config().map_err(|_| io::Error::other("not a PostgreSQL URL"))?;
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_TIME);
    }
    if config.get_application_name().is_none() {
        config.application_name("throughline");
    }
    Ok((config, MakeRustlsConnect::new(client_tls(url.tls(), roots)?)))
}

impl Shared {
    async fn call<T>(&self, work: impl for<'a> FnOnce(&'a Client) -> Work<'a, T>) -> Result<T, StoreFault> {
        let until = Instant::now() + CALL_TIME_MAX;
        let late = || StoreFault::Unavailable("no answer in time".into());
        let client = timeout_at(until, self.pool.get()).await.map_err(|_| late())?.map_err(|error| {
            self.is_ready.store(false, Ordering::Relaxed);
            no_connection(&error)
        })?;
        let answer = timeout_at(until, async {
            if !self.is_ready.load(Ordering::Relaxed) {
                migrate(&client).await?;
                self.is_ready.store(true, Ordering::Relaxed);
            }
            work(&client).await
        });
        let outcome = answer.await.unwrap_or_else(|_| Err(late()));
        if let Err(fault) = &outcome {
            drop(Object::take(client));
            if matches!(fault, StoreFault::Unavailable(_)) {
                self.is_ready.store(false, Ordering::Relaxed);
                let _ = self.pool.retain(|_, _| false);
            }
        }
        outcome
    }
}
