//! JSON read without losing what makes it doubtful: serde_json's own values silently keep the last of two equal keys.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::domain::contract::PROPERTY_DEPTH_MAX;

use super::refusal::Limit;

/// How many lists and objects may stand in one another: the body, its member, and those of a value.
const LEVELS_MAX: usize = 2 + PROPERTY_DEPTH_MAX;

/// A JSON text as it stands.
pub(super) enum Tree {
    Scalar(Value),
    List(Vec<Tree>),
    Object(Vec<(String, Tree)>),
    /// A list or object below the deepest level that may be; what it held is thrown away while it is read.
    TooDeep,
}

/// Reads a whole JSON text.
pub(super) fn read(body: &[u8]) -> Result<Tree, Limit> {
    // All of it must be UTF-8 (RFC 8259 section 8.1), also what is thrown away, which serde_json skips without a look.
    let body = std::str::from_utf8(body).map_err(|_| Limit::NotJson)?;
    let mut json = serde_json::Deserializer::from_str(body);
    let tree = Level(LEVELS_MAX).deserialize(&mut json).map_err(|_| Limit::NotJson)?;
    json.end().map_err(|_| Limit::NotJson)?;
    Ok(tree)
}

impl Tree {
    /// The value that this is, at most `levels` deep.
    pub(super) fn into_value(self, levels: usize) -> Result<Value, Limit> {
        let below = levels.checked_sub(1).ok_or(Limit::TooDeep)?;
        match self {
            Self::TooDeep => Err(Limit::TooDeep),
            Self::Scalar(Value::String(text)) if text.contains('\0') => Err(Limit::BadCharacter),
            Self::Scalar(value) => Ok(value),
            Self::List(items) => items.into_iter().map(|item| item.into_value(below)).collect::<Result<_, _>>().map(Value::Array),
            Self::Object(members) => {
                let mut object = serde_json::Map::new();
                for (key, member) in members {
                    if key.contains('\0') {
                        return Err(Limit::BadCharacter);
                    }
                    // A page's script that copies members one by one would change the object's prototype.
                    if key == "__proto__" {
                        return Err(Limit::ReservedKey);
                    }
                    if object.insert(key, member.into_value(below)?).is_some() {
                        return Err(Limit::SameKeyTwice);
                    }
                }
                Ok(Value::Object(object))
            }
        }
    }
}

/// How many lists and objects may still stand in one another, from here on.
#[derive(Clone, Copy)]
struct Level(usize);

impl<'de> DeserializeSeed<'de> for Level {
    type Value = Tree;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Tree, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Scalar(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Scalar(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
        Ok(Tree::Scalar(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Scalar(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Tree, A::Error> {
        let Some(below) = self.0.checked_sub(1).map(Level) else {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(Tree::TooDeep);
        };
        let mut items = Vec::new();
        while let Some(item) = list.next_element_seed(below)? {
            items.push(item);
        }
        Ok(Tree::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Tree, A::Error> {
        let Some(below) = self.0.checked_sub(1).map(Level) else {
            while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(Tree::TooDeep);
        };
        let mut members = Vec::new();
        while let Some(key) = object.next_key()? {
            members.push((key, object.next_value_seed(below)?));
        }
        Ok(Tree::Object(members))
    }
}
