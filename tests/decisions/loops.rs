//! Nothing loops (the first law, rule S12): after a hop has begun, no request starts another within a day.

use std::time::Duration;

use proptest::prelude::*;
use throughline::base::clock::UnixSeconds;
use throughline::domain::consent::{Choice, ConsentPolicy};
use throughline::domain::contract::HOP_PAUSE;
use throughline::domain::decision::{Decision, Facts, decide};
use throughline::domain::site::{Role, Site};
use throughline::domain::site_cookie::{Identity, Reading, SiteState, Source, read};

use super::common::{COOKIE_LIFE, NOW, circuits, control, cookie_key, site, visitor};

/// Strings that matter, and any others.
fn texts() -> impl Strategy<Value = String> {
    let known = [
        "document",
        "navigate",
        "iframe",
        "cross-site",
        "same-origin",
        "same-site",
        "none",
        "/",
        "/p?x=1",
        "/p?_tl=x",
        "/p?_tl",
        "//x",
        "?",
        "",
        "Mozilla/5.0",
        "Googlebot",
    ];
    prop_oneof![3 => proptest::sample::select(known.to_vec()).prop_map(String::from), 1 => any::<String>(), 1 => "/[ -~]{0,40}"]
}

fn sites() -> impl Strategy<Value = Site> {
    (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(primary, required, honour_gpc, legacy_browsers)| {
        let role = if primary { Role::Primary } else { Role::Secondary };
        let consent = if required { ConsentPolicy::Required } else { ConsentPolicy::Implied };
        Site { honour_gpc, legacy_browsers, ..site(role, consent) }
    })
}

fn states(created: UnixSeconds) -> impl Strategy<Value = SiteState> {
    let sources = proptest::sample::select(vec![None, Some(Source::Broker), Some(Source::Link), Some(Source::Provisional)]);
    let choices = proptest::sample::select(vec![Choice::None, Choice::Granted, Choice::Denied]);
    (sources, choices, proptest::option::of(any::<u64>())).prop_map(move |(source, choice, begun)| SiteState {
        identity: source.map(|source| Identity { visitor: visitor(1), source, created }),
        choice,
        hop_begun: begun.map(UnixSeconds),
    })
}

/// Everything a request can say, but for its cookies.
#[derive(Debug, Clone)]
struct Said {
    page: String,
    dest: Option<String>,
    mode: Option<String>,
    from: Option<String>,
    agent: Option<String>,
    flags: [bool; 7],
}

impl Said {
    fn facts(&self, cookies: Reading) -> Facts<'_> {
        let [is_get, is_speculative, accepts_html, is_partial_or_scripted, gpc, has_hop_cookie, is_bare_client] = self.flags;
        Facts {
            path_and_query: &self.page,
            is_get,
            fetch_dest: self.dest.as_deref(),
            fetch_mode: self.mode.as_deref(),
            fetch_site: self.from.as_deref(),
            is_speculative,
            accepts_html,
            is_partial_or_scripted,
            user_agent: self.agent.as_deref(),
            gpc,
            cookies,
            has_hop_cookie,
            is_bare_client,
        }
    }
}

/// Anything, or what would start a hop but for the cookies.
fn said() -> impl Strategy<Value = Said> {
    let control = control();
    let good = Said {
        page: control.path_and_query.into(),
        dest: control.fetch_dest.map(Into::into),
        mode: control.fetch_mode.map(Into::into),
        from: control.fetch_site.map(Into::into),
        agent: control.user_agent.map(Into::into),
        flags: [true, false, true, false, false, false, false],
    };
    let option = || proptest::option::of(texts());
    let anything = (texts(), option(), option(), option(), option(), any::<[bool; 7]>())
        .prop_map(|(page, dest, mode, from, agent, flags)| Said { page, dest, mode, from, agent, flags });
    prop_oneof![1 => Just(good), 2 => anything]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn decide_never_panics(said in said(), site in sites(), circuit in circuits(), now in any::<u64>(), state in states(NOW), seen in any::<bool>()) {
        let _ = decide(&said.facts(Reading { seen, state, ..Reading::default() }), &site, circuit, UnixSeconds(now));
    }

    #[test]
    fn s12_after_a_start_no_request_starts_another_within_a_day(
        said in said(),
        site in sites(),
        circuit in circuits(),
        begun in prop_oneof![4 => Just(NOW.0), 1 => Just(0), 1 => 0..u64::from(u32::MAX)],
        later in 0..HOP_PAUSE.as_secs(),
        provisional in any::<bool>(),
        choice in proptest::sample::select(vec![Choice::None, Choice::Granted]),
    ) {
        // As the satellite writes it, as the browser keeps it, as the satellite reads it.
        let begun = UnixSeconds(begun);
        let identity = provisional.then(|| Identity { visitor: visitor(1), source: Source::Provisional, created: begun });
        let cookie = SiteState { identity, choice, hop_begun: Some(begun) }.write(&cookie_key());
        let now = begun.plus(Duration::from_secs(later));
        let cookies = read([cookie.as_str()].into_iter(), &cookie_key(), COOKIE_LIFE, now);
        let decision = decide(&said.facts(cookies), &site, circuit, now);
        prop_assert!(!matches!(decision, Decision::Start(_)), "{:?} after {} s", decision, later);
    }

    #[test]
    fn s12_a_clock_that_was_set_back_starts_nothing(said in said(), site in sites(), circuit in circuits(), back in 0..NOW.0) {
        let cookies = Reading { seen: true, state: SiteState { hop_begun: Some(NOW), ..SiteState::default() }, ..Reading::default() };
        let decision = decide(&said.facts(cookies), &site, circuit, UnixSeconds(NOW.0 - back));
        prop_assert!(!matches!(decision, Decision::Start(_)));
    }
}
