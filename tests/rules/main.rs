//! The rules, each over real HTTP: one module for each letter, and every test is named after the rules that it proves.

#[path = "../support/mod.rs"]
mod support;

mod arrival;
mod at_once;
mod broker;
mod broker_headers;
mod choices;
mod consent;
mod endpoints;
mod hosts;
mod links;
mod lists;
mod logs;
mod lone_tokens;
mod naughty;
mod only_here;
mod rates;
mod refusals;
mod satellite;
mod script_hop;
mod sign;
mod urls;
mod whoami;

use support::browser::Browser;
use support::company::Company;
use support::files::Setup;

/// Without this, a page that is served without a hop might be so for a reason that its test does not know of.
#[test]
fn control_a_hop_happens_in_each_kind_of_company() {
    for company in [Company::start(Setup::default()), Company::start_split(Setup::default()), Company::inside(Setup::default())] {
        let mut browser = Browser::new();
        let visit = browser.navigate(&format!("{}/?x=1#f", company.shop));
        assert_eq!(visit.statuses(), [302, 302, 303, 200], "{visit:#?}");
        assert_eq!(visit.url(), format!("{}/?x=1#f", company.shop));
        let visitor = browser.visitor(&company.shop);
        assert!(visitor.is_some());
        assert_eq!(browser.visitor(&company.brand), visitor);
    }
}
