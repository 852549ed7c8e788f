//! The sites and public keys that were fetched last, on disk: a satellite that starts while the broker is down knows where
//! links may lead (rule L7).
//!
//! The file is replaced as a whole, and only its owner may change it: the keys in it verify tokens.

use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::base::clock::UnixSeconds;
use crate::base::json;
use crate::base::origin::Origin;
use crate::domain::siblings::Siblings;
use crate::token::jwks::{read_jwks, write_jwks};
use crate::token::key::PublicKey;
use crate::token::keyfile::{FileMistake, write_secret_file};
use crate::token::keyset::PUBLISH_AHEAD;

/// How long restored keys verify tokens. A key is published this long before it signs, so within that time the file has every
/// key that signs; after that, a key that was replaced must not come back (rule K1).
const KEYS_AGE_MAX: std::time::Duration = PUBLISH_AHEAD;

/// The longest file that is read, in bytes: ten thousand sites with sixteen keys each fit.
const LENGTH_MAX: u64 = 64 * 1024 * 1024;

/// The file. It is made at the first fetch.
#[derive(Debug, Clone)]
pub struct SiblingsFile(PathBuf);

#[derive(Serialize, Deserialize)]
struct Kept {
    /// When they were fetched, in Unix seconds.
    fetched_at: u64,
    primary: KeptSite,
    sites: Vec<KeptSite>,
}

#[derive(Serialize, Deserialize)]
struct KeptSite {
    origin: String,
    /// A JWK Set; absent where the keys were not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    jwks: Option<Value>,
}

impl SiblingsFile {
    /// Keeps them in `file`.
    #[must_use]
    pub const fn new(file: PathBuf) -> Self {
        Self(file)
    }

    /// The siblings of `primary` that an earlier process wrote down; `None` when there is no file. Their keys count for
    /// [`KEYS_AGE_MAX`].
    ///
    /// # Errors
    /// When the file cannot be read, is damaged, is another primary's, or others than its owner may write it.
    pub fn read(&self, primary: &Origin, now: UnixSeconds) -> Result<Option<Siblings>, FileMistake> {
        let mistake = |what: String| FileMistake::new(&self.0, what);
        let text = match self.text() {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(mistake(format!("cannot be used ({error})"))),
        };
        let kept: Kept = json::read(text.as_bytes()).map_err(|error| mistake(format!("is damaged ({error})")))?;
        if kept.primary.origin != primary.as_str() {
            return Err(mistake(format!("belongs to another primary, {:?}", kept.primary.origin)));
        }
        let at = UnixSeconds(kept.fetched_at);
        // A time in the future is a clock that was wrong, now or then: the keys' age is not known.
        let keys_count = at <= now && now.since(at) <= KEYS_AGE_MAX;
        let read = |site: &KeptSite| read_site(site, keys_count).map_err(&mistake);
        let sites = kept.sites.iter().map(read).collect::<Result<_, _>>()?;
        let (_, primary_keys) = read(&kept.primary)?;
        Ok(Some(Siblings::new(primary, primary_keys, sites).restored(at)))
    }

    fn text(&self) -> io::Result<String> {
        let file = std::fs::File::open(&self.0)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() || metadata.len() > LENGTH_MAX {
            return Err(io::Error::other("it is no file, or far too long"));
        }
        if metadata.mode() & 0o022 != 0 {
            return Err(io::Error::other("others than its owner may write it; run: chmod 600"));
        }
        let mut text = String::new();
        file.take(LENGTH_MAX).read_to_string(&mut text)?;
        Ok(text)
    }

    /// Replaces the file.
    ///
    /// # Errors
    /// When it cannot be written; the old one is then unchanged.
    pub fn write(&self, primary: &Origin, siblings: &Siblings, now: UnixSeconds) -> Result<(), FileMistake> {
        let kept = |origin: &Origin| {
            let keys = siblings.keys_of(origin);
            let jwks = (!keys.is_empty()).then(|| serde_json::from_str(&write_jwks(keys.iter())).ok()).flatten();
            KeptSite { origin: origin.to_string(), jwks }
        };
        let sites = siblings.registered().iter().map(kept).collect();
        let text = serde_json::to_string(&Kept { fetched_at: now.0, primary: kept(primary), sites });
        write_secret_file(&self.0, &text.map_err(|error| FileMistake::new(&self.0, error.to_string()))?)
    }
}

