//! The company's other sites and everybody's public keys, made ready for look-ups.

use std::collections::{BTreeSet, HashMap};

use crate::base::clock::UnixSeconds;
use crate::base::encoding::base64url;
use crate::base::origin::Origin;
use crate::token::claims::TokenKind;
use crate::token::key::{KeyId, PublicKey};
use crate::token::verify::{UnverifiedToken, Verifier};

/// What the broker's metadata and the sites' key sets say, and what the process's own configuration adds.
#[derive(Debug, Clone)]
pub struct Siblings {
    /// Where links may lead: the primary, the registered sites and the configured ones.
    origins: HashMap<String, Origin>,
    /// The same, sorted.
    names: Vec<String>,
    registered: Vec<Origin>,
    broker_keys: HashMap<KeyId, PublicKey>,
    link_keys: HashMap<String, HashMap<KeyId, PublicKey>>,
    primary: Origin,
    digest: String,
    restored_from: Option<UnixSeconds>,
}

impl Siblings {
    /// Nothing is known yet but the primary.
    #[must_use]
    pub fn none(primary: &Origin) -> Self {
        Self::new(primary, Vec::new(), Vec::new())
    }

    /// The primary with its keys, and the registered sites with theirs. Each site's keys are its own: one that publishes
    /// another's takes nothing away from it.
    #[must_use]
    pub fn new(primary: &Origin, primary_keys: Vec<PublicKey>, sites: Vec<(Origin, Vec<PublicKey>)>) -> Self {
        let registered: Vec<_> = sites.iter().map(|(origin, _)| origin.clone()).collect();
        let digest = registry_digest(registered.iter().map(Origin::as_str));
        let by_id = |keys: Vec<PublicKey>| keys.into_iter().map(|key| (key.id(), key)).collect::<HashMap<_, _>>();
        let broker_keys = by_id(primary_keys);
        let own = (primary.to_string(), broker_keys.clone());
        let link_keys = sites.into_iter().map(|(origin, keys)| (origin.to_string(), by_id(keys))).chain([own]).collect();
        let (origins, names, primary, restored_from) = (HashMap::new(), Vec::new(), primary.clone(), None);
        Self { origins, names, registered, broker_keys, link_keys, primary, digest, restored_from }.configured([])
    }

    /// Adds the sites that the process's own configuration names. Links may lead there whether or not the broker knows them
    /// (rule L7); a hop may not begin there before the broker does.
    #[must_use]
    pub fn configured(mut self, sites: impl IntoIterator<Item = Origin>) -> Self {
        let all = self.registered.iter().cloned().chain(sites).chain([self.primary.clone()]);
        self.origins = all.map(|origin| (origin.to_string(), origin)).collect();
        self.names = self.origins.keys().cloned().collect();
        self.names.sort_unstable();
        self
    }

    /// Marks them as read from disk, where an earlier process wrote them down at `at`.
    #[must_use]
    pub const fn restored(mut self, at: UnixSeconds) -> Self {
        self.restored_from = Some(at);
        self
    }

    /// When an earlier process wrote them down; `None` once this process has fetched them itself.
    #[must_use]
    pub const fn restored_from(&self) -> Option<UnixSeconds> {
        self.restored_from
    }

    /// Whether this process has fetched the metadata and the broker's keys.
    #[must_use]
    pub fn is_fetched(&self) -> bool {
        !self.broker_keys.is_empty() && self.restored_from.is_none()
    }

    /// Whether this is the primary's origin.
    #[must_use]
    pub fn is_primary(&self, origin: &Origin) -> bool {
        self.primary == *origin
    }

    /// The site of the company whose origin is spelled so.
    #[must_use]
    pub fn origin(&self, text: &str) -> Option<&Origin> {
        self.origins.get(text)
    }

    /// The origins of all the company's sites, the primary among them, in the order of their bytes.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The sites that the broker's metadata lists.
    #[must_use]
    pub fn registered(&self) -> &[Origin] {
        &self.registered
    }

    /// The [`registry_digest`] of those.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Whether the broker and the sites said the same in `other`: the same sites with the same keys.
    #[must_use]
    pub fn says_the_same_as(&self, other: &Self) -> bool {
        self.registered == other.registered && self.key_ids() == other.key_ids()
    }

