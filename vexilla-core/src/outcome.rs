//! What evaluating a flag can come to, and what its variants are worth. All
//! outcomes of a flag are known when it is compiled; an evaluation picks one.

mod value;

pub(crate) use value::VariantValue;

use crate::reason::{ErrorCode, Reason};

/// One possible outcome of a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// The index of the segment that assigns the variant.
    pub(crate) segment: Option<u32>,
    /// The index of the variant in the flag's list.
    pub(crate) variant: Option<u32>,
    /// The id of the variant: there can be one that no variant of the flag has.
    pub(crate) variant_id: Option<u64>,
    /// What the variant is worth as a boolean, the type that is read most.
    pub(crate) bool: Option<bool>,
    pub(crate) reason: Reason,
    pub(crate) error: Option<ErrorCode>,
}

impl Outcome {
    /// No segment matched, or the rollout left the entity out.
    pub(crate) const NOTHING: Self = Self::without_variant(Reason::Default);
    /// The flag is not enabled.
    pub(crate) const DISABLED: Self = Self::without_variant(Reason::Disabled);
    /// The flag cannot be evaluated.
    pub(crate) const PROBLEM: Self = Self::failed(ErrorCode::ParseError);
    /// The rollout needed an entity and there was none.
    pub(crate) const NO_ENTITY: Self = Self::failed(ErrorCode::TargetingKeyMissing);
    /// No segment matched, one of them because of our limits.
    pub(crate) const BEYOND_LIMITS: Self = Self::failed(ErrorCode::General);
    /// There is no such flag.
    pub(crate) const NOT_FOUND: Self = Self::failed(ErrorCode::FlagNotFound);

    const fn without_variant(reason: Reason) -> Self {
        Self {
            segment: None,
            variant: None,
            variant_id: None,
            bool: None,
            reason,
            error: None,
        }
    }

    /// An error in place of a variant.
    pub(crate) const fn failed(code: ErrorCode) -> Self {
        Self {
            error: Some(code),
            ..Self::without_variant(Reason::Error)
        }
    }
}
