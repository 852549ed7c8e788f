//! A request's body, as far as it arrived.

use actix_web::http::header::{self, HeaderMap};
use actix_web::web::Bytes;

use super::answer::Refusal;
use crate::domain::choice_body::BodyKind;

/// A body.
#[derive(Debug, Clone, Default)]
pub struct Body {
    /// What arrived of it, up to the limit.
    pub bytes: Bytes,
    /// Why that is not the whole.
    pub fault: Option<&'static Refusal>,
}

/// Which kind of body the headers state.
#[must_use]
pub fn body_kind(headers: &HeaderMap) -> BodyKind {
    let mut types = headers.get_all(header::CONTENT_TYPE);
    match (types.next(), types.next()) {
        (Some(stated), None) => {
            let media_type = stated.as_bytes().split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
            let is_form = media_type.eq_ignore_ascii_case(b"application/x-www-form-urlencoded");
            if is_form { BodyKind::Form } else { BodyKind::Json }
        }
        (None, _) => BodyKind::Json,
        (Some(_), Some(_)) => BodyKind::Contradictory,
    }
}
