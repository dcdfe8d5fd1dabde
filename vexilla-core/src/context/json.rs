//! Contexts in JSON, in the form of Flagr's evaluation request.

use std::borrow::Cow;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Context, Map, Value};
use crate::flag::folds_to;

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
                let mut attributes = Map::new();
                while let Some(name) = access.next_key::<Cow<'de, str>>()? {
                    let is = |known: &str| folds_to(&name, known);
                    if is("entityID") {
                        // To Go, null is no value for a text.
                        if let Some(id) = access.next_value::<Option<Cow<'de, str>>>()? {
                            context.set_entity_id(&id);
                        }
                    } else if is("entityType") {
                        if let Some(kind) = access.next_value::<Option<Cow<'de, str>>>()? {
                            context.set_entity_type(&kind);
                        }
                    } else if is("entityContext") {
                        attributes = match access.next_value()? {
                            Value::Map(members) => members,
                            _ => Map::new(),
                        };
                    } else {
                        access.next_value::<serde::de::IgnoredAny>()?;
                    }
                }
                context.extend(attributes);
                Ok(context)
            }
        }
        deserializer.deserialize_map(Members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::ValueRef;

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
    fn members_are_read_as_by_flagr() {
        let context = |json: &str| serde_json::from_str::<Context>(json).unwrap();
        // The last one counts, and is not merged into those before it.
        for (json, names) in [
            (r#"{"entityContext":{"a":1},"entityContext":{"b":2}}"#, "b"),
            (r#"{"entityContext":{"a":1},"entityContext":{}}"#, ""),
            (r#"{"entityContext":{"a":1},"entityContext":null}"#, ""),
            (r#"{"entityContext":{"a":1},"entityContext":7}"#, ""),
            (r#"{"entityContext":null,"EntityContext":{"c":1}}"#, "c"),
        ] {
            let context = context(json);
            let found: Vec<_> = context.attributes().map(|(name, _)| name).collect();
            assert_eq!(found.join(","), names, "{json}");
        }
        // Names match in any case.
        let any = context(r#"{"ENTITYID":"u","entitytype":"t","entityconteXt":{"A":1}}"#);
        assert_eq!((any.entity_id(), any.entity_type()), ("u", "t"));
        assert_eq!(any.attribute("A"), Some(ValueRef::Number(1.0)));
        assert_eq!(any.attribute("a"), None);
        let kept = context(r#"{"entityID":"u","entityID":null,"entityID2":"v"}"#);
        assert_eq!(kept.entity_id(), "u");
    }

    #[test]
    fn a_context_that_is_no_object_is_none() {
        let context: Context =
            serde_json::from_str(r#"{"entityID":"u","entityContext":5,"flagKey":"x"}"#).unwrap();
        assert_eq!(context.attributes().count(), 0);
    }
}
