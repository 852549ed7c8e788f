//! The tree as text.

use std::fs;
use std::path::{Path, PathBuf};

/// A file of the tree.
pub(crate) struct File {
    /// From the root of the tree, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    /// The text without comments, so that prose may name what code may not use.
    pub(crate) fn code(&self) -> String {
        let lines = self.text.lines().filter(|line| !line.trim_start().starts_with("//"));
        lines.map(|line| line.split(" // ").next().unwrap_or(line)).collect::<Vec<_>>().join("\n")
    }
}

/// The root of the tree.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files below a folder, sorted.
pub(crate) fn paths_below(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    walk(&root().join(folder), &mut found);
    let relative = |path: PathBuf| path.strip_prefix(root()).expect("below the root").to_string_lossy().replace('\\', "/");
    let mut paths: Vec<_> = found.into_iter().map(relative).collect();
    paths.sort();
    paths
}

/// The files below a folder whose names end so, with their text.
pub(crate) fn files_below(folder: &str, extension: &str) -> Vec<File> {
    let ending = format!(".{extension}");
    let paths = paths_below(folder).into_iter().filter(|path| path.ends_with(&ending));
    let read = |path: String| File {
        text: fs::read_to_string(root().join(&path)).unwrap_or_else(|error| panic!("{path}: {error}")),
        path,
    };
    paths.map(read).collect()
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("a folder's entry").path();
        if path.is_dir() {
            walk(&path, found);
        } else {
            found.push(path);
        }
    }
}
