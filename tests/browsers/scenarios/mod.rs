//! The scenarios, a file for each part of the story.

mod analytics;
mod consent;
mod eligibility;
mod forgery;
mod links;
mod mitigations;
mod one_id;
mod operator;
mod outage;
mod records;
mod refusals;
mod script_hop;
mod steps;
mod tls;
mod whoami;
