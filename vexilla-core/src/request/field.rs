//! Single values of a request: a header or a cookie, as some type.

use std::borrow::Cow;

use super::RequestView;
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
    Header(Cow<'static, str>),
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
/// UTF-8, not empty and no longer than 8 KiB.
#[must_use]
pub fn header(name: impl Into<Cow<'static, str>>) -> Field {
    Field::at(Place::Header(name.into()))
}

/// The cookie of this name, exactly. Of several, the first.
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

    /// The text of the field, whatever its type; an empty one is none.
    pub(super) fn text(&self, request: &RequestView<'_>) -> Option<String> {
        self.own_text(request)
            .or_else(|| self.otherwise.as_ref()?.text(request))
    }

    /// The text without that of other fields.
    fn own_text(&self, request: &RequestView<'_>) -> Option<String> {
        let usable = |text: &str| !text.is_empty() && text.len() <= MAX_LENGTH;
        match &self.place {
            Place::Header(name) => {
                let mut found = None;
                request.each_header_named(name, |text| {
                    found = usable(text).then(|| text.to_owned());
                    found.is_none()
                });
                found
            }
            Place::Cookie(name) => request.cookie(name).filter(|text| usable(text)),
        }
    }

    /// Sets the attribute, if the field gives a value.
    pub(super) fn set(&self, name: &str, request: &RequestView<'_>, context: &mut Context) {
        if let Some(value) = self.value(request) {
            match value {
                Value::String(text) => context.set(name, &text),
                value => context.set(name, value),
            }
        }
    }

    fn value(&self, request: &RequestView<'_>) -> Option<Value> {
        self.own_text(request)
            .and_then(|text| self.kind.parse(text))
            .or_else(|| self.otherwise.as_ref()?.value(request))
    }
}

impl Kind {
    fn parse(self, text: String) -> Option<Value> {
        match self {
            Self::String => Some(text.into()),
            Self::Number => text
                .trim()
                .parse::<f64>()
                .ok()
                .filter(|number| number.is_finite())
                .map(Value::from),
            Self::Bool => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "1" => Some(true.into()),
                "false" | "0" => Some(false.into()),
                _ => None,
            },
            Self::List => {
                let items: Vec<_> = text
                    .split(',')
                    .map(str::trim)
                    .filter(|item| !item.is_empty())
                    .collect();
                (!items.is_empty()).then(|| items.into())
            }
        }
    }
}
