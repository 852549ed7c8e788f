//! throughline
pub mod base;
pub mod token;
