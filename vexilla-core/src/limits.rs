//! What flags may cost.

/// Limits on what flags may cost to compile and to evaluate.
///
/// Flagr has none of these limits. They keep one careless or hostile flag from
/// taking the memory or the time of the whole service. A flag that needs more
/// than is allowed to compile has a [`Problem`](crate::Problem) that names the
/// limit; the others work.
///
/// ```
/// use vexilla_core::Limits;
///
/// let limits = Limits::new().regex_program_bytes(8 << 20).regex_work(8 << 20);
/// # let _ = limits;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    pub(crate) regex_program_bytes: usize,
    pub(crate) regex_set_bytes: usize,
    pub(crate) regex_work: u64,
}

impl Limits {
    /// The default limits.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            regex_program_bytes: 2 << 20,
            regex_set_bytes: 32 << 20,
            regex_work: 2 << 20,
        }
    }

    /// The most memory, in bytes, that one compiled regular expression may take.
    /// It is estimated before the expression is compiled. Default: 2 MiB.
    #[must_use]
    pub const fn regex_program_bytes(mut self, bytes: usize) -> Self {
        self.regex_program_bytes = bytes;
        self
    }

    /// The most memory, in bytes, that all compiled regular expressions of a set
    /// of flags may take together; one that occurs several times counts once.
    /// Flags are compiled in the order of their IDs, so that the newest flags are
    /// the ones beyond the limit. Default: 32 MiB.
    #[must_use]
    pub const fn regex_set_bytes(mut self, bytes: usize) -> Self {
        self.regex_set_bytes = bytes;
        self
    }

    /// The most work that the regular expressions of one flag may do in one
    /// evaluation: the sum of text length in bytes × instructions of the
    /// expression. Beyond it the segment does not match, and the evaluation says
    /// so, see [`Evaluation::is_beyond_limits`](crate::Evaluation::is_beyond_limits).
    /// Default: 2,097,152, which is 8 KiB of text × 256 instructions.
    #[must_use]
    pub const fn regex_work(mut self, work: u64) -> Self {
        self.regex_work = work;
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}
