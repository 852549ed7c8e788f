//! A1, A2: whatever dies or hangs behind Caddy costs no page, and is made good without anybody's help.

use crate::fleet::{NODES, fleet};
use crate::visitors::Visitors;

#[test]
fn a1_each_node_killed_in_turn_under_load_costs_no_page() {
    let fleet = fleet();
    Visitors::come_while(&fleet, |visitors| {
        for node in NODES {
            let killed = fleet.signal(node, "KILL");
            visitors.wait_for_pages("pages come meanwhile");
            fleet.wait_until_replaced(node, killed);
            visitors.wait_for_ids(&format!("IDs come again after {node}"));
        }
    });
}

#[test]
fn a1_a_broker_and_a_satellite_that_hang_cost_no_page() {
    let fleet = fleet();
    Visitors::come_while(&fleet, |visitors| {
        for node in ["broker-1", "satellite-2"] {
            fleet.signal(node, "STOP");
            visitors.wait_for_pages("pages come meanwhile");
            visitors.wait_for_ids("the others do it");
            fleet.signal(node, "CONT");
            visitors.wait_for_ids(&format!("IDs come after {node}"));
        }
    });
}

#[test]
fn a2_t7_postgresql_and_redis_killed_in_turn_under_load_cost_no_page() {
    let fleet = fleet();
    Visitors::come_while(&fleet, |visitors| {
        for (server, signal) in [("postgres", "QUIT"), ("redis", "KILL")] {
            let killed = fleet.signal(server, signal);
            visitors.wait_for_pages("pages come meanwhile");
            fleet.wait_until_replaced(server, killed);
            visitors.wait_for_ids(&format!("IDs come again after {server}"));
        }
    });
}
