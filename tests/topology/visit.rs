//! One visitor through Caddy.

use std::path::Path;

use crate::fleet::{Fleet, NODES, fleet, wait_for};
use crate::support::browser::Browser;
use crate::support::process::free_port;

#[test]
fn a_visitor_has_one_id_from_the_news_over_the_shop_to_learn() {
    let fleet = fleet();
    for turn in 0..6 {
        let mut browser = Browser::new();
        let page = fleet.url("shop", &format!("/?turn={turn}"));
        assert_eq!(browser.navigate(&fleet.url("news", "/")).statuses(), [200]);
        let came = browser.follow(&page);
        assert_eq!((came.statuses(), came.url()), (vec![302, 302, 303, 200], page.as_str()), "{came:#?}");
        let visitor = browser.visitor(&fleet.url("shop", "")).expect("an ID");
        let learn = fleet.url("learn", "/").replace(':', "%3A").replace('/', "%2F");
        let linked = browser.follow(&fleet.url("shop", &format!("/_throughline/go?to={learn}")));
        assert_eq!(linked.statuses(), [302, 303, 200], "{linked:#?}");
        assert_eq!(browser.visitor(&fleet.url("learn", "")), Some(visitor.clone()));
        assert_eq!(browser.visitor(&fleet.url("brand", "")), Some(visitor));
        let me = browser.me(&fleet.url("learn", ""));
        assert_eq!(me["first_touch"]["referrer"], fleet.url("news", "/"), "{me}");
    }
}

#[test]
fn the_script_ends_what_it_started_however_it_ends_itself() {
    for signal in ["TERM", "KILL"] {
        let fleet = Fleet::start_at(free_port()).expect("a fleet");
        let names = NODES.into_iter().chain(["caddy", "postgres", "redis"]);
        let processes: Vec<_> = names.map(|name| (name, fleet.process(name).expect("it runs"))).collect();
        let folder = fleet.folder().clone();
        fleet.end(signal);
        for (name, process) in processes {
            wait_for(&format!("{name} has ended"), || !Path::new(&format!("/proc/{process}")).exists());
        }
        wait_for("the temporary folder is removed", || !folder.exists());
    }
}
