//! How much an explanation may still say.

use crate::context::{Map, Value, ValueRef};
use crate::excerpt::beginning;

/// How many bytes all parts of constraints of one explanation take, about.
const ROOM: usize = 256 << 10;
/// How many bytes of the value of an attribute are shown.
const VALUE: usize = 1 << 10;

/// How much an explanation may still say.
pub(super) struct Room {
    left: usize,
    omitted: usize,
}

impl Room {
    pub(super) fn new() -> Self {
        Self {
            left: ROOM,
            omitted: 0,
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.left == 0
    }

    /// So many bytes are said.
    pub(super) fn take(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(bytes);
    }

    /// A part is left out.
    pub(super) fn omit(&mut self) {
        self.omitted += 1;
    }

    /// How many parts were left out.
    pub(super) fn omitted(&self) -> usize {
        self.omitted
    }

    /// The beginning of a value, and whether there is more of it.
    pub(super) fn value(&mut self, value: ValueRef<'_>) -> (Value, bool) {
        let mut beginning = Beginning {
            left: VALUE,
            is_cut: false,
        };
        let value = beginning.of(value);
        self.take(VALUE - beginning.left);
        (value, beginning.is_cut)
    }
}

/// Copies values until it has copied enough.
struct Beginning {
    left: usize,
    is_cut: bool,
}

impl Beginning {
    fn of(&mut self, value: ValueRef<'_>) -> Value {
        match value {
            ValueRef::Null => self.counted(Value::Null),
            ValueRef::Bool(value) => self.counted(value.into()),
            ValueRef::Number(value) => self.counted(value.into()),
            ValueRef::String(text) => Value::String(self.text(text)),
            ValueRef::List(items) => {
                let mut list = Vec::new();
                for item in items {
                    if self.is_over() {
                        break;
                    }
                    list.push(self.of(item.as_ref()));
                }
                self.counted(Value::List(list))
            }
            ValueRef::Map(members) => {
                let mut map = Map::new();
                for (name, value) in members {
                    if self.is_over() {
                        break;
                    }
                    let name = self.text(name);
                    map.insert(name, self.of(value.as_ref()));
                }
                self.counted(Value::Map(map))
            }
        }
    }

    /// Whether nothing more is copied.
    fn is_over(&mut self) -> bool {
        self.is_cut |= self.left == 0;
        self.left == 0
    }

    fn counted(&mut self, value: Value) -> Value {
        self.left = self.left.saturating_sub(size_of::<Value>());
        value
    }

    fn text(&mut self, text: &str) -> String {
        let kept = beginning(text, self.left);
        self.left = self.left.saturating_sub(kept.len() + size_of::<Value>());
        if kept.len() == text.len() {
            return text.to_owned();
        }
        self.is_cut = true;
        self.left = 0;
        format!("{kept}…")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(value: &Value) -> (Value, bool) {
        Room::new().value(value.as_ref())
    }

    #[test]
    fn a_short_value_is_whole() {
        let json = r#"{"a": [1, "x", null, true], "b": {"c": "y"}}"#;
        let short: Value = serde_json::from_str(json).unwrap();
        assert_eq!(value(&short), (short.clone(), false));
        let exact = Value::String("x".repeat(VALUE));
        assert_eq!(value(&exact), (exact.clone(), false));
    }

    #[test]
    fn a_long_value_is_cut() {
        let text = Value::String("é".repeat(VALUE));
        let kept = Value::String(format!("{}…", "é".repeat(VALUE / 2)));
        assert_eq!(value(&text), (kept, true));

        let list = Value::List(vec![Value::List(vec![Value::Null; 100]); 1_000_000]);
        let map: Map = (0..10_000)
            .map(|n| (format!("{n:09}"), text.clone()))
            .collect();
        for long in [list, Value::Map(map)] {
            let (kept, is_cut) = value(&long);
            assert!(is_cut);
            assert!(serde_json::to_string(&kept).unwrap().len() < 2 * VALUE);
        }
    }
}
