//! A second, independent reading of rules S1 to S16, compared with `decide` over random requests.
//!
//! The model never looks into the code's own types for an answer: pages and user agents carry their label, and each rule
//! is one line below. A hop may start if and only if no rule speaks against it.

use std::time::Duration;

use proptest::prelude::*;
use throughline::base::clock::UnixSeconds;
use throughline::domain::breaker::Circuit;
use throughline::domain::consent::{Choice, ConsentPolicy};
use throughline::domain::decision::{Decision, Facts, Reason, decide};
use throughline::domain::site::{Role, Site};
use throughline::domain::site_cookie::{Identity, Reading, SiteState, Source};

use super::common::{CHROME, NOW, site, visitor};

/// A path with what the rules say of it: on the skip list (S7), fit to come back (S14, U2).
#[derive(Debug, Clone, Copy)]
struct Path {
    text: &'static str,
    skipped: bool,
    fit: bool,
}

const fn path(text: &'static str, skipped: bool, fit: bool) -> Path {
    Path { text, skipped, fit }
}

const PATHS: [Path; 16] = [
    path("/", false, true),
    path("/p", false, true),
    path("/a/b.html", false, true),
    path("/%E2%82%AC/x", false, true),
    path("/~u/;v=1", false, true),
    path("/apiary", false, true),
    path("/css", false, true),
    path("/api/x", true, true),
    path("/app.js", true, true),
    path("/robots.txt", true, true),
    path("/.well-known/a", true, true),
    path("/feed", true, true),
    path("//evil.example", false, false),
    path("/a/../b", false, false),
    path("/a%5Cb", false, false),
    path("/api/%00", true, false),
];

const AGENTS: [(Option<&str>, bool); 6] = [
    (Some(CHROME), false),
    (Some("Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0"), false),
    (Some("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"), true),
    (Some("facebookexternalhit/1.1"), true),
    (Some("python-requests/2.32.0"), true),
    (None, true),
];

/// A request, as the rules speak of it.
#[derive(Debug, Clone)]
struct Request {
    get: bool,
    dest: Option<&'static str>,
    mode: Option<&'static str>,
    from: Option<&'static str>,
    legacy: bool,
    speculative: bool,
    agent: (Option<&'static str>, bool),
    html: bool,
    scripted: bool,
    path: Path,
    pairs: Vec<&'static str>,
    primary: bool,
    required: bool,
    choice: Choice,
    gpc: bool,
    gpc_ignored: bool,
    source: Option<Source>,
    /// The cookies hold an ID that nobody can judge.
    withheld: bool,
    /// Seconds since the last hop began; less than zero when it is in the future.
    hop_ago: Option<i64>,
    junk_cookie: bool,
    hop_cookie: bool,
    bare: bool,
    circuit: Circuit,
}

impl Request {
    fn path_and_query(&self) -> String {
        if self.pairs.is_empty() { self.path.text.into() } else { format!("{}?{}", self.path.text, self.pairs.join("&")) }
    }

    fn sends_cookies(&self) -> bool {
        self.junk_cookie
            || self.withheld
            || self.hop_cookie
            || self.source.is_some()
            || self.hop_ago.is_some()
            || self.choice != Choice::None
    }

    fn consent_stands(&self) -> bool {
        self.broken(&["S8", "S9"]).is_empty()
    }

