//! What a body that is sent to `consent` or `forget` says: the choice, and the page to go back to (rule C9).
//!
//! 1. A choice counts when the body has it once, and the query has none. A doubled one is no choice, whatever its values: two
//!    readers would not agree on it.
//! 2. A yes counts only from a whole body whose type is stated. A no counts from any part that arrived.

use std::borrow::Cow;

use serde_json::{Map, Value};
use url::form_urlencoded::parse;

use crate::base::json;

use super::consent::Choice;

/// The field of the choice.
const CHOICE: &str = "choice";

/// The field of the page to go back to.
const RETURN: &str = "return";

/// Which kind of body the request states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyKind {
    /// `application/x-www-form-urlencoded`.
    Form,
    /// Any other type, or none: JSON is expected.
    Json,
    /// Two types.
    Contradictory,
}

/// What a visitor sent.
#[derive(Debug, Clone, Copy)]
pub struct ChoiceBody<'a> {
    /// The query of the request.
    pub query: &'a str,
    /// The body, as far as it arrived.
    pub bytes: &'a [u8],
    /// What it is said to be.
    pub kind: BodyKind,
    /// Whether it arrived as a whole.
    pub is_whole: bool,
}

/// Why there is no choice in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoChoice {
    /// No field with one of the two words, or a yes that does not count.
    Missing,
    /// The field, or one that some readers take for it, is there more than once.
    Doubled,
}

impl ChoiceBody<'_> {
    /// The choice that it says.
    ///
    /// # Errors
    /// When it says none, or more than one (rule C9).
    pub fn choice(&self) -> Result<Choice, NoChoice> {
        if parse(self.query.as_bytes()).any(|(name, _)| looks_like_choice(&name)) {
            return Err(NoChoice::Doubled);
        }
        let object = match self.kind {
            BodyKind::Form => None,
            BodyKind::Json | BodyKind::Contradictory => json::read::<Map<String, Value>>(self.bytes).ok(),
        };
        // A form whose type is not stated is read for a no alone.
        let is_stated = self.kind == BodyKind::Form || (self.kind == BodyKind::Json && object.is_some());
        let choice = match object {
            Some(object) => only_choice(object.into_iter().map(|(name, value)| (name, value.as_str().map(String::from)))),
            None => only_choice(parse(self.bytes).map(|(name, value)| (name, Some(value)))),
        };
        choice.and_then(|choice| match choice {
            Choice::Granted if !(is_stated && self.is_whole) => Err(NoChoice::Missing),
            choice => Ok(choice),
        })
    }

    /// The page that a form wants to go back to: empty where that is not certain, `None` where it names none.
    #[must_use]
    pub fn return_page(&self) -> Option<Cow<'_, str>> {
        if self.kind != BodyKind::Form {
            return None;
        }
        let mut pages = parse(self.bytes).filter(|(name, _)| name == RETURN).map(|(_, page)| page);
        match (pages.next(), pages.next()) {
            (Some(page), None) if self.is_whole => Some(page),
            (None, _) if self.is_whole => None,
            // It is there twice, or may have been cut off.
            _ => Some(Cow::Borrowed("")),
        }
    }
}

fn only_choice<N: AsRef<str>, V: AsRef<str>>(fields: impl Iterator<Item = (N, Option<V>)>) -> Result<Choice, NoChoice> {
    let mut choices = fields.filter(|(name, _)| looks_like_choice(name.as_ref()));
    match (choices.next(), choices.next()) {
        (_, Some(_)) => Err(NoChoice::Doubled),
        (Some((name, Some(value))), None) if name.as_ref() == CHOICE => match value.as_ref() {
            "granted" => Ok(Choice::Granted),
            "denied" => Ok(Choice::Denied),
            _ => Err(NoChoice::Missing),
        },
        _ => Err(NoChoice::Missing),
    }
}

