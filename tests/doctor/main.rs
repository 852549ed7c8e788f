//! `throughline doctor`, the real program, against real deployments: well ones pass, and each planted misconfiguration is found
//! by its name, and no other with it.
//!
//! Between the doctor and the company stands a proxy of the test, with a certificate of its own, that plants one mistake.

#[path = "../support/mod.rs"]
mod support;

mod answers;
mod asked;
mod caches;
mod certificates;
mod deployment;
mod documented;
mod firewalls;
mod healthy;
mod nodes;
mod pages;
mod proxy;
mod report;
mod requests;
