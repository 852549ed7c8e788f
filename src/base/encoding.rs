//! base64url without padding (RFC 4648 section 5), one spelling for each value; and base64, where others want that.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

/// `bytes` as base64url without padding.
#[must_use]
pub fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// `bytes` as base64 with padding (RFC 4648 section 4).
#[must_use]
pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Appends `bytes` as base64url without padding.
pub fn push_base64url(text: &mut String, bytes: &[u8]) {
    URL_SAFE_NO_PAD.encode_string(bytes, text);
}

/// Exactly `N` bytes from base64url. `None` for another length, padding, white space, or a spelling whose unused last
/// bits are not zero: two texts never mean the same bytes.
#[must_use]
pub fn from_base64url<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    (URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) == Ok(N)).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_text_for_one_value() {
        assert_eq!(from_base64url::<4>(&base64url(&[1, 2, 3, 4])), Some([1, 2, 3, 4]));
        assert_eq!(from_base64url::<4>("AQIDBA"), Some([1, 2, 3, 4]));
        for other in ["AQIDBB", "AQIDBA==", "AQIDBA=", " AQIDBA", "AQIDBA\n", "AQIDBAA", "AQID", "", "AQID+A", "AQID/A"] {
            assert_eq!(from_base64url::<4>(other), None, "{other:?}");
        }
    }
}
