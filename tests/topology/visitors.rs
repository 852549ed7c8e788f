//! Visitors who come without a pause, while something happens to the fleet.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::fleet::{Fleet, wait_for};
use crate::support::browser::{Browser, Visit};

const CLIENTS: usize = 2;

/// What has come of them so far.
pub(crate) struct Visitors<'a> {
    fleet: &'a Fleet,
    is_over: AtomicBool,
    /// Pages that were answered 200, which is all of them: another answer ends the test.
    pages: AtomicUsize,
    /// Visitors who ended with one ID of the broker's on both sites.
    with_id: AtomicUsize,
    /// What became of those who did not.
    without_id: Mutex<Vec<String>>,
}

impl<'a> Visitors<'a> {
    /// They come until `happens` has returned. Every page that they ask for is answered 200, or this panics.
    pub(crate) fn come_while(fleet: &'a Fleet, happens: impl FnOnce(&Self)) -> Self {
        let visitors = Self {
            fleet,
            is_over: AtomicBool::new(false),
            pages: AtomicUsize::new(0),
            with_id: AtomicUsize::new(0),
            without_id: Mutex::default(),
        };
        std::thread::scope(|scope| {
            let over = Over(&visitors.is_over);
            let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(|| visitors.come())).collect();
            visitors.wait_for_ids("there is load");
            happens(&visitors);
            drop(over);
            clients.into_iter().for_each(|client| client.join().expect("every page came"));
        });
        for without in visitors.without_id() {
            println!("{without}");
        }
        println!(
            "{} pages, {} visitors with an ID, {} without",
            visitors.pages(),
            visitors.with_id(),
            visitors.without_id().len()
        );
        visitors
    }

    /// The same, and nobody notices what happens: everybody ends with an ID, and the satellites refuse no token.
    pub(crate) fn notice_nothing_while(fleet: &'a Fleet, happens: impl FnOnce(&Self)) {
        let (taken_before, refused_before) = fleet.arrivals();
        let visitors = Self::come_while(fleet, happens);
        assert_eq!(visitors.without_id(), Vec::<String>::new(), "everybody has an ID");
        let (taken, refused) = fleet.arrivals();
        assert_eq!(refused[refused_before.len()..], [] as [String; 0], "no token is refused");
        assert!(taken > taken_before, "the satellites tell of arrivals");
    }

    /// How many pages came.
    fn pages(&self) -> usize {
        self.pages.load(Ordering::SeqCst)
    }

    fn with_id(&self) -> usize {
        self.with_id.load(Ordering::SeqCst)
    }

    /// What became of the visitors who have no ID on one of the sites.
    fn without_id(&self) -> Vec<String> {
        self.without_id.lock().expect("no panic").clone()
    }

    /// Waits until some more visitors have got their ID.
    pub(crate) fn wait_for_ids(&self, what: &str) {
        let before = self.with_id();
        wait_for(what, || self.is_over() || self.with_id() >= before + 3 * CLIENTS);
        assert!(!self.is_over(), "{what}: a page was lost");
    }

    /// Waits until some more pages have come, with or without an ID.
    pub(crate) fn wait_for_pages(&self, what: &str) {
        let before = self.pages();
        wait_for(what, || self.is_over() || self.pages() >= before + 20);
        assert!(!self.is_over(), "{what}: a page was lost");
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    fn come(&self) {
        let _over = Over(&self.is_over);
        while !self.is_over() {
            self.one();
        }
    }

    /// From the news to the shop by a hop, on by a link, and once more to each.
    fn one(&self) {
        let (mut browser, fleet) = (Browser::new(), self.fleet);
        let came = browser.follow_from(&fleet.url("news", "/"), &fleet.url("shop", "/?from=news"));
        self.count(&came, &fleet.url("shop", "/?from=news"));
        let to = fleet.url("learn", "/").replace(':', "%3A").replace('/', "%2F");
        let linked = browser.follow(&fleet.url("shop", &format!("/_throughline/go?to={to}")));
        self.count(&linked, &fleet.url("learn", "/"));
        self.count(&browser.follow(&fleet.url("shop", "/")), &fleet.url("shop", "/"));
        self.count(&browser.follow(&fleet.url("learn", "/")), &fleet.url("learn", "/"));
        let held = |site: &str| {
            let cookie = browser.cookie(&fleet.url(site, "/"), "throughline")?;
            // From the broker or by a link, and not a provisional one, which a satellite makes while there is no broker.
            let is_lasting = cookie.starts_with("1.b.") || cookie.starts_with("1.l.");
            cookie.split('.').nth(2).filter(|_| is_lasting).map(String::from)
        };
        match (held("shop"), held("learn")) {
            (Some(shop), Some(learn)) if shop == learn => drop(self.with_id.fetch_add(1, Ordering::SeqCst)),
            other => {
                let steps = |visit: &Visit| {
                    visit.steps.iter().map(|step| format!("{} {}\n", step.answer.status, step.url)).collect::<String>()
                };
                let what = format!("{other:?}\n{}{}", steps(&came), steps(&linked));
                self.without_id.lock().expect("no panic").push(what);
            }
        }
    }

    fn count(&self, visit: &Visit, page: &str) {
        let ways = visit.steps.iter().map(|step| (step.answer.status, &step.url)).collect::<Vec<_>>();
        assert_eq!(visit.page().status, 200, "{ways:#?}");
        // With a refused token, a browser that has not shown that it keeps cookies stays where it is (rule R3).
        let shown = visit.url().split(['?', '&']).filter(|part| !part.starts_with("_tl=")).collect::<Vec<_>>();
        assert_eq!(shown, page.split('?').collect::<Vec<_>>(), "{ways:#?}");
        self.pages.fetch_add(1, Ordering::SeqCst);
    }
}

/// Ends what runs until it is over, also where a test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