    /// The rules that speak against a hop.
    fn broken(&self, of: &[&'static str]) -> Vec<&'static str> {
        let navigation = self.dest == Some("document") && self.mode == Some("navigate");
        let no_metadata = self.dest.is_none() && self.mode.is_none();
        let day = 24 * 60 * 60;
        let rules = [
            ("S1", !self.get),
            ("S2", !navigation && !no_metadata),
            ("S3", no_metadata && !self.legacy),
            ("S4", self.speculative),
            ("S5", self.agent.1),
            ("S6", !self.html || self.scripted),
            ("S7", self.path.skipped),
            ("S8", self.choice == Choice::Denied || (self.choice == Choice::None && self.required)),
            ("S9", self.gpc && !self.gpc_ignored),
            ("S10", matches!(self.source, Some(Source::Broker | Source::Link))),
            ("S11", self.pairs.iter().any(|pair| *pair == "_tl" || pair.starts_with("_tl="))),
            ("S12", self.hop_cookie || self.hop_ago.is_some_and(|ago| ago < day)),
            ("S13", self.circuit != Circuit::Closed),
            ("S14", !self.path.fit),
            ("S16", !self.sends_cookies() && (self.bare || matches!(self.from, Some("same-origin" | "same-site")))),
            ("A14", self.withheld),
            ("primary", self.primary),
        ];
        rules.into_iter().filter(|(rule, broken)| *broken && (of.is_empty() || of.contains(rule))).map(|(rule, _)| rule).collect()
    }

    fn decide(&self) -> Decision {
        let path_and_query = self.path_and_query();
        let begun = |ago: i64| UnixSeconds(NOW.0.checked_add_signed(-ago).unwrap());
        let created = UnixSeconds(NOW.0 - 1000);
        let state = SiteState {
            identity: self.source.map(|source| Identity { visitor: visitor(1), source, created }),
            choice: self.choice,
            hop_begun: self.hop_ago.map(begun),
        };
        let facts = Facts {
            path_and_query: &path_and_query,
            is_get: self.get,
            fetch_dest: self.dest,
            fetch_mode: self.mode,
            fetch_site: self.from,
            is_speculative: self.speculative,
            accepts_html: self.html,
            is_partial_or_scripted: self.scripted,
            user_agent: self.agent.0,
            gpc: self.gpc,
            cookies: Reading {
                seen: self.junk_cookie || self.withheld || state != SiteState::default(),
                state,
                is_withheld: self.withheld,
                ..Reading::default()
            },
            has_hop_cookie: self.hop_cookie,
            is_bare_client: self.bare,
        };
        let role = if self.primary { Role::Primary } else { Role::Secondary };
        let consent = if self.required { ConsentPolicy::Required } else { ConsentPolicy::Implied };
        let site = Site { honour_gpc: !self.gpc_ignored, legacy_browsers: self.legacy, ..site(role, consent) };
        decide(&facts, &site, self.circuit, NOW)
    }
}

/// Mostly what a hop needs, so that every rule is also met as the only one broken.
fn mostly<T: Clone + std::fmt::Debug + 'static>(good: T, others: &'static [T]) -> impl Strategy<Value = T> {
    prop_oneof![12 => Just(good), 1 => proptest::sample::select(others)]
}

fn seldom() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.06)
}

fn hop_ago() -> impl Strategy<Value = Option<i64>> {
    let day = i64::try_from(Duration::from_secs(24 * 60 * 60).as_secs()).unwrap();
    prop_oneof![
        8 => Just(None),
        1 => (day..day * 30).prop_map(Some),
        1 => (-day * 30..day).prop_map(Some),
        1 => proptest::sample::select(vec![Some(0), Some(day - 1), Some(day), Some(-1)]),
    ]
}

fn requests() -> impl Strategy<Value = Request> {
    let browser = (
        prop::bool::weighted(0.95),
        mostly(Some("document"), &[None, Some("iframe"), Some("empty"), Some("")]),
        mostly(Some("navigate"), &[None, Some("cors"), Some("no-cors"), Some("")]),
        mostly(Some("cross-site"), &[None, Some("none"), Some("same-origin"), Some("same-site")]),
        prop::bool::ANY,
        seldom(),
        mostly(AGENTS[0], &AGENTS),
        prop::bool::weighted(0.95),
        seldom(),
    );
    let page = (
        mostly(PATHS[1], &PATHS),
        prop::collection::vec(mostly("x=1", &["y", "", "_tlx=1", "x=_tl", "_tl", "_tl=", "_tl=token"]), 0..4),
    );
    let visitor = (
        seldom(),
        prop::bool::ANY,
        mostly(Choice::Granted, &[Choice::None, Choice::None, Choice::Denied]),
        prop_oneof![3 => Just(Choice::None), 1 => Just(Choice::Granted)],
        seldom(),
        seldom(),
        mostly(None, &[Some(Source::Broker), Some(Source::Link), Some(Source::Provisional), Some(Source::Provisional)]),
        hop_ago(),
        prop::bool::ANY,
        seldom(),
    );
    let service = (seldom(), seldom(), mostly(Circuit::Closed, &[Circuit::Unprobed, Circuit::Open, Circuit::HalfOpen]));
    (browser, page, visitor, service).prop_map(|(browser, (path, pairs), visitor, (withheld, bare, circuit))| {
        let (get, dest, mode, from, legacy, speculative, agent, html, scripted) = browser;
        let (primary, required, choice_required, choice_implied, gpc, gpc_ignored, source, hop_ago, junk_cookie, hop_cookie) =
            visitor;
        let choice = if required { choice_required } else { choice_implied };
        Request {
            get,
            dest,
            mode,
            from,
            legacy,
            speculative,
            agent,
            html,
            scripted,
            path,
            pairs,
            primary,
            required,
            choice,
            gpc,
            gpc_ignored,
            source: source.filter(|_| !withheld),
            withheld,
            hop_ago,
            junk_cookie,
            hop_cookie,
            bare,
            circuit,
        }
    })
}

