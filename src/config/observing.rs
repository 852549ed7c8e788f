//! What operators see: `[admin]`, `[log]` and `[traces]`.

use std::net::SocketAddr;
use std::time::Duration;

use tracing::Level;
use url::Url;

use crate::base::origin::Origin;

use super::process::address;
use super::reader::Table;
use super::{Admin, Listen, Log, LogFormat, Traces};

const SAMPLE_DEFAULT: u64 = 100_000;
const SAMPLE_EVERY_DEFAULT: u64 = 300;
const PERCENT_DEFAULT: u8 = 10;
const LEVELS: [(&str, Level); 5] =
    [("error", Level::ERROR), ("warn", Level::WARN), ("info", Level::INFO), ("debug", Level::DEBUG), ("trace", Level::TRACE)];

/// `None` where the table is not there: then there is no such listener.
pub(super) fn admin(mut table: Table<'_, '_>, listen: &Listen) -> Option<Admin> {
    if !table.is_there() {
        table.finish();
        return None;
    }
    table.require("address", "address = \"127.0.0.1:8401\"");
    let place = table.text("address", |text| own_address(text, listen));
    let hosts = table.list("hosts", |text| {
        let is_name = Origin::parse(&format!("https://{text}")).is_ok_and(|origin| origin.authority() == text);
        if is_name && !text.contains(':') {
            return Ok(text.to_owned());
        }
        Err(format!(
            "{text:?} is not a host name as browsers spell it; write one without scheme or port, such as \"ops.internal\""
        ))
    });
    let sample = table.number("sample", 0..=10_000_000).unwrap_or(SAMPLE_DEFAULT);
    let every = table.number("sample_every_s", 1..=86_400).unwrap_or(SAMPLE_EVERY_DEFAULT);
    table.finish();
    let hosts = hosts.map_or_else(Vec::new, |found| found.value.into_iter().map(|host| host.value).collect());
    let sample = usize::try_from(sample).unwrap_or(usize::MAX);
    Some(Admin { address: place?.value, hosts, sample, sample_every: Duration::from_secs(every) })
}

/// One that the public does not reach.
fn own_address(text: &str, listen: &Listen) -> Result<SocketAddr, String> {
    let found = address(text, "127.0.0.1:8401")?;
    // Port 0 asks for any free port.
    let is_shared = |public: &SocketAddr| {
        let same_host = public.ip() == found.ip() || public.ip().is_unspecified() || found.ip().is_unspecified();
        found.port() != 0 && public.port() == found.port() && same_host
    };
    if listen.addresses.iter().any(is_shared) {
        return Err(format!("{found} is where visitors are served; write another port, such as \"127.0.0.1:8401\""));
    }
    Ok(found)
}

/// `None` where the table is not there, or has a mistake.
pub(super) fn traces(mut table: Table<'_, '_>) -> Option<Traces> {
    if !table.is_there() {
        table.finish();
        return None;
    }
    table.require("otlp_endpoint", "otlp_endpoint = \"http://127.0.0.1:4318\"");
    let endpoint = table.text("otlp_endpoint", |text| {
        let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let is_plain = |url: &Url| url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
        // Not repeated: it may hold a password.
        let mistake = "not the address of an OTLP collector (not repeated here); write one without user and query, such as \"http://127.0.0.1:4318\"";
        url.filter(is_plain).map(|url| format!("{}/v1/traces", url.as_str().trim_end_matches('/'))).ok_or_else(|| mistake.to_owned())
    });
    let percent =
        table.number("sample_percent", 0..=100).and_then(|percent| u8::try_from(percent).ok()).unwrap_or(PERCENT_DEFAULT);
    table.finish();
    Some(Traces { url: endpoint?.value, percent })
}

pub(super) fn log(mut table: Table<'_, '_>) -> Log {
    let level = table.text("level", |text| {
        let found = LEVELS.into_iter().find(|(name, _)| *name == text).map(|(_, level)| level);
        found.ok_or_else(|| format!("{text:?} is not one; write \"error\", \"warn\", \"info\", \"debug\" or \"trace\""))
    });
    let format = table.text("format", |text| {
        let found = [LogFormat::Human, LogFormat::Json].into_iter().find(|format| format.as_str() == text);
        found.ok_or_else(|| format!("{text:?} is not one; write \"human\" or \"json\""))
    });
    table.finish();
    Log { level: level.map_or(Level::INFO, |level| level.value), format: format.map_or(LogFormat::Human, |format| format.value) }
}
