//! The ID cookie against everything a browser, or somebody with an editor, could send (rules R9, B5, B8, C1).

use proptest::prelude::*;
use throughline::base::clock::UnixSeconds;
use throughline::base::secret::{Purpose, SiteSecret};
use throughline::domain::consent::Choice;
use throughline::domain::site_cookie::{Identity, Reading, SiteState, Source, read};

use super::common::{COOKIE_LIFE, NOW, cookie_key, holding, visitor};

fn states() -> impl Strategy<Value = SiteState> {
    let sources = proptest::sample::select(vec![None, Some(Source::Broker), Some(Source::Link), Some(Source::Provisional)]);
    let choices = proptest::sample::select(vec![Choice::None, Choice::Granted]);
    (sources, choices, any::<u8>(), 0..COOKIE_LIFE.as_secs(), proptest::option::of(any::<u64>())).prop_map(
        |(source, choice, number, age, begun)| SiteState {
            identity: source.map(|source| Identity { visitor: visitor(number), source, created: UnixSeconds(NOW.0 - age) }),
            choice,
            hop_begun: begun.map(UnixSeconds),
        },
    )
}

fn read_all(values: &[String]) -> Reading {
    read(values.iter().map(String::as_str), &cookie_key(), COOKIE_LIFE, NOW)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_state_survives_the_browser(state in states()) {
        let value = state.write(&cookie_key());
        prop_assert!(value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)), "{value}");
        let back = read_all(&[value]);
        prop_assert!(back.seen);
        prop_assert_eq!((back.state.identity, back.state.choice), (state.identity, state.choice));
        prop_assert_eq!(back.state.hop_paused(NOW), state.hop_paused(NOW));
    }

    #[test]
    fn b5_random_values_say_nothing_but_that_the_browser_keeps_cookies(values in prop::collection::vec("[ -~]{0,60}|v1\\.[blpn]\\..{0,36}\\.[0-9]{0,20}\\.[ug]\\.[0-9]{0,20}\\.[A-Za-z0-9_-]{43}|.*", 0..5)) {
        prop_assume!(!values.iter().any(|value| value == "denied"));
        prop_assert_eq!(read_all(&values), Reading { seen: !values.is_empty(), ..Reading::default() });
    }

    #[test]
    fn b5_a_changed_cookie_gives_no_id(state in states(), at in any::<prop::sample::Index>(), byte in 0x20..0x7f_u8) {
        let good = state.write(&cookie_key());
        let mut changed = good.clone().into_bytes();
        let at = at.index(changed.len());
        changed[at] = byte;
        let changed = String::from_utf8(changed).unwrap();
        prop_assume!(changed != good);
        prop_assert_eq!(read_all(&[changed]).state, SiteState::default());
    }

    #[test]
    fn r9_c1_a_refusal_counts_wherever_it_stands(state in states(), junk in any::<String>(), turn in 0..3_usize) {
        let mut values = vec![state.write(&cookie_key()), junk, "denied".into()];
        values.rotate_left(turn);
        prop_assert_eq!(read_all(&values).state, SiteState::DENIED);
    }

    #[test]
    fn r9_junk_beside_a_good_cookie_hides_nothing(state in states(), junk in any::<String>(), first in any::<bool>()) {
        prop_assume!(junk != "denied");
        let good = state.write(&cookie_key());
        let values = if first { [junk, good] } else { [good, junk] };
        prop_assert_eq!(read_all(&values).state.identity, state.identity);
    }
}

#[test]
fn k5_a_cookie_of_another_site_or_of_the_primary_is_nothing_here() {
    let state = holding(1, Source::Broker);
    let other = SiteSecret::parse("AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA").unwrap();
    for key in [other.derive(Purpose::LocalCookie), super::common::secret().derive(Purpose::MasterCookie)] {
        assert_eq!(read_all(&[state.write(&key)]), Reading { seen: true, ..Reading::default() });
    }
}

#[test]
fn s12_even_a_clock_at_its_very_beginning_remembers_a_hop() {
    // What `SystemClock` says of a machine whose clock stands before 1970.
    let beginning = UnixSeconds(0);
    let value = SiteState { hop_begun: Some(beginning), ..SiteState::default() }.write(&cookie_key());
    let back = read([value.as_str()].into_iter(), &cookie_key(), COOKIE_LIFE, beginning);
    assert!(back.state.hop_paused(beginning), "a clock that is wrong must not loop");
}

#[test]
fn c1_a_refusal_keeps_nothing_else() {
    let state = SiteState { choice: Choice::Denied, hop_begun: Some(NOW), ..holding(1, Source::Broker) };
    assert_eq!(state.write(&cookie_key()), "denied");
}
