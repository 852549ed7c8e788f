//! JSON read strictly (rule T10).
//!
//! serde's derive is laxer than this protocol: it reads a struct from a list of its values, it keeps the last of two equal
//! keys that no field has, and it takes `null` for a field that is missing. Two readers of one document could then
//! disagree on what it says.
//!
//! 1. A type under [`json_object!`](crate::base::json::json_object) is read from an object only, wherever it stands.
//! 2. [`read`] refuses a key that stands twice in any object, whether or not a field has it.
//! 3. A field with [`present`] is missing or has a value; `null` is refused.

use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Reads a whole document. The deepest nesting is serde_json's own limit, 128.
///
/// # Errors
/// When it is not UTF-8 JSON, ends with anything else, holds a key twice in one object, or is not a `T`.
pub fn read<T: DeserializeOwned>(json: &[u8]) -> Result<T, serde_json::Error> {
    // JSON is UTF-8 (RFC 8259 section 8.1), also in the members that serde_json skips without a look.
    let json = std::str::from_utf8(json).map_err(serde_json::Error::custom)?;
    serde_json::from_str::<Unambiguous>(json)?;
    serde_json::from_str(json)
}

/// Reads the value of an optional field that is there. Use it with `#[serde(default)]`.
///
/// # Errors
/// When it is not a `T`; `null` is not, unless `T` says so.
pub fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(value: D) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

/// A type whose derived reader must be given an object. [`json_object!`](crate::base::json::json_object) implements it.
pub trait FromObject<'de>: Sized {
    /// The derived reader.
    ///
    /// # Errors
    /// When the object is not a `Self`.
    fn from_object<D: Deserializer<'de>>(object: D) -> Result<Self, D::Error>;
}

/// Reads a value from an object; everything else is refused.
///
/// # Errors
/// When it is another kind of JSON, or not a `T`.
pub fn object<'de, D: Deserializer<'de>, T: FromObject<'de>>(value: D) -> Result<T, D::Error> {
    value.deserialize_map(ObjectVisitor(PhantomData))
}

/// Makes types that derive `Deserialize` with `#[serde(remote = "Self")]` readable from an object only. With `written`,
/// they derive `Serialize` as well.
macro_rules! json_object {
    (written $($type:ty),+ $(,)?) => {
        $(
            impl serde::Serialize for $type {
                fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    <$type>::serialize(self, serializer)
                }
            }
        )+
        $crate::base::json::json_object!($($type),+);
    };
    ($($type:ty),+ $(,)?) => {
        $(
            impl<'de> $crate::base::json::FromObject<'de> for $type {
                fn from_object<D: serde::Deserializer<'de>>(object: D) -> Result<Self, D::Error> {
                    <$type>::deserialize(object)
                }
            }

            impl<'de> serde::Deserialize<'de> for $type {
                fn deserialize<D: serde::Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
                    $crate::base::json::object(value)
                }
            }
        )+
    };
}
pub(crate) use json_object;

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: FromObject<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<T, A::Error> {
        T::from_object(MapAccessDeserializer::new(object))
    }
}

/// JSON in which no object has a key twice. Its values are not kept.
struct Unambiguous;

impl<'de> Deserialize<'de> for Unambiguous {
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
        value.deserialize_any(Self)
    }
}

impl<'de> DeserializeSeed<'de> for Unambiguous {
    type Value = Self;

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<Self, D::Error> {
        value.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unambiguous {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self, A::Error> {
        while list.next_element_seed(Self)?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self, A::Error> {
        let mut keys = HashSet::new();
        while let Some(key) = object.next_key::<String>()? {
            if !keys.insert(key) {
                // The key is not repeated in the message: it may be a secret.
                return Err(A::Error::custom("an object has one key twice"));
            }
            object.next_value_seed(Self)?;
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use serde::Serialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(remote = "Self")]
    struct Outer {
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
        note: Option<String>,
        #[serde(default)]
        inner: Vec<Inner>,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(remote = "Self", tag = "kind", rename_all = "snake_case")]
    enum Inner {
        One { x: u32 },
    }

    json_object!(written Outer, Inner);

    #[test]
    fn t10_an_object_is_read_from_an_object_alone() {
        let outer = Outer { name: "a".into(), note: Some("b".into()), inner: vec![Inner::One { x: 1 }] };
        let text = serde_json::to_string(&outer).unwrap();
        assert_eq!(text, r#"{"name":"a","note":"b","inner":[{"kind":"one","x":1}]}"#);
        assert_eq!(read::<Outer>(text.as_bytes()).unwrap(), outer);
        assert!(read::<Outer>(br#"{"name":"a","other":{"name":1},"inner":[]} "#).is_ok(), "an unknown member is let be");
        let deep = |depth| format!(r#"{{"name":"a","other":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        assert!(read::<Outer>(deep(100).as_bytes()).is_ok());
        for refused in [
            r#"["a","b",[]]"#.to_owned(),
            r#"{"name":"a","inner":[["one",1]]}"#.into(),
            r#"{"name":"a","inner":{"kind":"one","x":1}}"#.into(),
            r#"{"name":"a","name":"a"}"#.into(),
            r#"{"name":"a","\u006eame":"b"}"#.into(),
            r#"{"name":"a","other":1,"other":1}"#.into(),
            r#"{"name":"a","other":{"x":1,"x":1}}"#.into(),
            r#"{"name":"a","other":[{"x":1,"x":1}]}"#.into(),
            r#"{"name":"a","inner":[{"kind":"one","x":1,"y":1,"y":1}]}"#.into(),
            r#"{"name":"a","note":null}"#.into(),
            r#"{"name":null}"#.into(),
            r#"{"name":"a"} x"#.into(),
            r#"{"name":"a"}{"name":"a"}"#.into(),
            r#"{"name":"a",}"#.into(),
            "\u{feff}{\"name\":\"a\"}".into(),
            "null".into(),
            "\"a\"".into(),
            "1".into(),
            String::new(),
            deep(200),
            deep(2_000_000),
        ] {
            assert!(read::<Outer>(refused.as_bytes()).is_err(), "{}", &refused[..refused.len().min(80)]);
        }
        assert!(read::<Outer>(b"{\"name\":\"a\",\"other\":\"\xff\"}").is_err());
    }
}
