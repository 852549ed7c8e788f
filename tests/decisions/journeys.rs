//! Whole journeys of one browser: pages, hops that fail, decorated links, a broker that comes and goes (rule S12).

use std::time::Duration;

use proptest::prelude::*;
use throughline::base::clock::UnixSeconds;
use throughline::domain::arrival::{Bearer, adopt, check};
use throughline::domain::breaker::Circuit;
use throughline::domain::contract::{HOP_COOKIE_LIFE, HOP_PAUSE};
use throughline::domain::decision::{Decision, Facts, decide};
use throughline::domain::site_cookie::{Identity, Reading, SiteState, Source, read};

use super::common::{
    COOKIE_LIFE, NOW, bounce, brand, circuits, control, cookie_key, flow, learn, link, network, the_shop, visitor,
};

/// What befalls a browser that keeps cookies: a page, perhaps a while later, perhaps by a decorated link; and what the
/// broker does should this page start a hop.
#[derive(Debug, Clone, Copy)]
struct Visit {
    after: u64,
    circuit: Circuit,
    by_link: bool,
    broker_gives_a_token: bool,
    comes_back: bool,
}

fn visits() -> impl Strategy<Value = Vec<Visit>> {
    let after = prop_oneof![4 => 0..300_u64, 2 => 0..HOP_PAUSE.as_secs() * 2, 1 => proptest::sample::select(vec![HOP_PAUSE.as_secs(), HOP_PAUSE.as_secs() - 1])];
    let visit = (after, circuits(), prop::bool::weighted(0.2), prop::bool::weighted(0.3), prop::bool::weighted(0.8));
    let visit = visit.prop_map(|(after, circuit, by_link, broker_gives_a_token, comes_back)| Visit {
        after,
        circuit,
        by_link,
        broker_gives_a_token,
        comes_back,
    });
    prop::collection::vec(visit, 1..40)
}

/// A browser's two cookies, with the moments at which it drops them.
#[derive(Default)]
struct Jar {
    id: Option<(String, UnixSeconds)>,
    hop: Option<UnixSeconds>,
}

impl Jar {
    fn reading(&self, now: UnixSeconds) -> Reading {
        let value = self.id.as_ref().filter(|(_, dies)| now < *dies).map(|(value, _)| value.as_str());
        read(value.into_iter(), &cookie_key(), COOKIE_LIFE, now)
    }

    fn keep(&mut self, state: &SiteState, now: UnixSeconds) {
        self.id = Some((state.write(&cookie_key()), now.plus(state.life(COOKIE_LIFE, now))));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn s12_no_journey_of_a_browser_has_two_fruitless_hops_within_a_day(visits in visits()) {
        let shop = the_shop();
        let (mut now, mut jar, mut starts) = (NOW, Jar::default(), Vec::new());
        for visit in visits {
            now = now.plus(Duration::from_secs(visit.after));
            let state = jar.reading(now).state;
            let mut facts = Facts { cookies: jar.reading(now), has_hop_cookie: jar.hop.is_some_and(|dies| now < dies), ..control() };
            if visit.by_link {
                facts.path_and_query = "/p?_tl=link";
                prop_assert_eq!(decide(&facts, &shop, visit.circuit, now), Decision::Consume);
                let token = link(visitor(2));
                let learn = learn();
                let bearer = Bearer { flow: None, referrer: Some(learn.as_str()), network: Some(network("192.0.2.9")) };
                prop_assert_eq!(check(&token, &learn, &bearer), Ok(()));
                jar.keep(&adopt(&token, &state, now).0, now);
                continue;
            }
            match decide(&facts, &shop, visit.circuit, now) {
                Decision::Start(_) => {
                    starts.push(now);
                    jar.keep(&SiteState { hop_begun: Some(now), ..state }, now);
                    jar.hop = Some(now.plus(HOP_COOKIE_LIFE));
                    if visit.comes_back {
                        let state = jar.reading(now).state;
                        let token = bounce(visitor(3), flow(1));
                        let bearer = Bearer { flow: Some(flow(1)), ..Bearer::default() };
                        prop_assert_eq!(check(&token, &brand(), &bearer), Ok(()));
                        if visit.broker_gives_a_token {
                            jar.keep(&adopt(&token, &state, now).0, now);
                        }
                        jar.hop = None;
                    }
                }
                Decision::MintProvisional => {
                    let identity = Some(Identity { visitor: visitor(4), source: Source::Provisional, created: now });
                    jar.keep(&SiteState { identity, ..state }, now);
                }
                Decision::Probe => jar.keep(&state, now),
                Decision::Pass(..) | Decision::Consume | Decision::MintMaster => {}
            }
        }
        for pair in starts.windows(2) {
            prop_assert!(pair[1].since(pair[0]) >= HOP_PAUSE, "{} s apart", pair[1].since(pair[0]).as_secs());
        }
    }
}
