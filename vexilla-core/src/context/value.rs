//! The values that attributes have, as Flagr sees them in JSON.

use std::collections::BTreeMap;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The members of an object value, by name.
pub type Map = BTreeMap<String, Value>;

/// A value of an attribute.
///
/// Numbers are 64-bit floats, as in Flagr: integers beyond ±2^53 are rounded.
/// A number that is not finite is an error for each constraint that reads it,
/// as a number out of range is in Flagr.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value {
    /// No value: an error for each constraint that reads it.
    #[default]
    Null,
    /// A boolean.
    Bool(bool),
    /// A number.
    Number(f64),
    /// A string.
    String(String),
    /// A list. Constraints read lists of strings and lists of numbers.
    List(Vec<Self>),
    /// An object. Constraints reach into it by paths, `a.b[0]`.
    Map(Map),
}

/// A borrowed [`Value`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ValueRef<'a> {
    /// No value: an error for each constraint that reads it.
    Null,
    /// A boolean.
    Bool(bool),
    /// A number.
    Number(f64),
    /// A string.
    String(&'a str),
    /// A list.
    List(&'a [Value]),
    /// An object.
    Map(&'a Map),
}

impl Value {
    /// The same value, borrowed.
    #[must_use]
    pub fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Self::Null => ValueRef::Null,
            Self::Bool(value) => ValueRef::Bool(*value),
            Self::Number(value) => ValueRef::Number(*value),
            Self::String(value) => ValueRef::String(value),
            Self::List(items) => ValueRef::List(items),
            Self::Map(members) => ValueRef::Map(members),
        }
    }
}

impl ValueRef<'_> {
    /// The same value, owned.
    #[must_use]
    pub fn to_owned(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(value),
            Self::Number(value) => Value::Number(value),
            Self::String(value) => Value::String(value.to_owned()),
            Self::List(items) => Value::List(items.to_vec()),
            Self::Map(members) => Value::Map(members.clone()),
        }
    }
}

/// A value on its way into a [`Context`](super::Context): what converts into a
/// [`Value`], and borrowed text, which is copied only once.
#[derive(Debug, Clone, PartialEq)]
pub struct AttributeValue<'a>(pub(super) Form<'a>);

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Form<'a> {
    Text(&'a str),
    Value(Value),
}

impl<'a> From<&'a str> for AttributeValue<'a> {
    fn from(text: &'a str) -> Self {
        Self(Form::Text(text))
    }
}

impl<'a> From<&'a String> for AttributeValue<'a> {
    fn from(text: &'a String) -> Self {
        Self(Form::Text(text))
    }
}

impl<'a> From<ValueRef<'a>> for AttributeValue<'a> {
    fn from(value: ValueRef<'a>) -> Self {
        match value {
            ValueRef::String(text) => text.into(),
            other => other.to_owned().into(),
        }
    }
}

impl<'a, T: Into<Self>> From<Option<T>> for AttributeValue<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self(Form::Value(Value::Null)), Into::into)
    }
}

impl<T: Into<Value>> From<Vec<T>> for AttributeValue<'_> {
    fn from(items: Vec<T>) -> Self {
        Self(Form::Value(items.into()))
    }
}

impl<T: Into<Value>, const N: usize> From<[T; N]> for AttributeValue<'_> {
    fn from(items: [T; N]) -> Self {
        Self(Form::Value(items.into()))
    }
}

macro_rules! attributes_from_values {
    ($($type:ty),*) => {$(
        impl From<$type> for AttributeValue<'_> {
            fn from(value: $type) -> Self {
                Self(Form::Value(value.into()))
            }
        }
    )*};
}

attributes_from_values!(
    Value,
    bool,
    String,
    Map,
    serde_json::Value,
    i8,
    i16,
    i32,
    i64,
    isize,
    u8,
    u16,
    u32,
    u64,
    usize,
    f32,
    f64
);

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::String(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::String(value)
    }
}

macro_rules! from_numbers {
    ($($type:ty),*) => {$(
        impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Self::Number(value as f64)
            }
        }
    )*};
}

from_numbers!(i8, i16, i32, i64, isize, u8, u16, u32, u64, usize, f32, f64);

impl<T: Into<Self>> From<Vec<T>> for Value {
    fn from(items: Vec<T>) -> Self {
        Self::List(items.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Self>, const N: usize> From<[T; N]> for Value {
    fn from(items: [T; N]) -> Self {
        Self::List(items.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl From<Map> for Value {
    fn from(members: Map) -> Self {
        Self::Map(members)
    }
}

impl From<serde_json::Value> for Value {
    fn from(value: serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(value) => Self::Bool(value),
            // A number that no float can hold is out of Flagr's range, too.
            serde_json::Value::Number(value) => {
                Self::Number(value.as_f64().unwrap_or(f64::INFINITY))
            }
            serde_json::Value::String(value) => Self::String(value),
            serde_json::Value::Array(items) => {
                Self::List(items.into_iter().map(Self::from).collect())
            }
            serde_json::Value::Object(members) => Self::Map(
                members
                    .into_iter()
                    .map(|(name, value)| (name, Self::from(value)))
                    .collect(),
            ),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.as_ref().serialize(serializer)
    }
}

impl Serialize for ValueRef<'_> {
    /// Whole numbers within ±2^53 are written as integers.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(value),
            Self::Number(value) => match whole(value) {
                Some(whole) => serializer.serialize_i64(whole),
                None => serializer.serialize_f64(value),
            },
            Self::String(value) => serializer.serialize_str(value),
            Self::List(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(item)?;
                }
                list.end()
            }
            Self::Map(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for (name, value) in members {
                    map.serialize_entry(name, value)?;
                }
                map.end()
            }
        }
    }
}

/// The integer that a float is, if it is one that floats hold exactly.
pub(crate) fn whole(value: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53
    let is_whole = value.fract() == 0.0 && value.abs() <= EXACT;
    // Negative zero would lose its sign.
    let is_negative_zero = value == 0.0 && value.is_sign_negative();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a whole number within ±2^53"
    )]
    (is_whole && !is_negative_zero).then_some(value as i64)
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a string, number, boolean, null, list or object")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some((name, value)) = access.next_entry()? {
            members.insert(name, value);
        }
        Ok(Value::Map(members))
    }
}
