//! K4: a key file that others can read, or that is not whole, stops the start and says why.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use crate::support::files::{Folder, Part, Setup};
use crate::support::process::free_port;

/// Starts the program on `folder` and returns its exit code and what it said.
fn start(folder: &Folder) -> (Option<i32>, String) {
    let port = free_port();
    let origins = ["brand", "shop", "learn"].map(|site| format!("http://{site}.localhost:{port}"));
    let config = folder.configure(Part::All, port, &origins);
    // A server that starts in spite of it would run for ever: `timeout` ends it with another code.
    let output = Command::new("timeout")
        .args(["20", env!("CARGO_BIN_EXE_throughline"), "serve", "--config"])
        .arg(config)
        .output()
        .expect("the program starts");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn k4_a_key_file_that_others_can_read_stops_the_start() {
    for (name, mode) in [("brand.keys.json", 0o644), ("shop.keys.json", 0o640), ("learn.secret", 0o604)] {
        let folder = Folder::new(Setup::default());
        fs::set_permissions(folder.path().join(name), fs::Permissions::from_mode(mode)).expect("our own file");
        let (code, said) = start(&folder);
        assert_eq!(code, Some(2), "{name}: {said}");
        assert!(said.contains(name) && said.contains("others can read it") && said.contains("chmod 600"), "{name}: {said}");
    }
}

#[test]
fn k4_a_half_written_key_file_stops_the_start_and_is_not_shown() {
    let whole = Folder::new(Setup::default());
    let text = fs::read_to_string(whole.path().join("brand.keys.json")).expect("a key file");
    for length in [0, 1, text.len() / 2, text.len() - 2] {
        let folder = Folder::new(Setup::default());
        let file = folder.path().join("brand.keys.json");
        fs::write(&file, &text[..length]).expect("our own file");
        let (code, said) = start(&folder);
        assert_eq!(code, Some(2), "{length} octets: {said}");
        assert!(said.contains("brand.keys.json") && said.contains("cut off"), "{length} octets: {said}");
        assert!(text[..length].len() < 60 || !said.contains(&text[40..60]), "the file's content is not shown: {said}");
    }
}
