//! An event of the log as one line of JSON. Written by hand and straight into the line: a line for each hop may cost a hop
//! next to nothing.

use std::fmt::{self, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Writes events so.
pub(super) struct JsonLine;

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut line: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        line.write_str("{\"timestamp\":\"")?;
        SystemTime.format_time(&mut line)?;
        line.write_str("\",\"level\":\"")?;
        line.write_str(event.metadata().level().as_str())?;
        line.write_char('"')?;
        let mut members = Members { line: &mut line, outcome: Ok(()) };
        event.record(&mut members);
        members.outcome?;
        line.write_str(",\"target\":\"")?;
        Escaping(&mut line).write_str(event.metadata().target())?;
        line.write_str("\"}\n")
    }
}

/// Writes each field of an event as a member of the object.
struct Members<'a, 'w> {
    line: &'a mut Writer<'w>,
    outcome: fmt::Result,
}

impl Members<'_, '_> {
    /// A field's name is a word of the program and needs no escaping.
    fn member(&mut self, field: &Field, value: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        if self.outcome.is_ok() {
            self.outcome = write!(self.line, ",\"{}\":", field.name()).and_then(|()| value(self.line));
        }
    }
}

impl Visit for Members<'_, '_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.member(field, |line| {
            line.write_char('"')?;
            Escaping(line).write_str(value)?;
            line.write_char('"')
        });
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.member(field, |line| write!(line, "{value}"));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.member(field, |line| write!(line, "{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.member(field, |line| write!(line, "{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.member(field, |line| {
            line.write_char('"')?;
            write!(Escaping(line), "{value:?}")?;
            line.write_char('"')
        });
    }
}

/// Escapes what may not stand in a JSON string (RFC 8259 section 7), and what ends a line elsewhere.
struct Escaping<'a, 'w>(&'a mut Writer<'w>);

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let must_be_escaped =
            |letter: char| matches!(letter, '"' | '\\' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}') || letter < ' ';
        let mut rest = text;
        while let Some(at) = rest.find(must_be_escaped) {
            let (clean, behind) = rest.split_at(at);
            self.0.write_str(clean)?;
            let mut letters = behind.chars();
            match letters.next() {
                Some(letter @ ('"' | '\\')) => write!(self.0, "\\{letter}")?,
                Some(letter) => write!(self.0, "\\u{:04x}", u32::from(letter))?,
                None => {}
            }
            rest = letters.as_str();
        }
        self.0.write_str(rest)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::{Value, json};
    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Kept {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    /// The one line that an event makes, read back.
    fn line(tell: impl FnOnce()) -> Value {
        let kept = Kept::default();
        let subscriber = tracing_subscriber::fmt().with_writer(kept.clone()).event_format(JsonLine).finish();
        tracing::subscriber::with_default(subscriber, tell);
        let bytes = kept.0.lock().unwrap();
        let text = std::str::from_utf8(&bytes).unwrap();
        let line = text.strip_suffix('\n').unwrap();
        assert!(!line.contains(|letter: char| letter.is_control() || letter == '\u{2028}'), "{line:?}");
        serde_json::from_str(line).unwrap()
    }

    #[test]
    fn a7_every_kind_of_field_is_a_member_and_every_text_is_whole() {
        let naughty = "a\"\\\n\r\t\0\u{1b}[31m\u{7f}\u{85}\u{2028}ü😀'</script>";
        let event = line(|| {
            let nothing: Option<&str> = None;
            tracing::info!(naughty, count = 7_u64, less = -7_i64, is = true, nothing, what = ?[naughty], "said {naughty}");
        });
        assert_eq!((&event["naughty"], &event["message"]), (&json!(naughty), &json!(format!("said {naughty}"))));
        assert_eq!((&event["count"], &event["less"], &event["is"]), (&json!(7), &json!(-7), &json!(true)));
        assert_eq!(event["what"], json!(format!("{:?}", [naughty])));
        assert_eq!((event.get("nothing"), &event["level"]), (None, &json!("INFO")));
        assert!(event["target"].as_str().unwrap().contains("json_line"));
    }

    #[test]
    fn a7_every_naughty_string_is_one_line() {
        for naughty in include_str!("../../tests/data/naughty.txt").lines() {
            let event = line(|| tracing::warn!(problem = naughty, "x"));
            assert_eq!(event["problem"], json!(naughty));
        }
    }
}
