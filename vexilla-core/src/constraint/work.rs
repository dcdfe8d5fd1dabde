//! How much searching the regular expressions of one evaluation may do.

use super::operand::Mismatch;

/// What is left of [`Limits::regex_work`](crate::Limits::regex_work) in one
/// evaluation.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Work(u64);

impl Work {
    /// All that an evaluation may do.
    pub(crate) fn new(limit: u64) -> Self {
        Self(limit)
    }

    /// Takes what a search may cost, before it is made.
    ///
    /// # Errors
    ///
    /// Not so much is left; then nothing is taken.
    #[inline]
    pub(super) fn take(&mut self, work: u64) -> Result<(), Mismatch> {
        let left = self.0.checked_sub(work);
        self.0 = left.ok_or(Mismatch::BeyondLimits)?;
        Ok(())
    }
}
