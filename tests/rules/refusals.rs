//! R: the return to the satellite, when the token is not good. No ID is adopted, and the page is served.

use throughline::base::encoding::base64url;

use crate::arrival::up_to_the_token;
use crate::sign::Bounce;
use crate::support::browser::{Browser, Visit};
use crate::support::company::Company;
use crate::support::files::Setup;

/// A browser that began a hop on shop, with its hop cookie.
fn with_hop_begun(company: &Company) -> (Browser, String) {
    let mut browser = Browser::new();
    assert_eq!(browser.step(&format!("{}/p?x=1", company.shop), None).status, 302);
    let hop_cookie = browser.cookie(&company.shop, "throughline-hop").unwrap().to_owned();
    (browser, hop_cookie)
}

/// What can be wrong with our parameter, for the browser with this hop cookie: what it is, and the query.
fn wrong_parameters(company: &Company, hop_cookie: &str) -> Vec<(&'static str, String)> {
    let good = Bounce::good(hop_cookie);
    let once = |token: String| format!("x=1&_tl={token}");
    let mut forged = good.mint(company);
    let at = forged.len() - 10;
    let other = if &forged[at..=at] == "A" { "g" } else { "A" };
    forged.replace_range(at..=at, other);
    let (head, tail) = forged.split_once('.').unwrap();
    vec![
        ("empty", "x=1&_tl=".into()),
        ("empty, without =", "_tl&x=1".into()),
        ("repeated", format!("_tl={}&x=1&_tl={}", good.mint(company), good.mint(company))),
        ("repeated, one empty", format!("_tl={}&x=1&_tl=", good.mint(company))),
        ("over 2 KB", once("a".repeat(2049))),
        ("over 2 KB, a token and more", once(good.mint(company) + &"A".repeat(2000))),
        ("no token", once("nonsense".into())),
        ("a token with its dots encoded", once(good.mint(company).replace('.', "%2E"))),
        ("its header alone", once(head.into())),
        ("without its header", once(tail.into())),
        ("unsigned", once(format!("{}.", good.mint(company).rsplit_once('.').unwrap().0))),
        ("forged", once(forged.clone())),
        ("of another site's key", once(Bounce { signer: "learn", ..good }.mint(company))),
        ("of its own key", once(Bounce { signer: "shop", ..good }.mint(company))),
        ("expired", once(Bounce { age: 66, ..good }.mint(company))),
        ("for another site", once(Bounce { audience: "learn", ..good }.mint(company))),
        ("of another flow", once(Bounce { hop_cookie: &base64url(&[7; 16]), ..good }.mint(company))),
    ]
}

/// The page without our parameter, and no ID on the way.
fn assert_no_id(visit: &Visit, company: &Company, what: &str) {
    assert!(visit.cookies().iter().all(|(_, cookie)| cookie.value == "probe"), "{what}: {:?}", visit.cookies());
    assert_eq!(visit.page().json()["target"], "/p?x=1", "{what}");
    assert_eq!(visit.page().json()["visitor"], serde_json::Value::Null, "{what}");
    assert!(visit.steps.iter().all(|step| step.url.starts_with(&company.shop)), "{what}: {visit:#?}");
}

#[test]
fn r3_the_controls_token_is_good() {
    let company = Company::echoing(Setup::default());
    let (mut browser, hop_cookie) = with_hop_begun(&company);
    let visit = browser.navigate(&format!("{}/p?x=1&_tl={}", company.shop, Bounce::good(&hop_cookie).mint(&company)));
    assert_eq!(visit.statuses(), [303, 200]);
    assert!(browser.visitor(&company.shop).is_some());
    // Nearly a minute old, it still counts.
    let (mut browser, hop_cookie) = with_hop_begun(&company);
    let old = Bounce { age: 58, ..Bounce::good(&hop_cookie) };
    browser.navigate(&format!("{}/p?x=1&_tl={}", company.shop, old.mint(&company)));
    assert!(browser.visitor(&company.shop).is_some());
}

/// No redirect may lead to such a URL, so the ID comes with the page.
#[test]
fn r1_u1_a_good_token_on_an_unfit_url_gives_its_id_with_the_page() {
    let company = Company::echoing(Setup::default());
    for page in ["/a//b", "//evil.localhost/", "/@evil.localhost", "/%5Cevil.localhost", "/a/%2e%2e/b"] {
        let (mut browser, hop_cookie) = with_hop_begun(&company);
        let answer = browser.step(&format!("{}{page}?_tl={}", company.shop, Bounce::good(&hop_cookie).mint(&company)), None);
        assert_eq!((answer.status, answer.header("location")), (200, None), "{page}");
        assert_eq!(answer.header("cache-control"), Some("private, no-cache"), "{page}: it names somebody");
        assert_eq!(answer.json()["visitor"].as_str(), browser.visitor(&company.shop).as_deref(), "{page}");
        assert!(browser.visitor(&company.shop).is_some(), "{page}");
        assert_eq!(answer.json()["target"], page);
    }
}