    fn key_ids(&self) -> BTreeSet<(&str, KeyId)> {
        self.link_keys.iter().flat_map(|(origin, keys)| keys.keys().map(|id| (origin.as_str(), *id))).collect()
    }

    /// Whether the broker knows `site`; `None` before this process has asked it.
    #[must_use]
    pub fn is_registered(&self, site: &Origin) -> Option<bool> {
        // The key map has an entry for each registered site, with or without keys.
        self.is_fetched().then(|| self.link_keys.contains_key(site.as_str()))
    }

    /// Whether the broker knows `site`, and its keys are known here: only then may a visitor be sent to it. What an earlier
    /// process knew does not count: the site may have been taken out since (rule A12).
    #[must_use]
    pub fn can_hop(&self, site: &Origin) -> bool {
        self.is_registered(site) == Some(true)
    }

    /// Whether the keys of `origin` may still come: it is one of the sites, or it is not known yet which there are.
    #[must_use]
    pub fn awaits_keys_of(&self, origin: &str) -> bool {
        let awaited = || self.origins.contains_key(origin) && self.link_keys.get(origin).is_none_or(HashMap::is_empty);
        !self.is_fetched() || awaited()
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

/// Names a set of registered origins in 22 characters, whatever their order. The broker's health says it, and a satellite
/// fetches the metadata again when it changes (rule A12).
#[must_use]
pub fn registry_digest<'a>(origins: impl Iterator<Item = &'a str>) -> String {
    let mut origins: Vec<_> = origins.collect();
    origins.sort_unstable();
    let digest = ring::digest::digest(&ring::digest::SHA256, origins.join("\n").as_bytes());
    base64url(digest.as_ref().get(..16).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::key::SigningKey;

    fn origin(text: &str) -> Origin {
        Origin::parse(text).unwrap()
    }

    #[test]
    fn l7_a12_configured_and_restored_sites_take_links_but_no_hops() {
        let [brand, shop, learn] = ["https://www.brand.example", "https://shop.example", "https://learn.example"].map(origin);
        let key = SigningKey::from_seed(&[1; 32]).unwrap().public().clone();
        let fetched = Siblings::new(&brand, vec![key.clone()], vec![(learn.clone(), Vec::new())]).configured([shop.clone()]);
        let restored = fetched.clone().restored(UnixSeconds(1));
        let alone = Siblings::none(&brand).configured([shop.clone()]);
        for siblings in [&fetched, &restored, &alone] {
            assert!(siblings.origin(shop.as_str()).is_some() && siblings.origin(brand.as_str()).is_some());
            assert!(!siblings.can_hop(&shop), "the broker does not know it");
        }
        assert_eq!(fetched.names(), [learn.as_str(), shop.as_str(), brand.as_str()]);
        assert_eq!((fetched.is_registered(&shop), fetched.is_registered(&learn)), (Some(false), Some(true)));
        assert!(fetched.can_hop(&learn) && !restored.can_hop(&learn));
        for early in [&restored, &alone] {
            assert_eq!(early.is_registered(&learn), None);
            assert!(early.awaits_keys_of(learn.as_str()));
        }
        // Another configuration replaces the former.
        let reloaded = fetched.configured([]);
        assert!(reloaded.origin(shop.as_str()).is_none() && reloaded.origin(learn.as_str()).is_some());
    }

    #[test]
    fn a12_the_digest_names_the_set_of_sites() {
        let [one, two] = ["https://a.example", "https://b.example"];
        let both = registry_digest([one, two].into_iter());
        assert_eq!(both, registry_digest([two, one].into_iter()));
        assert_eq!(both.len(), 22);
        let others: [&[&str]; 4] = [&[one], &[two], &[], &[one, two, "https://c.example"]];
        for other in others {
            assert_ne!(both, registry_digest(other.iter().copied()));
        }
        let sites = vec![(origin(two), Vec::new()), (origin(one), Vec::new())];
        assert_eq!(Siblings::new(&origin("https://www.brand.example"), Vec::new(), sites).digest(), both);
    }
}
