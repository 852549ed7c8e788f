//! The Dockerfile, without a container engine: what it copies is there, and what it makes is run where that can be done.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn dockerfile() -> String {
    fs::read_to_string(root().join("Dockerfile")).expect("a Dockerfile")
}

/// What is copied from the repository.
fn copied() -> Vec<String> {
    let lines = dockerfile();
    let lines = lines.lines().filter_map(|line| line.strip_prefix("COPY ").filter(|rest| !rest.starts_with("--from")));
    lines.flat_map(|line| line.split(' ').rev().skip(1).map(String::from).collect::<Vec<_>>()).collect()
}

#[test]
fn what_the_build_copies_is_there_and_not_ignored() {
    let ignored = fs::read_to_string(root().join(".dockerignore")).expect("a file");
    let kept: BTreeSet<_> = ignored.lines().filter_map(|line| line.strip_prefix('!')).map(String::from).collect();
    assert!(ignored.lines().any(|line| line == "*"), "all else is ignored");
    assert_eq!(copied().into_iter().collect::<BTreeSet<_>>(), kept);
    for path in kept {
        assert!(root().join(&path).exists(), "{path}");
    }
}

/// Cargo reads the manifest, and every file that the sources take in is among those copied.
#[test]
fn cargo_has_all_that_it_needs_in_the_image() {
    let folder = tempfile::tempdir().expect("a folder");
    for path in copied() {
        let place = folder.path().join(&path);
        fs::create_dir_all(place.parent().expect("a folder")).expect("folders");
        let done = Command::new("cp").arg("-r").arg(root().join(&path)).arg(&place).status();
        assert!(done.is_ok_and(|status| status.success()), "{path}");
    }
    let read = Command::new("cargo")
        .args(["metadata", "--no-deps", "--format-version=1", "--offline", "--locked"])
        .current_dir(folder.path())
        .output()
        .expect("cargo runs");
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    let mut taken_in = 0;
    for file in files_below(&root().join("src")) {
        let text = fs::read_to_string(&file).expect("a source");
        // What only tests take in comes last in a file.
        let text = text.split("#[cfg(test)]").next().expect("a text");
        for name in ["include_str!(\"", "include_bytes!(\""] {
            for part in text.split(name).skip(1) {
                let path = file.parent().expect("a folder").join(part.split('"').next().expect("a path"));
                let path = path.canonicalize().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                let within = path.strip_prefix(root().canonicalize().expect("a folder")).expect("in the repository");
                assert!(folder.path().join(within).exists(), "{} is not copied", within.display());
                taken_in += 1;
            }
        }
    }
    assert!(taken_in > 0);
}

fn files_below(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

/// The loader of the image finds every library in the image, and the program runs on them.
#[test]
fn the_root_file_system_holds_all_that_the_program_loads() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = Command::new(root().join("deploy/root-file-system"))
        .arg(env!("CARGO_BIN_EXE_throughline"))
        .arg(folder.path())
        .output()
        .expect("it runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let files = files_below(folder.path());
    let loader = files.iter().find(|file| file.to_string_lossy().contains("/ld-linux")).expect("a loader");
    let program = folder.path().join("usr/local/bin/throughline");
    let folders: BTreeSet<_> = files.iter().filter_map(|file| Some(file.parent()?.display().to_string())).collect();
    let folders = folders.into_iter().collect::<Vec<_>>().join(":");
    let run = |words: &[&str]| {
        let mut run = Command::new(loader);
        run.args(["--inhibit-cache", "--library-path", &folders]).args(words).arg(&program);
        let output = run.output().expect("the loader runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    for line in run(&["--list"]).lines().filter(|line| line.contains("=> /")) {
        assert!(line.contains(&folder.path().display().to_string()), "{line} is not in the image");
    }
    let shells = files.iter().filter(|file| file.ends_with("sh") || file.ends_with("busybox")).count();
    assert_eq!(shells, 0);
}

#[test]
fn the_image_runs_as_nobody_and_is_asked_for_its_health_without_a_shell() {
    let text = dockerfile();
    let last = text.rsplit("\nFROM ").next().expect("a stage");
    assert!(last.starts_with("scratch\n"), "{last}");
    for line in ["USER 65532:65532", "STOPSIGNAL SIGTERM", "CMD [\"/usr/local/bin/throughline\", \"health\"]", "CMD [\"serve\"]"]
    {
        assert!(last.contains(line), "{line}");
    }
    assert!(text.contains("FROM rust:1."), "the build's image has a version");
}
