//! K1: the broker's and the sites' keys are rotated under load, on all nodes, and no token is refused.
//!
//! `keys rotate` lets the new key sign after 15 minutes. What those do is done here at once: every node fetches the key sets
//! again (on SIGHUP, where five minutes would bring it about), and the times in the key files move into the past.

use std::fs;
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use throughline::base::clock::{Clock as _, SystemClock, UnixSeconds};
use throughline::token::keyfile::{time_text, write_secret_file};

use crate::fleet::{Fleet, NODES, fleet, wait_for};
use crate::support::browser::Browser;
use crate::visitors::Visitors;

const SITES: [&str; 3] = ["brand", "shop", "learn"];

/// From the moved times to the new keys' first signature: the five seconds in which each node sees the file, and some more.
const UNTIL_SIGNING: Duration = Duration::from_secs(9);

fn file(fleet: &Fleet, site: &str) -> std::path::PathBuf {
    fleet.folder().join(format!("made/keys/{site}.localhost.json"))
}

fn read(fleet: &Fleet, site: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(file(fleet, site)).expect("a key file")).expect("JSON")
}

/// The key that was added last.
fn last_key(fleet: &Fleet, site: &str) -> String {
    let keys = read(fleet, site);
    keys["keys"].as_array().and_then(|keys| keys.last()).and_then(|key| key["kid"].as_str()).expect("a key").to_owned()
}

/// 15 minutes pass, but for `left`.
fn let_time_pass(fleet: &Fleet, site: &str, left: Duration) {
    let mut keys = read(fleet, site);
    let now = SystemClock::new().now();
    let newest = keys["keys"].as_array_mut().and_then(|keys| keys.last_mut()).expect("a key");
    newest["activate_at"] = time_text(now.plus(left)).into();
    newest["publish_at"] = time_text(UnixSeconds(now.plus(left).0 - 900)).into();
    write_secret_file(&file(fleet, site), &keys.to_string()).expect("a key file");
}

/// The key that a token in a `Location` was signed with.
fn signer(location: &str) -> String {
    let (_, token) = location.split_once("_tl=").expect("our parameter");
    let head = token.split('.').next().and_then(|part| URL_SAFE_NO_PAD.decode(part).ok()).expect("a token");
    let head: Value = serde_json::from_slice(&head).expect("a header");
    head["kid"].as_str().expect("a key's name").to_owned()
}

/// Which keys sign just now: the broker's for a bounce, the shop's for a link.
fn signers(fleet: &Fleet) -> [String; 2] {
    let mut browser = Browser::new();
    let bounce = browser.navigate(&fleet.url("shop", "/"));
    let learn = fleet.url("learn", "/").replace(':', "%3A").replace('/', "%2F");
    let link = browser.step(&fleet.url("shop", &format!("/_throughline/go?to={learn}")), None);
    let [bounce, link] = [&bounce.steps[1].answer, &link].map(|answer| answer.header("location").expect("a way").to_owned());
    [signer(&bounce), signer(&link)]
}

/// Does something, and waits until every node has said `what` for each of its sites.
fn until_all_said(fleet: &Fleet, what: &str, sites: [usize; 4], act: impl FnOnce()) {
    let before = NODES.map(|node| fleet.said(node, what));
    act();
    for ((node, before), count) in NODES.into_iter().zip(before).zip(sites) {
        wait_for(&format!("{node}: {what}"), || fleet.said(node, what) >= before + count);
    }
}

#[test]
fn k1_a_rotation_of_all_keys_under_load_refuses_no_token() {
    const FILE_READ: &str = "its key file was read again";
    const RELOADED: &str = "the configuration was read again, and counts";
    let fleet = fleet();
    let old = signers(&fleet);
    Visitors::notice_nothing_while(&fleet, |visitors| {
        until_all_said(&fleet, FILE_READ, [1, 1, 2, 2], || {
            for site in SITES {
                let mut rotate = Command::new(env!("CARGO_BIN_EXE_throughline"));
                let rotated = rotate.args(["keys", "rotate"]).arg(file(&fleet, site)).output();
                assert!(rotated.is_ok_and(|rotated| rotated.status.success()), "keys rotate");
            }
        });
        until_all_said(&fleet, RELOADED, [1; 4], || {
            for node in NODES {
                fleet.signal(node, "HUP");
            }
        });
        visitors.wait_for_ids("IDs come while the new keys are published");
        assert_eq!(signers(&fleet), old, "the old keys still sign");
        until_all_said(&fleet, FILE_READ, [1, 1, 2, 2], || {
            SITES.into_iter().for_each(|site| let_time_pass(&fleet, site, UNTIL_SIGNING));
        });
        let new = [last_key(&fleet, "brand"), last_key(&fleet, "shop")];
        wait_for("the new keys sign on all nodes", || (0..4).all(|_| signers(&fleet) == new));
        visitors.wait_for_ids("IDs come with the new keys");
    });
}
