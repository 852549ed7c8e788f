//! Pages on static hosting, with their satellite on a sub-domain: the page's script does what the middleware does elsewhere.

use serde_json::Value;

use crate::support::browser::Browser;
use crate::support::capabilities::Options;
use crate::support::driver::Engine;
use crate::support::static_shop::{Places, StaticShop};
use crate::support::visit::visit;
use crate::support::wait::eventually;

/// What the satellite tells the page, whether or not it may read it.
async fn me(browser: &Browser, places: Places) -> Value {
    let me = places.satellite("/_throughline/me");
    browser.promise(&format!("fetch('{me}', {{ credentials: 'include' }}).then(r => r.json())")).await
}

/// The SDK has had its answer, and consent stands.
const ANSWERED: &str = "!!window.throughline?.identity?.()";

/// Waits until the SDK knows the visitor, from where is said.
async fn known(browser: &Browser, source: &str) -> String {
    let is_known = format!("window.throughline?.identity?.()?.source === '{source}'");
    browser.until(&format!("an ID from {source}"), &is_known).await;
    browser.text("throughline.identity().visitor").await
}

/// From the outside site to the shop, by its link; the answer is the visitor ID.
async fn first_visit(browser: &Browser, places: Places) -> String {
    browser.open(&places.news("/")).await;
    browser.click("#to-shop").await;
    let visitor = known(browser, "broker").await;
    browser.arrive(&places.shop("/p?x=1&&y=a%20b#frag")).await;
    visitor
}

async fn r1_a_static_page_gets_the_id_and_keeps_its_url_and_referrer(engine: Engine) {
    let shop = StaticShop::start("implied").await;
    visit(engine, Options::default(), &shop, async |browser| {
        let places = shop.places;
        browser.open(&places.news("/")).await;
        let before = browser.history_length().await;
        let visitor = first_visit(browser, places).await;
        assert_eq!(browser.text("window.seen").await, places.news("/"), "what a library reads");
        assert_eq!(browser.history_length().await, before + 1, "one click, one history entry");
        assert_eq!(shop.asked_for("/p?"), 2, "the page, and the page with the token");
        let first_touch = me(browser, places).await["first_touch"].clone();
        assert_eq!(first_touch["referrer"], places.news("/"), "{first_touch}");
        assert_eq!(first_touch["landing"], places.shop("/p"), "{first_touch}");

        browser.back().await;
        assert_eq!(browser.url().await, places.news("/"), "one step back");

        browser.open(&places.shop("/second?_tlx=1")).await;
        assert_eq!(known(browser, "broker").await, visitor);
        assert_eq!(shop.asked_for("/second"), 1, "who is known goes on no hop");
        browser.open(&places.learn("/")).await;
        assert_eq!(browser.me().await.visitor, Some(visitor), "one ID on all sites");
    })
    .await;
}
in_engines!(r1_a_static_page_gets_the_id_and_keeps_its_url_and_referrer: chromium, firefox, webkit);

async fn r2_the_parameter_leaves_the_address_bar_without_a_trace(engine: Engine) {
    let shop = StaticShop::start("implied").await;
    visit(engine, Options::default(), &shop, async |browser| {
        let places = shop.places;
        for (with, clean) in [
            ("/a?_tl", "/a"),
            ("/b?_tl=", "/b"),
            ("/c?_tl=x&x=1", "/c?x=1"),
            ("/d?x=1&_tl=x&y=2#f?_tl=1", "/d?x=1&y=2#f?_tl=1"),
            ("/e?_tl=x&x=1&_tl=y&z&_tl", "/e?x=1&z"),
            ("/f?&_tl=x", "/f?"),
            ("/g??a=%20+%C3%BC&_tl=x=1&_TL=1&%5Ftl=1#", "/g??a=%20+%C3%BC&_TL=1&%5Ftl=1#"),
        ] {
            browser.open(&places.shop(with)).await;
            browser.arrive(&places.shop(clean)).await;
            assert_eq!(shop.asked_for(&with[..2]), 1, "{with}: a page with our parameter begins no hop (rule S11)");
        }
    })
    .await;
}
in_engines!(r2_the_parameter_leaves_the_address_bar_without_a_trace: chromium, firefox, webkit);