fn read_site(site: &KeptSite, keys_count: bool) -> Result<(Origin, Vec<PublicKey>), String> {
    let origin = Origin::parse(&site.origin).map_err(|mistake| mistake.to_string())?;
    let keys = match &site.jwks {
        Some(jwks) if keys_count => read_jwks(jwks.to_string().as_bytes()).map_err(|mistake| mistake.to_string())?,
        _ => Vec::new(),
    };
    Ok((origin, keys))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Duration;

    use super::*;
    use crate::token::key::SigningKey;

    const NOW: UnixSeconds = UnixSeconds(1_790_000_000);

    fn origins() -> [Origin; 3] {
        ["https://www.brand.example", "https://shop.example", "https://learn.example"].map(|text| Origin::parse(text).unwrap())
    }

    fn key(seed: u8) -> PublicKey {
        SigningKey::from_seed(&[seed; 32]).unwrap().public().clone()
    }

    fn written(folder: &tempfile::TempDir) -> (PathBuf, SiblingsFile) {
        let path = folder.path().join("siblings");
        let file = SiblingsFile::new(path.clone());
        let [brand, shop, learn] = origins();
        let siblings = Siblings::new(&brand, vec![key(1), key(2)], vec![(shop, vec![key(3)]), (learn, Vec::new())]);
        file.write(&brand, &siblings, NOW).unwrap();
        (path, file)
    }

    #[test]
    fn l7_what_was_fetched_comes_back_with_its_age() {
        let folder = tempfile::tempdir().unwrap();
        let [brand, shop, learn] = origins();
        assert!(SiblingsFile::new(folder.path().join("nothing")).read(&brand, NOW).unwrap().is_none());
        let (path, file) = written(&folder);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let restored = file.read(&brand, NOW.plus(Duration::from_secs(60))).unwrap().unwrap();
        assert_eq!(restored.restored_from(), Some(NOW));
        assert_eq!(restored.registered(), [shop.clone(), learn]);
        assert_eq!(restored.keys_of(&brand).len(), 2);
        assert_eq!(restored.keys_of(&shop).iter().map(PublicKey::id).collect::<Vec<_>>(), [key(3).id()]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file stays");
    }

    #[test]
    fn k1_l7_old_keys_verify_nothing_while_the_sites_are_still_known() {
        let folder = tempfile::tempdir().unwrap();
        let [brand, shop, _] = origins();
        let (_, file) = written(&folder);
        for (now, keys) in [
            (NOW.plus(KEYS_AGE_MAX), 1),
            (NOW.plus(KEYS_AGE_MAX + Duration::from_secs(1)), 0),
            (NOW.plus(Duration::from_secs(400 * 86_400)), 0),
            (UnixSeconds(NOW.0 - 1), 0),
        ] {
            let restored = file.read(&brand, now).unwrap().unwrap();
            assert_eq!(restored.keys_of(&shop).len(), keys, "{now}");
            assert!(restored.origin(shop.as_str()).is_some(), "{now}");
        }
    }

    #[test]
    fn l7_a_file_that_is_damaged_or_open_to_others_is_refused_whole() {
        let folder = tempfile::tempdir().unwrap();
        let [brand, shop, _] = origins();
        let (path, file) = written(&folder);
        let good = fs::read_to_string(&path).unwrap();
        let other_key = format!("{:?}", key(9).id().as_str());
        let this_key = format!("{:?}", key(3).id().as_str());
        for bad in [
            String::new(),
            "{}".into(),
            "[]".into(),
            good[..good.len() / 2].into(),
            format!("{good}x"),
            good.replace("https://shop.example", "https://shop.example/"),
            good.replace("https://shop.example", "http://shop.example"),
            good.replace(&this_key, &other_key),
        ] {
            assert_ne!(bad, good);
            fs::write(&path, &bad).unwrap();
            assert!(file.read(&brand, NOW).is_err(), "{bad}");
        }
        fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(file.read(&brand, NOW).is_err());
        fs::write(&path, &good).unwrap();
        assert!(file.read(&shop, NOW).is_err(), "another primary");
        for (mode, is_taken) in [(0o600, true), (0o644, true), (0o620, false), (0o602, false), (0o666, false)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(file.read(&brand, NOW).is_ok(), is_taken, "{mode:o}");
        }
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(file.read(&brand, NOW).is_err(), "a folder");
    }
}
