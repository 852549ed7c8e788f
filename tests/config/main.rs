//! The configuration as operators write it, with every way to get it wrong.

mod cli;
mod mistakes;
mod mutated;
mod secrets;
mod subdomains;
mod world;
