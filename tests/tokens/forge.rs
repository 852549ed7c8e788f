//! The forge: signs any header and any claims, however wrong, with ed25519-dalek, which the crate itself does not use.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::Signer as _;
use throughline::base::clock::UnixSeconds;
use throughline::base::origin::Origin;
use throughline::token::claims::TokenKind;
use throughline::token::key::{KeyId, PublicKey};
use throughline::token::verify::{TokenRefusal, UnverifiedToken, VerifiedToken, Verifier};

/// The moment at which the good tokens are issued and, unless a test says otherwise, verified.
pub(crate) const NOW: u64 = 1_790_000_000;
pub(crate) const ISSUER: &str = "https://id.example";
pub(crate) const AUDIENCE: &str = "https://shop.example";
pub(crate) const VISITOR: &str = "00010203-0405-4607-8809-0a0b0c0d0e0f";
pub(crate) const CLIENT: &str = "192.0.2.7";
/// The first 24 bits of SHA-256 over 16 octets of 9 and 192, 0, 2: from another implementation.
pub(crate) const NET: &str = "\"mzyg\"";
pub(crate) const SEED: [u8; 32] = *b"the issuer's seed, for tests....";

/// Signs with one Ed25519 key.
pub(crate) struct Forge {
    key: ed25519_dalek::SigningKey,
}

impl Default for Forge {
    /// The forge that holds the issuer's own key.
    fn default() -> Self {
        Self::with_seed(&SEED)
    }
}

impl Forge {
    pub(crate) fn with_seed(seed: &[u8; 32]) -> Self {
        Self { key: ed25519_dalek::SigningKey::from_bytes(seed) }
    }

    pub(crate) fn public(&self) -> [u8; 32] {
        self.key.verifying_key().to_bytes()
    }

    pub(crate) fn kid(&self) -> KeyId {
        KeyId::of(&self.public())
    }

    pub(crate) fn signature(&self, message: &str) -> [u8; 64] {
        self.key.sign(message.as_bytes()).to_bytes()
    }

    /// A whole token over a header and claims that are already encoded, so that their spelling can be wrong too.
    pub(crate) fn sign_parts(&self, header: &str, claims: &str) -> String {
        let message = format!("{header}.{claims}");
        let signature = encode(self.signature(&message));
        format!("{message}.{signature}")
    }

    /// A whole token over any two texts.
    pub(crate) fn token(&self, header: &str, claims: &str) -> String {
        self.sign_parts(&encode(header), &encode(claims))
    }

    /// The bounce token from which the attacks differ in one thing each.
    pub(crate) fn good_token(&self) -> String {
        self.token(&good_header(TokenKind::Bounce), &GoodClaims::bounce(NOW).json())
    }
}

pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn good_header(kind: TokenKind) -> String {
    format!(r#"{{"typ":"{}","alg":"EdDSA","kid":"{}"}}"#, kind.typ(), Forge::default().kid())
}

/// The claims of an accepted token as raw JSON members: they can be replaced, left out, or be there twice.
#[derive(Clone)]
pub(crate) struct GoodClaims(Vec<(String, String)>);

impl GoodClaims {
    /// For a client at [`CLIENT`].
    pub(crate) fn link() -> Self {
        Self::of_both().and("net", NET)
    }

    fn of_both() -> Self {
        let quoted = |text: &str| format!("\"{text}\"");
        let members = [
            ("iss", quoted(ISSUER)),
            ("aud", quoted(AUDIENCE)),
            ("sub", quoted(VISITOR)),
            ("iat", NOW.to_string()),
            ("exp", (NOW + 60).to_string()),
            ("jti", quoted(&encode([9; 16]))),
        ];
        Self(members.map(|(name, value)| (name.to_owned(), value)).into())
    }

    pub(crate) fn bounce(issued_at: u64) -> Self {
        Self::of_both().and("flow", &format!("\"{}\"", encode([7; 32]))).times(issued_at, issued_at + 60)
    }

    pub(crate) fn times(self, issued_at: u64, expires_at: u64) -> Self {
        self.with("iat", &issued_at.to_string()).with("exp", &expires_at.to_string())
    }

    /// The same with another value for one member.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        let member = self.0.iter_mut().find(|member| member.0 == name).expect("a member to replace");
        member.1 = value.to_owned();
        self
    }

    /// The same with one more member, which may be there already.
    pub(crate) fn and(mut self, name: &str, value: &str) -> Self {
        self.0.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.0.retain(|member| member.0 != name);
        self
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|member| member.0 == name)
    }

    pub(crate) fn json(&self) -> String {
        let members: Vec<_> = self.0.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", members.join(","))
    }
}

pub(crate) fn origin(text: &str) -> Origin {
    Origin::parse(text).expect("an origin")
}

static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| {
    let key = PublicKey::new(Forge::default().public()).expect("a key");
    Verifier::new(&origin(ISSUER), key, &origin(AUDIENCE))
});

/// What the site says to `text` at `now`.
pub(crate) fn verdict_at(text: &str, now: u64) -> Result<VerifiedToken, TokenRefusal> {
    UnverifiedToken::parse(text)?.verify(&VERIFIER, UnixSeconds(now))
}

/// What the site says to `text` at the moment at which good tokens are issued.
pub(crate) fn verdict(text: &str) -> Result<VerifiedToken, TokenRefusal> {
    verdict_at(text, NOW)
}

/// The refusal's stable code, or `accepted`.
pub(crate) fn code(verdict: Result<VerifiedToken, TokenRefusal>) -> &'static str {
    verdict.map_or_else(TokenRefusal::code, |_| "accepted")
}
