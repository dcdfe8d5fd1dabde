//! The patterns of `matches`, as values of the `cel` crate.

use std::any::Any;
use std::sync::Arc;

use cel::common::types::Type;
use cel::common::value::{StaticVal, Val};

use super::super::program::Program;

/// A compiled regular expression, as a value that only our own functions can use.
#[derive(Debug, Clone)]
pub(super) struct Pattern(Arc<Program>);

impl Pattern {
    pub(super) fn new(program: Arc<Program>) -> Self {
        Self(program)
    }

    /// What searching `text` counts as.
    pub(super) fn work(&self, text: &str) -> u64 {
        self.0.work(text.len())
    }

    /// Whether the pattern occurs in `text`.
    pub(super) fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

static TYPE: Type = Type::new_unspecified_type("@pattern");

impl Val for Pattern {
    fn get_type(&self) -> &Type {
        &TYPE
    }

    fn cel_type() -> &'static Type {
        &TYPE
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Pattern {}