/// The rule that a reason names.
const fn rules_of(reason: Reason) -> &'static [&'static str] {
    match reason {
        Reason::Known => &["S10"],
        Reason::NotGet => &["S1"],
        Reason::NotANavigation => &["S2"],
        Reason::NoFetchMetadata => &["S3"],
        Reason::Speculative => &["S4"],
        Reason::Crawler => &["S5"],
        Reason::NotAPage => &["S6"],
        Reason::Skipped => &["S7"],
        Reason::NoConsent => &["S8"],
        Reason::Refused => &["S8", "S9"],
        Reason::Unjudged => &["A14"],
        Reason::HopInFlight | Reason::HopPaused => &["S12"],
        Reason::BrokerUnprobed | Reason::BrokerDown => &["S13"],
        Reason::UrlUnfit => &["S14"],
    }
}

const ABOUT_THE_REQUEST: [&str; 6] = ["S1", "S2", "S3", "S4", "S5", "S6"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_hop_starts_if_and_only_if_no_rule_speaks_against_it(request in requests()) {
        let decision = request.decide();
        let broken = request.broken(&[]);
        prop_assert_eq!(matches!(decision, Decision::Start(_)), broken.is_empty(), "{:?} though broken: {:?}", decision, broken);
        match decision {
            Decision::Start(page) => prop_assert_eq!(page.path_and_query(), request.path_and_query()),
            Decision::Pass(reason, identity) => {
                prop_assert!(!request.broken(rules_of(reason)).is_empty(), "{:?} is not why: {:?}", reason, broken);
                // The application is told of a visitor exactly where the visitor agreed.
                prop_assert_eq!(identity.map(|identity| identity.source), request.source.filter(|_| request.consent_stands()));
            }
            Decision::Consume => {
                prop_assert!(broken.contains(&"S11"));
                prop_assert!(request.broken(&ABOUT_THE_REQUEST).is_empty(), "{:?}", broken);
            }
            Decision::Probe => {
                prop_assert!(broken.contains(&"S16"));
                prop_assert!(broken.iter().all(|rule| ["S13", "S14", "S16", "primary"].contains(rule)), "{:?}", broken);
            }
            Decision::MintProvisional => {
                prop_assert!(broken.contains(&"S13") && request.circuit != Circuit::Unprobed && request.source.is_none());
                prop_assert!(broken.iter().all(|rule| ["S13", "S14"].contains(rule)), "{:?}", broken);
            }
            Decision::MintMaster => {
                prop_assert!(request.primary);
                prop_assert!(broken.iter().all(|rule| ["primary", "S12", "S13", "S14"].contains(rule)), "{:?}", broken);
            }
        }
    }

    #[test]
    fn s11_a_page_navigation_with_our_parameter_is_always_consumed(request in requests()) {
        let consumed = request.decide() == Decision::Consume;
        let expected = request.broken(&ABOUT_THE_REQUEST).is_empty() && !request.broken(&["S11"]).is_empty();
        prop_assert_eq!(consumed, expected);
    }
}

#[test]
fn the_generator_meets_every_decision_and_every_rule_alone() {
    // A property that never meets the interesting case proves nothing.
    use proptest::strategy::ValueTree as _;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut starts, mut alone) = (0, std::collections::BTreeSet::new());
    for _ in 0..20_000 {
        let request = requests().new_tree(&mut runner).unwrap().current();
        match request.broken(&[])[..] {
            [] => starts += 1,
            [rule] => drop(alone.insert(rule)),
            _ => {}
        }
    }
    assert!(starts > 1000, "{starts} starts");
    let all = ["S1", "S2", "S3", "S4", "S5", "S6", "S7", "S8", "S9", "S10", "S11", "S12", "S13", "S14", "S16", "A14", "primary"];
    assert_eq!(alone, all.into_iter().collect(), "each rule must also be met as the only one broken");
}
