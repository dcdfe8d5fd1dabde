//! The context that owns what it holds.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

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
/// aside, and those of strings that do not fit into the room made at first or
/// are longer than 64 KiB. Clones share everything until one of them is changed.
///
/// A value that is replaced is freed, short strings some at a time: at most as
/// many bytes as are in use, or 1 KiB, wait for that.
///
/// ```
/// use vexilla_core::Context;
///
/// let context = Context::new("user-1")
///     .with_entity_type("user")
///     .with("country", "BR")
///     .with("age", 31)
///     .with("groups", ["beta", "staff"]);
/// # use vexilla_core::context::{EvaluationContext, ValueRef};
/// # assert_eq!(context.attribute("country"), Some(ValueRef::String("BR")));
/// ```
///
/// With `serde` it has the form of Flagr's evaluation request:
/// `{"entityID": …, "entityType": …, "entityContext": {…}}`. As for Flagr, names of
/// these members match in any case, the last of several `entityContext` counts, one
/// that is no object is none, and other members are ignored. What is left to the
/// deserializer differs: `serde_json` refuses a whole document with half a surrogate
/// pair (`"\ud800"`), which Flagr reads as U+FFFD, and with a number out of range
/// (`1e999`), with which Flagr has no answer only for constraints that read it.
#[derive(Clone, Default)]
pub struct Context {
    inner: Arc<Inner>,
}

#[derive(Clone, Default)]
struct Inner {
    /// Every string of the context that is not long, one behind the other.
    text: String,
    /// How many bytes of the text belong to strings that were replaced.
    unused: usize,
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
/// Strings that are longer than this have an allocation of their own, in bytes:
/// copying one costs more than that.
const LONG: usize = 64 << 10;
/// So many bytes may be unused whatever else there is.
const SLACK: usize = 1 << 10;

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
    LongString(Box<str>),
    List(Box<[Value]>),
    Map(Box<Map>),
}

impl Context {
    /// A context of this entity, without attributes. An empty id means that
    /// the entity is not known, see [`EmptyEntity`](crate::EmptyEntity).
    #[must_use]
    pub fn new(entity_id: &str) -> Self {
        let mut inner = Inner::with_capacity(entity_id.len() + 96, 0);
        inner.entity_id = inner.push_name(entity_id);
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
        let id = inner.push_name(entity_id);
        let replaced = std::mem::replace(&mut inner.entity_id, id);
        inner.free(replaced);
    }

    /// Sets the kind of entity, such as `user`.
    pub fn set_entity_type(&mut self, entity_type: &str) {
        let inner = Arc::make_mut(&mut self.inner);
        let entity_type = inner.push_name(entity_type);
        let replaced = std::mem::replace(&mut inner.entity_type, entity_type);
        inner.free(replaced);
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
        let value = match inner.push(text) {
            Some(span) => Stored::String(span, Head::of(text.as_bytes())),
            None => Stored::LongString(text.into()),
        };
        inner.store(name, value);
    }

