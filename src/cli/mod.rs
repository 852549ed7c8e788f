//! The `throughline` command: one file a subcommand.

pub mod check;
mod failure;
pub mod init;
mod init_text;
pub mod keys;

pub use self::failure::Failure;
