//! The test vectors of `docs/protocol.md`: made here of fixed inputs by the public API, and compared with the document byte
//! for byte. `THROUGHLINE_WRITE_VECTORS=1 cargo test --test vectors` writes them anew.
//!
//! `check.py` beside this file verifies the same section from the document's text alone, with another implementation.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use throughline::base::clock::UnixSeconds;
use throughline::base::encoding::base64url;
use throughline::base::id::VisitorId;
use throughline::base::network::Network;
use throughline::base::origin::Origin;
use throughline::base::random::{CountingRandom, random_bytes};
use throughline::base::secret::{Purpose, SiteSecret};
use throughline::domain::consent::{Basis, Choice};
use throughline::domain::hop_request::HopRequest;
use throughline::domain::referrer::Referrer;
use throughline::domain::site_cookie::{Identity, SiteState, Source};
use throughline::domain::url::PageUrl;
use throughline::token::claims::{FlowSecret, TOKEN_LIFE_MAX, TokenId};
use throughline::token::jwks::write_jwks;
use throughline::token::key::SigningKey;
use throughline::token::mint::{Statement, bounce_token, link_token};

const BEGIN: &str = "<!-- vectors: begin -->\n";
const END: &str = "<!-- vectors: end -->\n";
const NOW: UnixSeconds = UnixSeconds(1_790_000_000);
const COOKIE_LIFE: Duration = Duration::from_secs(395 * 86_400);

/// Pages of a site, for the table of what the parameter does to them.
const PAGES: [&str; 13] = [
    "/",
    "/p",
    "/p?",
    "/p?x=1",
    "/p?x=1&y=2",
    "/p?x",
    "/p??",
    "/p?a?b",
    "/p?&",
    "/p?&&x",
    "/p?x=a%20b+c",
    "/p?_tlx=1&%5Ftl=1",
    "/p?q=https://o.example//x@y",
];

/// Pages that carry the parameter already, and what is left without it.
const CARRYING: [&str; 7] =
    ["/p?_tl", "/p?_tl=", "/p?_tl=a&x=1", "/p?x=1&_tl=a&y=2", "/p?_tl=a&x=1&_tl=b&y&_tl", "/p?&_tl=a", "/p?_tl=a=b&_TL=1"];

fn seed(first: u8) -> [u8; 32] {
    let mut seed = [first; 32];
    seed.iter_mut().zip(0_u8..).for_each(|(byte, index)| *byte += index);
    seed
}

/// A section's text: a heading, then lines of `name = value`.
struct Section(String);

impl Section {
    fn new(title: &str) -> Self {
        Self(format!("### {title}\n\n```text\n"))
    }

    fn line(&mut self, name: &str, value: &dyn std::fmt::Display) {
        let _ = writeln!(self.0, "{name} = {value}");
    }

    fn row(&mut self, from: &str, to: &str) {
        let _ = writeln!(self.0, "{from}  ->  {to}");
    }

    fn end(self) -> String {
        self.0 + "```\n\n"
    }
}

