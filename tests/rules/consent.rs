//! C: the visitor's word, on this site.

use crate::support::browser::{Browser, Cookie, Visit};
use crate::support::company::Company;
use crate::support::files::Setup;
use crate::support::wire::Answer;

fn choose(browser: &mut Browser, site: &str, choice: &str) -> Answer {
    let answer = browser.post(&format!("{site}/_throughline/consent"), &format!(r#"{{"choice":"{choice}"}}"#));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer
}

fn assert_untouched(visit: &Visit) {
    assert_eq!((visit.statuses(), visit.cookies()), (vec![200], vec![]), "{visit:#?}");
    assert_eq!(visit.page().json()["visitor"], serde_json::Value::Null);
}

/// The refusal itself, and nothing else.
fn assert_denied(answer: &Answer) {
    let cookies: Vec<_> = answer.all("set-cookie").map(Cookie::parse).collect();
    let refusal = cookies.iter().find(|cookie| cookie.name == "throughline").unwrap_or_else(|| panic!("{answer:?}"));
    assert_eq!(refusal.value, "denied");
    assert_eq!(refusal.max_age(), Some(400 * 86_400));
    assert!(cookies.iter().all(|cookie| cookie.name == "throughline" || cookie.max_age() == Some(0)), "{cookies:?}");
}

#[test]
fn c1_s8_nothing_is_set_or_sent_before_the_choice() {
    let company = Company::echoing(Setup::required());
    for site in [&company.shop, &company.brand, &company.learn] {
        let mut browser = Browser::new();
        for _ in 0..2 {
            assert_untouched(&browser.navigate(&format!("{site}/p")));
        }
        assert_untouched(&browser.follow_from(&format!("{site}/"), &format!("{site}/p")));
        let me = browser.me(site);
        assert_eq!(
            (&me["consent"], &me["visitor"], &me["source"]),
            (&"unknown".into(), &serde_json::Value::Null, &serde_json::Value::Null)
        );
        // Not even a token is worth a cookie. It does not stay in the address bar (rule R3).
        let visit = browser.navigate(&format!("{site}/p?_tl=x"));
        assert_eq!((visit.statuses(), visit.cookies(), visit.url()), (vec![303, 200], vec![], format!("{site}/p").as_str()));
    }
    let begun = Browser::new().fetch(&format!("{}/_throughline/exchange", company.shop));
    assert_eq!((begun.status, begun.header("set-cookie")), (409, None));
}

#[test]
fn c1_a_refusal_before_there_is_an_id_sets_only_itself() {
    for (setup, consent) in [(Setup::required(), "unknown"), (Setup::default(), "granted")] {
        let company = Company::echoing(setup);
        for site in [&company.shop, &company.brand] {
            let mut browser = Browser::new();
            assert_eq!(browser.me(site)["consent"], consent);
            let answer = choose(&mut browser, site, "denied");
            assert_denied(&answer);
            assert_eq!(answer.all("set-cookie").count(), 1);
            assert_eq!(answer.json()["consent"], "denied");
            assert_untouched(&browser.navigate(&format!("{site}/p")));
            assert_eq!(browser.me(site)["consent"], "denied");
        }
    }
}

#[test]
fn c1_a_grant_leads_to_a_hop_and_forgetting_ends_it() {
    let company = Company::echoing(Setup { consent: ["implied", "required", "required"], ..Setup::default() });
    let page = format!("{}/p", company.shop);
    let mut browser = Browser::new();
    let granted = choose(&mut browser, &company.shop, "granted");
    assert_eq!(granted.json()["consent"], "granted");
    let visit = browser.navigate(&page);
    assert_eq!(visit.statuses(), [302, 302, 303, 200]);
    assert!(visit.steps[1].url.contains("&consent=granted&"));
    let visitor = browser.visitor(&company.shop);
    assert!(visitor.is_some());
    // The choice is kept with the ID, and counts on this site alone.
    assert_eq!(browser.me(&company.shop)["consent"], "granted");
    assert_eq!(browser.me(&company.learn)["consent"], "unknown");

    let forgotten = browser.post(&format!("{}/_throughline/forget", company.shop), "{}");
    assert_eq!(forgotten.status, 200);
    assert_denied(&forgotten);
    let me = browser.me(&company.shop);
    assert_eq!((&me["consent"], &me["visitor"]), (&"denied".into(), &serde_json::Value::Null));
    assert_untouched(&browser.navigate(&page));
    // Whoever changes their mind here still counts as having refused on the primary.
    choose(&mut browser, &company.shop, "granted");
    assert_eq!(browser.navigate(&page).statuses(), [302, 302, 303, 200]);
    assert_eq!(browser.visitor(&company.shop), None);
    assert_eq!(browser.cookie(&company.brand, "throughline"), Some("denied"));
}

#[test]
fn c6_a_yes_counts_nowhere_but_where_it_was_given() {
    let company = Company::echoing(Setup::default());
    let mut browser = Browser::new();
    browser.navigate(&format!("{}/", company.shop));
    browser.post(&format!("{}/_throughline/forget", company.shop), "{}");
    assert_denied(&choose(&mut browser, &company.brand, "denied"));
    choose(&mut browser, &company.shop, "granted");
    browser.navigate(&format!("{}/", company.shop));
    assert_eq!(browser.visitor(&company.shop), None);
    assert_eq!(browser.me(&company.shop)["consent"], "granted");
    assert_eq!(browser.me(&company.brand)["consent"], "denied");
    // Once the primary has a yes of its own, there is a new ID for both.
    choose(&mut browser, &company.brand, "granted");
    browser.navigate(&format!("{}/", company.brand));
    let master = browser.visitor(&company.brand);
    assert!(master.is_some());
}

#[test]
fn c1_a_withdrawal_in_mid_hop_ends_the_hop_too() {
    let company = Company::echoing(Setup::default());
    let mut browser = Browser::new();
    browser.step(&format!("{}/p", company.shop), None);
    let answer = choose(&mut browser, &company.shop, "denied");
    assert_denied(&answer);
    assert_eq!(browser.cookie(&company.shop, "throughline-hop"), None);
    assert_eq!(browser.cookie(&company.shop, "throughline"), Some("denied"));
}

#[test]
fn c1_a_yes_against_the_browsers_own_no_is_not_kept() {
    let company = Company::echoing(Setup::required());
    let mut browser = Browser::new();
    browser.set("Sec-GPC", "1");
    let answer = choose(&mut browser, &company.shop, "granted");
    assert_eq!((answer.header("set-cookie"), &answer.json()["consent"]), (None, &"denied".into()));
    assert_denied(&choose(&mut browser, &company.shop, "denied"));
}

#[test]
fn c1_a_form_without_script_works_and_leads_back_to_this_site_only() {
    let company = Company::echoing(Setup::required());
    let form = |browser: &mut Browser, body: &str| {
        let headers = [
            ("Content-Type", "application/x-www-form-urlencoded".to_owned()),
            ("Origin", company.shop.clone()),
            ("Sec-Fetch-Site", "same-origin".to_owned()),
        ];
        browser.request("POST", &format!("{}/_throughline/consent", company.shop), &headers, body.as_bytes())
    };
    let shop = &company.shop;
    for (body, location) in [
        ("choice=denied&return=%2Fp%3Fx%3D1", format!("{shop}/p?x=1")),
        ("choice=granted&return=%2F", format!("{shop}/")),
        ("choice=denied&return=%2Fp%3F_tl%3Dx", format!("{shop}/p")),
        ("choice=denied&return=%2F%2Fevil.localhost", format!("{shop}/")),
        ("choice=denied&return=http%3A%2F%2Fevil.localhost%2F", format!("{shop}/")),
        ("choice=denied&return=%2F%5Cevil.localhost", format!("{shop}/")),
        ("choice=denied&return=%2Fp%0D%0ASet-Cookie%3A%20x%3Dy", format!("{shop}/")),
        ("choice=denied&return=", format!("{shop}/")),
    ] {
        let answer = form(&mut Browser::new(), body);
        assert_eq!((answer.status, answer.header("location")), (303, Some(location.as_str())), "{body}");
        assert_eq!(answer.all("set-cookie").count(), 1, "{body}");
    }
    for body in ["", "choice=", "choice=yes", "choice=GRANTED", "return=%2F"] {
        let answer = form(&mut Browser::new(), body);
        assert_eq!((answer.status, answer.header("set-cookie"), answer.header("location")), (422, None, None), "{body}");
    }
}

/// It would log people out of the site.
#[test]
fn c5_clear_site_data_is_never_sent() {
    let company = Company::echoing(Setup::default());
    let mut browser = Browser::new();
    browser.navigate(&format!("{}/", company.shop));
    for answer in
        [choose(&mut browser, &company.shop, "denied"), browser.post(&format!("{}/_throughline/forget", company.shop), "{}")]
    {
        assert_eq!(answer.header("clear-site-data"), None);
    }
}
