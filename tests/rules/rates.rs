//! How often one client may do what costs something. Whoever does it too often still gets every page (the first law).

use crate::support::browser::Browser;
use crate::support::company::Company;
use crate::support::files::Setup;

/// A client's bucket holds three, and fills by one in a second.
fn company() -> Company {
    let listen_lines = "trusted_proxies = [\"127.0.0.1\"]";
    let limit_lines = "client_burst = 3\nclient_per_second = 1\n".into();
    Company::start(Setup { listen_lines, limit_lines, ..Setup::default() })
}

fn from(client: &str) -> Browser {
    let mut browser = Browser::new();
    browser.set("X-Forwarded-For", client);
    browser
}

#[test]
fn too_many_hops_of_one_client_bring_no_id_and_cost_no_page() {
    let company = company();
    let visits: Vec<_> = (0..8)
        .map(|number| {
            let mut browser = from("192.0.2.1");
            browser.set("User-Agent", &format!("Mozilla/5.0 of another person {number}"));
            let page = browser.navigate(&format!("{}/p.html", company.shop));
            assert_eq!(page.page().status, 200, "{:?}", page.statuses());
            browser.visitor(&company.shop)
        })
        .collect();
    assert!(visits[0].is_some(), "{visits:?}");
    assert!(visits.iter().any(Option::is_none), "{visits:?}");
    // Another client is not concerned.
    let mut other = from("192.0.2.2");
    other.navigate(&format!("{}/p.html", company.shop));
    assert!(other.visitor(&company.shop).is_some());
}

/// A yes can wait a second; a no cannot, and costs nothing after the first.
#[test]
fn c1_a_flood_of_choices_is_held_up_but_for_a_no() {
    let company = company();
    let (mut browser, mut visitor) = (from("192.0.2.1"), from("192.0.2.1"));
    visitor.navigate(&format!("{}/p.html", company.shop));
    assert!(visitor.visitor(&company.shop).is_some());
    let choose = |browser: &mut Browser, choice: &str| {
        browser.post(&format!("{}/_throughline/consent", company.shop), &format!(r#"{{"choice":"{choice}"}}"#))
    };
    let answers: Vec<_> = (0..8).map(|_| choose(&mut browser, "granted")).collect();
    for _ in 0..8 {
        let forgotten = browser.post(&format!("{}/_throughline/forget", company.shop), "{}");
        assert_eq!((forgotten.status, choose(&mut browser, "denied").status), (200, 200));
    }
    let denied = choose(&mut visitor, "denied");
    assert_eq!((denied.status, denied.json()["everywhere"].as_bool()), (200, Some(true)));
    assert_eq!(visitor.visitor(&company.shop), None);
    let refused = answers.iter().find(|answer| answer.status == 429).expect("a limit");
    assert_eq!((refused.json()["error"].as_str(), refused.header("retry-after")), (Some("too_many"), Some("1")));
}
