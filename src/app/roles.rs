//! The sites that a process serves, and the broker among them: what a reload replaces as a whole.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use actix_web::dev::RequestHead;
use actix_web::http::header::HeaderValue;

use crate::base::secret::ApiKey;
use crate::broker::Broker;
use crate::config::{self, BrokerConfig, KeySource, RegisteredSite};
use crate::domain::site::Role;
use crate::http::client_address::TrustedProxies;
use crate::http::cookies::SameSite;
use crate::http::{ServedSite, host};
use crate::store::live_keys::LiveKeys;

/// What one process is there for.
pub struct Roles {
    /// The broker, where the primary is served here.
    pub broker: Option<Broker>,
    sites: HashMap<String, Arc<ServedSite>>,
}

impl Roles {
    /// `sites` are all that the process serves, the primary among them if it is the broker.
    #[must_use]
    pub fn new(broker: Option<Broker>, sites: impl IntoIterator<Item = Arc<ServedSite>>) -> Self {
        let sites = sites.into_iter().map(|served| (served.site.served_at().authority().to_owned(), served)).collect();
        Self { broker, sites }
    }

    /// The site that a request is for (rules F7, F8). `X-Forwarded-Host` counts from `proxies` only.
    #[must_use]
    pub fn site(&self, head: &RequestHead, proxies: &TrustedProxies) -> Option<&Arc<ServedSite>> {
        if proxies.contains(head.peer_addr.map(|peer| peer.ip()))
            && let Ok(Some(forwarded)) = host::forwarded(&head.headers)
        {
            return self.named(forwarded);
        }
        self.at(host::asked(head)?)
    }

    /// The site that a proxy names: of a list, the last entry that is one.
    #[must_use]
    pub fn named(&self, hosts: &HeaderValue) -> Option<&Arc<ServedSite>> {
        hosts.to_str().ok()?.rsplit(',').find_map(|host| self.at(host.trim_ascii()))
    }

    /// The site at a host, however that is spelled.
    fn at(&self, host: &str) -> Option<&Arc<ServedSite>> {
        // As browsers spell it: nothing is copied.
        if let Some(served) = self.sites.get(host) {
            return Some(served);
        }
        let spelled = host::spelled(host)?;
        self.sites.get(&*spelled.authority).or_else(|| {
            let (host, is_https) = spelled.portless?;
            self.sites.get(&*host).filter(|served| served.site.served_at().is_https() == is_https)
        })
    }

    /// The sites.
    pub fn sites(&self) -> impl Iterator<Item = &Arc<ServedSite>> {
        self.sites.values()
    }
}

/// The sites of a configuration, ready to be served.
pub(super) struct Sites {
    pub(super) served: Vec<Arc<ServedSite>>,
    /// Folders of static pages, by the host that they are for.
    pub(super) files: Vec<(String, PathBuf)>,
    pub(super) registered: Vec<RegisteredSite>,
    broker: Option<BrokerConfig>,
}

impl Sites {
    pub(super) fn new(broker: Option<BrokerConfig>, served: Vec<config::ServedSite>, registered: Vec<RegisteredSite>) -> Self {
        let whoami = broker.is_some_and(|broker| broker.whoami);
        let mut files = Vec::new();
        let mut sites = Vec::new();
        for config::ServedSite { site, keys, files: folder } in served {
            files.extend(folder.map(|folder| (site.origin.authority().to_owned(), folder)));
            let keys = match keys {
                KeySource::File(file, keys) => LiveKeys::following(file, keys),
                KeySource::Fixed(keys) => LiveKeys::fixed(keys),
            };
            let same_site = if whoami && site.role == Role::Primary { SameSite::None } else { SameSite::Lax };
            sites.push(Arc::new(ServedSite { site, keys, same_site }));
        }
        Self { served: sites, files, registered, broker }
    }

    /// What each site shows to the broker's API.
    pub(super) fn api_keys(&self) -> HashMap<String, ApiKey> {
        self.served.iter().map(|served| (served.site.origin.to_string(), served.site.api_key.clone())).collect()
    }

    /// The roles; `records` keeps the visitor records, where the primary is served here.
    pub(super) fn roles(self, records: Option<&BrokerRecords>) -> Roles {
        let Self { served, registered, broker, files: _ } = self;
        let primary = served.iter().find(|served| served.site.role == Role::Primary).cloned();
        let broker = match (broker, primary, records) {
            (Some(broker), Some(primary), Some(records)) => {
                let BrokerRecords { keeper, hop_wait } = records;
                Some(Broker::new(primary, broker.whoami, registered, Arc::clone(keeper), *hop_wait))
            }
            _ => None,
        };
        Roles::new(broker, served)
    }
}

/// What a broker keeps its records with, over all reloads.
#[derive(Clone)]
pub(super) struct BrokerRecords {
    pub(super) keeper: Arc<crate::store::record_keeper::Keeper>,
    pub(super) hop_wait: std::time::Duration,
}
