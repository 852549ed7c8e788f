//! Lower layers know nothing of higher ones; peers do not know each other; only the composition root joins them.

use std::collections::BTreeSet;

use crate::source::{File, files_below};

/// The layers, lowest first. Those in one line are peers.
const LAYERS: [&[&str]; 10] = [
    &["base"],
    &["token"],
    &["domain"],
    &["store"],
    &["http"],
    &["broker", "satellite"],
    &["admin"],
    &["config"],
    &["app"],
    &["cli"],
];

/// A layer that may use less than its place allows: reading a configuration needs no server.
const NARROWER: [(&str, &[&str]); 1] = [("config", &["base", "token", "domain"])];

fn height(layer: &str) -> Option<usize> {
    LAYERS.iter().position(|peers| peers.contains(&layer))
}

/// Which layer a file belongs to: the first folder or file below `src`.
fn layer_of(path: &str) -> Option<&str> {
    let below = path.strip_prefix("src/")?;
    let name = below.split('/').next()?;
    Some(name.strip_suffix(".rs").unwrap_or(name))
}

/// Every layer that the code of a file names: `crate::layer`, and `crate::{layer::.., layer}`.
fn layers_used(code: &str) -> BTreeSet<&str> {
    let name = |text: &str| text.find(|letter: char| !letter.is_ascii_lowercase() && letter != '_').unwrap_or(text.len());
    let mut used = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            None => {
                used.insert(&rest[..name(rest)]);
            }
            Some(group) => {
                let mut depth = 0;
                let mut begins = true;
                for (at, letter) in group.char_indices() {
                    match letter {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => begins = true,
                        letter if begins && !letter.is_whitespace() => {
                            used.insert(&group[at..at + name(&group[at..])]);
                            begins = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    used
}

/// What is wrong with what a file uses.
fn faults(file: &File) -> Vec<String> {
    let Some(layer) = layer_of(&file.path).filter(|layer| height(layer).is_some()) else { return Vec::new() };
    let code = file.code();
    let allowed = |used: &str| match NARROWER.iter().find(|(narrow, _)| *narrow == layer) {
        _ if used == layer => true,
        Some((_, allowed)) => allowed.contains(&used),
        None => height(used).is_some_and(|used| Some(used) < height(layer)),
    };
    let wrong = layers_used(&code).into_iter().filter(|used| !allowed(used));
    wrong.map(|used| format!("{}: {layer} uses {used}", file.path)).collect()
}

#[test]
fn each_layer_uses_only_those_below_it() {
    let faults: Vec<_> = files_below("src", "rs").iter().flat_map(faults).collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn every_module_has_its_layer() {
    let modules: BTreeSet<_> =
        files_below("src", "rs").iter().filter_map(|file| layer_of(&file.path).map(String::from)).collect();
    let known = LAYERS.iter().flat_map(|peers| peers.iter()).map(|layer| (*layer).to_owned());
    let expected: BTreeSet<_> = known.chain(["lib", "main"].map(String::from)).collect();
    assert_eq!(modules, expected, "and src/lib.rs tells of them");
}

/// The reader above finds what it must find.
#[test]
fn control_a_fault_is_seen() {
    let faults_of = |path: &str, text: &str| faults(&File { path: path.into(), text: text.into() }).len();
    for (path, text, count) in [
        ("src/base/x.rs", "use crate::base::clock::Clock;", 0),
        ("src/base/x.rs", "use crate::token::Key;", 1),
        ("src/base/x.rs", "/// [`crate::token::Key`]\n// crate::cli", 0),
        ("src/broker/x.rs", "use crate::satellite::Satellite;", 1),
        ("src/satellite/x.rs", "fn f() { crate::broker::hop(); }", 1),
        ("src/satellite/x.rs", "use crate::{base::clock, domain::{url, site}, app::node};", 1),
        ("src/satellite/x.rs", "use crate::{\n    base::clock,\n    config::Config,\n    cli,\n};", 2),
        ("src/config/mod.rs", "use crate::http::Env;", 1),
        ("src/config/mod.rs", "use crate::domain::site::Site;", 0),
        ("src/app/node.rs", "use crate::config::Config; use crate::broker::Broker;", 0),
        ("src/cli.rs", "use crate::app::launch;", 0),
    ] {
        assert_eq!(faults_of(path, text), count, "{path}: {text}");
    }
}
