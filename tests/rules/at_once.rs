//! First visits of one browser in the same instant end with one ID (rules B6, S16), and look-alikes keep their own.

use crate::support::browser::Browser;
use crate::support::company::Company;
use crate::support::files::Setup;
use crate::support::wire::Answer;

fn location(answer: &Answer) -> String {
    answer.header("location").unwrap_or_else(|| panic!("a redirect: {answer:?}")).to_owned()
}

#[test]
fn b6_s16_two_first_hops_of_one_browser_at_once_end_with_one_id() {
    let company = Company::echoing(Setup::default());
    let mut browser = Browser::new();
    let mut second_tab = browser.clone();
    let first_hop = location(&browser.step(&format!("{}/p", company.shop), None));
    let second_hop = location(&second_tab.step(&format!("{}/p", company.learn), None));
    assert!(!first_hop.contains("look_alike") && second_hop.contains("&look_alike=1&"), "{second_hop}");
    let first_back = location(&browser.step(&first_hop, None));
    // The request of the second tab left before the answer to the first had come: it brings no master cookie.
    let settled = location(&second_tab.step(&second_hop, None));
    assert_eq!(settled, format!("{second_hop}&settled=1"));
    assert!(!second_tab.jar.contains_key("brand.localhost"), "nothing is minted");
    // The jar is one: the answer to the first tab is in it by now.
    browser.jar.extend(second_tab.jar);
    assert_eq!(browser.navigate(&settled).statuses(), [302, 303, 200]);
    browser.navigate(&first_back);
    let ids = [&company.shop, &company.learn, &company.brand].map(|site| browser.visitor(site));
    assert!(ids[0].is_some() && ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[test]
fn s16_two_look_alikes_at_once_have_two_ids() {
    let company = Company::echoing(Setup::default());
    let mut first = Browser::new();
    let mut second = first.clone();
    let hops = [&mut first, &mut second].map(|browser| location(&browser.step(&format!("{}/p", company.shop), None)));
    assert_eq!(first.navigate(&hops[0]).statuses(), [302, 303, 200]);
    assert_eq!(second.navigate(&hops[1]).statuses(), [302, 302, 303, 200], "the broker settles the second");
    let ids = [&mut first, &mut second].map(|browser| browser.visitor(&company.shop));
    assert!(ids[0].is_some() && ids[1].is_some() && ids[0] != ids[1], "{ids:?}");
    // A browser that brings a cookie of ours is no look-alike, whatever else it shares with others.
    let mut third = Browser::new();
    let mut fourth = third.clone();
    fourth.put(&company.shop, "throughline", "probe");
    third.step(&format!("{}/p", company.shop), None);
    assert!(!location(&fourth.step(&format!("{}/p", company.shop), None)).contains("look_alike"));
}

/// Case I14: the primary's page is slow, and its answer comes last.
#[test]
fn b6_a_slow_first_page_of_the_primary_takes_no_id_from_a_hop() {
    let company = Company::echoing(Setup::default());
    let browser = Browser::new();
    let (mut primary, mut shop) = (browser.clone(), browser);
    let slow = format!("{}/slow", company.brand);
    let page = std::thread::scope(|scope| {
        let page = scope.spawn(|| primary.step(&slow, None));
        std::thread::sleep(std::time::Duration::from_millis(300));
        shop.navigate(&format!("{}/p", company.shop));
        page.join().expect("an answer")
    });
    // One jar: the slow answer comes last.
    assert_eq!((page.status, page.header("set-cookie")), (200, None), "the hop's ID is in the jar by now");
    shop.jar.extend(primary.jar);
    let ids = [&company.shop, &company.brand].map(|site| shop.visitor(site));
    assert!(ids[0].is_some() && ids[0] == ids[1], "{ids:?}");
}

#[test]
fn b6_a_first_page_of_the_primary_right_after_a_hop_sets_no_other_id() {
    let company = Company::echoing(Setup::default());
    let mut shop = Browser::new();
    let mut primary = shop.clone();
    shop.navigate(&format!("{}/p", company.shop));
    let page = primary.step(&format!("{}/p", company.brand), None);
    assert_eq!((page.status, page.header("set-cookie")), (200, None));
    assert!(shop.visitor(&company.brand).is_some());
}