async fn f4_a_static_page_is_as_ever_without_satellite_and_broker(engine: Engine) {
    let shop = StaticShop::start("implied").await;
    visit(engine, Options::default(), &shop, async |browser| {
        let places = shop.places;
        shop.kill_broker().await;
        browser.open(&places.shop("/down")).await;
        let provisional = known(browser, "provisional").await;
        assert_eq!(me(browser, places).await["visitor"], provisional.as_str(), "the satellite minted it");
        assert_eq!(shop.asked_for("/down"), 1);

        shop.start_broker().await;
        let visitor = eventually("an ID in place of the provisional one", async || {
            browser.open(&places.shop("/up")).await;
            browser.until("an answer", ANSWERED).await;
            let visitor = browser.text("throughline.identity().visitor").await;
            (visitor != provisional).then_some(visitor)
        })
        .await;
        assert_eq!(known(browser, "broker").await, visitor);

        shop.kill_satellite();
        browser.open(&places.shop("/alone?x=1#f")).await;
        assert_eq!(browser.text("document.querySelector('h1').textContent").await, "A page of the shop");
        assert_eq!(browser.url().await, places.shop("/alone?x=1#f"));
        assert_eq!(shop.asked_for("/alone"), 1);
    })
    .await;
}
in_engines!(f4_a_static_page_is_as_ever_without_satellite_and_broker: chromium, firefox, webkit);

async fn s16_a_browser_that_keeps_nothing_is_not_sent_round(engine: Engine) {
    let shop = StaticShop::start("implied").await;
    visit(engine, Options { cookies_blocked: true, ..Options::default() }, &shop, async |browser| {
        let places = shop.places;
        for path in ["/one", "/two", "/three"] {
            browser.open(&places.shop(path)).await;
            // The SDK's answer comes once hop.js has decided that it goes nowhere.
            browser.until("an answer", ANSWERED).await;
            assert_eq!(browser.url().await, places.shop(path));
            let expected = if path == "/one" { 1..=2 } else { 1..=1 };
            assert!(expected.contains(&shop.asked_for(path)), "{path}: {}", shop.asked_for(path));
        }
    })
    .await;
}
in_engines!(s16_a_browser_that_keeps_nothing_is_not_sent_round: chromium, firefox, webkit);

async fn s12_without_a_memory_there_is_no_hop(engine: Engine) {
    let shop = StaticShop::start("implied").await;
    visit(engine, Options::default(), &shop, async |browser| {
        for _ in 0..2 {
            browser.open(&shop.places.shop("/forbidden")).await;
            browser.until("an answer", ANSWERED).await;
        }
        assert_eq!(shop.asked_for("/forbidden"), 2);
    })
    .await;
}
in_engines!(s12_without_a_memory_there_is_no_hop: chromium, firefox, webkit);

/// The page that answers a POST cannot be asked for again by a redirect.
async fn s1_after_a_form_was_posted_the_tab_goes_on_no_hop(engine: Engine) {
    let shop = StaticShop::start("implied").await;
    shop.kill_broker().await;
    visit(engine, Options::default(), &shop, async |browser| {
        let places = shop.places;
        browser.open(&places.shop("/form")).await;
        browser.until("an answer", ANSWERED).await;
        let post = "const form = document.body.appendChild(Object.assign(document.createElement('form'), { method: 'post' }));
            form.onsubmit = () => false; form.requestSubmit(); return true";
        browser.script(&format!("(() => {{ {post} }})()")).await;
        shop.start_broker().await;
        let may_start = "fetch(`${throughlineHop.origin}/_throughline/me?page=${encodeURIComponent(location.href)}`, \
            { credentials: 'include' }).then(answer => answer.json()).then(me => String(!!me.start))";
        eventually("hops may begin", async || (browser.promise(may_start).await == "true").then_some(())).await;
        for page in ["/thanks", "/after"] {
            browser.open(&places.shop(page)).await;
            browser.until("an answer", ANSWERED).await;
            assert_eq!(shop.asked_for(page), 1);
        }
    })
    .await;
}
in_engines!(s1_after_a_form_was_posted_the_tab_goes_on_no_hop: chromium, firefox, webkit);

