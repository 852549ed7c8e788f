//! Throughline in front of sites in other languages: nginx and Caddy run for real, with the very files of `examples/`, and a
//! Python, Node or PHP application behind them. Traefik's and Envoy's requests are replayed as those send them.
//!
//! `./scripts/test` installs nginx, Caddy, php-fpm and uWSGI.

#[path = "../browsers/support/mod.rs"]
#[expect(dead_code, reason = "shared with the scenarios in all engines, which use all of it")]
mod driven;
#[path = "../support/mod.rs"]
mod support;

mod asking;
mod dialects;
mod escape;
mod hosts;
mod limits;
mod passing;
mod real_browser;
mod running;
mod spoofing;
mod ways;
mod world;
