//! A4: a restart of the whole fleet, node after node, and a reload of all at once: nobody notices.

use crate::fleet::{NODES, fleet};
use crate::visitors::Visitors;

#[test]
fn a4_a_rolling_restart_under_load_fails_no_request_and_refuses_no_token() {
    let fleet = fleet();
    Visitors::notice_nothing_while(&fleet, |visitors| {
        for node in NODES {
            let old = fleet.signal(node, "TERM");
            fleet.wait_until_replaced(node, old);
            visitors.wait_for_ids("IDs come");
        }
    });
}

#[test]
fn a_reload_of_all_nodes_under_load_fails_no_request_and_refuses_no_token() {
    const DONE: &str = "the configuration was read again, and counts";
    let fleet = fleet();
    Visitors::notice_nothing_while(&fleet, |visitors| {
        let before = NODES.map(|node| fleet.said(node, DONE));
        for node in NODES {
            fleet.signal(node, "HUP");
        }
        for (node, before) in NODES.into_iter().zip(before) {
            crate::fleet::wait_for("it was read again", || fleet.said(node, DONE) > before);
        }
        visitors.wait_for_ids("IDs come");
    });
}
