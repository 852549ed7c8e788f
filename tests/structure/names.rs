//! The names of tests: what begins with a rule's name proves that rule, so the rule must exist.

use std::collections::BTreeSet;

use crate::source::files_below;

fn rules() -> BTreeSet<String> {
    let list = include_str!("../data/rules.txt");
    let rules: BTreeSet<_> =
        list.lines().filter(|line| !line.starts_with('#')).flat_map(str::split_whitespace).map(str::to_ascii_lowercase).collect();
    assert_eq!(rules.len(), 115, "the list is whole");
    rules
}

/// The rule names that a test's name begins with: `s2_s3_only_...` has two.
fn rules_in(name: &str) -> impl Iterator<Item = &str> {
    let is_rule = |part: &&str| {
        let (letter, number) = part.split_at(part.len().min(1));
        letter.bytes().all(|byte| byte.is_ascii_lowercase())
            && !number.is_empty()
            && number.bytes().all(|byte| byte.is_ascii_digit())
    };
    name.split('_').take_while(is_rule)
}

/// The names of all functions that are tests.
fn tests_in(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut is_test = false;
    for line in text.lines().map(str::trim_start) {
        if line.starts_with("#[test]") || line.contains("::test]") || line.contains("::test(") {
            is_test = true;
        } else if let Some((_, rest)) = line.split_once("fn ").filter(|_| is_test) {
            names.extend(rest.split(['(', '<']).next().map(String::from));
            is_test = false;
        }
    }
    names
}

#[test]
fn every_test_names_a_rule_that_exists() {
    let rules = rules();
    let files: Vec<_> = files_below("src", "rs").into_iter().chain(files_below("tests", "rs")).collect();
    let mut proven = BTreeSet::new();
    for file in &files {
        for test in tests_in(&file.text) {
            for rule in rules_in(&test) {
                assert!(rules.contains(rule), "{}: {test} names {rule}, and there is no such rule", file.path);
                proven.insert(rule.to_owned());
            }
        }
    }
    assert!(proven.len() > 50, "{} rules have a test: {proven:?}", proven.len());
}

#[test]
fn control_names_are_read() {
    let read = |name: &str| rules_in(name).map(String::from).collect::<Vec<_>>();
    assert_eq!(read("s2_s3_only_a_navigation"), ["s2", "s3"]);
    assert_eq!(read("z99_nothing"), ["z99"]);
    assert!(read("control_t7").is_empty() && read("an_id_b4_all").is_empty() && read("").is_empty());
    assert_eq!(tests_in("#[test]\nfn a1_x() {}\nfn b2_y() {}\n    #[tokio::test]\n    async fn c3_z() {}"), ["a1_x", "c3_z"]);
}
