//! A request's URL and `Referer`, one a line, of a first visit: what is kept of them names no own host as the outside, and
//! has no query, fragment or user.
#![no_main]

use libfuzzer_sys::fuzz_target;
use throughline::domain::contract::{CAMPAIGN_VALUE_LENGTH_MAX, LANDING_PATH_LENGTH_MAX, REFERRER_LENGTH_MAX};
use throughline::domain::first_touch::{CAMPAIGN_PARAMETERS, FirstTouch};
use throughline::domain::own_hosts::OwnHosts;
use throughline::domain::url::PageUrl;
use throughline_fuzz::{NOW, assert_page_of, brand, shop};
use url::{Host, Url};

fuzz_target!(|text: &str| {
    let (page, referrer) = text.split_once('\n').map_or((text, None), |(page, referrer)| (page, Some(referrer)));
    let own = OwnHosts::new([brand(), shop()].iter());
    let page = PageUrl::on(&shop(), page).unwrap_or_else(|_| PageUrl::front(&shop()));
    let touch = FirstTouch::of(&page, referrer, &own, NOW);

    assert_page_of(&shop(), &touch.landing);
    assert!(!touch.landing.contains(['?', '@']) && !touch.landing.contains("%40"), "{}", touch.landing);
    assert!(touch.landing.len() <= shop().as_str().len() + LANDING_PATH_LENGTH_MAX);
    if let Some(kept) = &touch.referrer {
        let url = Url::parse(kept).unwrap();
        assert_eq!(url.as_str(), kept, "a browser would read it otherwise");
        assert!(kept.len() <= REFERRER_LENGTH_MAX && kept.bytes().all(|byte| byte.is_ascii_graphic()), "{kept:?}");
        assert!(url.username().is_empty() && url.password().is_none(), "{kept}");
        assert!(url.query().is_none() && url.fragment().is_none(), "{kept}");
        if let Some(Host::Domain(host)) = url.host() {
            let host = format!(".{}", host.strip_suffix('.').unwrap_or(host));
            assert!(!host.ends_with(".brand.example") && !host.ends_with(".shop.example"), "{kept}");
        }
    }
    for (name, value) in &touch.campaign {
        assert!(CAMPAIGN_PARAMETERS.contains(&name.as_str()));
        assert!(!value.is_empty() && value.len() <= CAMPAIGN_VALUE_LENGTH_MAX, "{value:?}");
        assert!(!value.contains(char::is_control) && !value.contains('@'), "{value:?}");
    }
    // What was stored is read back the same.
    let json = serde_json::to_string(&touch).unwrap();
    assert_eq!(serde_json::from_str::<FirstTouch>(&json).unwrap(), touch);
});
