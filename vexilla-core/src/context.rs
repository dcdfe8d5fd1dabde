//! What an evaluation knows about who asks: an entity and its attributes.
//!
//! Two forms carry the same content. [`Context`] owns everything, in two
//! allocations for up to eight attributes, lists and maps aside; it can leave the
//! request that it was made from. [`ContextRef`] borrows everything and
//! allocates nothing; it serves direct calls of
//! [`Snapshot::evaluate`](crate::snapshot::Snapshot::evaluate). Both are an
//! [`EvaluationContext`].

mod json;
mod owned;
pub(crate) mod text;
mod value;

use std::fmt;

pub use owned::Context;
pub use text::Text;
pub use value::{AttributeValue, Map, Value, ValueRef};

use text::same;

/// What the evaluator needs to know of a context.
///
/// Implemented by [`Context`] and [`ContextRef`]; applications need not
/// implement it.
pub trait EvaluationContext {
    /// Who is evaluated: what rollouts and distributions depend on. Empty when
    /// unknown.
    fn entity_id(&self) -> &str;

    /// The kind of entity, such as `user`. Empty when unknown. Never part of a
    /// decision in Flagr; CEL constraints can read it.
    fn entity_type(&self) -> &str;

    /// The attribute of a prepared name.
    fn find(&self, name: &Text<'_>) -> Option<ValueRef<'_>>;

    /// Whether the attribute of this name is this string; `None` if it is no
    /// string, or there is none.
    fn is(&self, name: &Text<'_>, string: &Text<'_>) -> Option<bool> {
        match self.find(name) {
            Some(ValueRef::String(value)) => Some(same(value.as_bytes(), string.as_bytes())),
            _ => None,
        }
    }

    /// The attribute of this name.
    fn attribute(&self, name: &str) -> Option<ValueRef<'_>> {
        self.find(&Text::new(name))
    }

    /// All attributes. Of several with one name, the last counts.
    fn attributes(&self) -> impl Iterator<Item = (&str, ValueRef<'_>)>;
}

/// A context that borrows its entity and attributes.
///
/// ```
/// use vexilla_core::context::{ContextRef, ValueRef};
///
/// let attributes = [("country", ValueRef::String("BR")), ("age", ValueRef::Number(31.0))];
/// let context = ContextRef::new("user-1").attributes(&attributes);
/// # use vexilla_core::context::EvaluationContext;
/// # assert_eq!(context.attribute("age"), Some(ValueRef::Number(31.0)));
/// ```
#[derive(Clone, Copy, Default)]
pub struct ContextRef<'a> {
    entity_id: &'a str,
    entity_type: &'a str,
    attributes: &'a [(&'a str, ValueRef<'a>)],
}

impl<'a> ContextRef<'a> {
    /// A context of this entity without attributes.
    #[must_use]
    pub const fn new(entity_id: &'a str) -> Self {
        Self {
            entity_id,
            entity_type: "",
            attributes: &[],
        }
    }

    /// Sets the kind of entity, such as `user`.
    #[must_use]
    pub const fn entity_type(mut self, entity_type: &'a str) -> Self {
        self.entity_type = entity_type;
        self
    }

    /// Sets the attributes. Of several with one name, the last counts, as in a
    /// [`Context`].
    #[must_use]
    pub const fn attributes(mut self, attributes: &'a [(&'a str, ValueRef<'a>)]) -> Self {
        self.attributes = attributes;
        self
    }
}

impl fmt::Debug for ContextRef<'_> {
    /// Whether there is an entity, and how many attributes, but no values: they
    /// are somebody's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug("ContextRef", self, self.attributes.len(), f)
    }
}

/// Whether there is an entity, and how many attributes.
fn debug(
    name: &str,
    context: &impl EvaluationContext,
    attributes: usize,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    f.debug_struct(name)
        .field("has_entity", &!context.entity_id().is_empty())
        .field("attributes", &attributes)
        .finish_non_exhaustive()
}

impl EvaluationContext for ContextRef<'_> {
    fn entity_id(&self) -> &str {
        self.entity_id
    }

    fn entity_type(&self) -> &str {
        self.entity_type
    }

    #[inline(always)]
    fn find(&self, name: &Text<'_>) -> Option<ValueRef<'_>> {
        self.attributes
            .iter()
            .rfind(|(known, _)| same(known.as_bytes(), name.as_bytes()))
            .map(|(_, value)| *value)
    }

    fn attributes(&self) -> impl Iterator<Item = (&str, ValueRef<'_>)> {
        self.attributes.iter().copied()
    }
}
