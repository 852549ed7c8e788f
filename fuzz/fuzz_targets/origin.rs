//! What an operator writes as an origin (rule U4).
#![no_main]

use libfuzzer_sys::fuzz_target;
use throughline::base::origin::Origin;
use url::Url;

fuzz_target!(|text: &str| {
    let Ok(origin) = Origin::parse(text) else { return };
    assert_eq!(origin.as_str(), text);
    assert_eq!(Url::parse(text).unwrap().origin().ascii_serialization(), text);
    assert!(origin.is_https() || origin.is_loopback(), "{text}");
    let port = if text.ends_with(&format!(":{}", origin.port())) { format!(":{}", origin.port()) } else { String::new() };
    let scheme = if origin.is_https() { "https" } else { "http" };
    assert_eq!(format!("{scheme}://{}{port}", origin.host()), text);
    assert_eq!(format!("{}{port}", origin.host()), origin.authority());
    // It goes as it is into JSON, policies, headers and pages.
    assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:/[]".contains(&byte)), "{text}");
    assert!(!origin.host().ends_with('.') && text == text.to_ascii_lowercase());
});
