//! The file that keeps a site's signing keys, and the rule for every secret file: nobody else may read it (rule K4).

use std::collections::HashSet;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use zeroize::Zeroizing;

use crate::base::clock::UnixSeconds;
use crate::base::encoding::{base64url, from_base64url};
use crate::base::json::{self, json_object};

use super::key::{Seed, SigningKey};
use super::keyset::{KeySet, TimedKey};

/// What is wrong with a secret file, and what to do. The file's content is never in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileMistake {
    path: PathBuf,
    what: String,
}

impl FileMistake {
    pub(crate) fn new(path: &Path, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), what: what.into() }
    }
}

impl fmt::Display for FileMistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.what)
    }
}

impl std::error::Error for FileMistake {}

/// Opens a secret file.
///
/// # Errors
/// When it cannot be read, or others than its owner can read it: its group too, which K4 does not tell from the rest.
pub fn open_secret_file(path: &Path) -> Result<fs::File, FileMistake> {
    let unreadable = |error: std::io::Error| FileMistake::new(path, format!("cannot be read ({error})"));
    // What is looked at is what is read: the file behind the name could change in between.
    let file = fs::File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if metadata.mode() & 0o077 != 0 {
        let what = format!("others can read it (mode {:04o}); run: chmod 600 {}", metadata.mode() & 0o7777, path.display());
        return Err(FileMistake::new(path, what));
    }
    Ok(file)
}

/// Reads a secret file.
///
/// # Errors
/// When it cannot be read, is not UTF-8, or others than its owner can read it.
pub fn read_secret_file(path: &Path) -> Result<Zeroizing<String>, FileMistake> {
    let mut text = Zeroizing::new(String::new());
    let read = open_secret_file(path)?.read_to_string(&mut text);
    read.map_err(|error| FileMistake::new(path, format!("cannot be read ({error})")))?;
    Ok(text)
}

/// Writes a secret file as a whole or not at all, mode 0600 from its first moment.
///
/// # Errors
/// When it cannot be written; what was there before is then unchanged.
pub fn write_secret_file(path: &Path, text: &str) -> Result<(), FileMistake> {
    let failed = |what: &str, error: std::io::Error| FileMistake::new(path, format!("cannot be {what} ({error})"));
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Two processes that write at once must not put each other's half-written file in place.
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".new-{}", std::process::id()));
    let temporary = PathBuf::from(temporary);
    let _ = fs::remove_file(&temporary);
    let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    let placed = written.map_err(|error| failed("written", error)).and_then(|()| {
        // The name must be on the disk too, or a crash brings the old file back.
        let place = fs::rename(&temporary, path).and_then(|()| fs::File::open(folder)?.sync_all());
        place.map_err(|error| failed("put in place", error))
    });
    if placed.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    placed
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Self", deny_unknown_fields)]
struct FileKeys {
    keys: Vec<FileKey>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Self", deny_unknown_fields)]
struct FileKey {
    kid: String,
    seed: Zeroizing<String>,
    publish_at: String,
    activate_at: String,
}

json_object!(written FileKeys, FileKey);

/// Reads a site's keys.
///
/// # Errors
/// When the file cannot be read, is open to others, is not whole, or holds no key.
pub fn read_key_file(path: &Path) -> Result<KeySet, FileMistake> {
    let text = read_secret_file(path)?;
    let file: FileKeys = json::read(text.as_bytes()).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        let what = if error.is_eof() { "is cut off" } else { "is not a key file" };
        FileMistake::new(path, format!("{what} ({place}); restore it from a backup, or make a new one: throughline keys create"))
    })?;
    if file.keys.is_empty() {
        return Err(FileMistake::new(path, "holds no key; run: throughline keys create"));
    }
    let keys =
        file.keys.iter().map(|key| read_key(key).map_err(|what| FileMistake::new(path, format!("key {:?}: {what}", key.kid))));
    let keys: Vec<_> = keys.collect::<Result<_, _>>()?;
    let mut seen = HashSet::new();
    match keys.iter().map(|timed| timed.key.public().id()).find(|id| !seen.insert(*id)) {
        Some(id) => Err(FileMistake::new(path, format!("holds the key {id} twice; take one out"))),
        None => Ok(KeySet::new(keys)),
    }
}

