//! Rules T3 to T5, the claims: from the right issuer, for this site, in time, and exactly the members that we write.

use throughline::token::claims::{CLOCK_SKEW, TOKEN_LIFE_MAX, TokenKind};

use crate::cases;
use crate::forge::{Forge, GoodClaims, NOW, code, encode, good_header, verdict, verdict_at};

fn bounce(claims: &str) -> String {
    Forge::default().token(&good_header(TokenKind::Bounce), claims)
}

#[test]
fn t3_t4_a_claim_that_is_missing_or_another_is_refused() {
    for case in cases::read(include_str!("data/claims.txt")) {
        let (member, value) = case.attack.split_once(' ').expect("a member and a value");
        let good = GoodClaims::bounce(NOW);
        let claims = match (value.trim(), good.has(member)) {
            ("-", true) => good.without(member),
            (value, true) => good.with(member, value),
            (value, false) => good.and(member, value),
        };
        assert_eq!(code(verdict(&bounce(&claims.json()))), case.code, "{}", claims.json());
    }
}

/// A link token has no flow at all: `null` is a value, and two readers may differ over it.
#[test]
fn t10_a_link_token_has_no_flow_not_even_null() {
    let link = |claims: &GoodClaims| code(verdict(&Forge::default().token(&good_header(TokenKind::Link), &claims.json())));
    assert_eq!(link(&GoodClaims::link()), "accepted");
    for flow in ["null", "\"\"", "0", "[]", "{}", "false"] {
        assert_eq!(link(&GoodClaims::link().and("flow", flow)), "token_bad_claims", "{flow}");
    }
    assert_eq!(code(verdict(&bounce(&GoodClaims::bounce(NOW).with("flow", "null").json()))), "token_bad_claims");
}

/// Times as offsets from the moment of verification, so that each line shows one limit from both sides.
#[test]
fn t4_the_limits_of_a_tokens_times() {
    let now = NOW.cast_signed();
    for (issued, expires, expected) in [
        // The longest life, the shortest, and none.
        (0, 60, "accepted"),
        (0, 61, "token_bad_times"),
        (0, 3600, "token_bad_times"),
        (0, 1, "accepted"),
        (0, 0, "token_bad_times"),
        (0, -1, "token_bad_times"),
        (1, 0, "token_bad_times"),
        // Issued "in the future" by a clock that goes ahead.
        (5, 65, "accepted"),
        (6, 66, "token_bad_times"),
        (6, 7, "token_bad_times"),
        (60, 120, "token_bad_times"),
        (i64::from(u32::MAX), i64::from(u32::MAX) + 60, "token_bad_times"),
        // Over, and just not.
        (-60, 0, "accepted"),
        (-64, -4, "accepted"),
        (-65, -5, "token_expired"),
        (-64, -5, "token_expired"),
        (-3600, -3540, "token_expired"),
        (-now, 60 - now, "token_expired"),
        // An old token that says it lives long enough to be alive.
        (-61, 1, "token_bad_times"),
        (-now, 1, "token_bad_times"),
    ] {
        let claims = GoodClaims::bounce(NOW).times((now + issued).cast_unsigned(), (now + expires).cast_unsigned());
        assert_eq!(code(verdict(&bounce(&claims.json()))), expected, "iat {issued:+}, exp {expires:+}");
    }
}

/// One token through its whole life: refused before its time, believed for as long as the constants say, and never again.
#[test]
fn t4_a_token_lives_once() {
    let (skew, life) = (CLOCK_SKEW.as_secs(), TOKEN_LIFE_MAX.as_secs());
    let token = bounce(&GoodClaims::bounce(NOW).json());
    for now in NOW - 200..NOW + 200 {
        let expected = match now {
            early if early + skew < NOW => "token_bad_times",
            late if late >= NOW + life + skew => "token_expired",
            _ => "accepted",
        };
        assert_eq!(code(verdict_at(&token, now)), expected, "at {now}");
    }
    // Rule A6: a clock at either end of time believes nothing and breaks nothing.
    assert_eq!(code(verdict_at(&token, 0)), "token_bad_times");
    assert_eq!(code(verdict_at(&token, u64::MAX)), "token_expired");
}

/// Times at the end of what a number holds: no sum may wrap round to a time that is good.
#[test]
fn t4_a6_times_at_the_end_of_time_do_not_wrap() {
    let end = u64::MAX;
    for (issued, expires, now) in
        [(end, end, NOW), (end - 1, end, NOW), (0, end, end), (end - 60, end, 0), (end, 0, end), (end, 59, end)]
    {
        let token = bounce(&GoodClaims::bounce(NOW).times(issued, expires).json());
        assert_eq!(code(verdict_at(&token, now)), "token_bad_times", "iat {issued}, exp {expires} at {now}");
    }
}

#[test]
fn t5_claims_with_two_readings_are_refused() {
    let good = GoodClaims::bounce(NOW).json();
    let members = good.trim_start_matches('{').trim_end_matches('}');
    assert_eq!(code(verdict(&bounce("{$CLAIMS}".replace("$CLAIMS", members).as_str()))), "accepted");
    for case in cases::read(include_str!("data/t5_claims.txt")) {
        let claims = case.attack.replace("$CLAIMS", members);
        assert_eq!(code(verdict(&bounce(&claims))), case.code, "{claims}");
    }
}

/// Depth costs a recursive reader its stack. The text limit allows some 1,100 levels.
#[test]
fn t5_deep_nesting_is_refused() {
    for depth in [2, 127, 128, 129, 1000] {
        let nested = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        for (open, member) in [("[", "aud"), ("[", "more"), (r#"{"a":"#, "more")] {
            let nested = if open == "[" { nested.clone() } else { format!("{}0{}", open.repeat(depth), "}".repeat(depth)) };
            let good = GoodClaims::bounce(NOW);
            let claims = if good.has(member) { good.with(member, &nested) } else { good.and(member, &nested) };
            assert!(verdict(&bounce(&claims.json())).is_err(), "{depth} levels in {member}");
        }
        let header = format!(r#"{{"typ":{nested},"alg":"EdDSA"}}"#);
        assert!(verdict(&Forge::default().token(&header, &GoodClaims::bounce(NOW).json())).is_err());
    }
}

/// JSON is UTF-8 (RFC 8259 section 8.1), and what is not is no JSON, signed or not.
#[test]
fn t5_claims_that_are_not_utf_8_are_refused() {
    let good = GoodClaims::bounce(NOW).json().into_bytes();
    let header = encode(good_header(TokenKind::Bounce));
    let utf_16: Vec<u8> = good.iter().flat_map(|&byte| [byte, 0]).collect();
    let with_bom = [b"\xef\xbb\xbf", good.as_slice()].concat();
    let with_nul = [good.as_slice(), b"\0"].concat();
    let broken: Vec<u8> = good.iter().map(|&byte| if byte == b'd' { 0xff } else { byte }).collect();
    for claims in [utf_16, with_bom, with_nul, broken] {
        assert_eq!(code(verdict(&Forge::default().sign_parts(&header, &encode(&claims)))), "token_bad_claims");
    }
}
