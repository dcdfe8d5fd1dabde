//! What a variant is worth as a boolean, a string or a number.
//!
//! The rules stand in one table, in the documentation of
//! [`Flags`](crate::Flags). They are applied once, when a flag is compiled.

use serde::Deserialize;

use crate::flag::{Attachment, Variant};

/// The values of one variant, by type; `None` where it has none of that type.
#[derive(Debug, Clone)]
pub(crate) struct VariantValue {
    pub(crate) bool: Option<bool>,
    pub(crate) int: Option<i64>,
    pub(crate) float: Option<f64>,
    /// The attachment's `value` if that is a string; else the variant's key is
    /// the string.
    pub(crate) string: Option<Box<str>>,
}

/// The members of an attachment that getters look at.
#[derive(Deserialize, Default)]
struct Members {
    #[serde(default)]
    enabled: serde_json::Value,
    #[serde(default)]
    value: serde_json::Value,
}

impl VariantValue {
    /// The string value of a variant: it always has one.
    #[inline]
    pub(crate) fn string_of<'a>(variant: &'a Variant, value: &'a Self) -> Option<&'a str> {
        Some(value.string.as_deref().unwrap_or(&variant.key))
    }

    pub(crate) fn new(variant: &Variant) -> Self {
        let members: Members = variant
            .attachment
            .as_ref()
            .map(Attachment::json)
            // Without members, as most variants are, there is nothing to look at.
            .filter(|json| *json != "{}")
            .and_then(|json| serde_json::from_str(json).ok())
            .unwrap_or_default();
        let number = members.value.as_f64();
        let key = variant.key.as_str();
        Self {
            bool: members
                .enabled
                .as_bool()
                .or(members.value.as_bool())
                .or_else(|| bool_of_key(key)),
            int: number.and_then(integer).or_else(|| key.parse().ok()),
            float: number.or_else(|| key.parse().ok().filter(|float: &f64| float.is_finite())),
            string: members.value.as_str().map(Box::from),
        }
    }
}

fn bool_of_key(key: &str) -> Option<bool> {
    let is_one_of = |words: [&str; 4]| words.iter().any(|word| key.eq_ignore_ascii_case(word));
    if is_one_of(["on", "true", "enabled", "yes"]) {
        Some(true)
    } else if is_one_of(["off", "false", "disabled", "no"]) {
        Some(false)
    } else {
        None
    }
}

/// The integer that a number is, if it is one.
fn integer(number: f64) -> Option<i64> {
    const END: f64 = 9_223_372_036_854_775_808.0; // 2^63
    #[expect(clippy::cast_possible_truncation, reason = "a whole number in range")]
    (number.fract() == 0.0 && (-END..END).contains(&number)).then_some(number as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn value(key: &str, attachment: serde_json::Value) -> VariantValue {
        VariantValue::new(&Variant::new(key).attachment(attachment))
    }

    #[test]
    fn enabled_goes_before_value_and_value_before_the_key() {
        assert_eq!(
            value("off", json!({"enabled": true, "value": false})).bool,
            Some(true)
        );
        assert_eq!(
            value("off", json!({"enabled": "x", "value": true})).bool,
            Some(true)
        );
        assert_eq!(value("OFF", json!({"value": 1})).bool, Some(false));
        assert_eq!(value("Yes", json!({})).bool, Some(true));
        assert_eq!(value("control", json!({})).bool, None);
    }

    #[test]
    fn numbers_come_from_value_then_from_the_key() {
        let variant = value("7", json!({"value": 2.5}));
        assert_eq!((variant.int, variant.float), (Some(7), Some(2.5)));
        let variant = value("red", json!({"value": 1e3}));
        assert_eq!((variant.int, variant.float), (Some(1000), Some(1000.0)));
        let variant = value("inf", json!({"value": "3"}));
        assert_eq!((variant.int, variant.float), (None, None));
        assert_eq!(value("x", json!({"value": 1e19})).int, None);
    }

    #[test]
    fn a_string_needs_no_attachment() {
        assert_eq!(
            value("red", json!({"value": "Rot"})).string.as_deref(),
            Some("Rot")
        );
        assert_eq!(value("red", json!({"value": 1})).string, None);
    }
}
