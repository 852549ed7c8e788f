//! docs/openapi.json, and whether an answer is described there: path, status, headers, and the body's members.

use std::sync::LazyLock;

use serde_json::Value;

use crate::support::wire::Answer;

/// The description.
pub(crate) static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../docs/openapi.json")).expect("JSON"));

/// What a reference refers to.
fn resolved(part: &Value) -> &Value {
    match part["$ref"].as_str() {
        Some(reference) => DOCUMENT.pointer(reference.trim_start_matches('#')).unwrap_or_else(|| panic!("no {reference}")),
        None => part,
    }
}

/// The path template that an address below `/_throughline/api/` matches.
pub(crate) fn template(address: &str) -> Option<&'static str> {
    let path = format!("/{}", address.split('?').next().unwrap_or_default());
    let matches = |template: &str| {
        let (ours, theirs): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
        ours.len() == theirs.len() && ours.iter().zip(&theirs).all(|(ours, theirs)| ours == theirs || ours.starts_with('{'))
    };
    DOCUMENT["paths"].as_object().expect("paths").keys().map(String::as_str).find(|template| matches(template))
}

/// The response that describes an answer.
fn response(method: &str, address: &str, status: u16) -> &'static Value {
    let method = if method == "HEAD" { "GET" } else { method };
    let operation = template(address).map(|template| &DOCUMENT["paths"][template][method.to_lowercase()]);
    match operation {
        Some(Value::Null) => &DOCUMENT["components"]["responses"]["WrongMethod"],
        None if status == 404 => &DOCUMENT["components"]["responses"]["NotFound"],
        None => panic!("{method} {address} is not described, and answers {status}"),
        Some(operation) => {
            let found = &operation["responses"][status.to_string()];
            assert!(found.is_object(), "{method} {address}: {status} is not described");
            resolved(found)
        }
    }
}

/// Fails when the answer is not described.
pub(crate) fn assert_described(method: &str, address: &str, answer: &Answer) {
    // Before anybody has authenticated, all addresses are alike.
    let address = if answer.status == 401 && template(address).is_none() { "revocations" } else { address };
    let method = if answer.status == 401 && address == "revocations" { "GET" } else { method };
    let response = response(method, address, answer.status);
    for name in response["headers"].as_object().into_iter().flatten().map(|(name, _)| name) {
        assert!(answer.header(name).is_some(), "{method} {address} {}: no {name}", answer.status);
    }
    if method == "HEAD" {
        return;
    }
    assert_eq!(answer.header("content-type"), Some("application/json"), "{method} {address}");
    let schema = &response["content"]["application/json"]["schema"];
    let body = answer.json();
    if let Err(fault) = fits(&body, schema) {
        panic!("{method} {address} {}: {fault} in {body}", answer.status);
    }
}

/// As much of JSON Schema as the description uses.
pub(crate) fn fits(value: &Value, schema: &Value) -> Result<(), String> {
    let schema = resolved(schema);
    let Some(keywords) = schema.as_object() else { return Ok(()) };
    for (keyword, wanted) in keywords {
        let good = match keyword.as_str() {
            "type" => {
                let is = |kind: &Value| match kind.as_str().expect("a type") {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "integer" => value.is_u64(),
                    "boolean" => value.is_boolean(),
                    "null" => value.is_null(),
                    other => panic!("type {other}"),
                };
                wanted.as_array().map_or_else(|| is(wanted), |kinds| kinds.iter().any(is))
            }
            "const" => value == wanted,
            "enum" => wanted.as_array().expect("a list").contains(value),
            "required" => wanted.as_array().expect("a list").iter().all(|name| value.get(name.as_str().unwrap()).is_some()),
            "allOf" => {
                wanted.as_array().expect("a list").iter().try_for_each(|schema| fits(value, schema))?;
                true
            }
            "oneOf" => wanted.as_array().expect("a list").iter().filter(|schema| fits(value, schema).is_ok()).count() == 1,
            "properties" => {
                for (name, schema) in wanted.as_object().expect("an object") {
                    value.get(name).map_or(Ok(()), |value| fits(value, schema)).map_err(|fault| format!("{name}: {fault}"))?;
                }
                true
            }
            "additionalProperties" => {
                let known = |name: &String| keywords.get("properties").is_some_and(|known| known.get(name).is_some());
                for (name, value) in value.as_object().into_iter().flatten().filter(|(name, _)| !known(name)) {
                    match wanted {
                        Value::Bool(true) => {}
                        Value::Bool(false) => return Err(format!("{name} is not described")),
                        schema => fits(value, schema).map_err(|fault| format!("{name}: {fault}"))?,
                    }
                }
                true
            }
            "propertyNames" => {
                let names = value.as_object().into_iter().flatten();
                names.into_iter().try_for_each(|(name, _)| fits(&Value::from(name.as_str()), wanted))?;
                true
            }
            "items" => {
                value.as_array().into_iter().flatten().try_for_each(|item| fits(item, wanted))?;
                true
            }
            "minimum" => value.as_u64() >= wanted.as_u64(),
            "maxItems" => value.as_array().is_none_or(|list| list.len() as u64 <= wanted.as_u64().unwrap()),
            "maxProperties" => value.as_object().is_none_or(|object| object.len() as u64 <= wanted.as_u64().unwrap()),
            "minLength" => value.as_str().is_none_or(|text| text.len() as u64 >= wanted.as_u64().unwrap()),
            "maxLength" => value.as_str().is_none_or(|text| text.len() as u64 <= wanted.as_u64().unwrap()),
            "pattern" => {
                // Of visitor IDs; the library's own reader is stricter than a pattern.
                value.as_str().is_none_or(|text| throughline::base::id::VisitorId::parse(text).is_some())
            }
            "description" | "examples" | "discriminator" | "default" => true,
            other => panic!("the description uses {other}, which is not looked at"),
        };
        if !good {
            return Err(format!("not {keyword} {wanted}"));
        }
    }
    Ok(())
}

