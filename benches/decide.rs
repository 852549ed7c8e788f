//! The parts of a request, one by one, without a server: the decision on a page must take less than 2 us.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::Method;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use criterion::{Criterion, criterion_group, criterion_main};

use throughline::base::clock::{SystemClock, UnixSeconds};
use throughline::base::id::VisitorId;
use throughline::base::origin::Origin;
use throughline::base::random::{CountingRandom, SystemRandom};
use throughline::base::secret::SiteSecret;
use throughline::domain::breaker::Circuit;
use throughline::domain::consent::ConsentPolicy;
use throughline::domain::decision::decide;
use throughline::domain::rate::Rate;
use throughline::domain::site::{Role, Site, SkipList};
use throughline::domain::site_cookie::{Identity, SiteState, Source, read};
use throughline::domain::url::PageUrl;
use throughline::http::Env;
use throughline::http::client_address::TrustedProxies;
use throughline::http::cookies::CookieJar;
use throughline::http::event::Log;
use throughline::http::facts::facts;
use throughline::store::rate_limit::RateLimit;
use throughline::store::revoked_ids::RevokedIds;
use throughline::token::claims::{FlowSecret, TOKEN_LIFE_MAX, TokenId};
use throughline::token::key::SigningKey;
use throughline::token::mint::{Statement, bounce_token};
use throughline::token::verify::{UnverifiedToken, Verifier};

const NOW: UnixSeconds = UnixSeconds(1_790_000_000);
const LIFE: Duration = Duration::from_secs(395 * 86_400);
const PAGE: &str = "/shoes/red?size=44&from=newsletter";

fn origin(text: &str) -> Origin {
    Origin::parse(text).expect("an origin")
}

fn visitor() -> VisitorId {
    VisitorId::mint(&CountingRandom::default()).expect("randomness")
}

fn shop() -> Site {
    let secret = SiteSecret::generate(&CountingRandom::default()).expect("randomness");
    let (cookie_key, hop_key) = Site::keys(Role::Secondary, &secret);
    Site {
        origin: origin("https://shop.example"),
        role: Role::Secondary,
        consent: ConsentPolicy::Implied,
        honour_gpc: true,
        legacy_browsers: false,
        skip: SkipList::new(&[]).expect("no entries, no mistake"),
        cookie_life: LIFE,
        cookie_key,
        hop_key,
        api_key: secret.api_key(),
        other: None,
        satellite: None,
    }
}

fn known() -> SiteState {
    SiteState { identity: Some(Identity { visitor: visitor(), source: Source::Broker, created: NOW }), ..SiteState::default() }
}

/// A browser's headers, less those that nobody looks at, with `cookie`.
fn headers(cookie: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("host", "shop.example"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"),
        ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
        ("sec-fetch-site", "none"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "document"),
        ("accept-language", "en-GB,en;q=0.9"),
        ("cookie", cookie),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).expect("a value"));
    }
    headers
}

fn decisions(criterion: &mut Criterion) {
    let site = shop();
    let revoked = RevokedIds::default();
    revoked.completed(NOW);
    let env = Env {
        clock: Arc::new(SystemClock::new()),
        random: Arc::new(SystemRandom::new()),
        cookies: CookieJar::PRODUCTION,
        observer: Arc::new(Log),
        proxies: TrustedProxies::new(Vec::new()),
        rates: RateLimit::new(Rate::default()),
        revoked: Arc::new(revoked),
        mints: Arc::default(),
    };
    let value = known().write(&site.cookie_key);
    for (name, cookie) in
        [("decide: known", format!("_ga=GA1.1.1; __Host-throughline={value}")), ("decide: start", "_ga=GA1.1.1".into())]
    {
        let headers = headers(&cookie);
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| {
                let facts = facts(&Method::GET, black_box(PAGE), black_box(&headers), &env, &site, NOW);
                decide(&facts, &site, Circuit::Closed, NOW)
            });
        });
    }
    criterion.bench_function("cookie: read", |bencher| {
        bencher.iter(|| read([black_box(value.as_str())].into_iter(), &site.cookie_key, LIFE, NOW));
    });
    criterion.bench_function("cookie: write", |bencher| bencher.iter(|| black_box(known()).write(&site.cookie_key)));
    criterion.bench_function("page URL: parse", |bencher| {
        let text = format!("{}{PAGE}", site.origin);
        bencher.iter(|| PageUrl::parse(&site.origin, black_box(&text)));
    });
}

fn tokens(criterion: &mut Criterion) {
    let (broker, shop) = (origin("https://www.brand.example"), origin("https://shop.example"));
    let key = SigningKey::from_seed(&[1; 32]).expect("a key");
    let flow = FlowSecret::new([9; 16]).flow();
    let statement =
        Statement { issuer: &broker, audience: &shop, visitor: visitor(), now: NOW, life: TOKEN_LIFE_MAX, id: TokenId([7; 16]) };
    criterion.bench_function("token: mint", |bencher| bencher.iter(|| bounce_token(&key, black_box(&statement), flow)));
    let token = bounce_token(&key, &statement, flow);
    let verifier = Verifier::new(&broker, key.public().clone(), &shop);
    criterion.bench_function("token: verify", |bencher| {
        bencher.iter(|| UnverifiedToken::parse(black_box(token.as_str())).and_then(|token| token.verify(&verifier, NOW)));
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1)).sample_size(30);
    targets = decisions, tokens
}
criterion_main!(benches);
