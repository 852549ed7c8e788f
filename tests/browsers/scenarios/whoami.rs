//! The CORS route, in the one engine that still lets it through. No hop, no link.

use serde_json::Value;

use super::steps::known_visitor;
use crate::support::browser::Browser;
use crate::support::capabilities::Options;
use crate::support::driver::Engine;
use crate::support::server::{Demo, Hosts};
use crate::support::visit::visit;

fn third_party_cookies(allowed: bool) -> Options {
    Options {
        third_party_cookies: Some(allowed),
        ..Options::default()
    }
}

/// A page on learn that starts no hop (S7), for its script to try the other way.
async fn open_learn_without_a_hop(browser: &Browser, hosts: &Hosts) {
    browser.open(&hosts.learn("/api/nothing")).await;
    assert_eq!(browser.me().await.visitor, None);
}

/// Asks the satellite whom to ask, and asks there; the answer is the token.
async fn token(browser: &Browser) -> Value {
    let ask = "fetch('/_throughline/exchange').then(r => r.json()) \
         .then(plan => fetch(plan.whoami, { credentials: 'include', mode: 'cors' })) \
         .then(r => r.json()).then(answer => answer.token)";
    browser.promise(ask).await
}

async fn b9_whoami_tells_a_page_who_the_visitor_is(engine: Engine) {
    let demo = Demo::start(&["--whoami"]).await;
    visit(engine, third_party_cookies(true), &demo, async |browser| {
        let hosts = demo.hosts;
        browser.open(&hosts.brand("/")).await;
        let visitor = known_visitor(browser).await;

        open_learn_without_a_hop(browser, &hosts).await;
        let token = token(browser).await;
        assert!(token.is_string(), "the token is {token}");
        let exchange = format!(
            "fetch('/_throughline/exchange', {{ method: 'POST', \
             headers: {{ 'content-type': 'application/json' }}, \
             body: JSON.stringify({{ token: {token} }}) }}).then(r => r.ok)"
        );
        assert_eq!(browser.promise(&exchange).await, true);
        assert_eq!(browser.me().await.visitor, Some(visitor));
    })
    .await;
}
in_engines!(b9_whoami_tells_a_page_who_the_visitor_is: chromium);

async fn b9_whoami_mints_nothing(engine: Engine) {
    let demo = Demo::start(&["--whoami"]).await;
    visit(engine, third_party_cookies(true), &demo, async |browser| {
        open_learn_without_a_hop(browser, &demo.hosts).await;
        assert_eq!(token(browser).await, Value::Null);
        assert_eq!(browser.cookies_at(&[&demo.hosts.brand("/")]).await, [""; 0]);
    })
    .await;
}
in_engines!(b9_whoami_mints_nothing: chromium);

async fn b9_whoami_is_silent_where_third_party_cookies_are_blocked(engine: Engine) {
    let demo = Demo::start(&["--whoami"]).await;
    visit(engine, third_party_cookies(false), &demo, async |browser| {
        let hosts = demo.hosts;
        browser.open(&hosts.brand("/")).await;
        let visitor = known_visitor(browser).await;
        open_learn_without_a_hop(browser, &hosts).await;
        assert_eq!(token(browser).await, Value::Null);

        // The hop needs no third-party cookie: that is what it is for.
        browser.open(&hosts.shop("/products")).await;
        assert_eq!(known_visitor(browser).await, visitor);
    })
    .await;
}
in_engines!(b9_whoami_is_silent_where_third_party_cookies_are_blocked: chromium);
