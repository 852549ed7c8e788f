//! The house's own rules: what `src/lib.rs` says of its layers, and what keeps the tree readable.
//!
//! Read from the files themselves, since a compiler does not mind a layer that looks upwards.

mod layers;
mod names;
mod source;

use source::{files_below, root};

/// A file that a person reads in one sitting.
const LINES_MAX: usize = 400;

#[test]
fn no_file_of_src_is_longer_than_a_sitting() {
    let files = files_below("src", "rs");
    assert!(files.len() > 40, "{}", files.len());
    let long: Vec<_> =
        files.iter().map(|file| (&file.path, file.text.lines().count())).filter(|(_, lines)| *lines > LINES_MAX).collect();
    assert!(long.is_empty(), "longer than {LINES_MAX} lines: {long:?}");
}

/// Rule U1: one place writes a `Location`, and it takes only the type that can be one. The doctor reads what others wrote.
#[test]
fn u1_one_file_alone_writes_a_location() {
    let writes = |text: &str| text.contains("LOCATION") || text.to_ascii_lowercase().contains("\"location\"");
    let files: Vec<_> = files_below("src", "rs").into_iter().filter(|file| writes(&file.code())).map(|file| file.path).collect();
    assert_eq!(files, ["src/cli/doctor/party.rs", "src/http/answer.rs"]);
}

#[test]
fn every_template_is_used() {
    let sources: String =
        files_below("src", "rs").into_iter().chain(files_below("templates", "html")).map(|file| file.text).collect();
    let templates = source::paths_below("templates");
    assert!(templates.len() > 3, "{templates:?}");
    for template in templates {
        let name = template.strip_prefix("templates/").expect("below templates");
        assert!(sources.contains(&format!("\"{name}\"")), "{template} is not used");
    }
}

/// What a reader meets first in a file is what it is for.
#[test]
fn every_file_says_what_it_is_for() {
    for folder in ["src", "tests"] {
        for file in files_below(folder, "rs") {
            assert!(file.text.starts_with("//! ") || file.text.starts_with("#!["), "{} begins without //!", file.path);
        }
    }
    assert!(root().join("src/lib.rs").exists());
}
