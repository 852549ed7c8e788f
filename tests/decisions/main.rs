//! The decisions as the outside sees them: each rule by its name, then properties over everything a browser could send.
//!
//! Only the public API of `throughline::domain` is used, and no server: what is proved here holds for every transport.

mod arrival;
mod common;
mod consent;
mod first_touch;
mod hop_query;
mod hop_rules;
mod journeys;
mod loops;
mod oracle;
mod order;
mod parameter;
mod primary_and_provisional;
mod properties;
mod site_cookie;
mod strict;
mod urls;
