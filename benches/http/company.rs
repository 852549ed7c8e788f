//! The company that is measured: one primary, one secondary, and keys that the load generator knows too.

use std::sync::Arc;
use std::time::Duration;

use throughline::app::launch::Launch;
use throughline::base::clock::{Clock as _, SystemClock, UnixSeconds};
use throughline::base::encoding::base64url;
use throughline::base::id::VisitorId;
use throughline::base::origin::Origin;
use throughline::base::random::{Random as _, SystemRandom};
use throughline::base::secret::SiteSecret;
use throughline::config::{
    Admin, BrokerConfig, Config, KeySource, Limits, Listen, Log, LogFormat, Outbound, Profile, RegisteredSite, ServedSite,
    StoreConfig, UnknownHost,
};
use throughline::domain::consent::{Basis, Choice, ConsentPolicy};
use throughline::domain::contract::COOKIE_DAYS_DEFAULT;
use throughline::domain::hop_request::HopRequest;
use throughline::domain::rate::Rate;
use throughline::domain::site::{Role, Site, SkipList};
use throughline::domain::site_cookie::{Identity, SiteState, Source};
use throughline::domain::url::PageUrl;
use throughline::http::event::Log as TellLog;
use throughline::token::claims::{FlowSecret, TOKEN_LIFE_MAX, TokenId};
use throughline::token::key::{Seed, SigningKey};
use throughline::token::keyset::{KeySet, TimedKey};
use throughline::token::mint::{Statement, bounce_token};

/// The page that everybody asks for.
pub(crate) const PAGE: &str = "/p?x=1";

/// How many used tokens the server remembers.
pub(crate) const REPLAY_ENTRIES: usize = 1_000_000;

/// What is logged, where anything is.
pub(crate) const LOG: Log = Log { level: tracing::Level::INFO, format: LogFormat::Json };

/// The company, on one port.
pub(crate) struct Company {
    pub(crate) brand: Origin,
    pub(crate) shop: Origin,
    port: u16,
}

const BRAND: u8 = 1;
const SHOP: u8 = 2;

impl Company {
    pub(crate) fn on(port: u16) -> Self {
        let origin = |name: &str| Origin::parse(&format!("http://{name}.localhost:{port}")).expect("an origin");
        Self { brand: origin("brand"), shop: origin("shop"), port }
    }

    fn secret(which: u8) -> SiteSecret {
        SiteSecret::parse(&base64url(&[which; 32])).expect("32 octets")
    }

    fn site(origin: &Origin, role: Role, which: u8) -> Site {
        let secret = Self::secret(which);
        let (cookie_key, hop_key) = Site::keys(role, &secret);
        Site {
            origin: origin.clone(),
            role,
            consent: ConsentPolicy::Implied,
            honour_gpc: true,
            legacy_browsers: false,
            skip: SkipList::new(&[]).expect("no entries, no mistake"),
            cookie_life: Duration::from_secs(COOKIE_DAYS_DEFAULT * 86_400),
            cookie_key,
            hop_key,
            api_key: secret.api_key(),
            other: None,
            satellite: None,
        }
    }

    fn brand_site(&self) -> Site {
        Self::site(&self.brand, Role::Primary, BRAND)
    }

    fn shop_site(&self) -> Site {
        Self::site(&self.shop, Role::Secondary, SHOP)
    }

    fn key(which: u8) -> SigningKey {
        SigningKey::from_seed(&[which; 32]).expect("a key")
    }

    /// A server with one worker, as `serve` would run it.
    pub(crate) fn launch(&self, store: StoreConfig) -> Launch {
        self.launch_watched(store, None)
    }

    /// The same, with a listener for operators.
    pub(crate) fn launch_watched(&self, store: StoreConfig, admin: Option<Admin>) -> Launch {
        let served = |site: Site, which: u8| {
            let at = UnixSeconds(1);
            let key = TimedKey { key: Self::key(which), seed: Seed::new([which; 32]), publish_at: at, activate_at: at };
            ServedSite { site, keys: KeySource::Fixed(KeySet::new(vec![key])), files: None }
        };
        let shop = self.shop_site();
        let registered = RegisteredSite::new(self.shop.clone(), &Self::secret(SHOP), false);
        let config = Config {
            profile: Profile::Localhost,
            listen: Listen {
                addresses: vec![([127, 0, 0, 1], self.port).into()],
                tls: None,
                trusted_proxies: vec!["127.0.0.1/32".parse().expect("a network")],
                unknown_host: UnknownHost::Pass,
            },
            primary: self.brand.clone(),
            broker: Some(BrokerConfig { whoami: false }),
            served: vec![served(self.brand_site(), BRAND), served(shop, SHOP)],
            registered: vec![registered],
            store: Some(store),
            outbound: Outbound {
                ca_file: None,
                refusals_file: None,
                siblings_file: None,
                ended_ids_file: None,
                resolve: std::collections::HashMap::new(),
                probe_interval: Duration::from_secs(1),
                probe_timeout: Duration::from_secs(5),
                revocation_interval: Duration::from_secs(5),
            },
            replay: None,
            limits: Limits { replay_entries: REPLAY_ENTRIES, client: Rate::default(), workers: Some(1) },
            log: LOG,
            admin,
            traces: None,
        };
        Launch::new(config, Arc::new(TellLog)).expect("a configuration without a CA file launches")
    }

    /// The path of a hop request that was signed just now.
    pub(crate) fn hop(&self) -> String {
        let page = PageUrl::on(&self.shop, PAGE).expect("a page");
        let request = HopRequest {
            flow: Self::flow().flow(),
            issued_at: now(),
            basis: Basis::Implied,
            look_alike: false,
            page: Some(page),
            referrer: None,
        };
        format!("/_throughline/hop?{}", request.sign(&self.brand, &self.shop, &self.shop_site().hop_key))
    }

    /// The path of a page with a fresh bounce token.
    pub(crate) fn arrival(&self, flow: &FlowSecret) -> String {
        let statement = Statement {
            issuer: &self.brand,
            audience: &self.shop,
            visitor: visitor(),
            now: now(),
            life: TOKEN_LIFE_MAX,
            id: TokenId(random()),
        };
        format!("{PAGE}&_tl={}", bounce_token(&Self::key(BRAND), &statement, flow.flow()).as_str())
    }

    /// The hop cookie's pair.
    pub(crate) fn hop_cookie(flow: &FlowSecret) -> String {
        format!("throughline-hop={}", flow.to_text())
    }

    /// The master cookie's pair.
    pub(crate) fn master_cookie(&self) -> String {
        id_cookie(&self.brand_site())
    }

    /// The local cookie's pair.
    pub(crate) fn local_cookie(&self) -> String {
        id_cookie(&self.shop_site())
    }

    /// The secret of another hop each time.
    pub(crate) fn flow() -> FlowSecret {
        FlowSecret::new(random())
    }
}

fn id_cookie(site: &Site) -> String {
    let identity = Identity { visitor: visitor(), source: Source::Broker, created: now() };
    let state = SiteState { identity: Some(identity), choice: Choice::None, hop_begun: None };
    format!("throughline={}", state.write(&site.cookie_key))
}

fn visitor() -> VisitorId {
    VisitorId::mint(&SystemRandom::new()).expect("randomness")
}

fn now() -> UnixSeconds {
    SystemClock::new().now()
}

fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).expect("randomness");
    bytes
}
