//! What a sample of the visitor records says: who of one site's visitors was also seen on another, and where visitors first
//! came from.
//!
//! Visitor IDs are random, so the first records in their order are a fair sample. They are read in small slices in the
//! background, so that no hop waits for them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::time::sleep;
use url::Url;

use crate::base::clock::UnixSeconds;
use crate::base::id::VisitorId;
use crate::domain::first_touch::FirstTouch;
use crate::domain::record::Record;
use crate::store::visitors::{StoreFault, VisitorStore};

use super::Watched;

/// How many records one slice reads, and the pause after it: five thousand records a second.
const SLICE: usize = 250;
const SLICE_PAUSE: Duration = Duration::from_millis(50);

/// The most sites that a matrix holds: a table of 250,000 pairs.
pub const SITES_MAX: usize = 500;

/// The most sources that are told apart; what comes after them is counted together.
const SOURCES_MAX: usize = 10_000;

/// What stands for sources beyond [`SOURCES_MAX`].
pub const OTHERS: &str = "(others)";

/// What stands for visitors who came by themselves.
pub const DIRECT: &str = "(direct)";

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// When it was finished.
    pub at: UnixSeconds,
    /// How many records were read.
    pub records: u64,
    /// How many there are; an estimate where [`is_whole`](Self::is_whole) is false.
    pub total: u64,
    /// Whether all were read.
    pub is_whole: bool,
    /// The sites, the primary first and the others in the order of their names.
    pub sites: Vec<String>,
    /// Where visitors first came from, the most frequent first: hosts of outside pages.
    pub referrers: Vec<(String, u64)>,
    /// The same: campaigns.
    pub campaigns: Vec<(String, u64)>,
    pairs: Vec<u32>,
}

impl Sample {
    /// How many visitors of the site at `one` were also seen on the site at `other`; with itself, how many it has.
    #[must_use]
    pub fn both(&self, one: usize, other: usize) -> u32 {
        self.pairs.get(one * self.sites.len() + other).copied().unwrap_or_default()
    }
}

/// A sample under way.
struct Tally {
    places: HashMap<String, usize>,
    sites: Vec<String>,
    pairs: Vec<u32>,
    records: u64,
    referrers: Sources,
    campaigns: Sources,
}

impl Tally {
    fn new(sites: &[String]) -> Self {
        let sites: Vec<_> = sites.iter().take(SITES_MAX).cloned().collect();
        let places = sites.iter().cloned().zip(0..).collect();
        let pairs = vec![0; sites.len() * sites.len()];
        Self { places, sites, pairs, records: 0, referrers: Sources::default(), campaigns: Sources::default() }
    }

    fn take(&mut self, record: &Record) {
        self.records += 1;
        let seen: Vec<_> = record.sites.keys().filter_map(|site| self.places.get(site).copied()).collect();
        for one in &seen {
            for other in &seen {
                self.pairs[one * self.sites.len() + other] += 1;
            }
        }
        if let Some(touch) = &record.first_touch {
            self.referrers.count(touch.referrer.as_deref().and_then(host).unwrap_or_else(|| DIRECT.to_owned()));
            if let Some(campaign) = campaign(touch) {
                self.campaigns.count(campaign);
            }
        }
    }

    /// `last` is where the reading stopped, if there is more.
    fn finish(self, last: Option<VisitorId>, at: UnixSeconds) -> Sample {
        let total = last.map_or(self.records, |last| estimate(self.records, last));
        Sample {
            at,
            records: self.records,
            total,
            is_whole: last.is_none(),
            sites: self.sites,
            referrers: self.referrers.sorted(),
            campaigns: self.campaigns.sorted(),
            pairs: self.pairs,
        }
    }
}

/// How many records there are, if so many are not above `last`: IDs are spread evenly, and their first 48 bits are random.
fn estimate(records: u64, last: VisitorId) -> u64 {
    let read = last.as_bytes().iter().take(6).fold(0_u64, |number, octet| number << 8 | u64::from(*octet)) + 1;
    let total = u128::from(records) * (1 << 48) / u128::from(read);
    u64::try_from(total).unwrap_or(u64::MAX)
}

#[derive(Default)]
struct Sources(HashMap<String, u64>);

impl Sources {
    fn count(&mut self, source: String) {
        let has_room = self.0.len() < SOURCES_MAX || self.0.contains_key(&source);
        *self.0.entry(if has_room { source } else { OTHERS.to_owned() }).or_default() += 1;
    }

    fn sorted(self) -> Vec<(String, u64)> {
        let mut sources: Vec<_> = self.0.into_iter().collect();
        sources.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
        sources
    }
}

