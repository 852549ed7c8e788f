//! Which endpoint a request is for: the one table of our paths and their methods.

use actix_web::http::Method;

use crate::domain::contract::{BODY_LENGTH_MAX, CHOICE_LENGTH_MAX, PREFIX, PROPERTY_CHANGE_LENGTH_MAX, path};
use crate::domain::site::{Role, Site};

/// An endpoint of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// Reads the request's head only.
    Get(GetEndpoint),
    /// Reads a small body too.
    Post(PostEndpoint),
    /// The server-to-server API: any method, a larger body.
    Api,
    /// A browser asks whether a page may ask.
    Preflight,
    /// Known, but not with this method; the methods that it has.
    WrongMethod(&'static str),
    /// Below our prefix, and nothing.
    Unknown,
}

impl Endpoint {
    /// Which endpoint of ours a request to `site` is for; `None` for a page. Only a broker's process answers the broker's.
    #[must_use]
    pub fn of(site: &Site, is_broker_here: bool, method: &Method, path: &str) -> Option<Self> {
        use GetEndpoint as G;
        use PostEndpoint as P;
        if !path.starts_with(PREFIX) && path != path::METADATA {
            return None;
        }
        let is_broker = site.role == Role::Primary && is_broker_here;
        let is_apart = site.satellite.is_some();
        let get = |endpoint| match *method {
            Method::GET | Method::HEAD => Endpoint::Get(endpoint),
            _ => Endpoint::WrongMethod("GET, HEAD"),
        };
        let post = |endpoint| if *method == Method::POST { Endpoint::Post(endpoint) } else { Endpoint::WrongMethod("POST") };
        Some(match path {
            path::ME | path::EXCHANGE | path::CONSENT | path::FORGET if is_apart && *method == Method::OPTIONS => {
                Endpoint::Preflight
            }
            path::START if is_apart => get(G::Start),
            path::HOP_SCRIPT if is_apart => get(G::HopScript),
            path::METADATA if is_broker => get(G::Metadata),
            path::HOP if is_broker => get(G::Hop),
            path::WHOAMI if is_broker => get(G::Whoami),
            api if is_broker && api.starts_with(path::API) => Endpoint::Api,
            path::JWKS => get(G::Jwks),
            path::ME => match *method {
                Method::POST => Endpoint::Post(P::Remember),
                Method::GET | Method::HEAD => Endpoint::Get(G::Me),
                _ => Endpoint::WrongMethod("GET, HEAD, POST"),
            },
            path::HEALTH => get(G::Health),
            path::GO => get(G::Go),
            path::SDK => get(G::Sdk),
            path::EXCHANGE if site.role == Role::Secondary => match *method {
                Method::GET => Endpoint::Get(G::BeginExchange),
                Method::POST => Endpoint::Post(P::Exchange),
                _ => Endpoint::WrongMethod("GET, POST"),
            },
            path::CONSENT => post(P::Consent),
            path::FORGET => post(P::Forget),
            // On a secondary, another application's well-known file may live there.
            path::METADATA => return None,
            _ => Endpoint::Unknown,
        })
    }
}

/// An endpoint that answers a `GET`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is named after its path in domain::contract")]
pub enum GetEndpoint {
    Metadata,
    Hop,
    Whoami,
    Jwks,
    Me,
    Health,
    Go,
    Sdk,
    HopScript,
    Start,
    BeginExchange,
}

/// An endpoint that answers a `POST`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is named after its path in domain::contract")]
pub enum PostEndpoint {
    Exchange,
    Consent,
    Forget,
    Remember,
}

impl PostEndpoint {
    /// The longest body that it reads, in octets.
    #[must_use]
    pub const fn body_length_max(self) -> usize {
        match self {
            Self::Remember => PROPERTY_CHANGE_LENGTH_MAX,
            Self::Consent | Self::Forget => CHOICE_LENGTH_MAX,
            Self::Exchange => BODY_LENGTH_MAX,
        }
    }

    /// Whether it answers by itself where the body is too long or was cut off: a no still counts (rule C1).
    #[must_use]
    pub const fn takes_any_body(self) -> bool {
        matches!(self, Self::Consent | Self::Forget)
    }
}
