//! What the configuration points at: files, folders and environment variables.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::base::secret::SiteSecret;
use crate::token::keyfile::{open_secret_file, read_key_file, read_secret_file};

use super::KeySource;
use super::distinct::Used;
use super::reader::Table;

/// How to make what a secret file or variable should hold.
const MAKE_SECRET: &str = "43 characters of base64url; make one with: throughline keys secret FILE";

/// The world outside the file.
pub(super) struct Files<'a> {
    folder: &'a Path,
    env: &'a dyn Fn(&str) -> Option<String>,
    /// Every secret and signing key that was read.
    pub(super) used: RefCell<Used>,
}

impl<'a> Files<'a> {
    /// Paths are relative to `folder`.
    pub(super) fn new(folder: &'a Path, env: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { folder, env, used: RefCell::default() }
    }

    /// A file that exists.
    pub(super) fn file(&self, text: &str) -> Result<PathBuf, String> {
        if SiteSecret::parse(text).is_some() {
            return Err("this is a secret itself (not repeated here); put it into a file, and write that file's path".into());
        }
        let path = self.path(text, "file")?;
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() => Ok(path),
            Ok(_) => Err(format!("{} is not a file; write the path of one", path.display())),
            Err(error) => {
                Err(format!("{} cannot be read ({error}); paths are relative to the configuration's folder", path.display()))
            }
        }
    }

    /// A file that exists and that its owner alone can read (rule K4).
    pub(super) fn private_file(&self, text: &str) -> Result<PathBuf, String> {
        let path = self.file(text)?;
        open_secret_file(&path).map(|_| path).map_err(|mistake| mistake.to_string())
    }

    /// A folder that exists.
    pub(super) fn folder(&self, text: &str) -> Result<PathBuf, String> {
        let path = self.path(text, "folder")?;
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => Ok(path),
            Ok(_) => Err(format!("{} is not a folder; write the path of one", path.display())),
            Err(error) => {
                Err(format!("{} cannot be read ({error}); paths are relative to the configuration's folder", path.display()))
            }
        }
    }

    /// The secret in a file.
    pub(super) fn secret_file(&self, text: &str) -> Result<SiteSecret, String> {
        let path = self.file(text)?;
        let content = read_secret_file(&path).map_err(|mistake| mistake.to_string())?;
        SiteSecret::parse(&content).ok_or_else(|| format!("{} holds no secret: {MAKE_SECRET}", path.display()))
    }

    /// A file that may not exist yet, in a folder that does.
    pub(super) fn new_file(&self, text: &str) -> Result<PathBuf, String> {
        let path = self.path(text, "file")?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if path.is_dir() {
            return Err(format!("{} is a folder; write the path of a file", path.display()));
        }
        if !folder.is_dir() {
            return Err(format!("{} is not a folder, so nothing can be kept in it; make it", folder.display()));
        }
        Ok(path)
    }

    /// The file that is used where `key` is not written. What is in its way is a mistake like any other: a process without that
    /// file would run without saying so (case D13).
    pub(super) fn default_file(&self, table: &Table<'_, '_>, key: &str, scheme: &str, name: &str) -> Option<PathBuf> {
        let found = self.new_file(name);
        let told = |mistake: &String| {
            table.mistake(format_args!(
                "has no {key}, and its default cannot be used: {mistake}: {key} = \"{scheme}<path>\", or move away what is there"
            ));
        };
        found.inspect_err(told).ok()
    }

    /// The secret in an environment variable.
    pub(super) fn secret_env(&self, name: &str) -> Result<SiteSecret, String> {
        let value = self.variable(name, "SHOP_SECRET")?;
        SiteSecret::parse(&value).ok_or_else(|| format!("the environment variable {name} holds no secret: {MAKE_SECRET}"))
    }

    /// Another server's password, in an environment variable.
    pub(super) fn password_env(&self, name: &str) -> Result<Zeroizing<String>, String> {
        let password = self.variable(name, "REDIS_PASSWORD")?;
        if password.is_empty() {
            return Err(format!("the environment variable {name} is empty; set it before the start"));
        }
        Ok(password)
    }

    /// What an environment variable holds; its name is not repeated where it may be the secret itself.
    pub(super) fn variable(&self, name: &str, such_as: &str) -> Result<Zeroizing<String>, String> {
        let letters = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if SiteSecret::parse(name).is_some() || !letters || name.is_empty() {
            // Not repeated: it may be the secret itself.
            return Err(format!("what stands here is no name of an environment variable; write one such as \"{such_as}\""));
        }
        (self.env)(name)
            .map(Zeroizing::new)
            .ok_or_else(|| format!("the environment variable {name} is not set, or not UTF-8; set it before the start"))
    }

    /// The signing keys in a file.
    pub(super) fn key_file(&self, text: &str) -> Result<KeySource, String> {
        let path = self.file(text)?;
        let keys = read_key_file(&path).map_err(|mistake| mistake.to_string())?;
        Ok(KeySource::File(path, keys))
    }

    fn path(&self, text: &str, kind: &str) -> Result<PathBuf, String> {
        if text.is_empty() || text.contains('\0') {
            return Err(format!("not a path; write one of a {kind}"));
        }
        Ok(self.folder.join(text))
    }
}
