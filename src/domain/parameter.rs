//! Our parameter in a query: found, and taken out without a trace (rules R2, R3).

use std::borrow::Cow;
use std::fmt;

use super::contract::PARAMETER;

/// What a request's query says in our parameter.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Parameter<'a> {
    /// It is not there.
    Absent,
    /// It is there once, with this value, perhaps empty.
    Once(&'a str),
    /// It is there more than once: nobody can say which is meant.
    Repeated,
}

impl fmt::Debug for Parameter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The value may be a token (rule R8).
        f.write_str(match self {
            Self::Absent => "Absent",
            Self::Once("") => "Once(empty)",
            Self::Once(_) => "Once(..)",
            Self::Repeated => "Repeated",
        })
    }
}

/// Looks for our parameter.
#[must_use]
pub fn parameter(query: Option<&str>) -> Parameter<'_> {
    let Some(query) = query else { return Parameter::Absent };
    if !query.contains(PARAMETER) {
        return Parameter::Absent;
    }
    let mut values = query.split('&').filter_map(value_of_ours);
    match (values.next(), values.next()) {
        (None, _) => Parameter::Absent,
        (Some(value), None) => Parameter::Once(value),
        (Some(_), Some(_)) => Parameter::Repeated,
    }
}

fn value_of_ours(pair: &str) -> Option<&str> {
    match pair.strip_prefix(PARAMETER)? {
        "" => Some(""),
        rest => rest.strip_prefix('='),
    }
}

/// Path and query without our parameter. Every other byte stays where it was (rule R2).
#[must_use]
pub fn without_parameter(path_and_query: &str) -> Cow<'_, str> {
    let Some((path, query)) = path_and_query.split_once('?') else { return Cow::Borrowed(path_and_query) };
    if parameter(Some(query)) == Parameter::Absent {
        return Cow::Borrowed(path_and_query);
    }
    let mut clean = String::with_capacity(path_and_query.len());
    clean.push_str(path);
    let mut separator = '?';
    for pair in query.split('&').filter(|pair| value_of_ours(pair).is_none()) {
        clean.push(separator);
        clean.push_str(pair);
        separator = '&';
    }
    Cow::Owned(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r3_empty_and_repeated_parameters_are_seen() {
        for (query, expected) in [
            ("_tl", Parameter::Once("")),
            ("_tl=", Parameter::Once("")),
            ("x=1&_tl=&y", Parameter::Once("")),
            ("_tl=a=b", Parameter::Once("a=b")),
            ("_tl=a&_tl=b", Parameter::Repeated),
            ("_tl&_tl", Parameter::Repeated),
            ("x=_tl&_tlx", Parameter::Absent),
        ] {
            assert_eq!(parameter(Some(query)), expected, "{query}");
        }
        assert_eq!(without_parameter("/p?_tl=a&x=1&_tl=b&y&_tl"), "/p?x=1&y");
        assert_eq!(without_parameter("/p?_tl"), "/p");
    }
}
