//! R: the return to the satellite, when the token is good.

use throughline::http::cookies::CookieJar;

use crate::support::browser::{Browser, Cookie};
use crate::support::company::Company;
use crate::support::files::Setup;

const YEAR_AND_A_MONTH: i64 = 395 * 86_400;

/// Goes on a hop up to the token, and returns the URL that carries it.
pub(crate) fn up_to_the_token(browser: &mut Browser, page: &str) -> String {
    let start = browser.step(page, None);
    assert_eq!(start.status, 302, "{start:?}");
    let hop = browser.step(start.header("location").unwrap(), None);
    let back = hop.header("location").unwrap().to_owned();
    assert!(back.split_once("_tl=").is_some_and(|(_, token)| token.len() > 100), "{back}");
    back
}

#[test]
fn r1_a_good_token_becomes_the_local_cookie() {
    let company = Company::echoing(Setup::default());
    let mut browser = Browser::new();
    let back = up_to_the_token(&mut browser, &format!("{}/p?x=1", company.shop));
    let answer = browser.step(&back, None);
    assert_eq!(answer.status, 303);
    assert_eq!(answer.header("location"), Some(format!("{}/p?x=1", company.shop).as_str()));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("referrer-policy"), None);
    let cookies: Vec<_> = answer.all("set-cookie").map(Cookie::parse).collect();
    let [id, hop] = cookies.as_slice() else { panic!("two cookies: {cookies:?}") };
    assert!(id.name == "throughline" && id.value.starts_with("1.b."), "{id:?}");
    assert_eq!(id.attributes, ["Path=/", &format!("Max-Age={YEAR_AND_A_MONTH}"), "HttpOnly", "SameSite=Lax"]);
    assert_eq!((hop.name.as_str(), hop.value.as_str()), ("throughline-hop", ""));
    assert_eq!(hop.attributes, ["Path=/", "Max-Age=0", "HttpOnly", "SameSite=Lax"]);
    assert_eq!(browser.me(&company.shop)["source"], "broker");
}

/// The jar of real sites, over the plain http of this test: what matters is what is written into the headers.
#[test]
fn r1_b9_real_sites_have_host_cookies() {
    let company = Company::echoing_with(Setup::default(), |node| node.env.cookies = CookieJar::PRODUCTION);
    let visit = Browser::new().navigate(&format!("{}/p", company.shop));
    assert_eq!(visit.statuses(), [302, 302, 303, 200]);
    let cookies = visit.cookies();
    assert_eq!(cookies.len(), 5, "hop and pause, master, local and the end of the hop: {cookies:?}");
    for (step, cookie) in cookies {
        assert!(cookie.name == "__Host-throughline" || cookie.name == "__Host-throughline-hop", "{cookie:?}");
        let [path, max_age, rest @ ..] = cookie.attributes.as_slice() else { panic!("{cookie:?}") };
        assert!(path == "Path=/" && max_age.starts_with("Max-Age="), "{cookie:?} at step {step}");
        assert_eq!(rest, ["HttpOnly", "SameSite=Lax", "Secure"], "no Domain, and all marks: {cookie:?}");
    }
}

/// Every other parameter's bytes and order.
const ODD_URLS: [&str; 28] = [
    "/",
    "/p",
    "/p?",
    "/p?x=1",
    "/p?x=1&y=2",
    "/p?x",
    "/p??",
    "/p?a?b",
    "/p?a=1?b=2",
    "/p?&",
    "/p?&&x",
    "/p?x&",
    "/p?=",
    "/p?x=a%20b+c",
    "/p?x=%c3%a4",
    "/p?_tlx=1",
    "/p?x_tl=1",
    "/p?x=_tl",
    "/p?%5Ftl=1",
    "/p?_TL=1",
    "/p?a=1?_tl=2",
    "/p;v=1?x=1",
    "/p/?q=https://o.example//x@y",
    "/%E2%82%AC?a=[1]",
    "/~user/(x)'*!$,;:",
    "/p?utm_source=a&utm_medium=b&gclid=c",
    "/p?return=x&sig=y&site=z",
    "/p?x=1&x=1",
];

#[test]
fn r2_the_page_comes_back_byte_for_byte() {
    let company = Company::echoing(Setup::default());
    for page in ODD_URLS {
        let url = format!("{}{page}", company.shop);
        let visit = Browser::new().navigate(&url);
        assert_eq!(visit.statuses(), [302, 302, 303, 200], "{page}");
        assert_eq!(visit.url(), url);
        assert_eq!(visit.page().json()["target"], page);
    }
}

