//! One visit: a browser, a scenario, and a useful message if it fails.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::{Mutex, Semaphore};

use super::browser::Browser;
use super::capabilities::Options;
use super::driver::Engine;

/// How long a scenario may take, the start of the browser aside.
const LIMIT: Duration = Duration::from_secs(120);

/// Browsers are heavy: two at once, and one of a kind (WebKitWebDriver knows no more than one).
static AT_ONCE: Semaphore = Semaphore::const_new(2);
static CHROMIUM: Mutex<()> = Mutex::const_new(());
static FIREFOX: Mutex<()> = Mutex::const_new(());
static WEBKIT: Mutex<()> = Mutex::const_new(());

/// Whatever has a log that may explain a failure.
pub(crate) trait Logs {
    /// The end of it.
    fn log_tail(&self) -> String;
}

/// Runs `scenario` in a fresh browser. If it panics, says where the browser then was and what the
/// servers had logged, and panics on.
pub(crate) async fn visit(
    engine: Engine,
    options: Options,
    servers: &impl Logs,
    scenario: impl AsyncFnOnce(&Browser),
) {
    let one_of_a_kind = match engine {
        Engine::Chromium => &CHROMIUM,
        Engine::Firefox => &FIREFOX,
        Engine::WebKit => &WEBKIT,
    };
    let _turn = one_of_a_kind.lock().await;
    let _seat = AT_ONCE
        .acquire()
        .await
        .expect("the semaphore is never closed");

    let browser = Browser::start(engine, options).await;
    let outcome = {
        let limited = tokio::time::timeout(LIMIT, scenario(&browser));
        let mut running = pin!(limited);
        // A panic is caught so that the browser can still be asked what it shows.
        poll_fn(
            |context| match catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(context))) {
                Ok(Poll::Pending) => Poll::Pending,
                Ok(Poll::Ready(Ok(()))) => Poll::Ready(Ok(())),
                Ok(Poll::Ready(Err(_))) => {
                    Poll::Ready(Err(Box::new("the scenario took too long") as _))
                }
                Err(panic) => Poll::Ready(Err(panic)),
            },
        )
        .await
    };
    if let Err(panic) = outcome {
        let description = tokio::time::timeout(Duration::from_secs(10), browser.describe()).await;
        let description = description.unwrap_or_else(|_| "(the browser does not answer)".into());
        eprintln!("{description}\n{}", servers.log_tail());
        browser.close().await;
        resume_unwind(panic);
    }
    browser.close().await;
}