#[test]
fn r3_no_wrong_token_costs_a_page_or_sets_an_id() {
    let company = Company::echoing(Setup::default());
    let hop_cookie = with_hop_begun(&company).1;
    for (index, (what, _)) in wrong_parameters(&company, &hop_cookie).into_iter().enumerate() {
        let (mut browser, hop_cookie) = with_hop_begun(&company);
        let (_, query) = wrong_parameters(&company, &hop_cookie).swap_remove(index);
        let visit = browser.navigate(&format!("{}/p?{query}", company.shop));
        assert_eq!(visit.statuses(), [303, 200], "{what}, with cookies");
        assert_eq!(visit.url(), format!("{}/p?x=1", company.shop), "{what}");
        assert_eq!(visit.cookies(), [], "{what}");
        assert_no_id(&visit, &company, what);
        assert_eq!(browser.visitor(&company.shop), None, "{what}");

        let mut bare = Browser::new();
        bare.blocks_cookies = true;
        for _ in 0..2 {
            let visit = bare.navigate(&format!("{}/p?{query}", company.shop));
            assert_eq!(visit.statuses(), [200], "{what}, without cookies");
            assert_no_id(&visit, &company, what);
            assert_eq!(bare.navigate(&format!("{}/p?x=1", company.shop)).statuses(), [200], "{what}: no hop after it");
        }
    }
}

#[test]
fn r3_a_token_works_once() {
    let company = Company::echoing(Setup::default());
    let mut browser = Browser::new();
    let back = up_to_the_token(&mut browser, &format!("{}/p?x=1", company.shop));
    let before = browser.clone();
    assert_eq!(browser.navigate(&back).statuses(), [303, 200]);
    assert!(browser.visitor(&company.shop).is_some());
    // The same browser, as if the first answer had never reached it.
    let mut again = before;
    let visit = again.navigate(&back);
    assert_eq!((visit.statuses(), visit.cookies()), (vec![303, 200], vec![]));
    assert_eq!(again.visitor(&company.shop), None);
}

#[test]
fn r3_a_wrong_token_takes_nothing_from_a_known_visitor() {
    let company = Company::echoing(Setup::default());
    let hop_cookie = with_hop_begun(&company).1;
    for (what, query) in wrong_parameters(&company, &hop_cookie) {
        let mut browser = Browser::new();
        browser.navigate(&format!("{}/", company.shop));
        let visitor = browser.visitor(&company.shop);
        let visit = browser.navigate(&format!("{}/p?{query}", company.shop));
        assert_eq!((visit.statuses(), visit.cookies()), (vec![303, 200], vec![]), "{what}");
        assert_eq!(visit.page().json()["visitor"].as_str(), visitor.as_deref(), "{what}");
        assert_eq!(browser.visitor(&company.shop), visitor, "{what}");
    }
}

#[test]
fn r4_an_attackers_finished_url_changes_no_victim() {
    let company = Company::echoing(Setup::default());
    let page = format!("{}/p?x=1", company.shop);
    let mut attacker = Browser::new();
    let lure = "http://evil.localhost:1/";

    // A victim with an ID.
    let mut known = Browser::new();
    known.navigate(&page);
    let visitor = known.visitor(&company.shop);
    let finished = up_to_the_token(&mut attacker, &page);
    assert_eq!(known.follow_from(lure, &finished).statuses(), [303, 200]);
    assert_eq!(known.visitor(&company.shop), visitor);

    // One who was never here: no ID, and later one of their own.
    let mut new = Browser::new();
    let visit = new.follow_from(lure, &finished);
    assert_eq!(visit.statuses(), [200]);
    assert_no_id(&visit, &company, "a new victim");
    assert_eq!(new.visitor(&company.shop), None);
    new.navigate(&page);
    let own = new.visitor(&company.shop);

    // One whose own hop is in flight: that one still comes home.
    let mut hopping = Browser::new();
    let back = up_to_the_token(&mut hopping, &page);
    hopping.follow_from(lure, &finished);
    assert_eq!(hopping.visitor(&company.shop), None);
    hopping.navigate(&back);
    let hopped = hopping.visitor(&company.shop);

    // And nobody has used up the attacker's token: it was the attacker's all along.
    attacker.navigate(&finished);
    let attackers = attacker.visitor(&company.shop);
    let all: std::collections::HashSet<_> = [visitor, own, hopped, attackers].into_iter().map(|id| id.expect("an ID")).collect();
    assert_eq!(all.len(), 4, "four people");
}

#[test]
fn r6_a_token_that_arrives_after_a_refusal_is_discarded() {
    for setup in [Setup::default(), Setup::required()] {
        let company = Company::echoing(setup);
        let mut browser = Browser::new();
        let consent = format!("{}/_throughline/consent", company.shop);
        assert_eq!(browser.post(&consent, r#"{"choice":"granted"}"#).status, 200);
        let back = up_to_the_token(&mut browser, &format!("{}/p?x=1", company.shop));
        let before = browser.clone();
        assert_eq!(browser.post(&consent, r#"{"choice":"denied"}"#).status, 200);
        let visit = browser.navigate(&back);
        assert_eq!((visit.statuses(), visit.cookies()), (vec![303, 200], vec![]));
        assert_no_id(&visit, &company, "denied");
        assert_eq!(browser.me(&company.shop)["consent"], "denied");
        // The browser's own refusal too.
        let mut signalling = before;
        signalling.set("Sec-GPC", "1");
        assert_no_id(&signalling.navigate(&back), &company, "GPC");
        signalling.restore("Sec-GPC");
        signalling.navigate(&back);
        assert!(signalling.visitor(&company.shop).is_some(), "discarded is not used up");
    }
}
