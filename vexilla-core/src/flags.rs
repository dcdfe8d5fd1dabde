//! The handle that a request holds: flags, read for one context.

use std::sync::Arc;

use crate::context::{Context, EvaluationContext};
use crate::evaluate::{EmptyEntity, Evaluation, random_entity};
use crate::overrides::Overrides;
use crate::reason::{FlagError, Reason};
use crate::snapshot::Snapshot;
use crate::store::{Pinned, Served};

/// Flags, read for one context.
///
/// A `Flags` pins the flags as they were when it was made, so that two reads
/// never disagree however long it lives. It is cheap to clone and owns what it
/// needs: it can leave the request and go into a spawned task.
///
/// Getters take the flag's key (or its id in decimal, which goes first, as in
/// Flagr), never fail and never block; where there is no value they give the
/// default. The `try_…` forms say why.
///
/// # Values
///
/// | Getter | Value | else | else |
/// |---|---|---|---|
/// | [`bool`](Self::bool), [`bool_or`](Self::bool_or) | the attachment's `enabled`, if a boolean; else its `value`, if a boolean | the variant's key: `on`, `true`, `enabled`, `yes` or `off`, `false`, `disabled`, `no`, in any case | default, TYPE_MISMATCH |
/// | [`string_or`](Self::string_or) | the attachment's `value`, if a string | the variant's key | |
/// | [`int_or`](Self::int_or) | the attachment's `value`, if a whole number | the variant's key, parsed | default, TYPE_MISMATCH |
/// | [`float_or`](Self::float_or) | the attachment's `value`, if a number | the variant's key, parsed | default, TYPE_MISMATCH |
/// | [`json`](Self::json) | the attachment | | `None`, TYPE_MISMATCH |
/// | [`variant`](Self::variant) | the variant's key | | `None` |
///
/// Without a variant (the flag is unknown, disabled, has a problem, or assigns
/// nothing to this context) every getter gives the default.
#[derive(Debug, Clone)]
pub struct Flags {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    pinned: Pinned,
    context: Context,
}

impl Flags {
    /// Flags of a snapshot, for a context, without overrides.
    #[must_use]
    pub fn new(snapshot: Arc<Snapshot>, context: Context) -> Self {
        let served = Served {
            snapshot,
            ..Served::default()
        };
        Self::pinned(Pinned::of(served), context)
    }

    fn pinned(pinned: Pinned, mut context: Context) -> Self {
        let random = pinned.served().empty_entity == EmptyEntity::RandomOnce;
        if random && context.entity_id().is_empty() {
            context.set_entity_id(&random_entity());
        }
        Self {
            inner: Arc::new(Inner { pinned, context }),
        }
    }

    /// The same flags for another context.
    #[must_use]
    pub fn for_context(&self, context: Context) -> Self {
        Self::pinned(self.inner.pinned.clone(), context)
    }

    /// The same flags for the same context, some of them set to other values.
    /// The overrides that are there already stay, unless a new one has the same
    /// key.
    #[must_use]
    pub fn with_overrides(&self, overrides: &Overrides) -> Self {
        let mut served = self.served().clone();
        served.overrides = Arc::new(served.overrides.merged(overrides));
        Self::pinned(Pinned::of(served), self.inner.context.clone())
    }

    /// The boolean value, else `false`.
    #[must_use]
    pub fn bool(&self, key: &str) -> bool {
        self.bool_or(key, false)
    }

    /// The boolean value, else `default`.
    #[must_use]
    pub fn bool_or(&self, key: &str, default: bool) -> bool {
        self.value_or(default, self.try_bool(key))
    }

    /// The string value, else `default`.
    #[must_use]
    pub fn string_or<'a>(&'a self, key: &str, default: &'a str) -> &'a str {
        self.value_or(default, self.try_str(key))
    }

    /// The integer value, else `default`.
    #[must_use]
    pub fn int_or(&self, key: &str, default: i64) -> i64 {
        self.value_or(default, self.try_int(key))
    }

    /// The floating-point value, else `default`.
    #[must_use]
    pub fn float_or(&self, key: &str, default: f64) -> f64 {
        self.value_or(default, self.try_float(key))
    }