fn read_key(file: &FileKey) -> Result<TimedKey, String> {
    let seed = Seed::new(from_base64url(&file.seed).ok_or("its seed is not 32 octets of base64url")?);
    let key = SigningKey::from_seed(&seed).ok_or("its seed makes no usable key")?;
    if key.public().id().as_str() != file.kid {
        return Err("its kid does not belong to its seed: the file was altered or damaged".into());
    }
    let (publish_at, activate_at) = (read_time(&file.publish_at)?, read_time(&file.activate_at)?);
    if publish_at > activate_at {
        return Err("it would sign before it is published; put publish_at first".into());
    }
    Ok(TimedKey { key, seed, publish_at, activate_at })
}

fn read_time(text: &str) -> Result<UnixSeconds, String> {
    let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| format!("{text:?} is not a time as in RFC 3339"))?;
    u64::try_from(time.unix_timestamp()).map(UnixSeconds).map_err(|_| format!("{text:?} is before 1970"))
}

/// A time as in RFC 3339.
#[must_use]
pub fn time_text(time: UnixSeconds) -> String {
    let time = i64::try_from(time.0).ok().and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default()
}

/// Writes a site's keys, mode 0600.
///
/// # Errors
/// When the file cannot be written; the old one is then unchanged.
pub fn write_key_file(path: &Path, set: &KeySet) -> Result<(), FileMistake> {
    let keys = set.keys().iter().map(|timed| FileKey {
        kid: timed.key.public().id().to_string(),
        seed: Zeroizing::new(base64url(&*timed.seed)),
        publish_at: time_text(timed.publish_at),
        activate_at: time_text(timed.activate_at),
    });
    let text = serde_json::to_string_pretty(&FileKeys { keys: keys.collect() });
    let text = Zeroizing::new(text.map_err(|error| FileMistake::new(path, error.to_string()))? + "\n");
    write_secret_file(path, &text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn key_file(folder: &tempfile::TempDir) -> PathBuf {
        let path = folder.path().join("keys.json");
        let seed = Seed::new([7; 32]);
        let plan = KeySet::first_key_plan(UnixSeconds(1_790_000_000));
        let key = SigningKey::from_seed(&seed).unwrap();
        let set = KeySet::new(vec![TimedKey { key, seed, publish_at: plan.publish_at, activate_at: plan.activate_at }]);
        write_key_file(&path, &set).unwrap();
        path
    }

    #[test]
    fn k4_a_key_file_is_0600_and_comes_back_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = key_file(&folder);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        let set = read_key_file(&path).unwrap();
        assert_eq!(set.keys()[0].activate_at, UnixSeconds(1_790_000_000));
        assert_eq!(set.keys()[0].key.public().id(), SigningKey::from_seed(&[7; 32]).unwrap().public().id());
    }

    #[test]
    fn k4_a_file_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = key_file(&folder);
        for mode in [0o644, 0o640, 0o604, 0o660] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let message = read_key_file(&path).unwrap_err().to_string();
            assert!(message.contains("chmod 600"), "{mode:o}: {message}");
        }
    }

    #[test]
    fn k4_a_half_written_or_altered_file_is_refused_and_nothing_secret_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = key_file(&folder);
        let whole = fs::read_to_string(&path).unwrap();
        let seed = base64url(&[7; 32]);
        for length in 0..whole.trim_end().len() {
            write_secret_file(&path, &whole[..length]).unwrap();
            let message = read_key_file(&path).expect_err(&whole[..length]).to_string();
            assert!(!message.contains(&seed[..8]), "{message}");
        }
        for altered in [whole.replace(&seed, &base64url(&[8; 32])), whole.replace("2026", "soon"), whole.replace("kid", "name")] {
            write_secret_file(&path, &altered).unwrap();
            let message = read_key_file(&path).expect_err(&altered).to_string();
            assert!(!message.contains(&seed[..8]), "{message}");
        }
        assert!(read_key_file(&folder.path().join("none.json")).unwrap_err().to_string().contains("cannot be read"));
    }
}
