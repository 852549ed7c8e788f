//! The systemd unit, by systemd's own tools: it does not run as init here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What docs/deploying.md says of it, in tenths.
const EXPOSURE: u32 = 12;

fn unit() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/throughline.service")
}

fn analyze(words: &[&str], unit: &Path) -> Output {
    Command::new("systemd-analyze").args(words).arg(unit).output().expect("the Debian package systemd")
}

#[test]
fn systemd_takes_the_unit() {
    let folder = tempfile::tempdir().expect("a folder");
    let copy = folder.path().join("throughline.service");
    let text = fs::read_to_string(unit()).expect("a unit");
    // The program must be there, or verify complains of that.
    let text = text.replace("/usr/local/bin/throughline", env!("CARGO_BIN_EXE_throughline"));
    fs::write(&copy, text).expect("a unit");
    let verified = analyze(&["verify"], &copy);
    let said = String::from_utf8_lossy(&verified.stderr);
    assert!(verified.status.success(), "{said}");
    // It warns with a status of 0, also of other units.
    assert!(!said.contains("throughline.service:"), "{said}");
}

#[test]
fn the_unit_exposes_as_little_as_the_documentation_says() {
    let threshold = format!("--threshold={EXPOSURE}");
    let judged = analyze(&["security", "--no-pager", "--offline=true", &threshold], &unit());
    let said = String::from_utf8_lossy(&judged.stdout);
    let last = said.lines().last().unwrap_or_default();
    assert!(judged.status.success() && last.contains("exposure level"), "{last}");
    let documentation = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/deploying.md")).expect("docs");
    assert!(documentation.contains(&format!("{}.{}", EXPOSURE / 10, EXPOSURE % 10)), "the figure stands in docs/deploying.md");
}
