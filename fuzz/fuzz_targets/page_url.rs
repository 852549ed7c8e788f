//! A text that wants to be a return URL (rules U1 to U3, R2).
#![no_main]

use libfuzzer_sys::fuzz_target;
use throughline::domain::contract::PAGE_URL_LENGTH_MAX;
use throughline::domain::url::{PageUrl, Parameter, parameter};
use throughline_fuzz::{assert_page_of, query, shop};

fuzz_target!(|text: &str| {
    let site = shop();
    let whole = PageUrl::parse(&site, text);
    let on = PageUrl::on(&site, text);
    if let Ok(url) = &whole {
        assert_eq!(url.as_str(), text, "the bytes it came with");
    }
    if let Ok(url) = &on {
        assert_eq!(url.path_and_query(), text, "the bytes it came with");
    }
    for url in [whole, on].into_iter().flatten() {
        assert_page_of(&site, url.as_str());
        assert!(url.as_str().len() <= PAGE_URL_LENGTH_MAX);
        let clean = url.clean();
        assert_eq!(parameter(query(clean.as_str())), Parameter::Absent);
        assert_eq!(clean.clean(), clean);
        let empty = url.with_empty_parameter().into_string();
        assert_page_of(&site, &empty);
        assert_eq!(parameter(query(&empty)), Parameter::Once(""));
        if empty.len() <= PAGE_URL_LENGTH_MAX {
            assert_eq!(PageUrl::parse(&site, &empty).unwrap().clean(), clean);
        }
    }
});
