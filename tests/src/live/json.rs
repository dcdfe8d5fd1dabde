//! JSON that keeps the spelling of its numbers: `1e400` and `1E2` are sent to
//! Flagr as they stand.

use std::fmt;

use vexilla_core::Value;

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    /// As spelled.
    Number(String),
    String(String),
    List(Vec<Self>),
    Object(Vec<(String, Self)>),
}

impl Json {
    /// A number in its shortest spelling; one that is not finite is out of
    /// JSON's range.
    pub(crate) fn number(number: f64) -> Self {
        Self::Number(if number.is_nan() {
            "0".to_owned()
        } else if number.is_infinite() {
            if number > 0.0 { "1e400" } else { "-1e400" }.to_owned()
        } else {
            format!("{number:?}")
        })
    }

    pub(crate) fn string(text: impl Into<String>) -> Self {
        Self::String(text.into())
    }

    /// The same for a context of ours.
    pub(crate) fn value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Number(spelled) => Value::Number(spelled.parse().unwrap_or(f64::NAN)),
            Self::String(text) => Value::String(text.clone()),
            Self::List(items) => Value::List(items.iter().map(Self::value).collect()),
            Self::Object(members) => Value::Map(
                members
                    .iter()
                    .map(|(name, value)| (name.clone(), value.value()))
                    .collect(),
            ),
        }
    }
}

/// A string as JSON.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(spelled) => f.write_str(spelled),
            Self::String(text) => f.write_str(&quoted(text)),
            Self::List(items) => {
                f.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    let comma = if index == 0 { "" } else { "," };
                    write!(f, "{comma}{item}")?;
                }
                f.write_str("]")
            }
            Self::Object(members) => {
                f.write_str("{")?;
                for (index, (name, value)) in members.iter().enumerate() {
                    let comma = if index == 0 { "" } else { "," };
                    write!(f, "{comma}{}:{value}", quoted(name))?;
                }
                f.write_str("}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_spelling() {
        let json = Json::Object(vec![(
            "a\"".to_owned(),
            Json::List(vec![Json::Number("1E2".to_owned()), Json::Null]),
        )]);
        assert_eq!(json.to_string(), r#"{"a\"":[1E2,null]}"#);
        assert_eq!(
            Json::Number("1e400".to_owned()).value(),
            f64::INFINITY.into()
        );
        assert_eq!(Json::number(f64::INFINITY).to_string(), "1e400");
    }
}
