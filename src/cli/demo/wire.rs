//! What analytics libraries send, read as their own vendors would read it.
//!
//! 1. A body is JSON, or a form whose `data` is JSON or base64 of it; a request without one has it all in its query.
//! 2. It holds one event, a list of them, or a list under `data` or `batch`.
//! 3. Where an event has the ID and the rest differs from library to library: [`LIBRARIES`].
//!
//! Whoever can reach the demo can write anything here. What is kept of it is bounded, and is text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

/// The longest request that is read, in octets.
pub(super) const LENGTH_MAX: usize = 64 * 1024;
const EVENTS_MAX: usize = 50;
const TEXT_MAX: usize = 200;

/// An analytics library, and where its events have what the table shows: JSON pointers (RFC 6901), or nothing.
#[derive(Debug)]
pub(super) struct Library {
    /// Its name in paths.
    pub(super) name: &'static str,
    /// Its name in the table.
    pub(super) title: &'static str,
    /// The real one, bundled.
    pub(super) script: &'static str,
    event: &'static str,
    id: &'static str,
    referrer: &'static str,
    plan: &'static str,
}

/// All libraries of the demo.
pub(super) static LIBRARIES: [Library; 6] = [
    Library {
        name: "segment",
        title: "Segment",
        script: include_str!("../../../sdk/demo/segment.js"),
        event: "/event",
        id: "/anonymousId",
        referrer: "/context/page/referrer",
        plan: "/properties/plan",
    },
    Library {
        name: "mixpanel",
        title: "Mixpanel",
        script: include_str!("../../../sdk/demo/mixpanel.js"),
        event: "/event",
        id: "/properties/$device_id",
        referrer: "/properties/$initial_referring_domain",
        plan: "/properties/plan",
    },
    Library {
        name: "snowplow",
        title: "Snowplow",
        script: include_str!("../../../sdk/demo/snowplow.js"),
        event: "/se_ac",
        id: "/duid",
        referrer: "/refr",
        plan: "/plan",
    },
    Library {
        name: "jitsu",
        title: "Jitsu",
        script: include_str!("../../../sdk/demo/jitsu.js"),
        event: "/event",
        id: "/anonymousId",
        referrer: "/context/page/referrer",
        plan: "/properties/plan",
    },
    Library {
        name: "analytics",
        title: "Analytics",
        script: include_str!("../../../sdk/demo/analytics.js"),
        event: "/event",
        id: "/anonymousId",
        referrer: "/context/page/referrer",
        plan: "/properties/plan",
    },
    Library {
        name: "plausible",
        title: "Plausible",
        script: include_str!("../../../sdk/demo/plausible.js"),
        event: "/n",
        id: "/p/visitor",
        referrer: "/r",
        plan: "/p/plan",
    },
];

/// What the table shows of an event.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sent {
    /// The event's name.
    pub(super) event: String,
    /// The visitor, in the library's own field.
    pub(super) id: Option<String>,
    /// Where the visitor came from, as the library has it.
    pub(super) referrer: Option<String>,
    /// The property `plan`.
    pub(super) plan: Option<String>,
}

impl Library {
    /// The library of this name.
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        LIBRARIES.iter().find(|library| library.name == name)
    }

    /// The events in a request. What is none is left out.
    pub(super) fn events(&self, query: &str, body: &[u8]) -> Vec<Sent> {
        let sent = decoded(query, body);
        let events = match &sent {
            Value::Array(list) => list.as_slice(),
            Value::Object(_) => match sent.get("data").or_else(|| sent.get("batch")) {
                Some(Value::Array(list)) => list,
                _ => std::slice::from_ref(&sent),
            },
            _ => &[],
        };
        events.iter().filter_map(|event| self.sent(event)).take(EVENTS_MAX).collect()
    }

    fn sent(&self, event: &Value) -> Option<Sent> {
        let at = |pointer| event.pointer(pointer).and_then(text);
        Some(Sent { event: at(self.event)?, id: at(self.id), referrer: at(self.referrer), plan: at(self.plan) })
    }
}

fn decoded(query: &str, body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or_else(|_| {
        let form = if body.is_empty() { query.as_bytes() } else { body };
        let fields: Map<_, _> = url::form_urlencoded::parse(form).map(|(name, value)| (name.into(), value.into())).collect();
        fields.get("data").and_then(Value::as_str).and_then(data).unwrap_or(Value::Object(fields))
    })
}

fn data(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok().or_else(|| serde_json::from_slice(&STANDARD.decode(text).ok()?).ok())
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.chars().take(TEXT_MAX).collect()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(is) => Some(is.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, query: &str, body: &str) -> Vec<Sent> {
        Library::named(name).unwrap().events(query, body.as_bytes())
    }

    fn sent(event: &str, id: &str, referrer: &str, plan: &str) -> Sent {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Sent { event: event.into(), id: some(id), referrer: some(referrer), plan: some(plan) }
    }

    #[test]
    fn each_librarys_own_form_is_read() {
        let segment = r#"{"type":"track","event":"Buy","anonymousId":"v","context":{"page":{"referrer":"r"}}}"#;
        let snowplow = r#"{"schema":"s","data":[{"e":"se","se_ac":"Buy","duid":"v","refr":"r"},{"e":"se","se_ac":"Go"}]}"#;
        let plausible = r#"{"n":"Buy","u":"x","r":null,"p":{"visitor":"v"}}"#;
        for name in ["segment", "jitsu", "analytics"] {
            assert_eq!(read(name, "", segment), [sent("Buy", "v", "r", "")], "{name}");
        }
        let batch = format!(r#"{{"batch":[{segment},{segment}]}}"#);
        assert_eq!(read("segment", "", &batch).len(), 2);
        assert_eq!(read("snowplow", "", snowplow), [sent("Buy", "v", "r", ""), sent("Go", "", "", "")]);
        assert_eq!(read("snowplow", "e=se&se_ac=Buy%20it&duid=v&refr=r", ""), [sent("Buy it", "v", "r", "")]);
        assert_eq!(read("plausible", "", plausible), [sent("Buy", "v", "", "")]);
    }

    #[test]
    fn mixpanels_forms_are_read() {
        let event = r#"{"event":"Buy","properties":{"$device_id":"v","$initial_referring_domain":"r","plan":"gold"}}"#;
        let list = format!("[{event}]");
        let encoded = |text: &str| url::form_urlencoded::Serializer::new(String::new()).append_pair("data", text).finish();
        for json in [event, &list] {
            for data in [json.to_owned(), STANDARD.encode(json)] {
                assert_eq!(read("mixpanel", "", &encoded(&data)), [sent("Buy", "v", "r", "gold")], "{data}");
                assert_eq!(read("mixpanel", &encoded(&data), ""), [sent("Buy", "v", "r", "gold")], "{data}");
            }
        }
    }

    #[test]
    fn a5_a7_nothing_else_is_an_event_and_what_is_kept_is_bounded() {
        for library in &LIBRARIES {
            for body in ["", "null", "{", "[[[]]]", "data=%%%", "data=bnVsbA==", "\u{0}", "[1,{}]", r#"{"event":{"a":1},"n":[]}"#]
            {
                assert_eq!(library.events(body, body.as_bytes()), [], "{}: {body}", library.name);
            }
        }
        let many = format!("[{}]", vec![r#"{"event":"x"}"#; 1000].join(","));
        assert_eq!(read("mixpanel", "", &many).len(), EVENTS_MAX);
        let long = format!(r#"{{"event":"{}"}}"#, "ä".repeat(10_000));
        assert_eq!(read("segment", "", &long)[0].event.chars().count(), TEXT_MAX);
    }
}
