//! throughline
pub mod base;
pub mod config;
pub mod domain;
pub mod token;
