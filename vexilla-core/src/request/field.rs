//! Single values of a request: a header or a cookie, as some type.

use std::borrow::Cow;

use super::RequestView;
use super::headers::HeaderName;
use crate::context::{Context, Value};

/// Headers and cookies longer than this are passed over, in bytes: attributes
/// are meant to be short, and every evaluation may read them.
const MAX_LENGTH: usize = 8 << 10;

/// A header or a cookie, and the type of attribute that it becomes. A value
/// that is not of the type is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    place: Place,
    kind: Kind,
    otherwise: Option<Box<Self>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// `None` if no header can have the name that was given.
    Header(Option<HeaderName>),
    Cookie(Cow<'static, str>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    String,
    Number,
    Bool,
    List,
}

/// The header of this name, in whatever case. Of several, the first that is
/// UTF-8, not empty and no longer than 8 KiB. A name that no header can have gives
/// no value.
#[must_use]
pub fn header(name: &str) -> Field {
    Field::at(Place::Header(HeaderName::new(name)))
}

/// The cookie of this name, exactly. Of several, the first that is UTF-8.
#[must_use]
pub fn cookie(name: impl Into<Cow<'static, str>>) -> Field {
    Field::at(Place::Cookie(name.into()))
}

impl Field {
    fn at(place: Place) -> Self {
        Self {
            place,
            kind: Kind::String,
            otherwise: None,
        }
    }

    /// As a number: decimal, with an optional fraction and exponent.
    #[must_use]
    pub fn number(mut self) -> Self {
        self.kind = Kind::Number;
        self
    }

    /// As a boolean: `true` or `1`, `false` or `0`, in any case.
    #[must_use]
    pub fn bool(mut self) -> Self {
        self.kind = Kind::Bool;
        self
    }

    /// As a list of strings, separated by commas, blanks around them left out.
    #[must_use]
    pub fn list(mut self) -> Self {
        self.kind = Kind::List;
        self
    }

    /// Another field, for when this one gives no value.
    #[must_use]
    pub fn or(mut self, other: Self) -> Self {
        self.otherwise = Some(Box::new(match self.otherwise.take() {
            Some(otherwise) => otherwise.or(other),
            None => other,
        }));
        self
    }

    /// Sets the entity's id to the text of the field, whatever its type.
    pub(super) fn set_entity(&self, request: &RequestView<'_>, context: &mut Context) {
        let fields = self.in_turn();
        if let Some(text) = fields.filter_map(|field| field.text(request)).next() {
            context.set_entity_id(text);
        }
    }

    /// Sets the attribute, if the field gives a value.
    pub(super) fn set(&self, name: &str, request: &RequestView<'_>, context: &mut Context) {
        for field in self.in_turn() {
            if let Some(text) = field.text(request)
                && field.kind.set(name, text, context)
            {
                return;
            }
        }
    }

    /// This field, and those that follow where it gives no value.
    fn in_turn(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |field| field.otherwise.as_deref())
    }

    /// The text of this field alone.
    fn text<'a>(&self, request: &RequestView<'a>) -> Option<&'a str> {
        let usable = |text: &&str| !text.is_empty() && text.len() <= MAX_LENGTH;
        match &self.place {
            Place::Header(name) => request
                .headers_of(name.as_ref()?)
                .filter_map(|value| std::str::from_utf8(value).ok())
                .find(usable),
            Place::Cookie(name) => request.cookie(name).filter(usable),
        }
    }
}

impl Kind {
    /// Sets an attribute to the text as this kind; gives whether it is of the
    /// kind.
    fn set(self, name: &str, text: &str, context: &mut Context) -> bool {
        let value = match self {
            Self::String => {
                context.set(name, text);
                return true;
            }
            Self::Number => number(text).map(Value::from),
            Self::Bool => boolean(text).map(Value::from),
            Self::List => list(text),
        };
        value.map(|value| context.set(name, value)).is_some()
    }
}

fn number(text: &str) -> Option<f64> {
    let number: f64 = text.trim().parse().ok()?;
    number.is_finite().then_some(number)
}

fn boolean(text: &str) -> Option<bool> {
    let is_any = |words: [&str; 2]| {
        let mut words = words.iter();
        words.any(|word| text.trim().eq_ignore_ascii_case(word))
    };
    if is_any(["true", "1"]) {
        Some(true)
    } else {
        is_any(["false", "0"]).then_some(false)
    }
}

fn list(text: &str) -> Option<Value> {
    let items: Vec<_> = text
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .collect();
    (!items.is_empty()).then(|| items.into())
}
