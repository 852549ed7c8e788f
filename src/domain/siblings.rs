//! The company's other sites and everybody's public keys, made ready for look-ups.

use std::collections::HashMap;

use crate::base::origin::Origin;
use crate::token::claims::TokenKind;
use crate::token::key::{KeyId, PublicKey};
use crate::token::verify::{UnverifiedToken, Verifier};

/// What the broker's metadata and the sites' key sets say.
#[derive(Debug)]
pub struct Siblings {
    origins: HashMap<String, Origin>,
    broker_keys: HashMap<KeyId, PublicKey>,
    link_keys: HashMap<String, HashMap<KeyId, PublicKey>>,
    names: Vec<String>,
    primary: Origin,
}

impl Siblings {
    /// Nothing is known yet but the primary.
    #[must_use]
    pub fn none(primary: &Origin) -> Self {
        Self::new(primary, Vec::new(), Vec::new())
    }

    /// The primary with its keys, and the sites with theirs. Each site's keys are its own: one that publishes another's
    /// takes nothing away from it.
    #[must_use]
    pub fn new(primary: &Origin, primary_keys: Vec<PublicKey>, sites: Vec<(Origin, Vec<PublicKey>)>) -> Self {
        let origins: HashMap<_, _> =
            sites.iter().map(|(origin, _)| origin).chain([primary]).map(|origin| (origin.to_string(), origin.clone())).collect();
        let mut names: Vec<String> = origins.keys().cloned().collect();
        names.sort_unstable();
        let by_id = |keys: Vec<PublicKey>| keys.into_iter().map(|key| (key.id(), key)).collect::<HashMap<_, _>>();
        let broker_keys = by_id(primary_keys);
        let own = (primary.to_string(), broker_keys.clone());
        let link_keys = sites.into_iter().map(|(origin, keys)| (origin.to_string(), by_id(keys))).chain([own]).collect();
        Self { origins, broker_keys, link_keys, names, primary: primary.clone() }
    }

    /// Whether this is the primary's origin.
    #[must_use]
    pub fn is_primary(&self, origin: &Origin) -> bool {
        self.primary == *origin
    }

    /// The registered origin that is spelled so.
    #[must_use]
    pub fn origin(&self, text: &str) -> Option<&Origin> {
        self.origins.get(text)
    }

    /// The origins of all the company's sites, the primary among them, in the order of their bytes.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether the broker knows `site`, and its keys are known here: only then may a visitor be sent to it.
    #[must_use]
    pub fn can_hop(&self, site: &Origin) -> bool {
        self.knows_broker() && self.origins.contains_key(site.as_str())
    }

    /// Whether the broker's keys are known.
    #[must_use]
    pub fn knows_broker(&self) -> bool {
        !self.broker_keys.is_empty()
    }

    /// Whether the keys of `origin` may still come: it is registered, or it is not known yet who is.
    #[must_use]
    pub fn awaits_keys_of(&self, origin: &str) -> bool {
        let registered = || self.origins.contains_key(origin) && self.link_keys.get(origin).is_none_or(HashMap::is_empty);
        !self.knows_broker() || registered()
    }

    /// The keys of one site, or none.
    #[must_use]
    pub fn keys_of(&self, origin: &Origin) -> Vec<PublicKey> {
        self.link_keys.get(origin.as_str()).map(|keys| keys.values().cloned().collect()).unwrap_or_default()
    }

    /// Who may have issued `token` for `audience`, ready to verify it. Only the broker issues bounce tokens, and a link
    /// token can only be from the site that `referrer` says led here (rule L2).
    #[must_use]
    pub fn verifier(
        &self,
        token: &UnverifiedToken<'_>,
        referrer: Option<&str>,
        audience: &Origin,
    ) -> Option<(&Origin, Verifier)> {
        let (issuer, key) = match token.kind() {
            TokenKind::Bounce => (&self.primary, self.broker_keys.get(&token.key_id())?),
            TokenKind::Link => {
                let issuer = self.origin(referrer?)?;
                (issuer, self.link_keys.get(issuer.as_str())?.get(&token.key_id())?)
            }
        };
        Some((issuer, Verifier::new(issuer, key.clone(), audience)))
    }
}
