//! What the scenarios stand on: processes, drivers, a browser with a visitor's verbs, the demo.

pub(crate) mod authority;
pub(crate) mod browser;
pub(crate) mod capabilities;
pub(crate) mod commands;
pub(crate) mod driver;
pub(crate) mod fake_broker;
pub(crate) mod http;
pub(crate) mod page;
pub(crate) mod process;
pub(crate) mod real_names;
pub(crate) mod relay;
pub(crate) mod server;
pub(crate) mod static_shop;
pub(crate) mod visit;
pub(crate) mod wait;
