//! A compiled regular expression, its size, and what a search with it may cost.
//!
//! `regex-automata` is what the `regex` crate is made of. It takes a syntax tree
//! that was read before, so that the size of an expression is known before it is
//! compiled ([`Size`]) and nothing is read twice.
//!
//! # Memory
//!
//! A program is shared by all who match with it. Each thread that matches at the
//! same time works in memory of its own, which is kept: a cache for the states of
//! two lazily built automata ([`Program::cache_bytes`]), and some bytes for each
//! instruction. The caches of a set have a limit together. Programs beyond it
//! work without a cache: the answers are the same, and a search takes longer, up
//! to the time that [`Program::work`] stands for.

use std::fmt;

use regex_automata::meta::{Config, Regex};
use regex_automata::nfa::thompson::WhichCaptures;
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Hir, Look};

use super::measure::Size;

/// Least memory, in bytes, for the states of a lazily built automaton. The states of most expressions
/// take less. With much more, a text that needs a new state at each byte takes longer, since the
/// automaton is given up only after it has filled its memory some times.
const LEAST_AUTOMATON: u64 = 32 << 10;

/// Most memory for them: what the `regex` crate has.
const MOST_AUTOMATON: u64 = 2 << 20;

/// One for each direction.
const AUTOMATA: u64 = 2;

/// Programs of more instructions run without a lazily built automaton. Most are too large for one
/// anyway, and `regex-automata` 0.4 recurses without end when the scratch space alone, which grows
/// with the number of branches, fills the cache.
const LARGE: u64 = 1 << 15;

/// A compiled regular expression.
#[derive(Debug)]
pub(crate) struct Program {
    regex: Regex,
    text: Box<str>,
    size: Size,
    /// Memory for the cache of each thread that searches, at most, in bytes.
    cache: u64,
    /// So many bytes of a text are looked at at most.
    reach: u64,
}

/// How much memory a program may take, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Budget {
    /// [`Limits::regex_program_bytes`](crate::Limits::regex_program_bytes).
    pub(crate) program: u64,
    /// [`Limits::regex_set_bytes`](crate::Limits::regex_set_bytes).
    pub(crate) set: u64,
    /// What the other programs of the set use of it.
    pub(crate) used: u64,
    /// What the other programs of the set leave of
    /// [`Limits::regex_cache_bytes`](crate::Limits::regex_cache_bytes).
    pub(crate) cache: u64,
}

/// Why a regular expression was not compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It is too large.
    Beyond(Exceeded),
    /// It is no regular expression, or nests too deeply.
    Syntax,
}

/// The limit that a regular expression exceeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exceeded {
    /// That on one program, in bytes, which needs more.
    Program { needs: u64, limit: u64 },
    /// That on all programs of a set of flags.
    Set { needs: u64, limit: u64 },
    /// That of `regex-automata` on the number of states.
    States,
}

impl Program {
    /// Compiles an expression in the syntax of the `regex` crate. Recurses as deep
    /// as it nests, at most `depth` levels.
    pub(crate) fn compile(text: &str, depth: u32, budget: Budget) -> Result<Self, Refusal> {
        let mut parser = ParserBuilder::new().nest_limit(depth).build();
        let hir = parser.parse(text).map_err(|_| Refusal::Syntax)?;
        let size = Size::of(&hir);
        budget.check(size.bytes).map_err(Refusal::Beyond)?;
        let cache = budget.cache_of(size);
        // The estimate bounds the memory; this is the net below it.
        let states = usize::try_from(size.bytes.saturating_mul(2)).unwrap_or(usize::MAX);
        let config = Config::new()
            .nfa_size_limit(Some(states))
            .which_captures(WhichCaptures::None)
            // It would keep up to 256 KiB more, for a search that takes as long.
            .backtrack(false)
            .hybrid(cache > 0)
            .hybrid_cache_capacity(usize::try_from(cache / AUTOMATA).unwrap_or(usize::MAX));
        let regex = Regex::builder()
            .configure(config)
            .build_from_hir(&hir)
            .map_err(|_| Refusal::Beyond(Exceeded::States))?;
        Ok(Self {
            regex,
            text: text.into(),
            size,
            cache,
            reach: reach(&hir),
        })
    }

    /// The expression, in the syntax of the `regex` crate.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The memory that it takes, in bytes, as it was estimated.
    pub(crate) fn bytes(&self) -> u64 {
        self.size.bytes
    }

    /// The memory, in bytes, that the cache of each thread that searches at the
    /// same time may take; 0 for a program that works without one.
    pub(crate) fn cache_bytes(&self) -> u64 {
        self.cache
    }

    /// Whether compiling it within this budget comes to the same program.
    pub(crate) fn fits(&self, budget: Budget) -> bool {
        budget.check(self.size.bytes).is_ok() && budget.cache_of(self.size) == self.cache
    }

    /// What a search in a text of this length may cost: bytes × instructions.
    #[inline]
    pub(crate) fn work(&self, length: usize) -> u64 {
        let length = (length as u64).min(self.reach);
        length.saturating_mul(self.size.instructions)
    }

