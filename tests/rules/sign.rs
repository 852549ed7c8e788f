//! Requests and tokens that are signed correctly and wrong otherwise, so that a refusal can only be the rule's.

use std::time::Duration;

use throughline::base::clock::{Clock as _, SystemClock, UnixSeconds};
use throughline::base::encoding::base64url;
use throughline::base::id::VisitorId;
use throughline::base::random::{SystemRandom, random_bytes};
use throughline::token::claims::{FlowSecret, TOKEN_LIFE_MAX, TokenId};
use throughline::token::mint::{Statement, bounce_token};

use crate::support::company::Company;

/// The machine's time.
pub(crate) fn now() -> u64 {
    SystemClock::new().now().0
}

/// Percent-encodes all but letters and digits.
pub(crate) fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// A flow that some browser began.
pub(crate) fn flow() -> String {
    base64url(FlowSecret::new([9; 16]).flow().as_bytes())
}

/// The query of shop's hop request for `page`, without the signature.
pub(crate) fn hop_pairs(company: &Company, page: &str) -> String {
    let (site, flow, now) = (encode(&company.shop), flow(), now());
    format!("v=1&site={site}&flow={flow}&iat={now}&consent=implied&return={}", encode(page))
}

/// Whatever these pairs are, with shop's signature as a hop request.
pub(crate) fn signed(company: &Company, pairs: &str) -> String {
    signed_for(company, "hop", pairs)
}

/// Whatever these pairs are, with shop's signature for that endpoint.
pub(crate) fn signed_for(company: &Company, endpoint: &str, pairs: &str) -> String {
    let context = format!("throughline/v1/{endpoint}\n{}\n", company.brand);
    let tag = company.hop_key("shop").tag(&[context.as_bytes(), pairs.as_bytes()]);
    format!("{pairs}&sig={}", base64url(&tag))
}

/// The hop endpoint with a query.
pub(crate) fn hop_url(company: &Company, query: &str) -> String {
    format!("{}/_throughline/hop?{query}", company.brand)
}

/// A bounce token for the browser whose hop cookie is `hop_cookie`, with what may be wrong with it.
pub(crate) struct Bounce<'a> {
    pub(crate) signer: &'a str,
    pub(crate) audience: &'a str,
    pub(crate) hop_cookie: &'a str,
    pub(crate) age: u64,
}

impl<'a> Bounce<'a> {
    /// A good one, for shop.
    pub(crate) const fn good(hop_cookie: &'a str) -> Self {
        Self { signer: "brand", audience: "shop", hop_cookie, age: 0 }
    }

    /// Mints it.
    pub(crate) fn mint(&self, company: &Company) -> String {
        let random = SystemRandom::new();
        let keys = company.folder.keys(self.signer);
        let now = UnixSeconds(now() - self.age);
        let statement = Statement {
            issuer: &company.origin("brand"),
            audience: &company.origin(self.audience),
            visitor: VisitorId::mint(&random).expect("randomness"),
            now,
            life: TOKEN_LIFE_MAX.min(Duration::from_secs(60)),
            id: TokenId(random_bytes(&random).expect("randomness")),
        };
        let flow = FlowSecret::parse(self.hop_cookie).expect("a hop cookie").flow();
        bounce_token(keys.signing_key(now).expect("a key"), &statement, flow).as_str().to_owned()
    }
}
