//! Traces for OpenTelemetry: a span for each piece of work that is timed, sent to a collector as OTLP over HTTP in its JSON
//! form (OpenTelemetry protocol 1.0, JSON Protobuf encoding).
//!
//! 1. On a request's thread a span is put into a bounded queue, or is lost and counted. A collector that hangs costs nothing.
//! 2. A span names a site and a code, and no visitor. The work of one hop, at the broker and at the site, is one trace: its ID is
//!    the beginning of the flow, which both know, so nothing more has to travel.
//! 3. A trace is taken whole or not at all, since the flow decides on that too.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix_web::rt::time::sleep;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::base::clock::Clock;
use crate::base::origin::Origin;
use crate::base::random::{Random, random_bytes};
use crate::http::client::Outbound;
use crate::http::event::{Event, Observer, Timing, UNKNOWN_SITE, Work};
use crate::token::claims::Flow;

/// How many spans wait at most, and how many one request takes.
const SPANS_MAX: usize = 2048;

/// From the first span that waits to its being sent, with all that came meanwhile.
const GATHER: Duration = Duration::from_secs(1);

/// How long the collector may take, and the pause after it did not answer.
const SEND_TIME_MAX: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_secs(5);

/// A piece of work.
struct Span {
    work: Work,
    site: Origin,
    asking: Option<Origin>,
    code: &'static str,
    flow: Option<Flow>,
    took: Duration,
    /// Since 1970.
    ended: Duration,
}

/// Takes spans, and tells another observer as well.
pub struct Traces {
    queue: mpsc::Sender<Span>,
    /// A trace counts whose number is not above this one.
    threshold: u64,
    counted: AtomicU64,
    lost: Arc<AtomicU64>,
    clock: Arc<dyn Clock>,
    next: Arc<dyn Observer>,
}

/// What is to be sent.
pub struct Spans {
    waiting: mpsc::Receiver<Span>,
    lost: Arc<AtomicU64>,
}

impl Traces {
    /// Takes `percent` of all traces, and tells `next` of all that it is told. The spans are to be [sent](export).
    #[must_use]
    pub fn new(percent: u8, clock: Arc<dyn Clock>, next: Arc<dyn Observer>) -> (Self, Spans) {
        let (queue, waiting) = mpsc::channel(SPANS_MAX);
        let lost = Arc::new(AtomicU64::new(0));
        let threshold = u64::MAX / 100 * u64::from(percent.min(100));
        let traces = Self { queue, threshold, counted: AtomicU64::new(0), lost: Arc::clone(&lost), clock, next };
        (traces, Spans { waiting, lost })
    }

    /// How many spans were lost so far.
    #[must_use]
    pub fn lost(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.lost)
    }

    fn takes(&self, flow: Option<&Flow>) -> bool {
        let number = match flow {
            Some(flow) => flow.as_bytes().iter().skip(24).fold(0, |number, octet| number << 8 | u64::from(*octet)),
            // Spread evenly over all numbers (Fibonacci hashing).
            None => self.counted.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B9_7F4A_7C15),
        };
        self.threshold > 0 && number <= self.threshold
    }
}

impl Observer for Traces {
    fn saw(&self, event: &Event<'_>) {
        self.next.saw(event);
    }

