//! Bodies that are large, in chunks, slow, or cut off.

use std::io::Write as _;
use std::net::Shutdown;

use serde_json::json;

use crate::described::assert_described;
use crate::steps::{ask, company, known_on};
use crate::support::wire::{self, Answer};

#[test]
fn a5_a_body_is_read_up_to_its_limit_and_for_its_time() {
    let company = company();
    let (_, visitor) = known_on(&company.shop);
    let path = format!("visitors/{visitor}/properties");
    let port = company.broker_port();
    let key = company.folder.secret("shop").api_key().as_str().to_owned();
    let head = |length: &str| {
        format!(
            "PATCH /_throughline/api/{path} HTTP/1.1\r\nHost: brand.localhost:{port}\r\nAuthorization: Bearer {key}\r\n{length}\r\n\r\n"
        )
    };
    let most = 1024 * 1024;
    let padded = |length: usize| {
        let change = r#"{"set":{"padded":1}}"#;
        format!("{change}{}", " ".repeat(length - change.len()))
    };
    assert_eq!(ask(&company, "shop", "PATCH", &path, &[], &padded(most)).status, 200);
    let large = ask(&company, "shop", "PATCH", &path, &[], &padded(most + 1));
    assert_eq!((large.status, &large.json()["error"]), (413, &json!("too_large")));

    // In chunks, without a length that could be looked at first.
    let chunked = |body: &str| {
        let mut request = head("Transfer-Encoding: chunked").into_bytes();
        for piece in body.as_bytes().chunks(30_000) {
            request.extend(format!("{:x}\r\n", piece.len()).into_bytes());
            request.extend(piece);
            request.extend(b"\r\n");
        }
        request.extend(b"0\r\n\r\n");
        let answer = wire::send(port, &request).unwrap();
        assert_described("PATCH", &path, &answer);
        answer
    };
    assert_eq!(chunked(r#"{"set":{"chunked":1}}"#).status, 200);
    assert_eq!(chunked(&padded(most + 1)).status, 413);

    // One that stops half way has 10 s; others are served meanwhile.
    let mut slow = wire::connect(port).unwrap();
    slow.write_all(format!("{}{{\"set\"", head("Content-Length: 21")).as_bytes()).unwrap();
    let mut cut = wire::connect(port).unwrap();
    cut.write_all(format!("{}{{\"set\"", head("Content-Length: 21")).as_bytes()).unwrap();
    cut.shutdown(Shutdown::Write).unwrap();
    // To who has gone half away it may answer or not.
    let answer = wire::receive(&mut cut, false).unwrap_or(Answer { status: 400, ..Answer::default() });
    assert_eq!(answer.status, 400);
    assert_eq!(ask(&company, "shop", "PATCH", &path, &[], r#"{"set":{"other":1}}"#).status, 200);
    let answer = wire::receive(&mut slow, false).unwrap();
    assert_eq!((answer.status, &answer.json()["error"]), (400, &json!("cut_off")));
    assert_described("PATCH", &path, &answer);

    let record = company.record("shop", &visitor).unwrap();
    assert_eq!(record["properties"], json!({"padded": 1, "chunked": 1, "other": 1}));
}