async fn s2_s4_nothing_begins_in_a_frame_or_before_a_person_looks(engine: Engine) {
    let shop = StaticShop::start("implied").await;
    visit(engine, Options::default(), &shop, async |browser| {
        let places = shop.places;
        browser.open(&places.shop("/prerendered")).await;
        browser.until("an answer", ANSWERED).await;
        browser.open(&places.shop("/forbidden")).await;
        browser.script("document.body.append(Object.assign(document.createElement('iframe'), { src: '/framed' }))").await;
        browser.until("an answer in the frame", &ANSWERED.replace("window", "window.frames[0]")).await;
        assert_eq!((shop.asked_for("/prerendered"), shop.asked_for("/framed")), (1, 1));
        // Nothing else kept it from a hop.
        browser.open(&places.shop("/looked-at")).await;
        known(browser, "broker").await;
    })
    .await;
}
in_engines!(s2_s4_nothing_begins_in_a_frame_or_before_a_person_looks: chromium, firefox, webkit);

async fn c1_nothing_before_a_yes_and_nothing_after_a_no(engine: Engine) {
    let shop = StaticShop::start("required").await;
    visit(engine, Options::default(), &shop, async |browser| {
        let places = shop.places;
        browser.open(&places.brand("/")).await;
        let grant =
            "fetch('/_throughline/consent', { method: 'POST', body: JSON.stringify({ choice: 'granted' }) }).then(r => r.status)";
        assert_eq!(browser.promise(grant).await, 200);
        browser.open(&places.shop("/asked")).await;
        browser.until("the SDK", "!!window.throughline?.identity").await;
        let before = me(browser, places).await;
        assert_eq!((&before["visitor"], &before["consent"]), (&Value::Null, &"unknown".into()), "{before}");
        assert_eq!(shop.asked_for("/asked"), 1);
        assert!(browser.our_cookies().await.is_empty(), "{:?}", browser.our_cookies().await);

        assert_eq!(browser.promise("throughline.consent('granted')").await, "granted");
        let visitor = eventually("an ID after the yes", async || {
            browser.open(&places.shop("/agreed")).await;
            browser.until("an answer", ANSWERED).await;
            let (source, visitor) =
                (browser.text("throughline.identity().source").await, browser.text("throughline.identity().visitor").await);
            (source == "broker").then_some(visitor)
        })
        .await;
        assert_eq!(me(browser, places).await["visitor"], visitor.as_str());

        // Whoever calls it JSON asks first whether it may.
        let again = "{ method: 'POST', credentials: 'include', headers: { 'Content-Type': 'application/json' }, body: '{\"choice\":\"granted\"}' }";
        let url = places.satellite("/_throughline/consent");
        assert_eq!(browser.promise(&format!("fetch('{url}', {again}).then(r => r.status)")).await, 200);
        assert_eq!(browser.promise("throughline.forget()").await, "denied");
        let after = me(browser, places).await;
        assert_eq!((&after["visitor"], &after["consent"]), (&Value::Null, &"denied".into()), "{after}");
        assert_eq!(browser.our_cookies().await, ["throughline-site=denied"]);
        browser.open(&places.shop("/refused")).await;
        assert_eq!(me(browser, places).await["consent"], "denied");
        assert_eq!(shop.asked_for("/refused"), 1);
        browser.open(&places.brand("/")).await;
        assert_eq!(browser.me().await.consent, "denied", "and on every other site");
    })
    .await;
}
in_engines!(c1_nothing_before_a_yes_and_nothing_after_a_no: chromium, firefox, webkit);