fn host(referrer: &str) -> Option<String> {
    Url::parse(referrer).ok()?.host_str().map(String::from)
}

/// A campaign by its name and source; an advertiser's click, which is another for each person, by its kind alone.
fn campaign(touch: &FirstTouch) -> Option<String> {
    let of = |name: &str| touch.campaign.get(name).filter(|value| !value.is_empty());
    match (of("utm_campaign"), of("utm_source")) {
        (Some(campaign), Some(source)) => Some(format!("{campaign} ({source})")),
        (Some(name), None) | (None, Some(name)) => Some(name.clone()),
        (None, None) => touch.campaign.keys().next().cloned(),
    }
}

/// Reads a sample of at most `limit` records.
///
/// # Errors
/// When the store cannot be had. What was read until then is given up.
pub async fn sample(store: &dyn VisitorStore, process: &dyn Watched, limit: usize) -> Result<Sample, StoreFault> {
    let mut tally = Tally::new(&process.company());
    let (mut from, mut left) = (None, limit);
    loop {
        let slice = store.sample(from, left.min(SLICE)).await?;
        slice.records.iter().for_each(|record| tally.take(record));
        from = slice.next;
        left = left.saturating_sub(SLICE);
        if from.is_none() || left == 0 {
            return Ok(tally.finish(from, process.clock().now()));
        }
        sleep(SLICE_PAUSE).await;
    }
}

/// Keeps a sample fresh. It never ends.
pub async fn keep_sampling(
    store: Arc<dyn VisitorStore>,
    process: Arc<dyn Watched>,
    limit: usize,
    every: Duration,
    latest: Arc<ArcSwapOption<Sample>>,
) {
    loop {
        match sample(&*store, &*process, limit).await {
            Ok(sample) => latest.store(Some(Arc::new(sample))),
            Err(fault) => tracing::debug!(%fault, "no sample of the visitor records; the old one stays"),
        }
        sleep(every).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(sites: &[&str], touch: &str) -> Record {
        let sites: Vec<_> = sites.iter().map(|site| format!("\"{site}\":{{\"first\":1,\"last\":1,\"consent\":{{}}}}")).collect();
        let touch = if touch.is_empty() { String::new() } else { format!("\"first_touch\":{touch},") };
        serde_json::from_str(&format!("{{\"created\":1,{touch}\"sites\":{{{}}}}}", sites.join(","))).unwrap()
    }

    #[test]
    fn pairs_and_sources_are_counted() {
        let sites = ["https://a.example", "https://b.example", "https://c.example"].map(String::from);
        let [a, b, c] = sites.each_ref().map(String::as_str);
        let mut tally = Tally::new(&sites);
        let touch = r#"{"at":1,"landing":"x","referrer":"https://news.example/story","campaign":{"utm_campaign":"spring"}}"#;
        tally.take(&record(&[a, b], touch));
        tally.take(&record(&[a, b, "https://gone.example"], r#"{"at":1,"landing":"x","campaign":{"gclid":"secret"}}"#));
        tally.take(&record(&[a], touch));
        tally.take(&record(&[c], ""));
        let sample = tally.finish(None, UnixSeconds(9));
        assert_eq!((sample.both(0, 0), sample.both(0, 1), sample.both(1, 0), sample.both(1, 1)), (3, 2, 2, 2));
        assert_eq!((sample.both(2, 2), sample.both(2, 0), sample.records, sample.total), (1, 0, 4, 4));
        assert_eq!(sample.referrers, [("news.example".to_owned(), 2), (DIRECT.to_owned(), 1)]);
        assert_eq!(sample.campaigns, [("spring".to_owned(), 2), ("gclid".to_owned(), 1)]);
    }

    #[test]
    fn a5_sources_are_bounded() {
        let mut sources = Sources::default();
        (0..2 * SOURCES_MAX).for_each(|number| sources.count(format!("{number}.example")));
        let sorted = sources.sorted();
        assert_eq!((sorted.len(), sorted[0].clone()), (SOURCES_MAX + 1, (OTHERS.to_owned(), SOURCES_MAX as u64)));
    }

    #[test]
    fn the_whole_is_estimated_from_how_far_the_reading_came() {
        let mut bytes = [0_u8; 16];
        (bytes[0], bytes[6], bytes[8]) = (0x40, 0x40, 0x80);
        let quarter = VisitorId::from_bytes(&bytes).unwrap();
        let total = estimate(1000, quarter);
        assert!((3990..=4000).contains(&total), "{total}");
    }
}
