//! Throughline in real browsers: Chromium, Firefox and WebKitGTK, each driven over WebDriver.
//!
//! Nothing is mocked on the visitor's side. Each scenario starts the `throughline` binary on a port
//! of its own and a browser with an empty profile, clicks as a visitor would, and asks the page
//! what it knows. A scenario is an ordinary function named after the rule it proves;
//! `in_engines!` turns it into one test per engine, so
//!
//! ```text
//! cargo test --test browsers                    # everything
//! cargo test --test browsers firefox            # one engine
//! cargo test --test browsers r5_                # one rule
//! ```
//!
//! `./scripts/test` installs or names the browsers and drivers that are missing.
//! `THROUGHLINE_TEST_BIN` points the tests at another build, a release one for example.

/// Makes one test per engine out of `async fn scenario(engine: Engine)`.
///
/// The tests live in a module of the scenario's name, so that the name ends with the engine.
macro_rules! in_engines {
    (@test ($($attribute:tt)*) $scenario:ident $engine:ident) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
        $($attribute)*
        async fn $engine() {
            let engine = $crate::support::driver::Engine::named(stringify!($engine));
            super::$scenario(engine).await;
        }
    };
    (@all $attributes:tt $scenario:ident: $($engine:ident),+) => {
        mod $scenario {
            $(in_engines!(@test $attributes $scenario $engine);)+
        }
    };
    ($(#$attribute:tt)* $scenario:ident: $($engine:ident),+) => {
        in_engines!(@all ($(#$attribute)*) $scenario: $($engine),+);
    };
}

mod scenarios;
mod support;
