//! Whatever becomes of the satellite or the broker, the site behind the proxy serves its pages (F4).

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use throughline::base::clock::{Clock as _, SystemClock};

use crate::asking::NAVIGATION;
use crate::support::browser::Browser;
use crate::world::{OTHER, USUAL, World, ask, shown};

/// How long a page may take while nothing hangs. The machine may be busy; timeouts of ours are not in it.
const AT_ONCE: Duration = Duration::from_millis(900);

/// The longest that one page waits for a satellite that hangs, with room for a busy machine.
const ONE_WAIT: Duration = Duration::from_millis(2500);

fn timed(site: &str) -> Duration {
    let clock = SystemClock::new();
    let page = ask(site, "GET", "/p?x=1", &format!("{NAVIGATION}X-Throughline-Visitor: forged\r\n"), b"");
    assert_eq!((page.status, shown(&page, "visitor").as_str()), (200, "none"), "{site}: {page:?}");
    clock.uptime()
}

/// Pages come, quickly but for the few that notice, and large bodies arrive whole, with nobody known.
fn serves_without_ids(site: &str) {
    let times: Vec<_> = (0..6).map(|_| timed(site)).collect();
    assert!(times.iter().all(|time| *time < ONE_WAIT), "{site}: {times:?}");
    assert!(times.iter().filter(|time| **time > AT_ONCE).count() <= 2, "{site}: {times:?}");
    let body = vec![b'x'; 3_000_000];
    let answer = ask(site, "POST", "/seen", &format!("Content-Length: {}\r\n", body.len()), &body);
    assert_eq!((answer.status, &answer.json()["received"], &answer.json()["method"]), (200, &3_000_000.into(), &"POST".into()));
    // An arrival whose satellite has gone meanwhile.
    assert_eq!(ask(site, "GET", "/p?_tl=ey.J.x", NAVIGATION, b"").status, 200);
}

#[test]
fn f4_a_killed_satellite_a_killed_broker_and_both() {
    for behind in [USUAL, OTHER] {
        let mut world = World::start(behind);
        let sites = world.sites().map(str::to_owned);
        let mut known = Browser::new();
        let visitor = |browser: &mut Browser, site: &str| shown(browser.navigate(&format!("{site}/p")).page(), "visitor");
        let ids = sites.each_ref().map(|site| visitor(&mut known, site));

        world.kill_broker();
        world.wait_until_noticed();
        for (site, id) in sites.iter().zip(&ids) {
            assert_eq!(visitor(&mut known, site), *id, "whoever is known stays so without the broker");
            assert_eq!(Browser::new().navigate(&format!("{site}/p")).page().status, 200);
        }
        world.kill_satellite();
        for site in &sites {
            serves_without_ids(site);
            assert_eq!(visitor(&mut known, site), "none");
        }
        world.start_broker();
        sites.iter().for_each(|site| serves_without_ids(site));
        world.start_satellite();
        for (site, id) in sites.iter().zip(&ids) {
            // The proxies try the satellite again within five seconds.
            let clock = SystemClock::new();
            while visitor(&mut known, site) != *id {
                assert!(clock.uptime() < Duration::from_secs(20), "{site} does not recover");
                std::thread::sleep(Duration::from_millis(200));
            }
        }
    }
}

#[test]
fn f4_a_satellite_that_hangs_costs_one_wait_and_no_page() {
    let world = World::start_impatient(USUAL);
    world.hang_satellite(true);
    for site in world.sites() {
        serves_without_ids(site);
    }
    world.hang_satellite(false);
}

/// Something else, or something broken, where the satellite should be.
#[test]
fn f4_a_satellite_that_answers_nonsense_costs_no_page() {
    let world = World::start_proxies(USUAL);
    for answer in [
        "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone",
        "HTTP/1.1 421 Misdirected Request\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"else\"\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 301 Moved Permanently\r\nLocation: http://evil.example/\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 60\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "",
    ] {
        let _satellite = Nonsense::start(world.satellite_port(), answer);
        for site in world.sites() {
            for _ in 0..3 {
                let page = ask(site, "GET", "/p", NAVIGATION, b"");
                assert_eq!(page.status, 200, "{site} {answer:?}: {}", page.text());
                assert_eq!((page.status, shown(&page, "visitor").as_str()), (200, "none"), "{site} {answer:?}: {page:?}");
            }
            assert_eq!(ask(site, "POST", "/seen", "Content-Length: 3\r\n", b"abc").json()["received"], 3, "{site} {answer:?}");
        }
    }
}

/// A dead application is the proxy's ordinary error, and is asked once: a POST must not be made twice.
#[test]
fn f4_a_dead_application_is_its_own_error() {
    let mut world = World::start(USUAL);
    world.apps.iter_mut().for_each(crate::running::Running::kill);
    for site in world.sites() {
        let answer = ask(site, "POST", "/seen", "Content-Length: 3\r\n", b"abc");
        assert!((500..600).contains(&answer.status), "{site}: {answer:?}");
    }
}

/// Gives every connection the same answer.
struct Nonsense {
    port: u16,
    is_over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Nonsense {
    fn start(port: u16, answer: &'static str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("the satellite's port is free");
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(mut stream) = stream else { continue };
                let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
                let mut request = [0; 8192];
                if stream.read(&mut request).is_ok_and(|count| count > 0) {
                    let _ = stream.write_all(answer.as_bytes());
                }
            }
        });
        Self { port, is_over, thread: Some(thread) }
    }
}

impl Drop for Nonsense {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        let _ = std::net::TcpStream::connect(("127.0.0.1", self.port));
        let _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}
