//! How a server ends: without dropping a request (rule A4).
//!
//! A server that closes its idle connections at once meets requests that are already on their way, and their senders get a
//! reset. So SIGTERM is first made known: for [`GOODBYE`], every answer says `Connection: close`, and everything is served
//! as ever. Whoever keeps connections open has by then closed them or has nothing to say. Then the listeners close, and
//! what is still under way may finish.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::rt::signal::unix::{Signal, SignalKind, signal};
use actix_web::rt::{spawn, time::sleep};
use sd_notify::NotifyState;
use tokio::sync::Notify;

use super::reload::notify;

/// How long answers say that the connection ends before it does.
pub const GOODBYE: Duration = Duration::from_secs(2);

/// Whether the process is ending.
#[derive(Debug, Default, Clone)]
pub struct Ending(Arc<State>);

#[derive(Debug, Default)]
struct State {
    is_near: AtomicBool,
    begun: Notify,
}

impl Ending {
    /// Whether it is: answers then say that they are the last on their connection.
    #[must_use]
    pub fn is_near(&self) -> bool {
        self.0.is_near.load(Ordering::Acquire)
    }

    fn begin(&self) {
        self.0.is_near.store(true, Ordering::Release);
        self.0.begun.notify_waiters();
    }

    async fn begun(&self) {
        // Made before the look at the flag, so that it hears a begin between the two.
        let begun = self.0.begun.notified();
        if !self.is_near() {
            begun.await;
        }
    }

    /// Runs `task` until the process begins to end. The watches over other nodes stop then: a stopping broker would otherwise
    /// find itself unavailable, warn about it, and start no hops for the rest of its time.
    pub(super) async fn stops(&self, task: impl Future<Output = ()>) {
        tokio::select! {
            () = task => {}
            () = self.begun() => {}
        }
    }

    /// From now on signals end the server behind `handle`: SIGTERM so that nothing is dropped, SIGINT and SIGQUIT at once.
    ///
    /// # Errors
    /// When the system lets nobody wait for signals.
    pub fn follow_signals(&self, handle: &ServerHandle) -> io::Result<()> {
        for kind in [SignalKind::interrupt(), SignalKind::quit()] {
            let (mut signal, handle, ending) = (signal(kind)?, handle.clone(), self.clone());
            spawn(async move {
                received(&mut signal).await;
                ending.begin();
                handle.stop(false).await;
            });
        }
        let (mut terminate, handle, ending) = (signal(SignalKind::terminate())?, handle.clone(), self.clone());
        spawn(async move {
            received(&mut terminate).await;
            tracing::info!("received SIGTERM; draining connections");
            notify(&[NotifyState::Stopping]);
            ending.begin();
            sleep(GOODBYE).await;
            handle.stop(true).await;
        });
        Ok(())
    }
}

async fn received(signal: &mut Signal) {
    if signal.recv().await.is_none() {
        // No signal will ever come by this way.
        std::future::pending::<()>().await;
    }
}
