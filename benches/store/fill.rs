//! A store that has been in use for long: written in the order of the IDs, since that is what can be done quickly, with the
//! program's own schema and records.

use std::path::Path;
use std::sync::Arc;

use throughline::base::clock::UnixSeconds;
use throughline::base::id::VisitorId;
use throughline::base::origin::Origin;
use throughline::domain::consent::Basis;
use throughline::domain::first_touch::FirstTouch;
use throughline::domain::own_hosts::OwnHosts;
use throughline::domain::record::{Change, Write, Writer};
use throughline::domain::url::PageUrl;
use throughline::store::visitors::VisitorStore;
use throughline::store::visitors::sqlite::SqliteStore;

const BATCH: u64 = 5_000;

/// Fills `file` with `count` visitors of one site, as their first hops write them. The size of the file.
pub(crate) fn fill(file: &Path, count: u64) -> u64 {
    let runtime = actix_web::rt::System::new();
    let store = SqliteStore::file(file);
    let site = Origin::parse("https://shop.example").expect("an origin");
    let page = PageUrl::on(&site, "/p?x=1&utm_source=newsletter").expect("a page");
    let at = UnixSeconds(1_790_000_000);
    let own = OwnHosts::new([&site].into_iter());
    let first_touch = FirstTouch::of(&page, Some("https://news.example/today"), &own, at);
    let change = Change::Seen { basis: Basis::Implied, created: at, first_touch: Some(first_touch) };
    runtime.block_on(async {
        for begin in (0..count).step_by(BATCH as usize) {
            let ids = (begin..count.min(begin + BATCH)).map(|number| id(number, count));
            let write = |visitor| {
                let by = Writer::Broker(site.to_string());
                Arc::new(Write { visitor, by, at, change: change.clone() })
            };
            store.commit(ids.map(write).collect()).await.expect("a commit");
        }
        store.size().await.expect("a size").octets
    })
}

/// IDs that are spread evenly, in rising order.
pub(crate) fn id(number: u64, count: u64) -> VisitorId {
    let step = u64::MAX / count;
    let high = (number * step).to_be_bytes();
    let low = number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes();
    let bytes: Vec<u8> = high.into_iter().chain(low).collect();
    let uuid = uuid::Builder::from_random_bytes(bytes.try_into().expect("16 octets")).into_uuid();
    VisitorId::from_bytes(uuid.as_bytes()).expect("an ID")
}
