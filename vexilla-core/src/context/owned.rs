//! The context that owns what it holds.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use smallvec::SmallVec;
// Without weak references: to see that nobody shares a context, and that it may
// be changed, takes no locked instruction.
use triomphe::Arc;

use super::text::Head;
use super::value::Form;
use super::{AttributeValue, EvaluationContext, Map, Text, Value, ValueRef};

/// An entity and its attributes, owned.
///
/// A context with up to eight attributes costs two allocations, lists and maps
/// aside, and those of strings that do not fit into the room made at first.
/// Clones share everything until one of them is changed.
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
    inner: Arc<Inner>,
}

#[derive(Clone, Default)]
struct Inner {
    /// Every string of the context, one behind the other.
    text: String,
    entity_id: Span,
    entity_type: Span,
    attributes: SmallVec<[Attribute; FEW]>,
    /// Where the attributes stand, by name, if there are [`MANY`].
    #[expect(clippy::box_collection, reason = "one word, for what is rarely there")]
    index: Option<Box<BTreeMap<Box<[u8]>, usize>>>,
}

/// So many attributes need no allocation.
const FEW: usize = 8;
/// From so many attributes on, a walk over them is no longer fast.
const MANY: usize = 32;

/// A part of the text, in bytes.
#[derive(Debug, Clone, Copy, Default)]
struct Span {
    start: u32,
    length: u32,
}

#[derive(Clone)]
struct Attribute {
    head: Head,
    name: Span,
    value: Stored,
}

#[derive(Clone)]
enum Stored {
    Null,
    Bool(bool),
    Number(f64),
    String(Span, Head),
    List(Box<[Value]>),
    Map(Box<Map>),
}

impl Context {
    /// A context of this entity, without attributes. An empty id means that
    /// the entity is not known, see [`EmptyEntity`](crate::EmptyEntity).
    #[must_use]
    pub fn new(entity_id: &str) -> Self {
        let mut inner = Inner::with_capacity(entity_id.len() + 96, 0);
        inner.entity_id = inner.push(entity_id);
        inner.into()
    }

    /// A context of no known entity, with room for strings of this many bytes
    /// in all, names included, and for this many attributes.
    #[must_use]
    pub fn with_capacity(text: usize, attributes: usize) -> Self {
        Inner::with_capacity(text, attributes).into()
    }

    /// Sets the kind of entity, such as `user`.
    #[must_use]
    pub fn with_entity_type(mut self, entity_type: &str) -> Self {
        self.set_entity_type(entity_type);
        self
    }

    /// Sets an attribute; of two with one name, the later counts.
    #[must_use]
    pub fn with<'v>(mut self, name: &str, value: impl Into<AttributeValue<'v>>) -> Self {
        self.set(name, value);
        self
    }

    /// Sets the entity, as [`Context::new`] does.
    pub fn set_entity_id(&mut self, entity_id: &str) {
        let inner = Arc::make_mut(&mut self.inner);
        inner.entity_id = inner.push(entity_id);
    }

    /// Sets the kind of entity, such as `user`.
    pub fn set_entity_type(&mut self, entity_type: &str) {
        let inner = Arc::make_mut(&mut self.inner);
        inner.entity_type = inner.push(entity_type);
    }

    /// Sets an attribute; of two with one name, the later counts.
    #[inline]
    pub fn set<'v>(&mut self, name: &str, value: impl Into<AttributeValue<'v>>) {
        match value.into().0 {
            Form::Text(text) => self.set_text(name, text),
            Form::Value(value) => self.set_value(name, value),
        }
    }

    fn set_text(&mut self, name: &str, text: &str) {
        let inner = Arc::make_mut(&mut self.inner);
        let value = Stored::String(inner.push(text), Head::of(text.as_bytes()));
        inner.store(name, value);
    }

    fn set_value(&mut self, name: &str, value: Value) {
        let value = match value {
            Value::Null => Stored::Null,
            Value::Bool(value) => Stored::Bool(value),
            Value::Number(value) => Stored::Number(value),
            Value::String(text) => return self.set_text(name, &text),
            Value::List(items) => Stored::List(items.into()),
            Value::Map(members) => Stored::Map(Box::new(members)),
        };
        Arc::make_mut(&mut self.inner).store(name, value);
    }
}

impl Inner {
    fn with_capacity(text: usize, attributes: usize) -> Self {
        Self {
            text: String::with_capacity(text),
            entity_id: Span::default(),
            entity_type: Span::default(),
            attributes: SmallVec::with_capacity(attributes),
            index: None,
        }
    }

    #[inline]
    fn store(&mut self, name: &str, value: Stored) {
        let head = Head::of(name.as_bytes());
        let known = Text::with_head(name.as_bytes(), head);
        let known = match &self.index {
            Some(index) => index.get(name.as_bytes()).copied(),
            None => {
                let mut attributes = self.attributes.iter();
                attributes.position(|attribute| self.is_named(attribute, &known))
            }
        };
        match known.and_then(|position| self.attributes.get_mut(position)) {
            Some(attribute) => attribute.value = value,
            None => {
                let name = self.push(name);
                self.attributes.push(Attribute { head, name, value });
                if self.attributes.len() >= MANY {
                    self.index_last();
                }
            }
        }
    }

