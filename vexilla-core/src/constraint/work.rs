//! How much work the constraints of one evaluation may do.

use super::operand::Mismatch;
use crate::limits::Limits;

/// What is left of [`Limits::regex_work`] and [`Limits::cel_work`] in one
/// evaluation.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Work {
    regex: u64,
    #[cfg(feature = "cel")]
    cel: u64,
}

impl Work {
    /// All that an evaluation may do.
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            regex: limits.regex_work,
            #[cfg(feature = "cel")]
            cel: limits.cel_work,
        }
    }

    /// Takes what a search may cost, before it is made.
    ///
    /// # Errors
    ///
    /// Not so much is left; then nothing is taken.
    #[inline]
    pub(super) fn take(&mut self, work: u64) -> Result<(), Mismatch> {
        let left = self.regex.checked_sub(work);
        self.regex = left.ok_or(Mismatch::BeyondLimits)?;
        Ok(())
    }

    /// Takes so many units of CEL, before they are used.
    ///
    /// # Errors
    ///
    /// Not so many are left; then none is taken.
    #[cfg(feature = "cel")]
    pub(super) fn take_cel(&mut self, units: u64) -> Result<(), Mismatch> {
        let left = self.cel.checked_sub(units);
        self.cel = left.ok_or(Mismatch::BeyondLimits)?;
        Ok(())
    }
}
