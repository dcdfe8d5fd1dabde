//! Values that are set in code and go before what flags say, for tests and for
//! people who look at a branch before it is rolled out.

use std::fmt;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use serde_json::json;

use crate::evaluate::{Evaluation, OverrideFault};
use crate::flag::{Flag, FlagSet, Origin, Variant};
use crate::outcome::Outcome;
use crate::snapshot::{CompiledFlag, Snapshot, decimal};

/// Values of flags that are set in code. They take precedence over the flags, and
/// may name flags that do not exist.
///
/// An override names a flag as the getters do, by its key or by its ID in
/// decimal, IDs first, and holds whichever of the two the flag is read by, as long as
/// flags are loaded or embedded that say which key belongs to which ID. If
/// one flag has two overrides, one by its key and one by its ID, the one that
/// was set later holds.
///
/// An [`Evaluation`] of an overridden flag has the flag's own ID and key, reason
/// [`Static`](crate::Reason::Static) (or [`Default`](crate::Reason::Default)
/// without variant), and says in [`replaced_by`](Evaluation::replaced_by) that an
/// override answered.
///
/// ```
/// use vexilla_core::{Context, Overrides, Vexilla};
///
/// let vexilla = Vexilla::fixed([]).with_overrides(Overrides::new().set("new-feature", true));
/// assert!(vexilla.flags(Context::new("user-1")).bool("new-feature"));
/// ```
#[derive(Clone, Default)]
pub struct Overrides {
    by_name: FxHashMap<Box<str>, Entry>,
    /// Those whose name is a number in decimal, which may be a flag's ID.
    by_id: FxHashMap<u64, Entry>,
    /// How many were set so far.
    count: u64,
}

#[derive(Clone)]
struct Entry {
    value: Override,
    /// When it was set, counted from 0.
    order: u64,
}

#[derive(Clone)]
pub(crate) enum Override {
    /// A flag made up for its one variant.
    Value(Arc<Snapshot>),
    /// A variant of the flag itself.
    Variant(Box<str>),
    /// No variant.
    Nothing,
}

/// A value that a flag can be set to.
#[derive(Clone, PartialEq)]
pub struct OverrideValue(serde_json::Value);

impl fmt::Debug for Overrides {
    /// How many flags are set.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Overrides")
            .field("flags", &self.by_name.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for OverrideValue {
    /// The type of the value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            serde_json::Value::Bool(_) => "OverrideValue(boolean)",
            serde_json::Value::Number(_) => "OverrideValue(number)",
            _ => "OverrideValue(string)",
        })
    }
}

macro_rules! override_from {
    ($($type:ty),*) => {$(
        impl From<$type> for OverrideValue {
            fn from(value: $type) -> Self {
                Self(value.into())
            }
        }
    )*};
}

override_from!(bool, &str, String, i32, i64, u32, f64);

impl Overrides {
    /// No overrides.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a flag to a boolean, a string or a number.
    #[must_use]
    pub fn set(self, key: &str, value: impl Into<OverrideValue>) -> Self {
        let OverrideValue(value) = value.into();
        let name = match &value {
            serde_json::Value::Bool(true) => "on".to_owned(),
            serde_json::Value::Bool(false) => "off".to_owned(),
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        self.insert_variant(key, Variant::new(name).attachment(json!({"value": value})))
    }

    /// Sets a flag to a variant with this attachment, an object, for
    /// [`Flags::json`](crate::Flags::json); the variant is named `override`. The
    /// attachment is a [`serde_json::Value`], such as `serde_json::json!` makes, not
    /// this crate's [`Value`](crate::Value) of a context.
    #[must_use]
    pub fn set_json(self, key: &str, attachment: serde_json::Value) -> Self {
        self.insert_variant(key, Variant::new("override").attachment(attachment))
    }

    /// Sets a flag to one of its own variants. If the flag has none of that
    /// key, evaluating it is an error.
    #[must_use]
    pub fn set_variant(self, key: &str, variant: &str) -> Self {
        self.insert(key, Override::Variant(variant.into()))
    }

    /// Makes a flag assign no variant, so that getters give their defaults.
    #[must_use]
    pub fn set_nothing(self, key: &str) -> Self {
        self.insert(key, Override::Nothing)
    }

    /// Removes what was set for a key.
    #[must_use]
    pub fn without(mut self, key: &str) -> Self {
        self.by_name.remove(key);
        if let Some(id) = decimal(key) {
            self.by_id.remove(&id);
        }
        self
    }

    /// The keys that are set, in no order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(|key| &**key)
    }

