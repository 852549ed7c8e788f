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

use super::reload::notify;

/// How long answers say that the connection ends before it does.
pub const GOODBYE: Duration = Duration::from_secs(2);

/// Whether the end is near.
#[derive(Debug, Default)]
pub struct Ending(Arc<AtomicBool>);

impl Ending {
    /// Whether it is: answers then say that they are the last on their connection.
    #[must_use]
    pub fn is_near(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// From now on signals end the server behind `handle`: SIGTERM so that nothing is dropped, SIGINT and SIGQUIT at once.
    ///
    /// # Errors
    /// When the system lets nobody wait for signals.
    pub fn follow_signals(&self, handle: &ServerHandle) -> io::Result<()> {
        for kind in [SignalKind::interrupt(), SignalKind::quit()] {
            let (mut signal, handle) = (signal(kind)?, handle.clone());
            spawn(async move {
                received(&mut signal).await;
                handle.stop(false).await;
            });
        }
        let (mut terminate, handle, near) = (signal(SignalKind::terminate())?, handle.clone(), Arc::clone(&self.0));
        spawn(async move {
            received(&mut terminate).await;
            tracing::info!("SIGTERM: the end is near, and clients are told");
            notify(&[NotifyState::Stopping]);
            near.store(true, Ordering::Relaxed);
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
