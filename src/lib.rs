//! throughline
pub mod base;
pub mod cli;
pub mod config;
pub mod domain;
pub mod token;
