//! The log: to standard error, one line an event, and never in a request's way.
//!
//! 1. What clients wrote is escaped, so that an event is one line (rule A7). Our own lines hold none of it anyhow.
//! 2. A line is handed to a thread that writes. Lines that find no room, because a pipe is full, are lost and counted, and so are
//!    those that a full disk refuses: a page must not wait for a log (the first law).
//! 3. The level is for our own events: at a low one, the libraries would write whole requests, with tokens and cookies in
//!    them (rule R8).

use std::fs::File;
use std::io::{self, IsTerminal as _, Write};
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::Level;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{Log, LogFormat};

use super::json_line::JsonLine;

/// How much waits at most, in octets: some ten thousand lines.
const OCTETS_MAX: usize = 2 * 1024 * 1024;

/// From the first line that waits to its being written, with all that came meanwhile: one wake-up and one write for many
/// lines is what makes them cheap.
const GATHER: Duration = Duration::from_millis(5);

/// How long the process's end waits for the last lines.
const LAST_LINES_TIME_MAX: Duration = Duration::from_secs(1);

/// The modules of the web server that log what a client did to its own connection.
const OF_CLIENTS: [&str; 2] = ["actix_http::h1::dispatcher", "actix_http::h2::dispatcher"];

/// The log of this process, until it is dropped.
pub struct Logging {
    lines: Arc<Lines>,
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
        let ours = |level| {
            let targets = Targets::new().with_default(Level::WARN).with_target(env!("CARGO_CRATE_NAME"), level);
            // Each unreadable request is an error there, so that clients would write the log. They are counted (docs/metrics.md).
            let of_clients = if level >= Level::DEBUG { LevelFilter::WARN } else { LevelFilter::OFF };
            OF_CLIENTS.iter().fold(targets, |targets, module| targets.with_target(*module, of_clients))
        };
        let (filter, handle) = reload::Layer::new(ours(log.level));
        let layer = tracing_subscriber::fmt::layer().with_writer(Writer(Arc::clone(&lines)));
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
        let lines = Arc::clone(&self.lines);
        Arc::new(move || lines.lost.load(Ordering::Relaxed))
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        let waiting = self.lines.lock();
        let _ = self.lines.changed.wait_timeout_while(waiting, LAST_LINES_TIME_MAX, |waiting| !waiting.is_over());
    }
}

/// Lines that wait to be written.
#[derive(Default)]
struct Waiting {
    text: Vec<u8>,
    /// The thread has taken some and not come back for more.
    is_being_written: bool,
}

impl Waiting {
    const fn is_over(&self) -> bool {
        self.text.is_empty() && !self.is_being_written
    }
}

/// Takes lines, and never waits: the lock is held for as long as it takes to copy a line.
#[derive(Default)]
struct Lines {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    lost: AtomicU64,
}

impl Lines {
    fn to(place: impl Write + Send + 'static) -> Arc<Self> {
        let lines = Arc::new(Self::default());
        let taken = Arc::clone(&lines);
        // Without a thread every line beyond the room is lost, and counted.
        let _ = std::thread::Builder::new().name("throughline-log".into()).spawn(move || taken.write_to(place));
        lines
    }

    fn write_to(&self, mut place: impl Write) {
        let mut text = Vec::new();
        loop {
            let mut waiting = self.lock();
            waiting.is_being_written = false;
            self.changed.notify_all();
            drop(self.changed.wait_while(waiting, |waiting| waiting.text.is_empty()).unwrap_or_else(PoisonError::into_inner));
            std::thread::sleep(GATHER);
            let mut waiting = self.lock();
            std::mem::swap(&mut text, &mut waiting.text);
            waiting.is_being_written = true;
            drop(waiting);
            let written = write_whole(&mut place, &text);
            // A line of which only a part is there counts as lost.
            let lost = text[written..].iter().filter(|octet| **octet == b'\n').count();
            self.lost.fetch_add(lost as u64, Ordering::Relaxed);
            text.clear();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How much of the text was written. There is no second try: on a full disk, every line would wait for the ones before it.
fn write_whole(place: &mut impl Write, text: &[u8]) -> usize {
    let mut written = 0;
    while written < text.len() {
        match place.write(&text[written..]) {
            Ok(0) => break,
            Ok(taken) => written += taken,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    written
}

impl Write for &Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut waiting = self.lock();
        if waiting.text.len() + line.len() > OCTETS_MAX {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return Ok(line.len());
        }
        let is_first = waiting.text.is_empty();
        waiting.text.extend_from_slice(line);
        drop(waiting);
        if is_first {
            self.changed.notify_all();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The library's own way for an `Arc` counts it for each line.
struct Writer(Arc<Lines>);

impl<'a> MakeWriter<'a> for Writer {
    type Writer = &'a Lines;

    fn make_writer(&'a self) -> &'a Lines {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

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
        let lines = Lines::to(Stuck(wait, Arc::clone(&taken)));
        let total = 1_000_000;
        for number in 0..total {
            (&*lines).write_all(format!("{number}\n").as_bytes()).unwrap();
        }
        let lost = usize::try_from(lines.lost.load(Ordering::Relaxed)).unwrap();
        assert!(lost > total / 4 && lost < total * 3 / 4, "{lost}");
        drop(go);
        drop(Logging { lines, level: Arc::new(|_| ()) });
        let taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&taken);
        assert_eq!(text.lines().count(), total - lost, "what was taken in is written, and whole");
        assert!(text.starts_with("0\n1\n2\n"));
    }

    /// /dev/full refuses every write, as a full disk does.
    #[test]
    fn a7_lines_that_a_full_disk_refuses_are_counted() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let lines = Lines::to(full);
        for number in 0..1000 {
            (&*lines).write_all(format!("{number}\n").as_bytes()).unwrap();
        }
        drop(Logging { lines: Arc::clone(&lines), level: Arc::new(|_| ()) });
        assert_eq!(lines.lost.load(Ordering::Relaxed), 1000);
    }
}