#[test]
fn it_is_an_openapi_document_and_every_reference_leads_somewhere() {
    let text = include_str!("../../docs/openapi.json");
    let spec = oas3::from_json(text).expect("OpenAPI 3.1");
    assert!(spec.openapi.starts_with("3.1."));
    assert_eq!(spec.operations().count(), 5);
    for (path, method, operation) in spec.operations() {
        assert!(operation.operation_id.is_some() && operation.summary.is_some(), "{method} {path}");
        for (status, response) in operation.responses(&spec) {
            assert!(response.description.as_ref().is_some_and(|text| !text.is_empty()), "{method} {path} {status}");
        }
    }
    for (at, _) in text.match_indices("\"$ref\": \"") {
        let reference = text[at + 9..].split('"').next().unwrap();
        assert!(DOCUMENT.pointer(&reference[1..]).is_some(), "{reference}");
    }
}

#[test]
fn its_limits_are_those_of_the_code() {
    use throughline::domain::{contract, record, reports};
    let schemas = &DOCUMENT["components"]["schemas"];
    for (found, wanted) in [
        (&schemas["Properties"]["maxProperties"], contract::PROPERTIES_MAX),
        (&schemas["PropertyKey"]["maxLength"], contract::PROPERTY_KEY_LENGTH_MAX),
        (&schemas["Reports"]["properties"]["reports"]["maxItems"], reports::REPORTS_MAX),
        (&schemas["Revocations"]["properties"]["revoked"]["maxItems"], reports::REVOCATIONS_MAX),
        (&schemas["FirstTouch"]["properties"]["referrer"]["maxLength"], contract::REFERRER_LENGTH_MAX),
    ] {
        assert_eq!(found.as_u64(), Some(wanted as u64));
    }
    let text = |part: &Value| part["description"].as_str().unwrap_or_default().to_owned();
    for (text, number) in [
        (text(&schemas["PropertyValue"]), contract::PROPERTY_VALUE_LENGTH_MAX),
        (text(&schemas["PropertyValue"]), contract::PROPERTY_DEPTH_MAX),
        (text(&schemas["Properties"]), contract::PROPERTIES_LENGTH_MAX),
        (text(&schemas["Visitor"]["properties"]["aliases"]), record::ALIASES_MAX),
        (text(&DOCUMENT["info"]).replace(',', ""), contract::API_BODY_LENGTH_MAX),
    ] {
        assert!(text.contains(&number.to_string()), "{number} in {text}");
    }
}

#[test]
fn control_what_is_not_described_is_seen() {
    let schema = &DOCUMENT["components"]["schemas"]["Versioned"];
    assert_eq!(fits(&serde_json::json!({"version": 1, "properties": {"a": null}}), schema), Ok(()));
    for wrong in [
        serde_json::json!({"version": 1}),
        serde_json::json!({"version": "1", "properties": {}}),
        serde_json::json!({"version": 1, "properties": {}, "more": 1}),
        serde_json::json!({"version": 1, "properties": {"": 1}}),
        serde_json::json!([]),
    ] {
        assert!(fits(&wrong, schema).is_err(), "{wrong}");
    }
}
