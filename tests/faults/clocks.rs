//! A6: clocks an hour off either way. A hop goes from node to node one step at a time, so a clock that the test sets before
//! each step is a clock of its own for each node.

use std::sync::Arc;

use throughline::base::clock::{ManualClock, UnixSeconds};

use crate::support::browser::Browser;
use crate::support::company::Company;
use crate::support::files::Setup;

const NOW: UnixSeconds = UnixSeconds(1_790_000_000);
const HOUR: u64 = 3600;

/// A hop whose three steps happen at three times. The statuses, and whether it brought an ID.
fn hop(company: &Company, clock: &ManualClock, times: [UnixSeconds; 3]) -> (Vec<u16>, bool) {
    let mut browser = Browser::new();
    let (mut url, mut statuses) = (format!("{}/p?x=1", company.shop), Vec::new());
    for step in 0..6 {
        clock.set(times[step.min(2)]);
        let answer = browser.step(&url, None);
        statuses.push(answer.status);
        match answer.header("location") {
            Some(location) => url = location.to_owned(),
            None => break,
        }
    }
    let has_id = browser.visitor(&company.shop).is_some();
    (statuses, has_id)
}

#[test]
fn a6_a_clock_an_hour_off_costs_the_id_and_never_the_page() {
    let clock = Arc::new(ManualClock::at(NOW));
    let company = Company::echoing_at(Setup::default(), &clock);
    let (early, late) = (UnixSeconds(NOW.0 - HOUR), UnixSeconds(NOW.0 + HOUR));
    assert_eq!(hop(&company, &clock, [NOW; 3]), (vec![302, 302, 303, 200], true), "the control");
    for (broker, why) in [(early, "the broker is behind"), (late, "the broker is ahead")] {
        assert_eq!(hop(&company, &clock, [NOW, broker, NOW]), (vec![302, 302, 303, 200], false), "{why}");
    }
    // One clock jumps in mid-hop: the token is an hour old, or from the future.
    assert_eq!(hop(&company, &clock, [NOW, NOW, late]), (vec![302, 302, 303, 200], false), "an expired token");
    assert_eq!(hop(&company, &clock, [NOW, NOW, early]), (vec![302, 302, 303, 200], false), "a token from the future");
}

#[test]
fn a6_a_clock_that_was_set_back_makes_no_old_token_good_again() {
    let clock = Arc::new(ManualClock::at(NOW));
    let company = Company::echoing_at(Setup::default(), &clock);
    let mut browser = Browser::new();
    let start = browser.step(&format!("{}/p", company.shop), None);
    let back = browser.step(start.header("location").expect("to the broker"), None);
    let arrival = back.header("location").expect("back to the shop").to_owned();
    let mut thief = browser.clone();
    assert_eq!(browser.step(&arrival, None).status, 303);
    assert!(browser.visitor(&company.shop).is_some());
    // Used up by uptime, which no administrator sets back.
    for back in [0, 30, 59] {
        clock.set(UnixSeconds(NOW.0 - back));
        thief.step(&arrival, None);
        assert_eq!(thief.visitor(&company.shop), None, "set back by {back} s");
    }
}

#[test]
fn a6_known_visitors_stay_known_and_pages_are_served_at_any_time() {
    let clock = Arc::new(ManualClock::at(NOW));
    let company = Company::echoing_at(Setup::default(), &clock);
    let mut known = Browser::new();
    known.navigate(&format!("{}/p", company.shop));
    let id = known.visitor(&company.shop);
    assert!(id.is_some());
    for time in [NOW.0 - HOUR, NOW.0 + HOUR, 0, 1, u64::MAX / 2, u64::MAX] {
        clock.set(UnixSeconds(time));
        let mut fresh = Browser::new();
        for site in [&company.shop, &company.brand] {
            let visit = fresh.navigate(&format!("{site}/p"));
            assert_eq!(visit.page().status, 200, "at {time}: {visit:#?}");
        }
        let visit = known.navigate(&format!("{}/p", company.shop));
        assert_eq!(visit.page().status, 200, "at {time}: {visit:#?}");
        if time.abs_diff(NOW.0) <= HOUR {
            assert_eq!(visit.statuses(), [200], "at {time}");
            assert_eq!(known.visitor(&company.shop), id, "at {time}");
        }
    }
}