    fn set_value(&mut self, name: &str, value: Value) {
        let value = match value {
            Value::Null => Stored::Null,
            Value::Bool(value) => Stored::Bool(value),
            Value::Number(value) => Stored::Number(value),
            Value::String(text) if text.len() > LONG => Stored::LongString(text.into()),
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
            unused: 0,
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
            Some(attribute) => {
                let replaced = std::mem::replace(&mut attribute.value, value);
                if let Stored::String(span, _) = replaced {
                    self.free(span);
                }
            }
            None => {
                let name = self.push_name(name);
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

    /// Adds to the text, unless the string is long or does not fit.
    #[inline]
    fn push(&mut self, text: &str) -> Option<Span> {
        if text.len() > LONG {
            return None;
        }
        self.push_any(text)
    }

    /// Adds a name or an id, however long it is. One that does not fit into
    /// 4 GiB is empty.
    #[inline]
    fn push_name(&mut self, name: &str) -> Span {
        self.push_any(name).unwrap_or_else(|| {
            let bytes = name.len();
            tracing::error!(bytes, "the names of a context have more than 4 GiB");
            Span::default()
        })
    }

    #[inline]
    fn push_any(&mut self, text: &str) -> Option<Span> {
        let start = u32::try_from(self.text.len()).ok()?;
        let length = u32::try_from(text.len()).ok()?;
        start.checked_add(length)?;
        self.text.push_str(text);
        Some(Span { start, length })
    }

    /// A part of the text is no longer used.
    fn free(&mut self, span: Span) {
        self.unused += span.length as usize;
        if self.unused > SLACK && self.unused > self.text.len() / 2 {
            self.compact();
        }
    }

    /// Copies the text without what is unused. It copies less than was added
    /// since the last time.
    #[cold]
    fn compact(&mut self) {
        let text = std::mem::take(&mut self.text);
        let mut used = String::with_capacity(text.len().saturating_sub(self.unused));
        let mut keep = |span: &mut Span| {
            let kept = text.get(span.range()).unwrap_or_default();
            // Not beyond what the text had, which fitted.
            span.start = u32::try_from(used.len()).unwrap_or(u32::MAX);
            used.push_str(kept);
        };
        keep(&mut self.entity_id);
        keep(&mut self.entity_type);
        for attribute in &mut self.attributes {
            keep(&mut attribute.name);
            if let Stored::String(span, _) = &mut attribute.value {
                keep(span);
            }
        }
        self.text = used;
        self.unused = 0;
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
            Stored::LongString(text) => ValueRef::String(text),
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

impl Context {
    /// Who is evaluated; empty when unknown.
    #[inline]
    #[must_use]
    pub fn entity_id(&self) -> &str {
        self.inner.str(self.inner.entity_id)
    }

    /// The kind of entity, such as `user`; empty when unknown.
    #[must_use]
    pub fn entity_type(&self) -> &str {
        self.inner.str(self.inner.entity_type)
    }

    /// The attribute of this name.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<ValueRef<'_>> {
        self.find(&Text::new(name))
    }

    /// All attributes, in the order in which they were first set.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, ValueRef<'_>)> {
        let inner = &*self.inner;
        let attributes = inner.attributes.iter();
        attributes.map(|attribute| (inner.str(attribute.name), inner.value(&attribute.value)))
    }
}

impl EvaluationContext for Context {
    #[inline]
    fn entity_id(&self) -> &str {
        Self::entity_id(self)
    }

    fn entity_type(&self) -> &str {
        Self::entity_type(self)
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
            Stored::LongString(text) => Some(string.as_bytes() == text.as_bytes()),
            _ => None,
        }
    }

    fn attributes(&self) -> impl Iterator<Item = (&str, ValueRef<'_>)> {
        Self::attributes(self)
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

    /// How much memory the text takes, in bytes.
    fn room(context: &Context) -> usize {
        context.inner.text.capacity()
    }

    #[test]
    fn replaced_strings_are_freed() {
        for length in [1, 100, 1 << 10, LONG - 1, LONG, LONG + 1, 3 * LONG] {
            let mut context = Context::new("user").with("plan", "free");
            for n in 0..(4 * LONG.div_ceil(length)).clamp(200, 20_000) {
                let text = "x".repeat(length) + &n.to_string();
                context.set("blob", &text);
                context.set("other", n);
                assert_eq!(context.attribute("blob"), Some(ValueRef::String(&text)));
                assert!(room(&context) <= 2048 + 6 * length, "{length}, {n}");
            }
            assert_eq!(context.attribute("plan"), Some(ValueRef::String("free")));
            assert_eq!(context.entity_id(), "user");
            context.set("blob", 1);
            context.set("plan", "x".repeat(SLACK + 1));
            context.set("plan", "");
            assert!(room(&context) <= 2048, "{length}: {}", room(&context));
        }
    }

    #[test]
    fn replaced_ids_are_freed() {
        let mut context = Context::new("").with("plan", "free");
        for n in 0..10_000 {
            context.set_entity_id(&format!("entity {n:>100}"));
            context.set_entity_type(&format!("type {n}"));
            assert!(room(&context) <= 4096);
        }
        assert_eq!(context.entity_id(), format!("entity {:>100}", 9_999));
        assert_eq!(context.entity_type(), "type 9999");
        assert_eq!(context.attribute("plan"), Some(ValueRef::String("free")));
    }

    #[test]
    fn a_context_changed_over_and_over_is_as_one_made_at_once() {
        let mut random = 1_u64;
        let mut below = |end: u64| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (random >> 33) % end
        };
        let mut model = BTreeMap::new();
        let mut context = Context::default();
        for step in 0..5_000 {
            let name = format!("attribute-{}", below(2 * MANY as u64));
            let length = usize::try_from(below(200)).unwrap();
            let value = match below(4) {
                0 => Value::from(step),
                1 => Value::from(vec![step]),
                2 => Value::from("é".repeat(LONG / 2 + length)),
                _ => Value::from("é".repeat(length)),
            };
            context.set(&name, value.clone());
            model.insert(name, value);
            if step % 100 == 0 {
                let made = model
                    .iter()
                    .fold(Context::default(), |made, (name, value)| {
                        made.with(name, value.clone())
                    });
                assert_eq!(context, made, "step {step}");
            }
        }
    }

    #[test]
    fn a_long_string_is_a_string() {
        let long = "x".repeat(LONG + 1);
        let context = Context::new(&long)
            .with("long", &long)
            .with("moved", long.clone());
        assert_eq!(context.entity_id(), long);
        for name in ["long", "moved"] {
            assert_eq!(context.attribute(name), Some(ValueRef::String(&long)));
            let name = Text::new(name);
            assert_eq!(context.is(&name, &Text::new(&long)), Some(true));
            assert_eq!(context.is(&name, &Text::new("x")), Some(false));
        }
    }
}
