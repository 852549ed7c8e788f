//! Real names over TLS, as adopters have them, with `__Host-` cookies.

use crate::support::browser::Browser;
use crate::support::capabilities::Options;
use crate::support::driver::Engine;
use crate::support::real_names::{BRAND, LEARN, RealNames, SHOP, STATIC, STATIC_SATELLITE};
use crate::support::visit::visit;
use crate::support::wait::eventually;

fn real_names(server: &RealNames) -> Options {
    Options { real_names_at: Some(server.port), static_pages_at: Some(server.static_port), ..Options::default() }
}

/// The visitor ID at `origin`, after at most a few reloads: the first probe of the broker may still
/// be under way when the first page is asked for.
async fn visitor_at(browser: &Browser, origin: &str) -> String {
    browser.open(&format!("{origin}/")).await;
    let visitor = eventually("an ID from the broker", async || {
        let me = browser.me().await;
        if me.source.as_deref() != Some("broker") {
            browser.reload().await;
        }
        me.visitor.filter(|_| me.source.as_deref() == Some("broker"))
    });
    visitor.await
}

async fn r1_one_id_in_host_cookies_over_tls(engine: Engine) {
    let server = RealNames::start().await;
    visit(engine, real_names(&server), &server, async |browser| {
        let visitor = visitor_at(browser, SHOP).await;
        for (origin, host) in [(SHOP, "shop.example"), (LEARN, "learn.example"), (BRAND, "www.brand.example")] {
            assert_eq!(visitor_at(browser, origin).await, visitor, "at {origin}");
            assert_eq!(browser.url().await, format!("{origin}/"));
            let cookies = browser.cookies().await;
            let cookie = cookies.iter().find(|cookie| cookie.name() == "__Host-throughline");
            let cookie = cookie.unwrap_or_else(|| panic!("no cookie at {origin}"));
            assert_eq!(cookie.secure(), Some(true));
            assert_eq!(cookie.http_only(), Some(true));
            assert!(cookie.same_site().is_some_and(|same_site| same_site.is_lax()));
            assert_eq!(cookie.path(), Some("/"));
            // A leading dot would mean the subdomains too.
            assert_eq!(cookie.domain(), Some(host));
        }
    })
    .await;
}
in_engines!(r1_one_id_in_host_cookies_over_tls: chromium);

async fn r1_a_static_site_has_a_secure_cookie_for_the_whole_site(engine: Engine) {
    let server = RealNames::start().await;
    visit(engine, real_names(&server), &server, async |browser| {
        let visitor = visitor_at(browser, SHOP).await;
        browser.open(&format!("{STATIC}/?x=1#f")).await;
        browser.until("an ID from the broker", "window.throughline?.identity?.()?.source === 'broker'").await;
        assert_eq!(browser.text("throughline.identity().visitor").await, visitor);
        browser.arrive(&format!("{STATIC}/?x=1#f")).await;
        let cookies = browser.cookies().await;
        let [cookie] = &cookies[..] else { panic!("one cookie on the page's host: {cookies:?}") };
        // `__Secure-` alone would let it be the page's host's own; the satellite set it for the domain.
        assert_eq!((cookie.name(), cookie.domain()), ("__Secure-throughline", Some("static.example")));
        assert_eq!((cookie.secure(), cookie.http_only(), cookie.path()), (Some(true), Some(true), Some("/")));
        let at_satellite = browser.cookies_at(&[&format!("{STATIC_SATELLITE}/")]).await;
        assert_eq!(at_satellite, ["__Secure-throughline"], "the hop cookie is gone");
    })
    .await;
}
in_engines!(r1_a_static_site_has_a_secure_cookie_for_the_whole_site: chromium);