    /// Whether the expression matches anywhere in the text.
    #[inline]
    pub(crate) fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

impl Budget {
    /// For patterns that are our own.
    pub(crate) const UNLIMITED: Self = Self {
        program: u64::MAX,
        set: u64::MAX,
        used: 0,
        cache: u64::MAX,
    };

    /// Whether a program of so many bytes is within the limits.
    pub(crate) fn check(self, needs: u64) -> Result<(), Exceeded> {
        let limit = self.program;
        if needs > limit {
            return Err(Exceeded::Program { needs, limit });
        }
        let limit = self.set;
        if needs > limit.saturating_sub(self.used) {
            return Err(Exceeded::Set { needs, limit });
        }
        Ok(())
    }

    /// The memory, in bytes, for the cache of a program of this size: all that it can use, or none.
    fn cache_of(self, size: Size) -> u64 {
        if size.instructions > LARGE {
            return 0;
        }
        let automaton = size.bytes.saturating_mul(2);
        let wanted = AUTOMATA * automaton.clamp(LEAST_AUTOMATON, MOST_AUTOMATON);
        if wanted <= self.cache { wanted } else { 0 }
    }
}

impl Exceeded {
    /// The memory that the program would take, in bytes, where it is known.
    pub(crate) fn needs(self) -> Option<u64> {
        match self {
            Self::Program { needs, .. } | Self::Set { needs, .. } => Some(needs),
            Self::States => None,
        }
    }
}

/// How many bytes of a text are looked at, at most: what is anchored at the start and cannot be
/// longer than that is not searched for behind it.
fn reach(hir: &Hir) -> u64 {
    let properties = hir.properties();
    let anchored = properties.look_set_prefix().contains(Look::Start);
    let longest = properties.maximum_len().filter(|_| anchored);
    longest.map_or(u64::MAX, |longest| longest as u64 + 1)
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Program { needs, limit } => write!(
                f,
                "the compiled regular expression takes about {needs} bytes, more than the {limit} \
                 of the limit `regex_program_bytes`; use smaller repeat counts or classes, or raise \
                 the limit"
            ),
            Self::Set { needs, limit } => write!(
                f,
                "the compiled regular expression takes about {needs} bytes, more than the flags \
                 before it leave of the {limit} of the limit `regex_set_bytes`; use smaller repeat \
                 counts or classes, or raise the limit"
            ),
            Self::States => f.write_str("the compiled regular expression has too many states"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(text: &str) -> Program {
        Program::compile(text, 100, Budget::UNLIMITED).unwrap()
    }

    #[test]
    fn the_estimate_is_near_the_memory_that_a_program_takes() {
        for text in [
            "a{1000}",
            "(?:a?b?c?d?){1000}",
            r"\pL",
            r"[\pL\pN]{20}",
            r"(?i)(?:\pL{1,5}[ -]?){1,10}GmbH$",
            ".{1,200}[^a].{200}x",
            "(?s:.){500}",
            "[^a]{300}é{100}",
            "(?i)[à-ü]{200}",
            "(?:a|bc|d){300}",
            "(?:[a-z]+[0-9]*,){200}",
            r"(?:\b|\B|^|$|x){300}",
            "(?:a*|b+|[^\u{0}-\u{ff}]){50}",
        ] {
            let program = program(text);
            let actual = program.regex.memory_usage() as u64;
            let ratio = actual as f64 / program.bytes() as f64;
            assert!(
                (0.2..2.0).contains(&ratio),
                "{text}: estimated {}, actually {actual}",
                program.bytes()
            );
        }
    }

    #[test]
    fn instructions_are_counted_with_each_repetition_written_out() {
        for (text, instructions) in [
            ("", 1),
            ("abc", 3),
            ("é", 2),
            ("[a-é]", 1),
            ("a*", 2),
            ("a{3}", 3),
            ("a{3,}", 4),
            ("a{1,3}", 5),
            ("ab|cd", 5),
            ("(?:a?b?c?d?){1000}", 8_000),
            ("^a$", 3),
        ] {
            assert_eq!(program(text).work(1), instructions, "{text}");
        }
    }

    #[test]
    fn of_a_text_only_as_much_counts_as_can_be_looked_at() {
        assert_eq!(program("ab").work(1_000), 2_000);
        assert_eq!(program("^ab").work(1_000), 3 * 3);
        assert_eq!(program("^ab").work(2), 2 * 3);
        assert_eq!(program("^ab*").work(1_000), 4_000);
        assert_eq!(program("^a|b").work(1_000), 4_000);
        assert_eq!(program("(?m:^)ab").work(1_000), 3_000);
        assert_eq!(program("a{1000}").work(usize::MAX), u64::MAX);
    }

    #[test]
    fn nothing_is_compiled_that_is_estimated_to_be_too_large() {
        let budget = Budget {
            program: 1 << 20,
            ..Budget::UNLIMITED
        };
        for text in [
            r"\pL{1000}",
            "(?:a{1000}){1000}",
            "(?:(?:(?:a{999}){999}){999}){999}",
        ] {
            let refusal = Program::compile(text, 100, budget).unwrap_err();
            assert!(
                matches!(refusal, Refusal::Beyond(Exceeded::Program { limit, .. }) if limit == 1 << 20),
                "{text}: {refusal:?}"
            );
        }
    }
}