/// Whether some reader takes a field of this name for the choice: PHP and others read `choice[]` and ` choice` so.
fn looks_like_choice(name: &str) -> bool {
    name.split('[').next().is_some_and(|name| name.trim().eq_ignore_ascii_case(CHOICE))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRANTED: Result<Choice, NoChoice> = Ok(Choice::Granted);
    const DENIED: Result<Choice, NoChoice> = Ok(Choice::Denied);
    const MISSING: Result<Choice, NoChoice> = Err(NoChoice::Missing);
    const DOUBLED: Result<Choice, NoChoice> = Err(NoChoice::Doubled);

    fn said<'a>(kind: BodyKind, query: &'a str, body: &'a str) -> ChoiceBody<'a> {
        ChoiceBody { query, bytes: body.as_bytes(), kind, is_whole: true }
    }

    #[test]
    fn c9_a_choice_counts_when_it_is_there_once() {
        use BodyKind::{Contradictory, Form, Json};
        for (kind, query, body, expected) in [
            (Form, "", "choice=granted", GRANTED),
            (Form, "x=1", "a=b&choice=denied&return=%2F", DENIED),
            (Form, "", "ch%6fice=granted", GRANTED),
            (Form, "", "choice=granted&choice=denied", DOUBLED),
            (Form, "", "choice=denied&choice=granted", DOUBLED),
            (Form, "", "choice=granted&choice=granted", DOUBLED),
            (Form, "", "choice=denied&choice=denied", DOUBLED),
            (Form, "", "choice=granted&ch%6Fice=denied", DOUBLED),
            (Form, "", "choice=granted&choice%5B%5D=denied", DOUBLED),
            (Form, "", "choice=granted&choice[0]=denied", DOUBLED),
            (Form, "", "choice=granted&+choice=denied", DOUBLED),
            (Form, "", "Choice=denied&choice=granted", DOUBLED),
            (Form, "", "choice=granted&choice", DOUBLED),
            (Form, "", "choice=granted&&choice=", DOUBLED),
            (Form, "choice=denied", "choice=granted", DOUBLED),
            (Form, "choice=granted", "choice=granted", DOUBLED),
            (Form, "choice=granted", "", DOUBLED),
            (Form, "c%68oice[]=denied", "choice=granted", DOUBLED),
            (Form, "", "choice[]=granted", MISSING),
            (Form, "", "CHOICE=granted", MISSING),
            (Form, "", "choice=granted;choice=denied", MISSING),
            (Form, "", "choice=granted,denied", MISSING),
            (Form, "", "choice=granted+", MISSING),
            (Form, "", "choice=GRANTED", MISSING),
            (Form, "", "choice=granted%00", MISSING),
            (Form, "", "choice", MISSING),
            (Form, "", "", MISSING),
            (Form, "", r#"{"choice":"granted"}"#, MISSING),
            (Json, "", r#"{"choice":"granted"}"#, GRANTED),
            (Json, "", r#" {"x":{"choice":"denied"},"choice":"denied"} "#, DENIED),
            (Json, "choice=granted", r#"{"choice":"granted"}"#, DOUBLED),
            (Json, "", r#"{"choice":"granted","Choice":"denied"}"#, DOUBLED),
            (Json, "", r#"{"choice":"granted","choice[]":"denied"}"#, DOUBLED),
            (Json, "", r#"{"choice":"granted","choice":"denied"}"#, MISSING),
            (Json, "", r#"{"choice":"granted","choice":"granted"}"#, MISSING),
            (Json, "", r#"{"choice":"granted","\u0063hoice":"denied"}"#, MISSING),
            (Json, "", r#"{"choice":"granted","x":1,"x":2}"#, MISSING),
            (Json, "", r#"{"choice":["granted"]}"#, MISSING),
            (Json, "", r#"{"choice":null}"#, MISSING),
            (Json, "", r#"{"choice":true}"#, MISSING),
            (Json, "", r#"[{"choice":"granted"}]"#, MISSING),
            (Json, "", r#"["granted"]"#, MISSING),
            (Json, "", r#""granted""#, MISSING),
            (Json, "", "null", MISSING),
            (Json, "", "", MISSING),
            // The type is wrong or missing, but a no is still clear.
            (Json, "", "choice=granted", MISSING),
            (Json, "", "choice=denied", DENIED),
            (Json, "", "choice=denied&choice=granted", DOUBLED),
            (Contradictory, "", "choice=granted", MISSING),
            (Contradictory, "", "choice=denied", DENIED),
            (Contradictory, "", r#"{"choice":"granted"}"#, MISSING),
            (Contradictory, "", r#"{"choice":"denied"}"#, DENIED),
        ] {
            assert_eq!(said(kind, query, body).choice(), expected, "{kind:?} ?{query} {body}");
        }
    }

    #[test]
    fn c9_of_a_body_that_was_cut_off_only_a_no_counts() {
        for (body, expected) in [
            ("choice=granted", MISSING),
            ("choice=granted&return=%2F", MISSING),
            ("choice=denied&return=%2Fvery-long", DENIED),
            ("return=%2F&choice=denied", DENIED),
            ("choice=den", MISSING),
            ("choice=denied&choice=gr", DOUBLED),
            ("return=%2F", MISSING),
        ] {
            let said = ChoiceBody { is_whole: false, ..said(BodyKind::Form, "", body) };
            assert_eq!(said.choice(), expected, "{body}");
            assert_eq!(said.return_page().as_deref(), Some(""), "{body}");
        }
    }

    #[test]
    fn c9_a_form_names_one_page_to_go_back_to() {
        let of = |kind, body| said(kind, "", body).return_page().map(Cow::into_owned);
        assert_eq!(of(BodyKind::Form, "choice=denied&return=%2Fp").as_deref(), Some("/p"));
        assert_eq!(of(BodyKind::Form, "choice=denied&return=").as_deref(), Some(""));
        assert_eq!(of(BodyKind::Form, "return=%2Fa&return=%2Fb").as_deref(), Some(""));
        assert_eq!(of(BodyKind::Form, "choice=denied"), None);
        assert_eq!(of(BodyKind::Json, "return=%2Fp"), None);
    }
}
