//! What a session is asked to be, in each driver's own dialect.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::driver::{Engine, mini_browser};

/// How this visitor's browser is set up. The default is a browser as installed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Options {
    /// All cookies are refused.
    pub(crate) cookies_blocked: bool,
    /// Cookies go with cross-site requests of a page's script, or they do not (Chromium only: the
    /// other engines partition them in any case). Not said: as the browser was installed.
    pub(crate) third_party_cookies: Option<bool>,
    /// `Sec-GPC: 1` goes with each request (Chromium and Firefox; WebKitGTK cannot send it).
    pub(crate) gpc: bool,
    /// Bounce tracking mitigations act within seconds of a bounce instead of an hour, and third-party
    /// cookies are blocked, without which they do nothing (Chromium only).
    pub(crate) hasty_mitigations: bool,
    /// `*.example` resolves to this port of the loopback address, and any certificate is accepted
    /// (Chromium only).
    pub(crate) real_names_at: Option<u16>,
    /// The static pages among them are at this port.
    pub(crate) static_pages_at: Option<u16>,
}

/// The capabilities to open a session with.
pub(crate) fn capabilities(engine: Engine, options: Options, home: &Path) -> Map<String, Value> {
    let wanted = match engine {
        Engine::Chromium => chromium(options, home),
        Engine::Firefox => firefox(options),
        Engine::WebKit => webkit(options),
    };
    match wanted {
        Value::Object(map) => map,
        other => unreachable!("capabilities are an object, not {other}"),
    }
}

fn chromium(options: Options, home: &Path) -> Value {
    let mut args: Vec<String> = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
    ]
    .map(String::from)
    .to_vec();
    args.push(format!("--user-data-dir={}", home.join("profile").display()));
    if let Some(port) = options.real_names_at {
        let first = options.static_pages_at.map(|pages| format!("MAP www.static.example 127.0.0.1:{pages}, "));
        args.push(format!("--host-resolver-rules={}MAP *.example 127.0.0.1:{port}", first.unwrap_or_default()));
    }
    if options.hasty_mitigations {
        // WebDriver's own command for it, `run_bounce_tracking_mitigations`, reaches DevTools, where
        // Chromium 156 says that there is no such method. The timers are real and only run faster.
        args.push(
            "--enable-features=DIPS:delete/true/triggering_action/bounce/grace_period/1s\
             /timer_delay/2s/client_bounce_detection_timeout/1s"
                .into(),
        );
    }
    let mut prefs = Map::new();
    if options.cookies_blocked {
        prefs.insert("profile.default_content_setting_values.cookies".into(), json!(2));
    }
    let third_party = options.third_party_cookies.or(options.hasty_mitigations.then_some(false));
    if let Some(allowed) = third_party {
        let mode = if allowed { 0 } else { 1 };
        prefs.insert("profile.cookie_controls_mode".into(), json!(mode));
        prefs.insert("profile.block_third_party_cookies".into(), json!(!allowed));
    }
    // Debian ships Chromium with prefetching off, which would make a test of it prove nothing.
    prefs.insert("net.network_prediction_options".into(), json!(0));
    json!({
        "browserName": "chrome",
        "acceptInsecureCerts": options.real_names_at.is_some(),
        "goog:loggingPrefs": { "performance": "ALL", "browser": "ALL" },
        "goog:chromeOptions": { "args": args, "prefs": prefs },
    })
}

fn firefox(options: Options) -> Value {
    let mut prefs = Map::new();
    if options.cookies_blocked {
        prefs.insert("network.cookie.cookieBehavior".into(), json!(2));
    }
    if options.gpc {
        prefs.insert("privacy.globalprivacycontrol.enabled".into(), json!(true));
        prefs.insert("privacy.globalprivacycontrol.functionality.enabled".into(), json!(true));
    }
    json!({
        "browserName": "firefox",
        "moz:firefoxOptions": {
            "binary": "/usr/bin/firefox-esr",
            "args": ["-headless"],
            "prefs": prefs,
        },
    })
}

fn webkit(options: Options) -> Value {
    // Without the second, `window.open` needs a click, which chromedriver and geckodriver waive.
    let mut args = vec!["--automation", "--javascript-can-open-windows-automatically=true"];
    if options.cookies_blocked {
        args.push("--cookies-policy=never");
    }
    json!({
        "browserName": "MiniBrowser",
        "webkitgtk:browserOptions": { "binary": mini_browser(), "args": args },
    })
}
