//! Our parameter in any request's path and query (rules R2, R3, S11).
#![no_main]

use libfuzzer_sys::fuzz_target;
use throughline::domain::url::{Parameter, parameter, without_parameter};
use throughline_fuzz::query;

fuzz_target!(|text: &str| {
    let is_ours = |pair: &&str| pair.split('=').next() == Some("_tl");
    let pairs: Vec<_> = query(text).map(|query| query.split('&').collect()).unwrap_or_default();
    let ours: Vec<_> = pairs.iter().copied().filter(is_ours).collect();
    let expected = match ours[..] {
        [] => Parameter::Absent,
        [pair] => Parameter::Once(pair.split_once('=').map_or("", |(_, value)| value)),
        _ => Parameter::Repeated,
    };
    assert_eq!(parameter(query(text)), expected);
    let clean = without_parameter(text);
    let others: Vec<_> = pairs.iter().copied().filter(|pair| !is_ours(pair)).collect();
    if ours.is_empty() {
        assert_eq!(clean, text);
    } else {
        assert_eq!(clean.split('?').next(), text.split('?').next());
        assert_eq!(query(&clean).map(|query| query.split('&').collect::<Vec<_>>()).unwrap_or_default(), others);
    }
    assert_eq!(without_parameter(&clean), clean);
});