async fn l2_links_carry_the_id_to_a_static_page_and_away(engine: Engine) {
    let shop = StaticShop::start("implied").await;
    visit(engine, Options::default(), &shop, async |browser| {
        let places = shop.places;
        browser.open(&places.learn("/")).await;
        let visitor = browser.me().await.visitor.expect("an ID at learn");
        shop.kill_broker().await;
        browser.click("#to-shop").await;
        assert_eq!(known(browser, "link").await, visitor);
        browser.arrive(&places.shop("/linked?a=1#top")).await;
        assert_eq!(shop.asked_for("/linked"), 1, "a link needs no hop");
    })
    .await;
    visit(engine, Options::default(), &shop, async |browser| {
        let places = shop.places;
        shop.start_broker().await;
        let visitor = eventually("the satellite to see the broker again", async || {
            browser.open(&places.shop("/again")).await;
            browser.until("an answer", ANSWERED).await;
            let source = browser.text("throughline.identity().source").await;
            if source == "broker" { Some(browser.text("throughline.identity().visitor").await) } else { None }
        })
        .await;
        shop.kill_broker().await;
        browser.leave_for(&places.learn("/?b=2")).await;
        browser.arrive(&places.learn("/?b=2")).await;
        let at_learn = browser.me().await;
        assert_eq!((at_learn.visitor, at_learn.source.as_deref()), (Some(visitor), Some("link")));
    })
    .await;
}
in_engines!(l2_links_carry_the_id_to_a_static_page_and_away: chromium, firefox, webkit);

async fn c1_a_foreign_page_gets_nothing_of_the_satellite(engine: Engine) {
    let shop = StaticShop::start("implied").await;
    visit(engine, Options::default(), &shop, async |browser| {
        let places = shop.places;
        let visitor = first_visit(browser, places).await;
        browser.open(&places.news("/")).await;
        for (endpoint, request) in [
            ("me", "{ credentials: 'include' }"),
            ("consent", "{ credentials: 'include', method: 'POST', body: '{\"choice\":\"denied\"}' }"),
            ("forget", "{ credentials: 'include', method: 'POST', body: '{}', headers: { 'Content-Type': 'application/json' } }"),
        ] {
            let url = places.satellite(&format!("/_throughline/{endpoint}"));
            let answer = browser.promise(&format!("fetch('{url}', {request}).then(() => 'read', () => 'nothing')")).await;
            assert_eq!(answer, "nothing", "{endpoint}");
            // Nor may it change anything without reading the answer.
            let blind = request.replace("credentials", "mode: 'no-cors', credentials");
            browser.promise(&format!("fetch('{url}', {blind}).then(() => 1, () => 1)")).await;
        }
        browser.open(&places.shop("/still")).await;
        assert_eq!(known(browser, "broker").await, visitor);
    })
    .await;
}
in_engines!(c1_a_foreign_page_gets_nothing_of_the_satellite: chromium, firefox, webkit);

async fn a_marked_page_is_loaded_once_and_takes_a_known_visitor(engine: Engine) {
    let shop = StaticShop::start("implied").await;
    visit(engine, Options::default(), &shop, async |browser| {
        let places = shop.places;
        browser.open(&places.shop("/once?confirm=1")).await;
        browser.until("the SDK to have its answer", ANSWERED).await;
        assert_eq!(shop.asked_for("/once"), 1, "a one-time link would be used up by a second load");
        assert_ne!(browser.text("throughline.identity().source ?? 'none'").await, "broker", "no hop");

        browser.open(&places.shop("/p")).await;
        let visitor = known(browser, "broker").await;
        browser.open(&places.shop("/once?confirm=2")).await;
        assert_eq!(known(browser, "broker").await, visitor);
        assert_eq!(shop.asked_for("/once"), 2, "once for each link");
    })
    .await;
}
in_engines!(a_marked_page_is_loaded_once_and_takes_a_known_visitor: chromium, firefox, webkit);
