//! Steps that many scenarios share.

use crate::support::browser::Browser;
use crate::support::driver::Engine;
use crate::support::server::Hosts;

/// From the outside site to the first secondary; the answer is the visitor ID.
pub(super) async fn first_visit(browser: &Browser, hosts: &Hosts) -> String {
    browser.open(&hosts.news("/")).await;
    browser.follow("#to-shop").await;
    known_visitor(browser).await
}

/// The visitor ID of a page that must have one, from the broker, and on which all views agree.
pub(super) async fn known_visitor(browser: &Browser) -> String {
    let me = browser.me().await;
    assert_eq!(me.source.as_deref(), Some("broker"), "{me:?}");
    let visitor = me.visitor.expect("a source comes with an ID");
    assert!(is_uuid(&visitor), "{visitor} is no UUID");
    assert_eq!(
        browser.shown_visitor().await,
        visitor,
        "the application sees another ID"
    );
    visitor
}

/// Asserts that the page was served and that nobody knows the visitor on it.
pub(super) async fn served_without_id(browser: &Browser) {
    served(browser).await;
    assert_eq!(browser.shown_visitor().await, "none");
    let me = browser.me().await;
    assert_eq!(
        (me.visitor.as_ref(), me.source.as_ref()),
        (None, None),
        "{me:?}"
    );
}

/// Asserts that no page so far was reached by a hop, where the browser keeps a log of that. In the
/// others the cookies that a hop leaves on both ends must tell.
pub(super) async fn never_hopped(browser: &Browser) {
    if browser.engine == Engine::Chromium {
        let mut requested = browser.requested().await;
        assert!(
            !requested.is_empty(),
            "the network log is empty, which proves nothing"
        );
        requested.retain(|url| url.contains("/_throughline/hop"));
        assert_eq!(requested, [""; 0], "hops");
    }
}

/// Asserts that a page of the demo was served, and no error page of anyone's.
pub(super) async fn served(browser: &Browser) {
    if let Some(status) = browser.status().await {
        assert_eq!(status, 200);
    }
    browser.shown_visitor().await;
}

fn is_uuid(text: &str) -> bool {
    let dashes = [8, 13, 18, 23];
    text.len() == 36
        && text.char_indices().all(|(at, c)| match c {
            '-' => dashes.contains(&at),
            c => !dashes.contains(&at) && c.is_ascii_hexdigit(),
        })
}
