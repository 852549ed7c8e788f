//! The documentation has every check, and no other.

use throughline::cli::doctor::checks;

#[test]
fn every_check_is_in_the_documentation_and_no_other() {
    let text = include_str!("../../docs/doctor.md");
    let documented: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("### `")?.split('`').next()).collect();
    assert_eq!(documented, checks());
    // Each says what it means, and what to do.
    for section in text.split("\n### `").skip(1) {
        let (name, rest) = section.split_once('`').expect("a name");
        let body = rest.split("\n## ").next().unwrap_or_default();
        assert!(body.contains("**Do:**") && body.trim().len() > 60, "{name}");
    }
}
