//! A folder with secrets and keys for the sites of the tests.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use throughline::base::clock::UnixSeconds;
use throughline::base::random::CountingRandom;
use throughline::base::secret::SiteSecret;
use throughline::config::{Config, Report};
use throughline::token::key::{SigningKey, draw_seed};
use throughline::token::keyfile::{write_key_file, write_secret_file};
use throughline::token::keyset::{KeySet, TimedKey};

/// The names whose secret and key files lie in the folder.
pub(crate) const NAMES: [&str; 3] = ["brand", "shop", "learn"];

/// A configuration without a mistake, in that folder.
pub(crate) const GOOD: &str = include_str!("../data/config_good.toml");

/// A folder, and what it takes to read a configuration in it.
pub(crate) struct World {
    pub(crate) folder: tempfile::TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let random = CountingRandom::default();
        for name in NAMES {
            let secret = SiteSecret::generate(&random).unwrap();
            write_secret_file(&folder.path().join(format!("{name}.secret")), &secret.to_text()).unwrap();
            let seed = draw_seed(&random).unwrap();
            let plan = KeySet::first_key_plan(UnixSeconds(1_790_000_000));
            let key = SigningKey::from_seed(&seed).unwrap();
            let keys = KeySet::new(vec![TimedKey { key, seed, publish_at: plan.publish_at, activate_at: plan.activate_at }]);
            write_key_file(&folder.path().join(format!("{name}.json")), &keys).unwrap();
        }
        for file in ["cert.pem", "key.pem", "extra-ca.pem"] {
            fs::write(folder.path().join(file), "not looked at").unwrap();
        }
        fs::set_permissions(folder.path().join("key.pem"), fs::Permissions::from_mode(0o600)).unwrap();
        fs::create_dir(folder.path().join("public")).unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Reads a text with the environment variables of the tests.
    pub(crate) fn read(&self, text: &str) -> Result<Config, Report> {
        Config::from_text(text, self.path(), &env)
    }
}

/// The environment of the tests.
pub(crate) fn env(name: &str) -> Option<String> {
    match name {
        "SHOP_SECRET" => Some("IiMkJSYnKCkqKywtLi8wMTIzNDU2Nzg5Ojs8PT4_QEE".into()),
        "BAD_SECRET" | "REDIS_PASSWORD" => Some("hunter2".into()),
        "STORE_URL" => Some("postgres://ann:hunter2@db.internal/visitors?sslmode=verify-full&sslrootcert=extra-ca.pem".into()),
        "BAD_STORE" => Some("hunter2".into()),
        "EMPTY_PASSWORD" => Some(String::new()),
        _ => None,
    }
}

/// What each line says, with the paths of the temporary folder taken out.
pub(crate) fn lines(report: &Report) -> Vec<(Option<usize>, &str)> {
    report.mistakes().iter().map(|mistake| (mistake.line, mistake.what.as_str())).collect()
}