    /// Adds the last attribute to the index, which is made with the first of
    /// the many.
    #[cold]
    fn index_last(&mut self) {
        let named = |(position, attribute): (usize, &Attribute)| {
            (Box::from(self.bytes(attribute.name)), position)
        };
        let mut attributes = self.attributes.iter().enumerate();
        match &self.index {
            None => self.index = Some(Box::new(attributes.map(named).collect())),
            Some(_) => {
                let last = attributes.next_back().map(named);
                if let (Some(index), Some((name, position))) = (&mut self.index, last) {
                    index.insert(name, position);
                }
            }
        }
    }

    #[inline(always)]
    fn attribute(&self, name: &Text<'_>) -> Option<&Attribute> {
        if self.index.is_some() {
            return self.indexed(name.as_bytes());
        }
        let mut attributes = self.attributes.iter();
        attributes.find(|attribute| self.is_named(attribute, name))
    }

    #[cold]
    fn indexed(&self, name: &[u8]) -> Option<&Attribute> {
        let position = self.index.as_ref()?.get(name)?;
        self.attributes.get(*position)
    }

    #[inline(always)]
    fn is_named(&self, attribute: &Attribute, name: &Text<'_>) -> bool {
        name.is(attribute.head, || self.bytes(attribute.name))
    }

    /// Adds to the text. What does not fit into 4 GiB is left out.
    fn push(&mut self, text: &str) -> Span {
        let span = u32::try_from(self.text.len())
            .ok()
            .zip(u32::try_from(text.len()).ok())
            .filter(|(start, length)| start.checked_add(*length).is_some());
        let Some((start, length)) = span else {
            return Span::default();
        };
        self.text.push_str(text);
        Span { start, length }
    }

    #[inline]
    fn str(&self, span: Span) -> &str {
        self.text.get(span.range()).unwrap_or_default()
    }

    #[inline]
    fn bytes(&self, span: Span) -> &[u8] {
        let bytes = self.text.as_bytes().get(span.range());
        bytes.unwrap_or_default()
    }

    #[inline(always)]
    fn value<'a>(&'a self, stored: &'a Stored) -> ValueRef<'a> {
        match stored {
            Stored::Null => ValueRef::Null,
            Stored::Bool(value) => ValueRef::Bool(*value),
            Stored::Number(value) => ValueRef::Number(*value),
            Stored::String(span, _) => ValueRef::String(self.str(*span)),
            Stored::List(items) => ValueRef::List(items),
            Stored::Map(members) => ValueRef::Map(members),
        }
    }
}

impl From<Inner> for Context {
    fn from(inner: Inner) -> Self {
        Self {
            inner: Arc::new(inner),
        }
    }
}

impl Span {
    #[inline]
    fn range(self) -> Range<usize> {
        let start = self.start as usize;
        start..start + self.length as usize
    }
}

impl EvaluationContext for Context {
    #[inline]
    fn entity_id(&self) -> &str {
        self.inner.str(self.inner.entity_id)
    }

    fn entity_type(&self) -> &str {
        self.inner.str(self.inner.entity_type)
    }

    #[inline(always)]
    fn find(&self, name: &Text<'_>) -> Option<ValueRef<'_>> {
        let inner = &*self.inner;
        Some(inner.value(&inner.attribute(name)?.value))
    }

    #[inline(always)]
    fn is(&self, name: &Text<'_>, string: &Text<'_>) -> Option<bool> {
        let inner = &*self.inner;
        match &inner.attribute(name)?.value {
            Stored::String(span, head) => Some(string.is(*head, || inner.bytes(*span))),
            _ => None,
        }
    }

    fn attributes(&self) -> impl Iterator<Item = (&str, ValueRef<'_>)> {
        let inner = &*self.inner;
        let attributes = inner.attributes.iter();
        attributes.map(|attribute| (inner.str(attribute.name), inner.value(&attribute.value)))
    }
}

impl PartialEq for Context {
    /// Whether entity and attributes are equal, in whatever order they were
    /// set.
    fn eq(&self, other: &Self) -> bool {
        self.entity_id() == other.entity_id()
            && self.entity_type() == other.entity_type()
            && self.inner.attributes.len() == other.inner.attributes.len()
            && self
                .attributes()
                .all(|(name, value)| other.attribute(name) == Some(value))
    }
}

impl fmt::Debug for Context {
    /// Whether there is an entity, and how many attributes, but no values: they
    /// are somebody's. Serialize a context to see them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        super::debug("Context", self, self.inner.attributes.len(), f)
    }
}

impl<'v, N: AsRef<str>, V: Into<AttributeValue<'v>>> Extend<(N, V)> for Context {
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
    fn many_attributes_are_found_as_few_are() {
        let mut context = Context::new("a");
        for n in 0..2 * MANY {
            context.set(&format!("attribute-{n}"), n as f64);
            for known in 0..=n {
                let name = format!("attribute-{known}");
                let value = ValueRef::Number(known as f64);
                assert_eq!(context.attribute(&name), Some(value), "{known} of {n}");
            }
            assert_eq!(context.attribute("attribute"), None);
        }
        for n in 0..2 * MANY {
            context.set(&format!("attribute-{n}"), "later");
        }
        assert_eq!(context.attributes().count(), 2 * MANY);
        assert_eq!(
            context.attribute("attribute-40"),
            Some(ValueRef::String("later"))
        );
    }

    #[test]
    fn a_clone_is_not_changed_with_its_original() {
        let original = Context::new("a").with("plan", "free");
        let changed = original.clone().with("plan", "pro").with("age", 7);
        assert_eq!(original.attribute("plan"), Some(ValueRef::String("free")));
        assert_eq!(original.attribute("age"), None);
        assert_eq!(changed.attribute("plan"), Some(ValueRef::String("pro")));
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
