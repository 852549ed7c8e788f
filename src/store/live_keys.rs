//! A site's signing keys, which may be replaced while requests use them.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use crate::token::keyfile::{FileMistake, read_key_file};
use crate::token::keyset::{KeySet, TimedKey};

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
    changed: (i64, i64),
    inode: u64,
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

    /// Reads the file again if it changed. Whether other keys are in use now.
    ///
    /// # Errors
    /// When the file is not usable now: the keys that were read before stay in use.
    pub fn refresh(&self) -> Result<bool, FileMistake> {
        let Some(file) = &self.file else { return Ok(false) };
        // The time of change, not of writing: it moves when the file's mode is put right, too.
        let stamp = std::fs::metadata(file).ok().map(|metadata| FileStamp {
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino(),
            length: metadata.len(),
        });
        if stamp.is_some() && **self.read_at.load() == stamp {
            return Ok(false);
        }
        self.read_at.store(Arc::new(stamp));
        let keys = read_key_file(file)?;
        // The times count as well: they decide which key signs.
        let plan = |keys: &KeySet| {
            let of = |timed: &TimedKey| (timed.key.public().id(), timed.publish_at, timed.activate_at);
            keys.keys().iter().map(of).collect::<Vec<_>>()
        };
        if plan(&keys) == plan(&self.load()) {
            return Ok(false);
        }
        self.keys.store(Arc::new(keys));
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use super::*;
    use crate::base::clock::UnixSeconds;
    use crate::token::key::{Seed, SigningKey};
    use crate::token::keyfile::write_key_file;

    fn keys(seed: u8) -> KeySet {
        keys_from(seed, 1_790_000_000)
    }

    fn keys_from(seed: u8, begin: u64) -> KeySet {
        let (seed, plan) = (Seed::new([seed; 32]), KeySet::first_key_plan(UnixSeconds(begin)));
        let key = SigningKey::from_seed(&seed).unwrap();
        KeySet::new(vec![TimedKey { key, seed, publish_at: plan.publish_at, activate_at: plan.activate_at }])
    }

    fn set_mode(file: &Path, mode: u32) {
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn k1_other_times_of_the_same_key_count() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keys.json");
        write_key_file(&file, &keys(1)).unwrap();
        let live = LiveKeys::following(file.clone(), keys(1));
        write_key_file(&file, &keys_from(1, 1_790_000_060)).unwrap();
        assert_eq!(live.refresh(), Ok(true));
        assert_eq!(live.load().keys()[0].activate_at, UnixSeconds(1_790_000_060));
    }

    #[test]
    fn k4_a_file_that_was_put_right_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keys.json");
        write_key_file(&file, &keys(1)).unwrap();
        let live = LiveKeys::following(file.clone(), keys(1));
        assert_eq!(live.refresh(), Ok(false), "nothing changed");
        write_key_file(&file, &keys(2)).unwrap();
        set_mode(&file, 0o644);
        assert!(live.refresh().is_err());
        assert_eq!(live.load().keys()[0].key.public().id(), keys(1).keys()[0].key.public().id(), "the old stay in use");
        set_mode(&file, 0o600);
        assert_eq!(live.refresh(), Ok(true));
        assert_eq!(live.load().keys()[0].key.public().id(), keys(2).keys()[0].key.public().id());
    }
}
