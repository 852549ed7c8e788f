//! A node as proxies ask it: about the visitor's request, in the proxy's own words (rules F1, F3). The decision is the same
//! as the middleware's.

use std::net::IpAddr;
use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::dev::RequestHead;

use crate::config::UnknownHost;
use crate::http::answer::Refusal;
use crate::http::event::{Event, Step};
use crate::http::forwarded::{Dialect, Unclear, asked_host, restore};
use crate::http::{ServedSite, host};
use crate::satellite::forward::{answer, unclear};
use crate::satellite::landing::Waiting;
use crate::satellite::page::Decided;

use super::node::Node;

/// RFC 9110 section 15.5.20.
const MISDIRECTED: Refusal =
    Refusal { status: 421, code: "unknown_host", advice: "This host is none of the sites that are served here." };

/// RFC 9112 section 3.2.
const BAD_HOST: Refusal =
    Refusal { status: 400, code: "bad_host", advice: "Send exactly one Host header, with the host that the URL names." };

/// Who asks as proxies do, and is none of ours: either somebody who tries things out, or `trusted_proxies` lacks a proxy.
const WRONG_PEER: &str = "wrong_peer";

/// What a proxy that asked is told.
pub enum Told {
    /// This.
    Now(HttpResponse),
    /// It waits for what became of a token on another machine.
    AfterClaim(Arc<ServedSite>, Box<Waiting>),
}

impl Node {
    /// The dialect in which a proxy asks; `None` for everything else. Of a peer that is none of our proxies too, which is
    /// then answered as if there were nothing (rule F1).
    #[must_use]
    pub fn asked_by_proxy(&self, head: &RequestHead, peer: Option<IpAddr>) -> Option<Dialect> {
        let dialect = Dialect::of(head.uri.path())?;
        if self.env.proxies.contains(peer) {
            return Some(dialect);
        }
        self.tell(self.site(head).as_ref(), WRONG_PEER);
        None
    }

    /// Decides on the request that a proxy asks about. Afterwards `head` is that request's.
    #[must_use]
    pub fn forwarded(&self, dialect: Dialect, head: &mut RequestHead, peer: Option<IpAddr>) -> Told {
        let host = asked_host(dialect, head);
        let roles = self.roles();
        let site = host.as_ref().ok().and_then(Option::as_ref).and_then(|host| roles.named(host));
        let fault = |fault: Unclear| {
            self.tell(site, fault.code());
            Told::Now(unclear(dialect))
        };
        if let Err(twice) = host {
            return fault(twice);
        }
        let Some(served) = site else {
            self.tell(None, MISDIRECTED.code);
            return Told::Now(self.unknown_host(head).unwrap_or_else(|| unclear(dialect)));
        };
        if served.site.satellite.is_some() {
            // Its pages are elsewhere, and a hop would end there.
            return Told::Now(unclear(dialect));
        }
        if let Err(why) = restore(dialect, head) {
            return fault(why);
        }
        match self.page(served, head, peer) {
            Decided::Now(page) => Told::Now(answer(dialect, page)),
            Decided::AfterClaim(waiting) => Told::AfterClaim(Arc::clone(served), waiting),
        }
    }

    /// What is told once it is known what became of the token.
    pub async fn forwarded_after_claim(&self, dialect: Dialect, served: &ServedSite, waiting: Waiting) -> HttpResponse {
        answer(dialect, self.after_claim(served, waiting).await)
    }

    /// The answer to a request for a host that is none of the sites, unless it is to pass: 400 where it names no host or two.
    #[must_use]
    pub fn unknown_host(&self, head: &RequestHead) -> Option<HttpResponse> {
        match self.unknown_host {
            UnknownHost::Pass => None,
            UnknownHost::Refuse if host::asked(head).is_none() => Some(BAD_HOST.page()),
            UnknownHost::Refuse => Some(MISDIRECTED.page()),
        }
    }

    /// What concerns no site of ours is told of the primary, so that it is counted somewhere.
    fn tell(&self, served: Option<&Arc<ServedSite>>, code: &'static str) {
        let site = served.map_or(&self.satellite.primary, |served| &served.site.origin);
        self.env.observer.saw(&Event { site, asking: None, step: Step::Forward, code, flow: None });
    }
}
