//! The handle that a request holds: flags, read for one context.

use std::sync::Arc;

use crate::constraint::Unobserved;
use crate::context::Context;
use crate::evaluate::{Decision, EmptyEntity, Evaluation, random_entity};
use crate::outcome::VariantValue;
use crate::overrides::Overrides;
use crate::reason::FlagError;
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
        Self { pinned, context }
    }

    /// The same flags for another context.
    #[must_use]
    pub fn for_context(&self, context: Context) -> Self {
        Self::pinned(self.pinned.clone(), context)
    }

    /// The same flags for the same context, some of them set to other values.
    /// The overrides that are there already stay, unless a new one is of the
    /// same flag. [`all`](Self::all) lists an overridden flag in its place, and
    /// after all flags the overrides of keys that no flag has.
    #[must_use]
    pub fn with_overrides(&self, overrides: &Overrides) -> Self {
        let mut served = self.served().clone();
        served.overrides = match &served.overrides {
            Some(known) => known.merged(overrides).shared(),
            None => overrides.clone().shared(),
        };
        Self::pinned(Pinned::of(served), self.context.clone())
    }

    /// The boolean value, else `false`.
    #[must_use]
    pub fn bool(&self, key: &str) -> bool {
        self.bool_or(key, false)
    }

    /// The boolean value, else `default`.
    #[must_use]
    pub fn bool_or(&self, key: &str, default: bool) -> bool {
        self.bool_at(key, self.position(key), default)
    }

    /// The string value, else `default`.
    #[must_use]
    pub fn string_or<'a>(&'a self, key: &str, default: &'a str) -> &'a str {
        self.str_at(key, self.position(key), default)
    }

    /// The integer value, else `default`.
    #[must_use]
    pub fn int_or(&self, key: &str, default: i64) -> i64 {
        self.int_at(key, self.position(key), default)
    }

    /// The floating-point value, else `default`.
    #[must_use]
    pub fn float_or(&self, key: &str, default: f64) -> f64 {
        self.float_at(key, self.position(key), default)
    }

    /// The attachment of the variant, deserialized; `None` if there is no
    /// variant or the attachment is not of this form.
    #[must_use]
    pub fn json<T: serde::de::DeserializeOwned>(&self, key: &str) -> Option<T> {
        self.evaluated(key).try_json().ok().flatten()
    }

    /// The key of the assigned variant.
    #[must_use]
    pub fn variant(&self, key: &str) -> Option<&str> {
        self.evaluated(key).variant_key()
    }

    /// The boolean value; `None` if no variant is assigned.
    ///
    /// # Errors
    ///
    /// An unknown flag, a bad one, a missing entity, or another type.
    pub fn try_bool(&self, key: &str) -> Result<Option<bool>, FlagError> {
        self.try_read(key, Evaluation::try_bool)
    }

    /// The string value; `None` if no variant is assigned.
    ///
    /// # Errors
    ///
    /// An unknown flag, a bad one, or a missing entity.
    pub fn try_str(&self, key: &str) -> Result<Option<&str>, FlagError> {
        self.try_read(key, Evaluation::try_str)
    }

    /// The integer value; `None` if no variant is assigned.
    ///
    /// # Errors
    ///
    /// An unknown flag, a bad one, a missing entity, or another type.
    pub fn try_int(&self, key: &str) -> Result<Option<i64>, FlagError> {
        self.try_read(key, Evaluation::try_int)
    }

    /// The floating-point value; `None` if no variant is assigned.
    ///
    /// # Errors
    ///
    /// An unknown flag, a bad one, a missing entity, or another type.
    pub fn try_float(&self, key: &str) -> Result<Option<f64>, FlagError> {
        self.try_read(key, Evaluation::try_float)
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
        self.try_read(key, Evaluation::try_json)
    }

    /// Everything about the outcome: variant, attachment, reason, ids, error.
    #[must_use]
    pub fn evaluate<'a>(&'a self, key: &'a str) -> Evaluation<'a> {
        self.evaluated(key).asked_by(key)
    }

    /// The same without counting it: a look at a flag, no use of it.
    pub(crate) fn look<'a>(&'a self, key: &'a str) -> Evaluation<'a> {
        self.evaluation(key, self.position(key), Self::uncounted)
            .asked_by(key)
    }

    /// The evaluation of the flag of this key, which it does not know if there is
    /// no such flag.
    fn evaluated(&self, key: &str) -> Evaluation<'_> {
        self.evaluation(key, self.position(key), Self::outcome)
    }

    /// Reads a value of the flag of this key; an error names the flag.
    fn try_read<'a, T>(
        &'a self,
        key: &str,
        read: impl FnOnce(&Evaluation<'a>) -> Result<T, FlagError>,
    ) -> Result<T, FlagError> {
        let evaluation = self.evaluated(key);
        read(&evaluation).map_err(|error| match evaluation.flag_id() {
            Some(_) => error,
            None => error.of_flag(key),
        })
    }

    /// The outcomes of all flags, by key, in the order of their set; each as it
    /// is with the overrides and the emergency defaults that hold for it. What was
    /// set for a key or an ID that no flag has follows, in no order, listed once
    /// under the name that it was set for: overrides first, then the emergency
    /// defaults that no override replaces. Flags that the filter left out are not
    /// listed. Where evaluations are counted, these are not.
    pub fn all(&self) -> impl Iterator<Item = (&str, Evaluation<'_>)> {
        let Served {
            snapshot,
            overrides,
            emergency,
            ..
        } = self.served();
        let keys = snapshot.flags().map(|flag| flag.key.as_str());
        let overridden = overrides.iter().flat_map(|overrides| overrides.keys());
        let is_overridden = |key: &&str| {
            let overrides = overrides.as_ref();
            overrides.is_some_and(|overrides| overrides.get(key, None, snapshot).is_some())
        };
        let emergency = emergency.iter().flat_map(|emergency| emergency.keys());
        let emergency = emergency.filter(move |key| !is_overridden(key));
        let added = overridden.chain(emergency);
        // A flag with an empty key is found by its ID alone.
        let is_listed = |key: &str| match key {
            "" => snapshot.flags().any(|flag| flag.key.is_empty()),
            key => snapshot.get(key).is_some(),
        };
        let added = added.filter(move |key| !is_listed(key));
        let flags = keys
            .enumerate()
            .map(|(position, key)| (key, self.evaluation(key, Some(position), Self::uncounted)));
        flags.chain(added.map(|key| (key, self.look(key))))
    }

    /// The context that the flags are read for.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// The flags that are read.
    #[must_use]
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        self.pinned.snapshot()
    }

    pub(crate) fn served(&self) -> &Served {
        self.pinned.served()
    }

    #[inline]
    fn position(&self, key: &str) -> Option<usize> {
        self.served().snapshot.position(key)
    }

    /// The boolean value of the flag of this key, which stands at `position`,
    /// else `default`.
    #[inline]
    pub(crate) fn bool_at(&self, key: &str, position: Option<usize>, default: bool) -> bool {
        let value = match self.served().replaces() {
            true => self.evaluation(key, position, Self::outcome).bool(),
            false => self.outcome(position).outcome.bool,
        };
        value.unwrap_or(default)
    }

    /// As [`bool_at`](Self::bool_at), the string value.
    pub(crate) fn str_at<'a>(
        &'a self,
        key: &str,
        position: Option<usize>,
        default: &'a str,
    ) -> &'a str {
        let evaluation = self.evaluation(key, position, Self::outcome);
        let value = evaluation.worth(VariantValue::string_of);
        value.unwrap_or(default)
    }

    /// As [`bool_at`](Self::bool_at), the integer value.
    pub(crate) fn int_at(&self, key: &str, position: Option<usize>, default: i64) -> i64 {
        let evaluation = self.evaluation(key, position, Self::outcome);
        evaluation.worth(|_, value| value.int).unwrap_or(default)
    }

    /// As [`bool_at`](Self::bool_at), the floating-point value.
    pub(crate) fn float_at(&self, key: &str, position: Option<usize>, default: f64) -> f64 {
        let evaluation = self.evaluation(key, position, Self::outcome);
        evaluation.worth(|_, value| value.float).unwrap_or(default)
    }

    /// The evaluation of the flag of this key, which stands at `position`;
    /// `outcome` gives that of the flag, unless it was replaced.
    fn evaluation<'a>(
        &'a self,
        key: &str,
        position: Option<usize>,
        outcome: impl FnOnce(&'a Self, Option<usize>) -> Decision<'a>,
    ) -> Evaluation<'a> {
        let served = self.served();
        let flag = position.and_then(|position| served.snapshot.at(position));
        let mut evaluation = match served.replaced(key, position) {
            Some((value, replacement)) => value.evaluation(flag).replaced(replacement),
            None => Evaluation::new(flag, outcome(self, position)),
        };
        evaluation.stale = served.stale;
        evaluation
    }

    /// The outcome of the flag at a position, counted where that is on.
    fn outcome(&self, position: Option<usize>) -> Decision<'_> {
        let decision = self.uncounted(position);
        let served = self.served();
        if let Some(counters) = &served.counters {
            counters.count(position, decision.outcome);
        }
        if let (true, Some(position)) = (decision.beyond_limits, position)
            && let Some(flag) = served.snapshot.at(position)
        {
            served.snapshot.count_beyond_limits(flag, decision);
        }
        decision
    }

    #[inline(always)]
    fn uncounted(&self, position: Option<usize>) -> Decision<'_> {
        let served = self.served();
        match position.and_then(|position| served.snapshot.at(position)) {
            Some(flag) => flag.evaluate(
                &self.context,
                served.empty_entity,
                &mut Unobserved::default(),
            ),
            None => Decision::NOT_FOUND,
        }
    }
}

impl Pinned {
    /// These flags, read for a context.
    #[must_use]
    pub fn flags(&self, context: Context) -> Flags {
        Flags::pinned(self.clone(), context)
    }
}