    fn timed(&self, timing: &Timing<'_>) {
        self.next.timed(timing);
        let Timing { work, site, asking, code, flow, took } = *timing;
        if self.takes(flow.as_ref()) {
            let span =
                Span { work, site: site.clone(), asking: asking.cloned(), code, flow, took, ended: self.clock.since_1970() };
            if self.queue.try_send(span).is_err() {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// Sends spans to the collector at `url`. It ends when nobody can put in spans any more.
pub async fn export(spans: Spans, url: String, outbound: Outbound, random: Arc<dyn Random>) {
    let Spans { mut waiting, lost } = spans;
    let client = outbound.client(SEND_TIME_MAX);
    let mut is_failing = false;
    while let Some(first) = waiting.recv().await {
        sleep(GATHER).await;
        let mut batch = vec![first];
        while batch.len() < SPANS_MAX
            && let Ok(span) = waiting.try_recv()
        {
            batch.push(span);
        }
        match client.post_json(&url, request(&batch, &*random).to_string()).await {
            Ok(()) => {
                if std::mem::take(&mut is_failing) {
                    tracing::info!("the collector of traces takes spans again");
                }
            }
            Err(failure) => {
                lost.fetch_add(batch.len() as u64, Ordering::Relaxed);
                if !std::mem::replace(&mut is_failing, true) {
                    tracing::warn!(%failure, "the collector of [traces] takes no spans; they are lost, and nothing else is");
                }
                sleep(PAUSE).await;
            }
        }
    }
}

/// An `ExportTraceServiceRequest`.
fn request(batch: &[Span], random: &dyn Random) -> Value {
    let resource = [attribute("service.name", "throughline"), attribute("service.version", env!("CARGO_PKG_VERSION"))];
    let spans: Vec<_> = batch
        .iter()
        .map(|span| {
            let trace = match &span.flow {
                Some(flow) => hex(&flow.as_bytes()[..16]),
                None => hex(&random_bytes::<16>(random).unwrap_or_default()),
            };
            json!({
                "traceId": trace,
                "spanId": hex(&random_bytes::<8>(random).unwrap_or_default()),
                "name": span.work.as_str(),
                "kind": if span.work == Work::Commit { CLIENT } else { SERVER },
                "startTimeUnixNano": span.ended.saturating_sub(span.took).as_nanos().to_string(),
                "endTimeUnixNano": span.ended.as_nanos().to_string(),
                "attributes": attributes(span),
            })
        })
        .collect();
    let scope = json!({ "name": "throughline" });
    json!({ "resourceSpans": [{ "resource": { "attributes": resource }, "scopeSpans": [{ "scope": scope, "spans": spans }] }] })
}

fn attribute(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

/// The broker's spans say which site asked.
fn attributes(span: &Span) -> Vec<Value> {
    let mut attributes = vec![attribute("throughline.site", span.site.as_str()), attribute("throughline.code", span.code)];
    if matches!(span.work, Work::Hop | Work::Api) {
        attributes.push(attribute("throughline.asking", span.asking.as_ref().map_or(UNKNOWN_SITE, Origin::as_str)));
    }
    attributes
}

/// The kinds of spans.
const SERVER: u8 = 2;
const CLIENT: u8 = 3;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|octet| format!("{octet:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::SystemClock;
    use crate::http::event::Log;

    fn timing(site: &Origin) -> Timing<'_> {
        Timing { work: Work::Api, site, asking: Some(site), code: "answered", flow: None, took: Duration::from_millis(1) }
    }

    #[test]
    fn so_many_of_a_hundred_are_taken_and_the_queue_is_bounded() {
        let site = Origin::parse("https://shop.example").unwrap();
        for (percent, taken) in [(0, 0..=0), (1, 8..=12), (50, 490..=510), (100, 1000..=1000)] {
            let (traces, spans) = Traces::new(percent, Arc::new(SystemClock::new()), Arc::new(Log));
            (0..1000).for_each(|_| traces.timed(&timing(&site)));
            assert!(taken.contains(&spans.waiting.len()), "{percent}: {}", spans.waiting.len());
        }
        let (traces, spans) = Traces::new(100, Arc::new(SystemClock::new()), Arc::new(Log));
        (0..5000).for_each(|_| traces.timed(&timing(&site)));
        assert_eq!((spans.waiting.len(), traces.lost().load(Ordering::Relaxed)), (SPANS_MAX, 5000 - SPANS_MAX as u64));
    }

    #[test]
    fn the_flow_decides_whether_a_trace_is_taken() {
        let (traces, _spans) = Traces::new(50, Arc::new(SystemClock::new()), Arc::new(Log));
        let flow = |last: u8| {
            let mut bytes = [7; 32];
            bytes[24] = last;
            Flow::parse(&crate::base::encoding::base64url(&bytes)).unwrap()
        };
        for _ in 0..3 {
            assert_eq!([0, 0x70, 0x90, 0xff].map(|last| traces.takes(Some(&flow(last)))), [true, true, false, false]);
        }
    }
}
