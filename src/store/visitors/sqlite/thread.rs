//! A thread with a connection, which it opens when it is first needed and again after a fault: the file may have been replaced.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::super::StoreFault;
use super::place::{Opened, StoreFile};

/// How long a caller waits for its answer.
const CALL_TIME_MAX: Duration = Duration::from_secs(5);

/// Does its work, and says whether the connection may be used again.
type Job = Box<dyn FnOnce(Result<&mut Opened, StoreFault>) -> Fit + Send>;

enum Message {
    Work(Job),
    LetGo,
    End,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fit {
    Yes,
    No,
}

/// The thread, for the callers.
#[derive(Clone)]
pub(super) struct Thread(mpsc::Sender<Message>);

impl Thread {
    /// Starts it. Without a file, its store is in memory.
    pub(super) fn start(file: Option<Arc<StoreFile>>) -> (Self, Option<JoinHandle<()>>) {
        let (jobs, waiting) = mpsc::channel();
        let work = move || work(file.as_ref(), &waiting);
        (Self(jobs), spawn("throughline-store", work))
    }

    /// Closes its connection, if the file is no longer in its place.
    pub(super) fn let_go(&self) {
        // A thread that has ended has no connection.
        let _ = self.0.send(Message::LetGo);
    }

    /// Ends it, once it has done what it was asked for.
    pub(super) fn end(&self) {
        let _ = self.0.send(Message::End);
    }

    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, StoreFault> + Send + 'static,
    ) -> Result<T, StoreFault> {
        let (answer, answered) = oneshot::channel();
        let job = move |opened: Result<&mut Opened, StoreFault>| {
            // The caller has left: a thread that is behind must not fall back further.
            if answer.is_closed() {
                return Fit::Yes;
            }
            let done = opened.and_then(|opened| {
                let caught = catch_unwind(AssertUnwindSafe(|| work(&mut opened.connection)));
                let done = caught.unwrap_or_else(|_| Err(StoreFault::Unavailable("a panic (a bug of this program)".into())))?;
                // The file may have gone away meanwhile, and what was written with it.
                opened.check().map(|()| done)
            });
            let fit = if matches!(done, Err(StoreFault::Unavailable(_) | StoreFault::Damaged(_))) { Fit::No } else { Fit::Yes };
            let _ = answer.send(done);
            fit
        };
        let gone = || StoreFault::Unavailable("its thread has ended".into());
        self.0.send(Message::Work(Box::new(job))).map_err(|_| gone())?;
        match tokio::time::timeout(CALL_TIME_MAX, answered).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(gone()),
            Err(_) => Err(StoreFault::Unavailable("no answer in time".into())),
        }
    }
}

/// Starts a thread of the store.
pub(super) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Option<JoinHandle<()>> {
    let started = std::thread::Builder::new().name(name.into()).spawn(work);
    started.inspect_err(|error| tracing::error!(%error, thread = name, "thread not started; the store lacks it")).ok()
}

fn work(file: Option<&Arc<StoreFile>>, waiting: &mpsc::Receiver<Message>) {
    let mut opened: Option<Opened> = None;
    while let Ok(message) = waiting.recv() {
        let gone = opened.as_ref().and_then(|opened| opened.check().err());
        if gone.is_some()
            && let Some(opened) = opened.take()
        {
            opened.let_go();
        }
        let job = match message {
            Message::Work(job) => job,
            Message::LetGo => continue,
            Message::End => break,
        };
        if let Some(fault) = gone {
            job(Err(fault));
            continue;
        }
        if opened.is_none() {
            match file.map_or_else(Opened::in_memory, StoreFile::open) {
                Ok(connection) => opened = Some(connection),
                Err(fault) => {
                    job(Err(fault));
                    continue;
                }
            }
        }
        let Some(open) = &mut opened else { continue };
        // A store in memory is gone with its connection.
        if job(Ok(open)) == Fit::No && file.is_some() {
            opened = None;
        }
    }
}
