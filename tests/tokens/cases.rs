//! Attack lists: one case a line, `#` begins a comment line. A case is the code it must be refused with, and the attack.

/// One line of a list.
pub(crate) struct Case {
    pub(crate) code: &'static str,
    pub(crate) attack: &'static str,
}

/// The cases of a list, never none: an empty list would be a test that tests nothing.
pub(crate) fn read(list: &'static str) -> Vec<Case> {
    let lines = list.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    let cases: Vec<_> = lines
        .map(|line| {
            let (code, attack) = line.split_once(' ').unwrap_or_else(|| panic!("{line:?} has no attack"));
            Case { code, attack: attack.trim() }
        })
        .collect();
    assert!(!cases.is_empty());
    cases
}

/// The text that an attack means: `\n`, `\r`, `\t`, `\s` (a space), `\0` and `\u{..}` stand for what a line cannot show.
pub(crate) fn unescape(attack: &str) -> String {
    let mut text = String::new();
    let mut rest = attack;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        let escape = &rest[at + 1..];
        let (character, length) = match escape.chars().next() {
            Some('n') => ('\n', 1),
            Some('r') => ('\r', 1),
            Some('t') => ('\t', 1),
            Some('s') => (' ', 1),
            Some('0') => ('\0', 1),
            Some('u') => {
                let end = escape.find('}').expect("\\u{..}");
                let number = u32::from_str_radix(&escape[2..end], 16).expect("a hexadecimal number");
                (char::from_u32(number).expect("a character"), end + 1)
            }
            _ => panic!("{attack:?} has an escape that is not known"),
        };
        text.push(character);
        rest = &escape[length..];
    }
    text + rest
}

#[test]
fn control_a_list_is_read_as_it_is_meant() {
    let cases = read("# comment\n\ncode an attack\n");
    assert_eq!((cases.len(), cases[0].code, cases[0].attack), (1, "code", "an attack"));
    assert_eq!(unescape(r"a\n\s\u{e9}\0b"), "a\n \u{e9}\0b");
}
