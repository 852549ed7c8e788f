//! The company's other sites and everybody's public keys, made ready for look-ups.

use std::collections::HashMap;

use crate::base::origin::Origin;
use crate::token::claims::TokenKind;
use crate::token::key::{KeyId, PublicKey};
use crate::token::verify::{UnverifiedToken, Verifier};

/// What the broker's metadata and the sites' key sets say.
#[derive(Debug, Default)]
pub struct Siblings {
    origins: HashMap<String, Origin>,
    broker_keys: HashMap<KeyId, PublicKey>,
    link_keys: HashMap<KeyId, (Origin, PublicKey)>,
    primary: Option<Origin>,
}

impl Siblings {
    /// Nothing is known yet but the primary.
    #[must_use]
    pub fn none(primary: &Origin) -> Self {
        Self::new(primary, Vec::new(), Vec::new())
    }

    /// The primary with its keys, and the sites with theirs. A key is named after itself, so no site can speak with
    /// another's.
    #[must_use]
    pub fn new(primary: &Origin, primary_keys: Vec<PublicKey>, sites: Vec<(Origin, Vec<PublicKey>)>) -> Self {
        let origins = sites.iter().map(|(origin, _)| origin).chain([primary]).map(|origin| (origin.to_string(), origin.clone())).collect();
        let mut link_keys = HashMap::new();
        for key in &primary_keys {
            link_keys.insert(key.id(), (primary.clone(), key.clone()));
        }
        for (origin, keys) in sites {
            link_keys.extend(keys.into_iter().map(|key| (key.id(), (origin.clone(), key))));
        }
        let broker_keys = primary_keys.into_iter().map(|key| (key.id(), key)).collect();
        Self { origins, broker_keys, link_keys, primary: Some(primary.clone()) }
    }

    /// The registered origin that is spelled so.
    #[must_use]
    pub fn origin(&self, text: &str) -> Option<&Origin> {
        self.origins.get(text)
    }

    /// Whether the broker's keys are known.
    #[must_use]
    pub fn knows_broker(&self) -> bool {
        !self.broker_keys.is_empty()
    }

    /// The keys of one site, or none.
    #[must_use]
    pub fn keys_of(&self, origin: &Origin) -> Vec<PublicKey> {
        self.link_keys.values().filter(|(of, _)| of == origin).map(|(_, key)| key.clone()).collect()
    }

    /// Who may have issued `token` for `audience`, ready to verify it. Only the broker issues bounce tokens.
    #[must_use]
    pub fn verifier(&self, token: &UnverifiedToken<'_>, audience: &Origin) -> Option<(&Origin, Verifier)> {
        let (issuer, key) = match token.kind() {
            TokenKind::Bounce => (self.primary.as_ref()?, self.broker_keys.get(&token.key_id())?),
            TokenKind::Link => self.link_keys.get(&token.key_id()).map(|(origin, key)| (origin, key))?,
        };
        Some((issuer, Verifier::new(issuer, key.clone(), audience)))
    }
}
