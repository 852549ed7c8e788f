//! The log: to standard error, one line an event, and never in a request's way.
//!
//! 1. What clients wrote is escaped, so that an event is one line (rule A7). Our own lines hold none of it anyhow.
//! 2. A line is handed to a thread that writes. When nobody takes what it has written, as with a full pipe or disk, lines are
//!    lost and counted: a page must not wait for a log (the first law).
//! 3. The level is for our own events: at a low one, the libraries would write whole requests, with tokens and cookies in
//!    them (rule R8).

use std::fs::File;
use std::io::{self, IsTerminal as _, Write};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use tracing::Level;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{Log, LogFormat};

use super::json_line::JsonLine;

/// How many lines wait at most: about 2 MB.
const LINES_MAX: usize = 8192;

/// From the first line that waits to its being written, with all that came meanwhile: one wake-up and one write for many
/// lines is what makes them cheap.
const GATHER: Duration = Duration::from_millis(5);

/// How long the process's end waits for the last lines.
const LAST_LINES_TIME_MAX: Duration = Duration::from_secs(1);

/// The log of this process, until it is dropped.
pub struct Logging {
    lines: Lines,
    level: Arc<dyn Fn(Level) + Send + Sync>,
}

impl Logging {
    /// Begins to log to standard error.
    #[must_use]
    pub fn to_stderr(log: Log) -> Self {
        let stderr = io::stderr();
        let is_terminal = stderr.is_terminal();
        // A descriptor of its own: whoever writes to standard error itself must not wait for the lock of a thread that waits.
        let lines = match stderr.as_fd().try_clone_to_owned() {
            Ok(descriptor) => Lines::to(File::from(descriptor)),
            Err(_) => Lines::to(stderr),
        };
        let ours = |level| Targets::new().with_default(Level::WARN).with_target(env!("CARGO_CRATE_NAME"), level);
        let (filter, handle) = reload::Layer::new(ours(log.level));
        let layer = tracing_subscriber::fmt::layer().with_writer(lines.clone());
        let layer = match log.format {
            LogFormat::Human => layer.with_ansi(is_terminal).boxed(),
            LogFormat::Json => layer.event_format(JsonLine).boxed(),
        };
        if tracing_subscriber::registry().with(filter).with(layer).try_init().is_ok() {
            // The library's own way would write to standard error itself, and wait.
            std::panic::set_hook(Box::new(|panic| tracing::error!(panic = panic.to_string(), "a fault of this program")));
        }
        Self { lines, level: Arc::new(move |level| drop(handle.reload(ours(level)))) }
    }

    /// Changes the level.
    #[must_use]
    pub fn level(&self) -> Arc<dyn Fn(Level) + Send + Sync> {
        Arc::clone(&self.level)
    }

    /// Says how many lines were lost so far.
    #[must_use]
    pub fn lost(&self) -> Arc<dyn Fn() -> u64 + Send + Sync> {
        let lost = Arc::clone(&self.lines.lost);
        Arc::new(move || lost.load(Ordering::Relaxed))
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        const PAUSE: Duration = Duration::from_millis(10);
        let (written, done) = sync_channel(1);
        let mut end = Piece::End(written);
        // At a full queue there may be no room for this either.
        for _ in 0..LAST_LINES_TIME_MAX.as_millis() / PAUSE.as_millis() {
            match self.lines.queue.try_send(end) {
                Ok(()) => {
                    let _ = done.recv_timeout(LAST_LINES_TIME_MAX);
                    return;
                }
                Err(TrySendError::Full(back)) => end = back,
                Err(TrySendError::Disconnected(_)) => return,
            }
            std::thread::sleep(PAUSE);
        }
    }
}

enum Piece {
    Line(Vec<u8>),
    /// Tell when all that came before is written.
    End(SyncSender<()>),
}

/// Takes lines, and never waits.
#[derive(Clone)]
struct Lines {
    queue: SyncSender<Piece>,
    lost: Arc<AtomicU64>,
}

impl Lines {
    fn to(place: impl Write + Send + 'static) -> Self {
        let (queue, waiting) = sync_channel(LINES_MAX);
        // Without a thread every line is lost, and counted.
        let _ = std::thread::Builder::new().name("throughline-log".into()).spawn(move || write(place, &waiting));
        Self { queue, lost: Arc::default() }
    }
}

fn write(mut place: impl Write, waiting: &Receiver<Piece>) {
    let mut text = Vec::new();
    while let Ok(first) = waiting.recv() {
        let mut ends = Vec::new();
        if matches!(first, Piece::Line(_)) {
            std::thread::sleep(GATHER);
        }
        for piece in std::iter::once(first).chain(waiting.try_iter().take(LINES_MAX)) {
            match piece {
                Piece::Line(line) => text.extend(line),
                Piece::End(end) => ends.push(end),
            }
        }
        // A terminal or a pipe that is gone has nobody who would read what is wrong.
        let _ = place.write_all(&text);
        text.clear();
        for end in ends {
            let _ = end.try_send(());
        }
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = self.queue.try_send(Piece::Line(line.to_vec())) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError, mpsc};

    use super::*;

    /// Takes nothing until it is let go, and then everything.
    struct Stuck(mpsc::Receiver<()>, Arc<Mutex<Vec<u8>>>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            self.1.lock().unwrap_or_else(PoisonError::into_inner).extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a1_a_log_that_nobody_takes_loses_lines_and_keeps_nobody_waiting() {
        let (go, wait) = mpsc::channel();
        let taken = Arc::new(Mutex::default());
        let mut lines = Lines::to(Stuck(wait, Arc::clone(&taken)));
        let total = 4 * LINES_MAX;
        for number in 0..total {
            lines.write_all(format!("{number}\n").as_bytes()).unwrap();
        }
        let lost = usize::try_from(lines.lost.load(Ordering::Relaxed)).unwrap();
        assert!(lost >= total - 3 * LINES_MAX && lost < total, "{lost}");
        drop(go);
        drop(Logging { lines, level: Arc::new(|_| ()) });
        let taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&taken);
        assert_eq!(text.lines().count(), total - lost, "what was taken in is written, and whole");
        assert!(text.starts_with("0\n1\n2\n"));
    }
}
