//! What a proxy tells of a visitor's request (rules F1, F3): its path in the first line, its headers in the others. It is read
//! without a panic; what is taken is one path of one host, and of two headers neither counts.
#![no_main]

use actix_web::dev::RequestHead;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use throughline::http::forwarded::{Dialect, asked_host, restore};

const READ: [&str; 3] = ["x-forwarded-host", "x-forwarded-method", "x-forwarded-uri"];

fuzz_target!(|data: &[u8]| {
    let mut lines = data.split(|byte| *byte == b'\n').take(64);
    let mut head = RequestHead::default();
    let Some(Ok(uri)) = lines.next().map(TryFrom::try_from) else { return };
    head.uri = uri;
    for line in lines {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            head.headers.append(name, value);
        }
    }
    let Some(dialect) = Dialect::of(head.uri.path()) else { return };
    let is_twice = READ.iter().any(|name| head.headers.get_all(*name).count() > 1);
    if asked_host(dialect, &head).and_then(|_| restore(dialect, &mut head)).is_ok() {
        assert!(dialect == Dialect::Envoy || !is_twice, "one of two was believed");
        assert!(head.headers.get_all(header::HOST).count() <= 1);
        assert!(head.uri.path().starts_with('/') && head.uri.authority().is_none() && head.uri.scheme().is_none());
    }
});
