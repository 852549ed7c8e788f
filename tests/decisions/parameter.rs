//! Our parameter: found, put in and taken out, and no other byte moved (rules R2, L6).

use proptest::prelude::*;
use throughline::domain::parameter::{Parameter, parameter, without_parameter};

/// Whether a pair is ours, in other words than the code's: the name before the first `=` is `_tl`.
fn is_ours(pair: &str) -> bool {
    pair.split('=').next() == Some("_tl")
}

fn pairs() -> impl Strategy<Value = Vec<String>> {
    let known = [
        "_tl", "_tl=", "_tl=a", "_tl=a=b", "_tlx=1", "x_tl=1", "x=_tl", "%5Ftl=1", "_TL=1", "", "=", "x", "x=1", "?", "a?_tl=1",
        "_tl?=1",
    ];
    let pair =
        prop_oneof![4 => proptest::sample::select(known.to_vec()).prop_map(String::from), 1 => "[!-%'-~]{0,8}", 1 => "[^&]{0,8}"];
    prop::collection::vec(pair, 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn r2_removal_keeps_every_other_pair_in_order(path in "/[!-\"$->@-~]{0,12}", pairs in pairs()) {
        let page = format!("{path}?{}", pairs.join("&"));
        let others: Vec<_> = pairs.iter().filter(|pair| !is_ours(pair)).map(String::as_str).collect();
        let clean = without_parameter(&page);
        let expected = match (others.len() == pairs.len(), others.is_empty()) {
            (true, _) => page.clone(),
            (_, true) => path,
            _ => format!("{path}?{}", others.join("&")),
        };
        prop_assert_eq!(&clean, &expected);
        prop_assert_eq!(without_parameter(&clean), clean.as_ref(), "a second removal must change nothing");
        let query = clean.split_once('?').map(|(_, query)| query);
        prop_assert_eq!(parameter(query), Parameter::Absent);
    }

    #[test]
    fn r3_what_is_found_is_what_is_there(pairs in pairs()) {
        let query = pairs.join("&");
        let ours: Vec<_> = pairs.iter().filter(|pair| is_ours(pair)).collect();
        let expected = match ours[..] {
            [] => Parameter::Absent,
            [pair] => Parameter::Once(pair.split_once('=').map_or("", |(_, value)| value)),
            _ => Parameter::Repeated,
        };
        prop_assert_eq!(parameter(Some(&query)), expected);
    }

    #[test]
    fn any_text_at_all_is_read_and_cleaned_without_panic(text in any::<String>()) {
        let clean = without_parameter(&text);
        prop_assert_eq!(without_parameter(&clean), clean.as_ref());
        prop_assert_eq!(parameter(clean.split_once('?').map(|(_, query)| query)), Parameter::Absent);
    }
}

#[test]
fn without_a_query_there_is_nothing_of_ours() {
    assert_eq!(parameter(None), Parameter::Absent);
    assert_eq!(without_parameter("/_tl=x"), "/_tl=x");
}
