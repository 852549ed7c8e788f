//! A person with Chromium, through nginx to a Python site and through Caddy to a Node site.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use crate::driven::browser::Browser;
use crate::driven::capabilities::Options;
use crate::driven::driver::Engine;
use crate::driven::visit::visit;
use crate::support::process::free_port;
use crate::world::{USUAL, World};

/// An outside site with a link to each of these pages. It ends with the test's process.
fn news(links: [&str; 2]) -> String {
    let port = free_port();
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("a free port");
    let page = format!(
        "<!doctype html><title>News</title><a id=to-shop href=\"{}\">shop</a> <a id=to-learn href=\"{}\">learn</a>",
        links[0], links[1]
    );
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{page}",
        page.len()
    );
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let answer = answer.clone();
            // A browser opens connections that it may never use.
            std::thread::spawn(move || {
                if stream.read(&mut [0; 8192]).is_ok_and(|count| count > 0) {
                    let _ = stream.write_all(answer.as_bytes());
                }
            });
        }
    });
    format!("http://news.localhost:{port}/")
}

async fn told(browser: &Browser, id: &str) -> String {
    browser.text(&format!("document.querySelector('#{id}').textContent")).await
}

/// The page is there, its application knows the visitor, and `me` says the same.
async fn known(browser: &Browser) -> (String, String) {
    let (visitor, source) = (told(browser, "visitor").await, told(browser, "source").await);
    let me = browser.me().await;
    assert_eq!((me.visitor.as_deref(), me.source.as_deref()), (Some(visitor.as_str()), Some(source.as_str())));
    assert_eq!(visitor.len(), 36, "{visitor}");
    (visitor, source)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn f3_f4_a_fresh_visitor_behind_both_proxies() {
    let mut world = tokio::task::spawn_blocking(|| World::start(USUAL)).await.expect("a world");
    let (shop, learn) = (format!("{}/products?x=1#part", world.shop), format!("{}/lessons?y=2", world.learn));
    let news = news([&shop, &learn]);
    let [shop_origin, learn_origin] = world.sites().map(str::to_owned);
    let (killed, may_kill) = (tokio::sync::Notify::new(), tokio::sync::Notify::new());
    let logs = Tail;
    let killing = async {
        for step in 0..3 {
            may_kill.notified().await;
            match step {
                0 => world.kill_broker(),
                1 => world.kill_satellite(),
                _ => {
                    tokio::task::block_in_place(|| world.start_broker());
                }
            }
            killed.notify_one();
        }
    };
    let visiting = visit(Engine::Chromium, Options::default(), &logs, async |browser| {
        let next = async || {
            may_kill.notify_one();
            killed.notified().await;
        };
        // The hop, through nginx.
        browser.open(&news).await;
        let before = browser.history_length().await;
        browser.follow("#to-shop").await;
        let (visitor, source) = known(browser).await;
        assert_eq!(source, "broker");
        assert_eq!(told(browser, "referrer").await, news, "the outside referrer");
        assert_eq!(browser.text("document.referrer").await, news);
        assert_eq!(browser.history_length().await, before + 1, "one click, one history entry");

        // A link with a token, to Caddy: no hop.
        let go = format!("{shop_origin}/_throughline/go?to={}", learn_origin.replace(':', "%3A").replace('/', "%2F"));
        browser.leave_for(&format!("{go}%2Flessons%3Fy%3D2")).await;
        browser.arrive(&learn).await;
        assert_eq!(known(browser).await, (visitor.clone(), "link".into()));
        assert_eq!(browser.history_length().await, before + 2);

        // Another person's fresh browser hops through Caddy.
        let other = Browser::start(Engine::Chromium, Options::default()).await;
        other.open(&news).await;
        other.follow("#to-learn").await;
        let (another, source) = known(&other).await;
        assert_eq!((source.as_str(), told(&other, "referrer").await), ("broker", news.clone()));
        assert_ne!(another, visitor);
        other.close().await;

        // The broker is killed: whoever is known stays known.
        next().await;
        browser.open(&format!("{shop_origin}/cart")).await;
        assert_eq!(known(browser).await.0, visitor);
        // The satellites too; then only they. The pages stay.
        for round in 0..2 {
            next().await;
            for page in [&shop_origin, &learn_origin].map(|site| format!("{site}/p?round={round}")) {
                browser.open(&page).await;
                assert_eq!((browser.status().await, told(browser, "visitor").await), (Some(200), "none".into()), "{page}");
            }
        }
    });
    tokio::join!(killing, visiting);
}

/// The world is being changed while the browser is under way, so a failure is told without its logs.
struct Tail;

impl crate::driven::visit::Logs for Tail {
    fn log_tail(&self) -> String {
        String::new()
    }
}
