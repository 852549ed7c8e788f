//! The bodies of requests to our endpoints: small, and read within a bounded time.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use actix_web::body::{BodyStream, MessageBody as _};
use actix_web::dev::{Payload, RequestHead};
use actix_web::http::header::{self, HeaderMap};
use actix_web::rt::time::timeout;
use actix_web::{Error, FromRequest as _, HttpRequest, HttpResponse, web};

use crate::domain::contract;
use crate::http::answer::Refusal;
use crate::http::body::Body;
use crate::http::forwarded::Dialect;

use super::connection::{Connection, ReadsBody};
use super::endpoint::{Endpoint, PostEndpoint};
use super::node::Node;

/// The answer to a request for one of our endpoints whose body is certainly too large. For a client that waits for
/// `100 Continue`, which then does not send the body.
#[must_use]
pub fn refuse_body(node: &Node, head: &RequestHead) -> Option<HttpResponse> {
    let declared = declared_length(&head.headers).filter(|declared| *declared > contract::BODY_LENGTH_MAX as u64)?;
    if Dialect::of(head.uri.path()).is_some() {
        // A proxy may ask with the length of the visitor's own body.
        return None;
    }
    let served = node.site(head)?;
    let (length_max, too_large) = match node.endpoint(&served.site, &head.method, head.uri.path())? {
        // It needs no body: the visitor is forgotten, whatever is to come.
        Endpoint::Post(PostEndpoint::Forget) => return None,
        Endpoint::Post(endpoint) => (endpoint.body_length_max(), &TOO_LARGE),
        Endpoint::Api => (contract::API_BODY_LENGTH_MAX, &TOO_LARGE_FOR_API),
        _ => (contract::BODY_LENGTH_MAX, &TOO_LARGE),
    };
    (declared > length_max as u64).then(|| too_large.json())
}

fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

pub(super) async fn body(
    request: &HttpRequest,
    payload: &mut Payload,
    length_max: usize,
    too_large: &'static Refusal,
) -> Result<Result<web::Bytes, &'static Refusal>, Error> {
    // The rest of the connection is of no use then: the server closes it, and does not read the body.
    if declared_length(request.headers()).is_some_and(|declared| declared > length_max as u64) {
        return Ok(Err(too_large));
    }
    let _reads = request.conn_data::<Arc<Connection>>().map(ReadsBody::of);
    let payload = web::Payload::from_request(request, payload).await?;
    Ok(match timeout(BODY_TIME_MAX, payload.to_bytes_limited(length_max)).await {
        Ok(Ok(Ok(body))) => Ok(body),
        Ok(Err(_)) => Err(too_large),
        Ok(Ok(Err(_))) | Err(_) => Err(&CUT_OFF),
    })
}

/// Reads what arrives of a small body, up to the endpoint's limit.
pub(super) async fn small_body(request: &HttpRequest, payload: &mut Payload, endpoint: PostEndpoint) -> Result<Body, Error> {
    let length_max = endpoint.body_length_max();
    let declared = declared_length(request.headers()).unwrap_or(0);
    // The beginning of a choice may say no (rule C1), unless the length is absurd. Of the others nothing is needed.
    let read_up_to = if endpoint == PostEndpoint::Consent { contract::API_BODY_LENGTH_MAX } else { length_max };
    if declared > read_up_to as u64 {
        return Ok(Body { bytes: web::Bytes::new(), fault: Some(&TOO_LARGE) });
    }
    let _reads = request.conn_data::<Arc<Connection>>().map(ReadsBody::of);
    let payload = web::Payload::from_request(request, payload).await?;
    let mut payload = pin!(BodyStream::new(payload));
    let mut bytes = web::BytesMut::new();
    let reading = async {
        while let Some(chunk) = poll_fn(|context| payload.as_mut().poll_next(context)).await {
            let Ok(chunk) = chunk else { return Some(&CUT_OFF) };
            let room = length_max - bytes.len();
            bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if chunk.len() > room {
                return Some(&TOO_LARGE);
            }
        }
        None
    };
    let fault = timeout(BODY_TIME_MAX, reading).await.unwrap_or(Some(&CUT_OFF));
    Ok(Body { bytes: bytes.freeze(), fault })
}

/// How long a client may take over a small body.
const BODY_TIME_MAX: Duration = Duration::from_secs(10);

const TOO_LARGE: Refusal = Refusal {
    status: 413,
    code: "too_large",
    advice: "Send at most 4,096 octets; properties, at most 32,768; a choice, at most 65,536.",
};

pub(super) const TOO_LARGE_FOR_API: Refusal =
    Refusal { status: 413, code: "too_large", advice: "Send at most 1,048,576 octets." };

const CUT_OFF: Refusal = Refusal { status: 400, code: "cut_off", advice: "The body did not arrive whole; send it again." };