    fn insert_variant(self, key: &str, variant: Variant) -> Self {
        let flag = Flag::new(key).enabled(true).variant(variant);
        let mut set = FlagSet::from(vec![flag]);
        // The rules of a file would refuse the key of a variant for `""`.
        set.origin = Origin::Export;
        self.insert(key, Override::Value(Arc::new(Snapshot::new(set))))
    }

    fn insert(mut self, key: &str, value: Override) -> Self {
        let order = self.count;
        self.insert_entry(key, Entry { value, order });
        self
    }

    fn insert_entry(&mut self, key: &str, entry: Entry) {
        self.count = self.count.max(entry.order + 1);
        if let Some(id) = decimal(key) {
            self.by_id.insert(id, entry.clone());
        }
        self.by_name.insert(key.into(), entry);
    }

    /// These, and after them `other`.
    pub(crate) fn merged(&self, other: &Self) -> Self {
        let mut merged = self.clone();
        for (key, Entry { value, order }) in &other.by_name {
            let entry = Entry {
                value: value.clone(),
                order: self.count + order,
            };
            merged.insert_entry(key, entry);
        }
        merged
    }

    /// The override of the flag at a position of the snapshot, which `key` names;
    /// without a position, of the name itself, as no flag has it.
    pub(crate) fn get(
        &self,
        key: &str,
        position: Option<usize>,
        snapshot: &Snapshot,
    ) -> Option<&Override> {
        let flag = position.and_then(|position| snapshot.at(position));
        let Some(flag) = flag.map(CompiledFlag::definition) else {
            return self.by_name.get(key).map(|entry| &entry.value);
        };
        let by_key = self.by_name.get(&*flag.key);
        let by_id = self.by_id.get(&flag.id);
        // A name can be that of another flag: a key that is the ID of one, or
        // an ID that two flags have.
        let named = || snapshot.flag(&flag.key);
        let is_named = || flag.key.is_empty() || named().is_some_and(|named| named.key == flag.key);
        let by_key = by_key.filter(|_| is_named());
        let by_id = by_id.filter(|_| snapshot.numbered(flag.id) == position);
        let entries = by_key.into_iter().chain(by_id);
        let latest = entries.max_by_key(|entry| entry.order);
        latest.map(|entry| &entry.value)
    }

    /// The same for many readers; `None` if nothing is set.
    pub(crate) fn shared(self) -> Option<Arc<Self>> {
        (!self.by_name.is_empty()).then(|| Arc::new(self))
    }
}

impl Override {
    /// What it puts in place of the outcome of `flag`, the flag that it is set
    /// for, if there is one.
    pub(crate) fn evaluation<'a>(&'a self, flag: Option<&'a CompiledFlag>) -> Evaluation<'a> {
        match self {
            Self::Nothing => Evaluation::new(flag, &Outcome::NOTHING),
            Self::Value(made_up) => match made_up.compiled().next() {
                Some(made_up) if made_up.problem().is_none() => {
                    let outcome = Outcome {
                        // That of the variant that was made up is nobody's.
                        variant_id: None,
                        ..made_up.fixed(0)
                    };
                    Evaluation::made_up(flag, made_up, &outcome)
                }
                made_up => {
                    let problem = made_up.and_then(CompiledFlag::problem);
                    let fault = OverrideFault::Problem(problem.unwrap_or("no value"));
                    Evaluation::failed(flag, fault)
                }
            },
            Self::Variant(variant) => {
                let known = flag.and_then(|flag| {
                    let mut variants = flag.definition().variants.iter();
                    let index = variants.position(|known| *known.key == **variant)?;
                    Some(flag.fixed(index))
                });
                match known {
                    Some(outcome) => Evaluation::new(flag, &outcome),
                    None => Evaluation::failed(flag, OverrideFault::NoVariant(variant)),
                }
            }
        }
    }
}
