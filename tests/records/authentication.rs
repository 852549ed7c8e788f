//! Who may ask the API (RFC 6750), and that a key is seen nowhere else (R8).

use crate::described::assert_described;
use crate::steps::{company, known_on};

#[test]
fn r8_the_api_answers_who_has_a_sites_key_and_nobody_else() {
    let mut company = company();
    let (_, visitor) = known_on(&company.shop);
    let path = format!("visitors/{visitor}");
    let key = company.folder.secret("shop").api_key().as_str().to_owned();
    let asked = |headers: &[(&str, &str)]| {
        let answer = company.api_without_key("GET", &path, headers, "");
        assert_described("GET", &path, &answer);
        assert!(!answer.text().contains(&key), "{answer:?}");
        assert!(answer.status == 200 || !answer.text().contains(&visitor), "{answer:?}");
        answer
    };
    for good in [format!("Bearer {key}"), format!("bearer {key}"), format!("BEARER   {key}  ")] {
        assert_eq!(asked(&[("Authorization", &good)]).status, 200, "{good}");
    }
    let mut one_bit_off = key.clone().into_bytes();
    one_bit_off[20] ^= 1;
    let one_bit_off = String::from_utf8(one_bit_off).unwrap();
    let secret = company.folder.secret("shop").to_text().to_string();
    let good = format!("Bearer {key}");
    let challenge = "Bearer realm=\"throughline\"";
    let invalid = "Bearer realm=\"throughline\", error=\"invalid_token\"";
    let wrong: [(&[(&str, &str)], &str); 13] = [
        (&[], challenge),
        (&[("Authorization", "")], challenge),
        (&[("Authorization", &key)], challenge),
        (&[("Authorization", &format!("Basic {key}"))], challenge),
        (&[("Authorization", &format!("Bearer{key}"))], challenge),
        (&[("Authorization", "Bearer ")], challenge),
        (&[("Authorization", &format!("Bearer {one_bit_off}"))], invalid),
        (&[("Authorization", &format!("Bearer {key}A"))], invalid),
        (&[("Authorization", &format!("Bearer {}", &key[..42]))], invalid),
        (&[("Authorization", &format!("Bearer {key}, Bearer {key}"))], invalid),
        (&[("Authorization", &format!("Bearer {secret}"))], invalid),
        (&[("Authorization", &good), ("Authorization", &good)], invalid),
        (&[("Authorization", &good), ("authorization", "Bearer x")], invalid),
    ];
    for (headers, challenge) in wrong {
        let answer = asked(headers);
        assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some(challenge)), "{headers:?}");
        assert_eq!(answer.json()["error"], "no_api_key");
    }
    // Neither in the query nor in the body (RFC 6750 sections 2.2 and 2.3 are not taken).
    let answer = company.api_without_key("GET", &format!("{path}?access_token={key}"), &[], "");
    assert_eq!(answer.status, 401);
    // No page's script gets this far: nothing allows CORS.
    let answer = company.api("shop", "GET", &path, &[("Origin", &company.shop)], "");
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, None));
    // Without a key, nothing tells what is there.
    for (method, path) in [("GET", "visitors/x"), ("POST", "reports"), ("GET", "nothing"), ("DELETE", "revocations")] {
        assert_eq!(company.api_without_key(method, path, &[], "").status, 401, "{path}");
    }
    assert_eq!(company.api_without_key("GET", "openapi.json", &[], "").status, 200);
    // The API is the broker's.
    let elsewhere = known_on(&company.shop).0.fetch(&format!("{}/_throughline/api/revocations", company.shop));
    assert_eq!(elsewhere.status, 404);

    let said = company.stderr();
    company.processes.iter_mut().for_each(crate::support::process::Process::kill);
    for secret in [&key, &one_bit_off, &secret, &visitor] {
        assert!(!said.contains(secret.as_str()), "{said}");
    }
}

#[test]
fn k5_each_site_has_a_key_of_its_own_and_acts_for_itself() {
    let company = company();
    let (mut browser, visitor) = known_on(&company.shop);
    let path = format!("visitors/{visitor}");
    assert_eq!(company.api("learn", "GET", &path, &[], "").status, 404);
    assert_eq!(company.api("brand", "GET", &path, &[], "").status, 404, "the primary itself has not seen it");
    browser.navigate(&format!("{}/p.html", company.learn));
    assert_eq!(company.api("learn", "GET", &path, &[], "").status, 200);
}
