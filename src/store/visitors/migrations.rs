//! What brings a store's schema to this version. Each step is one file, is never changed once released, and runs in one
//! transaction with the note that it ran.

use super::StoreFault;

/// The steps for SQLite, oldest first. Their count is the schema's version.
pub const SQLITE: [&str; 2] = [include_str!("sqlite/1.sql"), include_str!("sqlite/2.sql")];

/// The steps for PostgreSQL, oldest first.
pub const POSTGRES: [&str; 2] = [include_str!("postgres/1.sql"), include_str!("postgres/2.sql")];

/// The steps from `found` to the newest of `steps`.
///
/// # Errors
/// When the schema is newer than all of them.
pub fn missing<'a>(steps: &'a [&'static str], found: u32) -> Result<&'a [&'static str], StoreFault> {
    let known = u32::try_from(steps.len()).unwrap_or(u32::MAX);
    steps.get(found as usize..).ok_or(StoreFault::Newer { found, known })
}
