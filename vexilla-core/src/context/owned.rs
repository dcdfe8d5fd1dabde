//! The context that owns what it holds.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::text::Head;
use super::{EvaluationContext, Map, Text, Value, ValueRef};

/// An entity and its attributes, owned.
///
/// All strings stand in one buffer and all attributes in one list, so that a
/// context without lists and maps costs two allocations, however many
/// attributes it has. Attributes are found by walking the list: fast for the
/// dozens that requests have, not meant for thousands.
///
/// ```
/// use vexilla_core::Context;
///
/// let context = Context::new("user-1")
///     .with_entity_type("user")
///     .with("country", "BR")
///     .with("age", 31)
///     .with("groups", ["beta", "staff"]);
/// # use vexilla_core::{EvaluationContext, ValueRef};
/// # assert_eq!(context.attribute("country"), Some(ValueRef::String("BR")));
/// ```
///
/// With `serde` it has the form of Flagr's evaluation request:
/// `{"entityID": …, "entityType": …, "entityContext": {…}}`; other members are
/// ignored, and an `entityContext` that is no object is none, as for Flagr.
#[derive(Clone, Default)]
pub struct Context {
    /// Every string of the context, one behind the other.
    text: String,
    entity_id: Range<usize>,
    entity_type: Range<usize>,
    attributes: Vec<Attribute>,
}

#[derive(Clone)]
struct Attribute {
    name: Range<usize>,
    head: Head,
    value: Stored,
}

#[derive(Clone)]
enum Stored {
    Null,
    Bool(bool),
    Number(f64),
    String(Range<usize>, Head),
    List(Box<[Value]>),
    Map(Box<Map>),
}

impl Context {
    /// A context of this entity, without attributes. An empty id means that
    /// the entity is not known, see [`EmptyEntity`](crate::EmptyEntity).
    #[must_use]
    pub fn new(entity_id: &str) -> Self {
        let mut context = Self::with_capacity(entity_id.len() + 96, 8);
        context.set_entity_id(entity_id);
        context
    }

    /// A context of no known entity, with room for strings of this many bytes
    /// in all, names included, and for this many attributes.
    #[must_use]
    pub fn with_capacity(text: usize, attributes: usize) -> Self {
        Self {
            text: String::with_capacity(text),
            attributes: Vec::with_capacity(attributes),
            ..Self::default()
        }
    }

    /// Sets the kind of entity, such as `user`.
    #[must_use]
    pub fn with_entity_type(mut self, entity_type: &str) -> Self {
        self.set_entity_type(entity_type);
        self
    }

    /// Sets an attribute; of two with one name, the later counts.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.set(name, value);
        self
    }

    /// Sets the entity, as [`Context::new`] does.
    pub fn set_entity_id(&mut self, entity_id: &str) {
        self.entity_id = self.push(entity_id);
    }

    /// Sets the kind of entity, such as `user`.
    pub fn set_entity_type(&mut self, entity_type: &str) {
        self.entity_type = self.push(entity_type);
    }

    /// Sets an attribute; of two with one name, the later counts.
    pub fn set(&mut self, name: &str, value: impl Into<Value>) {
        let value = match value.into() {
            Value::Null => Stored::Null,
            Value::Bool(value) => Stored::Bool(value),
            Value::Number(value) => Stored::Number(value),
            Value::String(value) => self.push_string(&value),
            Value::List(items) => Stored::List(items.into()),
            Value::Map(members) => Stored::Map(members.into()),
        };
        self.store(name, value);
    }

    /// Sets a string attribute without allocating a string for it.
    pub fn set_str(&mut self, name: &str, value: &str) {
        let value = self.push_string(value);
        self.store(name, value);
    }

    fn store(&mut self, name: &str, value: Stored) {
        let head = Head::of(name.as_bytes());
        let known = self.position(&Text::with_head(name.as_bytes(), head));
        match known.and_then(|index| self.attributes.get_mut(index)) {
            Some(attribute) => attribute.value = value,
            None => {
                let name = self.push(name);
                self.attributes.push(Attribute { name, head, value });
            }
        }
    }

    #[inline(always)]
    fn position(&self, name: &Text<'_>) -> Option<usize> {
        let is_named =
            |attribute: &Attribute| name.is(attribute.head, || self.bytes(&attribute.name));
        self.attributes.iter().position(is_named)
    }

    fn push_string(&mut self, text: &str) -> Stored {
        Stored::String(self.push(text), Head::of(text.as_bytes()))
    }

    fn push(&mut self, text: &str) -> Range<usize> {
        let start = self.text.len();
        self.text.push_str(text);
        start..self.text.len()
    }

    #[inline]
    fn str(&self, range: &Range<usize>) -> &str {
        self.text.get(range.start..range.end).unwrap_or_default()
    }

    #[inline]
    fn bytes(&self, range: &Range<usize>) -> &[u8] {
        let bytes = self.text.as_bytes().get(range.start..range.end);
        bytes.unwrap_or_default()
    }

    #[inline(always)]
    fn value<'a>(&'a self, stored: &'a Stored) -> ValueRef<'a> {
        match stored {
            Stored::Null => ValueRef::Null,
            Stored::Bool(value) => ValueRef::Bool(*value),
            Stored::Number(value) => ValueRef::Number(*value),
            Stored::String(range, _) => ValueRef::String(self.str(range)),
            Stored::List(items) => ValueRef::List(items),
            Stored::Map(members) => ValueRef::Map(members),
        }
    }
}

