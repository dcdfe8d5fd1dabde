//! What flags may cost: how large they may be, how long compiling them may take,
//! and how much work an evaluation may do.
//!
//! Whoever may edit flags, or answers in the place of their source, must not be
//! able to exhaust a service. What is over a limit for one flag is a
//! [`Problem`](crate::snapshot::Problem) of that flag, and the others work; what is over a
//! limit for the whole set refuses it, and the flags in use stay.

use std::time::Duration;

use crate::flag::{Flag, Segment};

/// Limits on what flags may cost to compile and to evaluate.
///
/// Flagr has none of these limits. They keep one careless or hostile flag from
/// taking the memory or the time of the whole service. The defaults are far
/// above what hand-written flags need. They apply to
/// [`Snapshot::new`](crate::snapshot::Snapshot::new) and
/// [`Vexilla::fixed`](crate::Vexilla::fixed) too, except for
/// [`flags`](Self::flags) and [`compile_time`](Self::compile_time), which are
/// for flags that come from a source.
///
/// ```
/// use vexilla_core::Limits;
///
/// let limits = Limits::new().flags(200_000).segments_per_flag(5_000);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    pub(crate) flags: usize,
    pub(crate) segments_per_flag: usize,
    pub(crate) variants_per_flag: usize,
    pub(crate) distributions_per_segment: usize,
    pub(crate) compile_time: Duration,
    pub(crate) constraint_set_bytes: usize,
    pub(crate) regex_program_bytes: usize,
    pub(crate) regex_set_bytes: usize,
    pub(crate) regex_cache_bytes: usize,
    pub(crate) regex_work: u64,
    pub(crate) cel_work: u64,
}

impl Limits {
    /// The default limits; each setter documents its own.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            flags: 100_000,
            segments_per_flag: 1_000,
            variants_per_flag: 1_000,
            distributions_per_segment: 1_000,
            compile_time: Duration::from_secs(30),
            constraint_set_bytes: 256 << 20,
            regex_program_bytes: 2 << 20,
            regex_set_bytes: 32 << 20,
            regex_cache_bytes: 32 << 20,
            regex_work: 2 << 20,
            cel_work: 200_000,
        }
    }

    /// Sets how many flags a source may give, before the filter. A larger set is
    /// refused with [`SourceErrorKind::TooLarge`](crate::source::SourceErrorKind::TooLarge).
    /// Default: 100,000.
    #[must_use]
    pub const fn flags(mut self, most: usize) -> Self {
        self.flags = most;
        self
    }

    /// Sets how many segments a flag may have. A flag with more is invalid.
    /// Default: 1,000.
    #[must_use]
    pub const fn segments_per_flag(mut self, most: usize) -> Self {
        self.segments_per_flag = most;
        self
    }

    /// Sets how many variants a flag may have. A flag with more is invalid.
    /// Default: 1,000.
    #[must_use]
    pub const fn variants_per_flag(mut self, most: usize) -> Self {
        self.variants_per_flag = most;
        self
    }

    /// Sets how many distributions a segment may have. The flag of a segment
    /// with more is invalid. Default: 1,000; as percents are whole numbers that
    /// add up to 100, no more than 100 of them can have a share.
    #[must_use]
    pub const fn distributions_per_segment(mut self, most: usize) -> Self {
        self.distributions_per_segment = most;
        self
    }

    /// Sets how long compiling the flags of a source may take. The clock is
    /// looked at between flags and between segments. A set that takes longer is
    /// refused with
    /// [`SourceErrorKind::CompileTimeout`](crate::source::SourceErrorKind::CompileTimeout).
    /// Default: 30 s.
    #[must_use]
    pub const fn compile_time(mut self, most: Duration) -> Self {
        self.compile_time = most;
        self
    }

    /// The most memory, in bytes, that all compiled constraints of a set of flags
    /// may take together, regular expressions aside. It is estimated, at one to two
    /// times what is asked of the allocator, segment by segment as they are
    /// compiled. Flags are compiled in the order of their IDs, so that the newest
    /// flags are the ones beyond the limit. Invalid flags take nothing of it.
    ///
    /// Default: 256 MiB, which is four times the
    /// [`DEFAULT_MAX_BYTES`](crate::source::DEFAULT_MAX_BYTES) of a document. An ordinary
    /// constraint takes about 200 bytes, no more than its JSON, and a long list of
    /// texts about four times its JSON: a document of that size fits, while one that
    /// is written to become large takes 40 times its length. Who raises the one
    /// limit raises the other.
    #[must_use]
    pub const fn constraint_set_bytes(mut self, bytes: usize) -> Self {
        self.constraint_set_bytes = bytes;
        self
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
    /// the ones beyond the limit. Invalid flags take nothing of it. Default: 32 MiB.
    #[must_use]
    pub const fn regex_set_bytes(mut self, bytes: usize) -> Self {
        self.regex_set_bytes = bytes;
        self
    }

    /// The most memory, in bytes, that each thread that searches keeps in caches
    /// for the regular expressions of a set of flags. Each expression has a cache
    /// of four times its compiled size, at least 64 KiB and at most 4 MiB, which
    /// grows only as far as texts need it. Expressions for which there is no room
    /// are searched without a cache: the answers are the same, and a search takes
    /// about ten times as long. Default: 32 MiB, which is room for 512 ordinary
    /// expressions.
    #[must_use]
    pub const fn regex_cache_bytes(mut self, bytes: usize) -> Self {
        self.regex_cache_bytes = bytes;
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

    /// The most work that the `CEL` constraints of one flag may do in one
    /// evaluation, in units. A run of an expression takes about one unit for each
    /// operation in it and for eight attributes of the context; a comprehension
    /// takes for each round as many as its body has operations; and each use of a
    /// value takes as many as it has parts, or 16 bytes of text. Beyond it the
    /// segment does not match, and the evaluation says so, see
    /// [`Evaluation::is_beyond_limits`](crate::Evaluation::is_beyond_limits).
    /// Default: 200,000, which is a comprehension over 1,000 maps of ten members
    /// each, or one in another over 100 elements each, or 1,000 segments with an
    /// expression of 200 operations.
    #[must_use]
    pub const fn cel_work(mut self, units: u64) -> Self {
        self.cel_work = units;
        self
    }

    /// Why a flag is invalid that is over a limit; `None` if it is not.
    pub(crate) fn exceeded_by(&self, flag: &Flag) -> Option<String> {
        let over = |what: &str, count: usize, most: usize| {
            (count > most).then(|| format!("{what}: {count} are more than the limit of {most}"))
        };
        let of_segment = |(index, segment): (usize, &Segment)| {
            let count = segment.distributions.len();
            over("Distributions", count, self.distributions_per_segment)
                .map(|problem| format!("Segments[{index}].{problem}"))
        };
        over("Segments", flag.segments.len(), self.segments_per_flag)
            .or_else(|| over("Variants", flag.variants.len(), self.variants_per_flag))
            .or_else(|| flag.segments.iter().enumerate().find_map(of_segment))
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}
