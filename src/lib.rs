//! throughline
pub mod base;
pub mod domain;
pub mod token;
