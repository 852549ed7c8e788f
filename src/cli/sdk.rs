//! `throughline sdk`: the tag that puts the browser SDK into a page.

use std::io::Write;

use crate::satellite::sdk::SDK;

use super::Failure;

/// Prints the tag. It changes with the SDK: a page that carries it must be made again after an update.
///
/// # Errors
/// When the output cannot be written.
pub fn run(out: &mut dyn Write) -> Result<(), Failure> {
    writeln!(out, "<script src=\"{}\" integrity=\"{}\"></script>", SDK.versioned_path(), SDK.integrity())?;
    Ok(())
}