#[test]
fn r2_the_fragment_and_the_outside_referrer_come_through() {
    let company = Company::echoing(Setup::default());
    let visit = Browser::new().follow_from("http://news.localhost:1/story", &format!("{}/p?x=1#frag", company.shop));
    assert_eq!(visit.url(), format!("{}/p?x=1#frag", company.shop));
    let headers = visit.page().json()["headers"].to_string();
    assert!(headers.contains(r#"["referer","http://news.localhost:1/"]"#), "{headers}");
    for step in &visit.steps {
        assert_eq!(step.answer.header("referrer-policy"), None, "{}", step.url);
    }
}

#[test]
fn r5_r11_reload_second_tab_and_restored_session_keep_the_id() {
    let company = Company::echoing(Setup::default());
    let page = format!("{}/p?x=1", company.shop);
    let mut browser = Browser::new();
    let first = browser.navigate(&page);
    let visitor = browser.visitor(&company.shop);
    assert!(visitor.is_some());
    let token_url = first.steps[2].url.clone();
    for is_first in [true, false] {
        assert_eq!(browser.navigate(&page).statuses(), [200], "reload");
        assert_eq!(browser.navigate(&format!("{}/other", company.shop)).statuses(), [200], "second tab");
        // A session that was closed in the midst of the hop comes back with the used token's URL.
        // When it comes so again within a minute, it may be in a loop (rule R11).
        let restored = browser.navigate(&token_url);
        assert_eq!(restored.statuses(), if is_first { vec![303, 200] } else { vec![200] });
        assert_eq!(browser.visitor(&company.shop), visitor);
    }
    // One of session cookies only has lost nothing: ours are none. But one that lost all starts anew, with one hop.
    browser.clear();
    assert_eq!(browser.navigate(&token_url).statuses(), [200], "no cookie at all: the page, no loop");
    assert_eq!(browser.navigate(&page).statuses(), [302, 302, 303, 200]);
}

#[test]
fn r5_two_tabs_at_once_end_with_one_id_and_one_hop() {
    let company = Company::echoing(Setup::default());
    let mut browser = Browser::new();
    let back = up_to_the_token(&mut browser, &format!("{}/one", company.shop));
    assert_eq!(browser.navigate(&format!("{}/two", company.shop)).statuses(), [200], "the first tab's hop is in flight");
    assert_eq!(browser.navigate(&back).statuses(), [303, 200]);
    let visitor = browser.visitor(&company.shop);
    assert!(visitor.is_some());
    assert_eq!(browser.navigate(&format!("{}/two", company.shop)).statuses(), [200]);
    assert_eq!(browser.visitor(&company.shop), visitor);
}

#[test]
fn r7_a_token_in_early_data_is_asked_for_again() {
    let company = Company::echoing(Setup::default());
    let mut browser = Browser::new();
    let back = up_to_the_token(&mut browser, &format!("{}/p", company.shop));
    browser.set("Early-Data", "1");
    let answer = browser.step(&back, None);
    assert_eq!((answer.status, answer.header("set-cookie"), answer.header("location")), (425, None, None));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let posted = browser.post(&format!("{}/_throughline/exchange", company.shop), r#"{"token":"x"}"#);
    assert_eq!((posted.status, posted.header("set-cookie")), (425, None));
    assert_eq!(browser.navigate(&format!("{}/other", company.shop)).statuses(), [200], "pages need no second attempt");
    browser.restore("Early-Data");
    assert_eq!(browser.navigate(&back).statuses(), [303, 200], "it was not used up");
    assert!(browser.visitor(&company.shop).is_some());
}

#[test]
fn r9_of_two_cookies_of_a_name_the_true_one_counts() {
    let company = Company::echoing(Setup::default());
    let page = format!("{}/p", company.shop);
    let mut browser = Browser::new();
    browser.navigate(&page);
    let visitor = browser.visitor(&company.shop);
    let good = browser.cookie(&company.shop, "throughline").unwrap().to_owned();
    for (first, second) in [("forged", good.as_str()), (&good, "forged"), ("", &good), (&good, "probe")] {
        let mut two = Browser::new();
        two.set("Cookie", &format!("a=b; throughline={first}; c=d;throughline={second}"));
        let visit = two.navigate(&page);
        assert_eq!((visit.statuses(), visit.cookies()), (vec![200], vec![]), "{first} {second}");
        assert_eq!(two.visitor(&company.shop), visitor);
    }
    let mut none = Browser::new();
    none.set("Cookie", "throughline=forged; throughline=1.b.x.y.z");
    assert_eq!(none.visitor(&company.shop), None);
    assert_eq!(none.step(&page, None).status, 302, "none verifies: absent, and it keeps cookies");
}

#[test]
fn r9_both_hop_cookies_are_tried() {
    let company = Company::echoing(Setup::default());
    for forged_first in [true, false] {
        let mut browser = Browser::new();
        let back = up_to_the_token(&mut browser, &format!("{}/p", company.shop));
        let hop = browser.cookie(&company.shop, "throughline-hop").unwrap().to_owned();
        let other = "AAAAAAAAAAAAAAAAAAAAAA";
        let (first, second) = if forged_first { (other, hop.as_str()) } else { (hop.as_str(), other) };
        browser.set("Cookie", &format!("throughline-hop={first}; throughline-hop={second}"));
        let answer = browser.step(&back, None);
        assert!(answer.status == 303 && answer.all("set-cookie").any(|line| line.starts_with("throughline=1.b.")), "{answer:?}");
    }
}
