//! Layer 3: the decisions. Everything here is a pure function of facts and `now`; nothing does HTTP or waits.

pub mod arrival;
pub mod breaker;
pub mod choice_body;
pub mod consent;
pub mod contract;
pub mod crawlers;
pub mod decision;
pub mod documents;
pub mod first_touch;
pub mod hop_request;
pub mod link_url;
pub mod own_hosts;
pub mod parameter;
pub mod postgres_url;
pub mod properties;
pub mod rate;
pub mod record;
pub mod record_batch;
pub mod referrer;
pub mod reports;
pub mod siblings;
pub mod site;
pub mod site_cookie;
pub mod url;
