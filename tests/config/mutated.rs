//! Whatever stands in the file, reading it ends with an answer.

use proptest::prelude::*;

use crate::world::{GOOD, World, env};
use throughline::config::Config;

/// What is put in the place of something else.
const PIECES: [&str; 22] = [
    "",
    "\"",
    "[",
    "]",
    "[[site]]",
    "[primary]",
    "=",
    "\n",
    "\r",
    "{",
    "}",
    "-1",
    "1e999",
    "0x",
    "99999999999999999999",
    "true",
    "1979-05-27",
    "\u{feff}",
    "\0",
    "ü",
    "\"\"",
    "[[[[[[[[",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_mutated_configuration_never_panics(cuts in prop::collection::vec((0..GOOD.len(), 0..40_usize, 0..PIECES.len()), 1..6)) {
        let mut text = GOOD.to_owned();
        for (at, length, piece) in cuts {
            let at = at.min(text.len());
            let end = (at + length).min(text.len());
            if text.is_char_boundary(at) && text.is_char_boundary(end) {
                text.replace_range(at..end, PIECES[piece]);
            }
        }
        check(&text)?;
    }

    #[test]
    fn a_random_text_never_panics(text in "(?s).{0,200}") {
        check(&text)?;
    }

    #[test]
    fn a_random_value_never_panics(key in "[a-z_]{1,12}", value in "[-+0-9a-z_.:\"'\\[\\]{}, ]{0,30}", at in 0..40_usize) {
        let mut lines: Vec<_> = GOOD.lines().map(str::to_owned).collect();
        lines.insert(at, format!("{key} = {value}"));
        check(&lines.join("\n"))?;
    }
}

/// Every mistake of a text stands on one of its lines, and is one line itself.
fn check(text: &str) -> Result<(), TestCaseError> {
    thread_local!(static WORLD: World = World::new());
    let result = WORLD.with(|world| Config::from_text(text, world.path(), &env));
    if let Err(report) = result {
        prop_assert!(!report.mistakes().is_empty());
        for mistake in report.mistakes() {
            let line = mistake.line.unwrap_or(1);
            prop_assert!((1..=text.split('\n').count()).contains(&line), "{}", report);
            prop_assert!(!mistake.what.chars().any(char::is_control), "{:?}", mistake.what);
        }
    }
    Ok(())
}
