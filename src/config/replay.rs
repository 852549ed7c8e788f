//! `[replay]`: the Redis or Valkey in which many nodes remember used tokens (rule T7).

use std::time::Duration;

use url::Url;

use super::SharedReplay;
use super::files::Files;
use super::reader::{Placed, Table};

const TIMEOUT_DEFAULT: u64 = 100;
const SCHEMES: [&str; 4] = ["redis", "rediss", "valkey", "valkeys"];
const EXAMPLE: &str = "nodes = [\"redis://10.0.0.1:6379\"]";

/// `None` without the table: used tokens are then remembered in the process.
pub(super) fn replay(mut table: Table<'_, '_>, files: &Files<'_>) -> Option<SharedReplay> {
    let is_there = table.is_there();
    if is_there {
        table.require("nodes", EXAMPLE);
        if table.has("username") {
            table.require("password_env", "it beside username, such as password_env = \"REDIS_PASSWORD\"");
        }
    }
    let is_empty = table.has_empty_list("nodes");
    let cluster = table.flag("cluster").unwrap_or(false);
    let nodes = table.list("nodes", |text| node(text, cluster));
    let username = table.text("username", |text| match text {
        "" => Err("is empty; leave it out for the default user".into()),
        text => Ok(text.to_owned()),
    });
    let password = table.text("password_env", |name| files.password_env(name));
    let timeout = table.number("timeout_ms", 10..=2000).unwrap_or(TIMEOUT_DEFAULT);
    let nodes = nodes.map(|found| {
        if is_empty {
            table.mistake_at(found.line, format_args!("nodes is empty; write one, such as {EXAMPLE}"));
        }
        fitting(&table, found, cluster)
    });
    table.finish();
    is_there.then(|| SharedReplay {
        nodes: nodes.unwrap_or_default(),
        cluster,
        username: username.map(|found| found.value),
        password: password.map(|found| found.value),
        timeout: Duration::from_millis(timeout),
    })
}

/// No message repeats the text: it may hold a password.
fn node(text: &str, cluster: bool) -> Result<String, String> {
    let none = || "what stands here is no address of a Redis; write one such as \"redis://10.0.0.1:6379\"".to_owned();
    let url = Url::parse(text).map_err(|_| none())?;
    if !SCHEMES.contains(&url.scheme()) || url.host_str().is_none_or(str::is_empty) {
        return Err(none());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a user and a password do not belong here; write username and password_env instead".into());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("take out what begins with ? or #".into());
    }
    let database = url.path().trim_matches('/');
    match database.is_empty() || (!cluster && database.parse::<u8>().is_ok()) {
        true => Ok(text.to_owned()),
        false if cluster => Err("a cluster has one database only; take out what follows the port".into()),
        false => Err("what follows the port is the number of a database, such as \"redis://10.0.0.1:6379/3\"".into()),
    }
}

fn fitting(table: &Table<'_, '_>, found: Placed<Vec<Placed<String>>>, cluster: bool) -> Vec<String> {
    let is_secure = |node: &str| ["rediss:", "valkeys:"].iter().any(|scheme| node.starts_with(scheme));
    let mut nodes: Vec<String> = Vec::new();
    for Placed { value: node, line } in found.value {
        if nodes.contains(&node) {
            table.mistake_at(line, format_args!("nodes: {node} is there twice; take one out"));
        } else if let Some(first) = nodes.first().filter(|_| !cluster) {
            let write = "write one, or cluster = true if they are nodes of one cluster";
            table.mistake_at(line, format_args!("nodes: {node} stands beside {first}; {write}"));
        } else if nodes.first().is_some_and(|first| is_secure(first) != is_secure(&node)) {
            table.mistake_at(line, format_args!("nodes: {node} is with TLS or without unlike the first; write all alike"));
        }
        nodes.push(node);
    }
    nodes
}