impl EvaluationContext for Context {
    fn entity_id(&self) -> &str {
        self.str(&self.entity_id)
    }

    fn entity_type(&self) -> &str {
        self.str(&self.entity_type)
    }

    #[inline(always)]
    fn find(&self, name: &Text<'_>) -> Option<ValueRef<'_>> {
        let attribute = self.attributes.get(self.position(name)?)?;
        Some(self.value(&attribute.value))
    }

    #[inline(always)]
    fn is(&self, name: &Text<'_>, string: &Text<'_>) -> Option<bool> {
        match &self.attributes.get(self.position(name)?)?.value {
            Stored::String(range, head) => Some(string.is(*head, || self.bytes(range))),
            _ => None,
        }
    }

    fn attributes(&self) -> impl Iterator<Item = (&str, ValueRef<'_>)> {
        self.attributes
            .iter()
            .map(|attribute| (self.str(&attribute.name), self.value(&attribute.value)))
    }
}

impl PartialEq for Context {
    /// Whether entity and attributes are equal, in whatever order they were
    /// set.
    fn eq(&self, other: &Self) -> bool {
        self.entity_id() == other.entity_id()
            && self.entity_type() == other.entity_type()
            && self.attributes.len() == other.attributes.len()
            && self
                .attributes()
                .all(|(name, value)| other.attribute(name) == Some(value))
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("entity_id", &self.entity_id())
            .field("entity_type", &self.entity_type())
            .field(
                "attributes",
                &self
                    .attributes()
                    .collect::<std::collections::BTreeMap<_, _>>(),
            )
            .finish()
    }
}

impl<N: AsRef<str>, V: Into<Value>> Extend<(N, V)> for Context {
    fn extend<I: IntoIterator<Item = (N, V)>>(&mut self, attributes: I) {
        for (name, value) in attributes {
            self.set(name.as_ref(), value);
        }
    }
}

impl Serialize for Context {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Attributes<'a>(&'a Context);
        impl Serialize for Attributes<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_map(self.0.attributes())
            }
        }
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("entityID", self.entity_id())?;
        map.serialize_entry("entityType", self.entity_type())?;
        map.serialize_entry("entityContext", &Attributes(self))?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for Context {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Context;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with entityID, entityType and entityContext")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Context, A::Error> {
                let mut context = Context::default();
                while let Some(name) = access.next_key::<Cow<'de, str>>()? {
                    match &*name {
                        "entityID" => {
                            let id = access.next_value::<Option<Cow<'de, str>>>()?;
                            context.set_entity_id(&id.unwrap_or_default());
                        }
                        "entityType" => {
                            let kind = access.next_value::<Option<Cow<'de, str>>>()?;
                            context.set_entity_type(&kind.unwrap_or_default());
                        }
                        "entityContext" => {
                            if let Value::Map(members) = access.next_value()? {
                                context.extend(members);
                            }
                        }
                        _ => {
                            access.next_value::<serde::de::IgnoredAny>()?;
                        }
                    }
                }
                Ok(context)
            }
        }
        deserializer.deserialize_map(Members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_later_of_two_attributes_counts() {
        let context = Context::new("a").with("plan", "free").with("plan", 7);
        assert_eq!(context.attribute("plan"), Some(ValueRef::Number(7.0)));
        assert_eq!(context.attributes().count(), 1);
    }

    #[test]
    fn json_there_and_back() {
        let json = r#"{"entityID":"u1","entityType":"user","entityContext":{"age":31,"ok":true,"pi":3.5,"tags":["a",null],"nested":{"x":"y"},"none":null}}"#;
        let context: Context = serde_json::from_str(json).unwrap();
        assert_eq!(context.entity_id(), "u1");
        assert_eq!(context.attribute("age"), Some(ValueRef::Number(31.0)));
        assert_eq!(context.attribute("none"), Some(ValueRef::Null));
        assert_eq!(context.attribute("gone"), None);
        let back: Context =
            serde_json::from_str(&serde_json::to_string(&context).unwrap()).unwrap();
        assert_eq!(back, context);
    }

    #[test]
    fn a_context_that_is_no_object_is_none() {
        let context: Context =
            serde_json::from_str(r#"{"entityID":"u","entityContext":5,"flagKey":"x"}"#).unwrap();
        assert_eq!(context.attributes().count(), 0);
    }
}
