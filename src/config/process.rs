//! What concerns the process as a whole: `profile`, `[listen]`, `[outbound]` and `[limits]`.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;

use crate::base::origin::Origin;
use crate::domain::rate::Rate;

use super::files::Files;
use super::reader::{Placed, Table};
use super::{Limits, Listen, Outbound, Profile, TlsFiles, UnknownHost};

const ADDRESS_DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8400);
const PROBE_INTERVAL_DEFAULT: u64 = 1000;
const PROBE_TIMEOUT_DEFAULT: u64 = 500;
const REFUSALS_FILE: &str = "throughline.refusals";
const SIBLINGS_FILE: &str = "throughline.siblings";
const ENDED_IDS_FILE: &str = "throughline.ended";
const REVOCATION_INTERVAL_DEFAULT: u64 = 5000;
const REPLAY_ENTRIES_DEFAULT: usize = 1_000_000;

/// `None` when what is written is no profile: which origins may stand is then not known.
pub(super) fn profile(document: &mut Table<'_, '_>) -> Option<Profile> {
    let written = document.has("profile");
    let found = document.text("profile", Profile::parse);
    if written { found.map(|found| found.value) } else { Some(Profile::default()) }
}

pub(super) fn listen(mut table: Table<'_, '_>, files: &Files<'_>) -> Listen {
    let nowhere = table.has_empty_list("addresses");
    let addresses = match table.list("addresses", |text| address(text, "0.0.0.0:8443")) {
        None => vec![ADDRESS_DEFAULT],
        Some(found) => {
            if nowhere {
                table.mistake_at(found.line, "addresses is empty; write at least one, such as \"127.0.0.1:8400\"");
            }
            distinct(&table, found)
        }
    };
    let written = (table.has("tls_certificate"), table.has("tls_key"));
    if written.0 != written.1 {
        let (missing, other) = if written.0 { ("tls_key", "tls_certificate") } else { ("tls_certificate", "tls_key") };
        table.require(missing, &format!("it, or leave out {other} as well"));
    }
    let certificate = table.text("tls_certificate", |text| files.file(text));
    let key = table.text("tls_key", |text| files.private_file(text));
    let tls = certificate.zip(key).map(|(certificate, key)| TlsFiles { certificate: certificate.value, key: key.value });
    let trusted_proxies = table.list("trusted_proxies", network).map_or_else(Vec::new, values);
    let unknown_host = table.text("unknown_host", UnknownHost::parse).map_or_else(UnknownHost::default, |found| found.value);
    table.finish();
    Listen { addresses, tls, trusted_proxies, unknown_host }
}

pub(super) fn outbound(mut table: Table<'_, '_>, files: &Files<'_>) -> Outbound {
    let ca_file = table.text("ca_file", |text| files.file(text)).map(|found| found.value);
    let mut resolve = table.table("resolve", "[outbound.resolve]");
    let names = resolve.names(|name, text| {
        let canonical = Origin::parse(&format!("https://{name}")).is_ok_and(|origin| origin.host() == name);
        if !canonical {
            return Err("not a host name as browsers spell it; write one in quotes, without scheme or port, such as \"www.brand.example\"".into());
        }
        Ok((name.to_owned(), address(text, "127.0.0.1:8443")?))
    });
    resolve.finish();
    let probe_interval = table.number("probe_interval_ms", 100..=60_000).unwrap_or(PROBE_INTERVAL_DEFAULT);
    let probe_timeout = table.number("probe_timeout_ms", 50..=10_000).unwrap_or(PROBE_TIMEOUT_DEFAULT);
    let revocation_interval = table.number("revocation_interval_ms", 100..=600_000).unwrap_or(REVOCATION_INTERVAL_DEFAULT);
    let mut kept_file = |key, name| {
        let is_written = table.has(key);
        let written = table.text(key, |text| files.new_file(text)).map(|found| found.value);
        if is_written { written } else { files.default_file(&table, key, "", name) }
    };
    let (refusals_file, siblings_file) = (kept_file("refusals_file", REFUSALS_FILE), kept_file("siblings_file", SIBLINGS_FILE));
    let ended_ids_file = kept_file("ended_ids_file", ENDED_IDS_FILE);
    table.finish();
    Outbound {
        ca_file,
        refusals_file,
        siblings_file,
        ended_ids_file,
        resolve: names.into_iter().map(|found| found.value).collect::<HashMap<_, _>>(),
        probe_interval: Duration::from_millis(probe_interval),
        probe_timeout: Duration::from_millis(probe_timeout),
        revocation_interval: Duration::from_millis(revocation_interval),
    }
}

pub(super) fn limits(mut table: Table<'_, '_>) -> Limits {
    let count = |number: u64| usize::try_from(number).ok();
    let replay_entries = table.number("replay_entries", 1000..=100_000_000).and_then(count).unwrap_or(REPLAY_ENTRIES_DEFAULT);
    let workers = table.number("workers", 1..=1024).and_then(count);
    let usual = Rate::default();
    let mut rate =
        |key, default| table.number(key, 0..=1_000_000).and_then(|number| u32::try_from(number).ok()).unwrap_or(default);
    let client = Rate { per_second: rate("client_per_second", usual.per_second), burst: rate("client_burst", usual.burst) };
    table.finish();
    Limits { replay_entries, client, workers }
}

pub(super) fn address(text: &str, such_as: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| format!("{text:?} is not an IP address with a port; write one such as \"{such_as}\" or \"[::1]:8443\""))
}

/// An address alone is a network of one.
fn network(text: &str) -> Result<IpNet, String> {
    let one = text.parse::<IpAddr>().map(IpNet::from);
    let many = || text.parse::<IpNet>().map(|network| network.trunc());
    one.or_else(|_| many())
        .map_err(|_| format!("{text:?} is not an address or a network; write one such as \"127.0.0.1\" or \"10.0.0.0/8\""))
}

fn distinct(table: &Table<'_, '_>, found: Placed<Vec<Placed<SocketAddr>>>) -> Vec<SocketAddr> {
    let mut addresses = Vec::new();
    for Placed { value: address, line } in found.value {
        // Port 0 asks for any free port, each time another.
        if address.port() != 0 && addresses.contains(&address) {
            table.mistake_at(line, format_args!("addresses: {address} is there twice; take one out"));
        }
        addresses.push(address);
    }
    addresses
}

fn values<T>(list: Placed<Vec<Placed<T>>>) -> Vec<T> {
    list.value.into_iter().map(|item| item.value).collect()
}