fn vectors() -> String {
    let random = CountingRandom::default();
    let draw = || random_bytes::<16>(&random).unwrap();
    let origin = |text| Origin::parse(text).unwrap();
    let (broker, shop, learn) =
        (origin("https://www.brand.example"), origin("https://shop.example"), origin("https://learn.example"));
    let secret = SiteSecret::parse(&base64url(&seed(0))).unwrap();
    let mut text = String::from("\n");

    let mut keys = Section::new("Derived keys");
    keys.line("secret", &*secret.to_text());
    for purpose in Purpose::ALL {
        keys.line(&format!("mac.{}", purpose.label()), &base64url(&secret.derive(purpose).tag(&[b"throughline"])));
    }
    keys.line("api-key", &secret.api_key().as_str());
    text += &keys.end();

    let (broker_key, shop_key) = (SigningKey::from_seed(&seed(0x20)).unwrap(), SigningKey::from_seed(&seed(0x40)).unwrap());
    let mut signing = Section::new("Signing keys");
    for (name, first, key) in [("broker", 0x20, &broker_key), ("shop", 0x40, &shop_key)] {
        signing.line(&format!("{name}.seed"), &base64url(&seed(first)));
        signing.line(&format!("{name}.x"), &base64url(key.public().x()));
        signing.line(&format!("{name}.kid"), &key.public().id());
        signing.line(&format!("{name}.jwks"), &write_jwks(std::iter::once(key.public())));
    }
    text += &signing.end();

    let hop_key = secret.derive(Purpose::HopRequest);
    let flow_secret = FlowSecret::new(draw());
    let flow = flow_secret.flow();
    let visitor = VisitorId::mint(&random).unwrap();
    let page = PageUrl::on(&shop, "/p?x=1&y=a%20b").unwrap();
    let request =
        HopRequest { flow, issued_at: NOW, basis: Basis::Granted, look_alike: false, page: Some(page.clone()), referrer: None };
    let mut asked = Section::new("Flow, hop request, whoami request");
    asked.line("hop-cookie", &flow_secret.to_text());
    asked.line("flow", &base64url(flow.as_bytes()));
    asked.line("broker", &broker);
    asked.line("site", &shop);
    asked.line("page", &page.as_str());
    asked.line("hop-query", &request.sign(&broker, &shop, &hop_key));
    let told = Referrer::parse("https://news.example/a?q=1");
    asked.line("referrer", &told.as_ref().unwrap().as_str());
    let by_script = HopRequest { referrer: told, ..request.clone() };
    asked.line("hop-query-by-script", &by_script.sign(&broker, &shop, &hop_key));
    asked.line("whoami-query", &HopRequest { basis: Basis::Implied, page: None, ..request }.sign(&broker, &shop, &hop_key));
    text += &asked.end();

    let mut statement =
        Statement { issuer: &broker, audience: &shop, visitor, now: NOW, life: TOKEN_LIFE_MAX, id: TokenId(draw()) };
    let bounce = bounce_token(&broker_key, &statement, flow);
    (statement.issuer, statement.audience, statement.id) = (&shop, &learn, TokenId(draw()));
    let client = "192.0.2.7".parse().unwrap();
    let link = link_token(&shop_key, &statement, &Network::of(client));
    let mut tokens = Section::new("Tokens");
    tokens.line("visitor", &visitor);
    tokens.line("bounce-token", &bounce.as_str());
    tokens.line("bounce-location", &page.with_token(&bounce).as_str());
    tokens.line("link-client", &client);
    tokens.line("link-token", &link.as_str());
    (statement.issuer, statement.audience, statement.id) = (&shop, &learn, TokenId(draw()));
    let client = "2001:db8:7:8::9".parse().unwrap();
    let link = link_token(&shop_key, &statement, &Network::of(client));
    tokens.line("link-client-ipv6", &client);
    tokens.line("link-token-ipv6", &link.as_str());
    text += &tokens.end();

    let cookie_key = secret.derive(Purpose::LocalCookie);
    let identity = |source| Some(Identity { visitor, source, created: NOW });
    let mut cookies = Section::new("ID cookies, and for how many seconds each is set");
    for (name, identity, choice, hop_begun) in [
        ("broker", identity(Source::Broker), Choice::None, None),
        ("broker-granted", identity(Source::Broker), Choice::Granted, None),
        ("link", identity(Source::Link), Choice::None, None),
        ("provisional", identity(Source::Provisional), Choice::None, None),
        ("provisional-hop-begun", identity(Source::Provisional), Choice::None, Some(NOW)),
        ("hop-begun", None, Choice::None, Some(NOW)),
        ("granted", None, Choice::Granted, None),
        ("granted-hop-begun", None, Choice::Granted, Some(NOW)),
        ("denied", None, Choice::Denied, None),
        ("probe", None, Choice::None, None),
    ] {
        let state = SiteState { identity, choice, hop_begun };
        cookies.line(&format!("cookie.{name}"), &state.write(&cookie_key));
        cookies.line(&format!("life.{name}"), &state.life(COOKIE_LIFE, NOW).as_secs());
    }
    text += &cookies.end();

    let on_shop = |page: &str| PageUrl::on(&shop, page).unwrap();
    let mut inserted = Section::new("The parameter goes in (here: empty), and out again to the same bytes");
    for page in PAGES {
        let with = PageUrl::parse(&shop, on_shop(page).with_empty_parameter().as_str()).unwrap();
        assert_eq!(with.clean().path_and_query(), page);
        inserted.row(page, with.path_and_query());
    }
    text += &inserted.end();
    let mut removed = Section::new("The parameter goes out");
    for page in CARRYING {
        removed.row(page, on_shop(page).clean().path_and_query());
    }
    text + &removed.end()
}

#[test]
fn the_documents_vectors_are_what_the_code_makes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/protocol.md");
    let document = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = document.split_once(BEGIN).expect("the document has the marker where vectors begin");
    let (written, after) = rest.split_once(END).expect("the document has the marker where vectors end");
    let made = vectors();
    if std::env::var_os("THROUGHLINE_WRITE_VECTORS").is_some_and(|value| value == "1") {
        std::fs::write(&path, format!("{before}{BEGIN}{made}{END}{after}")).unwrap();
        return;
    }
    let different = made.lines().zip(written.lines()).find(|(made, written)| made != written);
    assert_eq!(made, written, "first difference: {different:#?}; THROUGHLINE_WRITE_VECTORS=1 writes them anew");
}
