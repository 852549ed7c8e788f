//! D20: the health of a site and of the process says that the shared replay memory does not answer, and that it does again.

use std::process::Command;

use crate::ask::wait_for;
use crate::support::address;
use crate::support::company::Company;
use crate::support::files::Setup;
use crate::support::process::free_port;
use crate::support::redis::Redis;
use crate::support::wire::send;

fn replay(port: u16, host: &str, path: &str) -> Option<String> {
    let answer = send(port, format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).ok()?;
    assert_eq!(answer.status, 200, "pages are served without it: {answer:?}");
    answer.json()["replay"].as_str().map(String::from)
}

#[test]
fn t7_health_and_doctor_say_that_the_replay_memory_is_away() {
    let mut redis = Redis::start(&[]);
    let admin = free_port();
    let tables = format!("[replay]\nnodes = [\"{}\"]\n[admin]\naddress = \"127.0.0.1:{admin}\"\n", redis.url());
    let company = Company::start(Setup { tables, ..Setup::default() });
    let (shop, brand) = (address::authority(&company.shop), address::authority(&company.brand));
    let says = |word: &str| {
        let word = Some(word.to_owned());
        replay(company.port(), shop, "/_throughline/health") == word
            && replay(admin, &format!("127.0.0.1:{admin}"), "/health") == word
    };
    wait_for("it is well", || says("ok"));
    assert_eq!(replay(company.port(), brand, "/_throughline/health"), None, "the primary takes no tokens");
    redis.kill();
    wait_for("it is down", || says("down"));
    let page = format!("{}/p.html", company.shop);
    let doctor = Command::new(env!("CARGO_BIN_EXE_throughline")).args(["doctor", &page]).output().expect("it runs");
    let said = String::from_utf8_lossy(&doctor.stdout);
    assert!(said.contains("the replay memory does not answer") && said.contains("Look at the Redis of [replay]"), "{said}");
    redis.start_again();
    wait_for("it is well again", || says("ok"));
}
