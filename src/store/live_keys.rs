//! A site's signing keys, which may be replaced while requests use them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::{ArcSwap, Guard};

use crate::token::keyfile::{FileMistake, read_key_file};
use crate::token::keyset::KeySet;

/// The keys in use, and the file they came from.
#[derive(Debug)]
pub struct LiveKeys {
    keys: ArcSwap<KeySet>,
    file: Option<PathBuf>,
    read_at: ArcSwap<Option<FileStamp>>,
}

/// What a file looked like when it was read; it is read again when it looks otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileStamp {
    modified: SystemTime,
    length: u64,
}

impl LiveKeys {
    /// Keys that never change: for the demo and for tests.
    #[must_use]
    pub fn fixed(keys: KeySet) -> Self {
        Self { keys: ArcSwap::from_pointee(keys), file: None, read_at: ArcSwap::from_pointee(None) }
    }

    /// Keys that were read from `file`, and follow it.
    #[must_use]
    pub fn following(file: PathBuf, keys: KeySet) -> Self {
        // No stamp yet: the first `refresh` reads the file, in case it changed since the keys were read.
        Self { keys: ArcSwap::from_pointee(keys), file: Some(file), read_at: ArcSwap::from_pointee(None) }
    }

    /// The keys now.
    #[must_use]
    pub fn load(&self) -> Guard<Arc<KeySet>> {
        self.keys.load()
    }

    /// Reads the file again if it changed. Whether it did.
    ///
    /// # Errors
    /// When the file is not usable now: the keys that were read before stay in use.
    pub fn refresh(&self) -> Result<bool, FileMistake> {
        let Some(file) = &self.file else { return Ok(false) };
        let stamp = std::fs::metadata(file)
            .ok()
            .and_then(|metadata| Some(FileStamp { modified: metadata.modified().ok()?, length: metadata.len() }));
        if stamp.is_some() && **self.read_at.load() == stamp {
            return Ok(false);
        }
        self.read_at.store(Arc::new(stamp));
        self.keys.store(Arc::new(read_key_file(file)?));
        Ok(true)
    }
}
