//! What the doctor reads of a page's HTML: enough for `meta` tags, no parser.

/// The `content` of all `meta` tags whose attribute `name` is `value`; both are in lower case.
pub(super) fn metas<'a>(html: &'a str, name: &'a str, value: &'a str) -> Vec<String> {
    let lower = html.to_ascii_lowercase();
    let starts = lower.match_indices("<meta").map(|(at, _)| at);
    let tags = starts.filter_map(|at| html[at..].split_once('>').map(|(tag, _)| tag));
    let wanted = tags.filter(|tag| attribute(tag, name).is_some_and(|found| found.eq_ignore_ascii_case(value)));
    wanted.filter_map(|tag| attribute(tag, "content")).map(str::to_owned).collect()
}

/// The value of an attribute in a tag.
fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let lower = tag.to_ascii_lowercase();
    let at = lower.match_indices(name).find(|(at, _)| {
        let before =
            lower[..*at].chars().next_back().is_some_and(|before| before.is_ascii_whitespace() || "\"'".contains(before));
        before && lower[at + name.len()..].trim_start().starts_with('=')
    });
    let (_, value) = tag[at?.0..].split_once('=')?;
    let value = value.trim_start();
    match value.chars().next()? {
        quote @ ('"' | '\'') => value[1..].split(quote).next(),
        _ => value.split(|end: char| end.is_ascii_whitespace() || end == '>').next(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meta_tags_are_read_however_they_are_written() {
        for html in [
            "<meta name=\"referrer\" content=\"no-referrer\">",
            "<META content='no-referrer' NAME=Referrer />",
            "<meta\n  name=referrer\n  content=no-referrer>",
        ] {
            assert_eq!(metas(html, "name", "referrer"), ["no-referrer"], "{html}");
        }
        for html in ["<meta name=description content=x>", "<meta data-name=referrer content=x>", "<meta name=referrer", ""] {
            assert!(metas(html, "name", "referrer").is_empty(), "{html}");
        }
    }
}