    /// The attachment of the variant, deserialized; `None` if there is no
    /// variant or the attachment is not of this form.
    #[must_use]
    pub fn json<T: serde::de::DeserializeOwned>(&self, key: &str) -> Option<T> {
        self.evaluate(key).try_json().ok().flatten()
    }

    /// The key of the assigned variant.
    #[must_use]
    pub fn variant(&self, key: &str) -> Option<&str> {
        self.evaluate(key).variant_key()
    }

    /// The boolean value; `None` if no variant is assigned.
    ///
    /// # Errors
    ///
    /// An unknown flag, a bad one, a missing entity, or another type.
    pub fn try_bool(&self, key: &str) -> Result<Option<bool>, FlagError> {
        self.evaluate(key).try_bool()
    }

    /// The string value; `None` if no variant is assigned.
    ///
    /// # Errors
    ///
    /// An unknown flag, a bad one, or a missing entity.
    pub fn try_str(&self, key: &str) -> Result<Option<&str>, FlagError> {
        self.evaluate(key).try_str()
    }

    /// The integer value; `None` if no variant is assigned.
    ///
    /// # Errors
    ///
    /// An unknown flag, a bad one, a missing entity, or another type.
    pub fn try_int(&self, key: &str) -> Result<Option<i64>, FlagError> {
        self.evaluate(key).try_int()
    }

    /// The floating-point value; `None` if no variant is assigned.
    ///
    /// # Errors
    ///
    /// An unknown flag, a bad one, a missing entity, or another type.
    pub fn try_float(&self, key: &str) -> Result<Option<f64>, FlagError> {
        self.evaluate(key).try_float()
    }

    /// The attachment of the variant, deserialized; `None` if no variant is
    /// assigned.
    ///
    /// # Errors
    ///
    /// An unknown flag, a bad one, a missing entity, or another form.
    pub fn try_json<T: serde::de::DeserializeOwned>(
        &self,
        key: &str,
    ) -> Result<Option<T>, FlagError> {
        self.evaluate(key).try_json()
    }

    /// Everything about the outcome: variant, attachment, reason, ids, error.
    #[must_use]
    pub fn evaluate(&self, key: &str) -> Evaluation<'_> {
        let served = self.served();
        let emergency = || served.emergency.as_ref()?.get(key);
        let mut evaluation = match served.overrides.get(key) {
            Some(value) => value.evaluation(served.snapshot.get(key)),
            None => match emergency() {
                Some(value) => value
                    .evaluation(served.snapshot.get(key))
                    .with_reason(Reason::Default),
                None => served
                    .snapshot
                    .evaluate(key, &self.inner.context, served.empty_entity),
            },
        };
        evaluation.stale = served.stale;
        evaluation
    }

    /// The outcomes of all flags, in the order of their set; overrides and
    /// emergency defaults of keys that no flag has follow.
    pub fn all(&self) -> impl Iterator<Item = (&str, Evaluation<'_>)> {
        let Served {
            snapshot,
            overrides,
            emergency,
            ..
        } = self.served();
        let keys = snapshot.flags().map(|flag| flag.key.as_str());
        let emergency = emergency.iter().flat_map(|emergency| emergency.keys());
        let emergency = emergency.filter(|key| overrides.get(key).is_none());
        let added = overrides.keys().chain(emergency);
        let added = added.filter(|key| snapshot.get(key).is_none());
        keys.chain(added).map(|key| (key, self.evaluate(key)))
    }

    /// The context that the flags are read for.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.inner.context
    }

    /// The flags that are read.
    #[must_use]
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        self.inner.pinned.snapshot()
    }

    pub(crate) fn served(&self) -> &Served {
        self.inner.pinned.served()
    }

    #[inline]
    fn value_or<T>(&self, default: T, value: Result<Option<T>, FlagError>) -> T {
        value.ok().flatten().unwrap_or(default)
    }
}

impl Pinned {
    /// These flags, read for a context.
    #[must_use]
    pub fn flags(&self, context: Context) -> Flags {
        Flags::pinned(self.clone(), context)
    }
}
