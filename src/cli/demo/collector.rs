//! The collector: what an analytics vendor's server would be, on each of the company's hosts. The pages show what it received.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};

use crate::base::clock::UnixSeconds;

use super::pages::Stage;
use super::wire::{LENGTH_MAX, Library, Sent};

/// Where the libraries send to; behind it come how they run, a library, and the library's own path.
pub(super) const COLLECT: &str = "/demo/collect";
/// Where the pages ask for what came.
pub(super) const RECEIVED: &str = "/demo/received";

const KEPT: usize = 200;
const BODY_TIME_MAX: Duration = Duration::from_secs(10);

/// How the libraries of a page run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Run {
    /// With Throughline.
    With,
    /// Alone, as a control.
    Without,
}

impl Run {
    /// Its word in paths.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::With => "with",
            Self::Without => "without",
        }
    }
}

/// A row of the table.
#[derive(Debug, Clone, Serialize)]
struct Row {
    number: u64,
    at: u64,
    /// The site's name: which host received it, whatever the event says.
    site: String,
    library: &'static str,
    run: Run,
    event: String,
    id: Option<String>,
    referrer: Option<String>,
    plan: Option<String>,
}

/// The last events, of all sites that this process serves.
#[derive(Default)]
pub(super) struct Collector(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    total: u64,
    rows: VecDeque<Row>,
}

/// The answer to a page that asks: newest first.
#[derive(Serialize)]
struct Received {
    total: u64,
    rows: Vec<Row>,
}

impl Collector {
    fn put(&self, site: &str, library: &Library, run: Run, at: UnixSeconds, sent: Sent) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.total += 1;
        if kept.rows.len() >= KEPT {
            kept.rows.pop_back();
        }
        let Sent { event, id, referrer, plan } = sent;
        let (number, site) = (kept.total, site.to_owned());
        kept.rows.push_front(Row { number, at: at.0, site, library: library.title, run, event, id, referrer, plan });
    }

    fn after(&self, number: u64) -> Received {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let newer = kept.rows.iter().take_while(|row| row.number > number);
        Received { total: kept.total, rows: newer.cloned().collect() }
    }
}

/// Takes what a library of one of the company's pages sends.
pub(super) async fn collect(
    request: HttpRequest,
    way: web::Path<(Run, String, String)>,
    payload: web::Payload,
    stage: web::Data<Stage>,
) -> HttpResponse {
    let Some(site) = stage.site_name(&request) else { return HttpResponse::MisdirectedRequest().finish() };
    let (run, library, _) = &*way;
    let Some(library) = Library::named(library) else { return HttpResponse::NotFound().finish() };
    // Any page on the web can have a browser send something here.
    if request.headers().get("sec-fetch-site").is_some_and(|from| from != "same-origin") {
        return HttpResponse::Forbidden().finish();
    }
    let reading = actix_web::rt::time::timeout(BODY_TIME_MAX, payload.to_bytes_limited(LENGTH_MAX));
    let body = match reading.await {
        Ok(Ok(Ok(body))) => body,
        Ok(Err(_)) => return HttpResponse::PayloadTooLarge().finish(),
        Ok(Ok(Err(_))) | Err(_) => return HttpResponse::BadRequest().finish(),
    };
    let now = stage.node.env.clock.now();
    for sent in library.events(request.query_string(), &body) {
        stage.collector.put(&site, library, *run, now, sent);
    }
    // Mixpanel wants a status; the others want JSON or nothing.
    answer("application/json").body(r#"{"status":1}"#)
}

/// After which row a page asks.
#[derive(Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    after: u64,
}

/// Tells a page what came.
pub(super) async fn received(request: HttpRequest, asked: web::Query<Asked>, stage: web::Data<Stage>) -> HttpResponse {
    if stage.site_name(&request).is_none() {
        return HttpResponse::MisdirectedRequest().finish();
    }
    answer("application/json").json(stage.collector.after(asked.after))
}

/// An answer that no cache keeps.
pub(super) fn answer(content_type: &'static str) -> actix_web::HttpResponseBuilder {
    let mut answer = HttpResponse::Ok();
    answer
        .insert_header((header::CONTENT_TYPE, content_type))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(event: &str) -> Sent {
        Sent { event: event.into(), id: None, referrer: None, plan: None }
    }

    #[test]
    fn a5_the_last_200_events_are_kept_newest_first() {
        let (collector, library) = (Collector::default(), Library::named("segment").unwrap());
        for number in 1..=1000 {
            collector.put("shop", library, Run::With, UnixSeconds(1), sent(&number.to_string()));
        }
        let Received { total, rows } = collector.after(0);
        assert_eq!((total, rows.len()), (1000, KEPT));
        assert_eq!((rows[0].event.as_str(), rows[KEPT - 1].event.as_str()), ("1000", "801"));
        assert_eq!(collector.after(998).rows.len(), 2);
        assert!(collector.after(u64::MAX).rows.is_empty());
    }
}
