//! The patterns of a set of flags, and what became of each.
//!
//! Each pattern is compiled once: many constraints have the same, and compiling
//! one costs more than compiling the rest of its flag. What became of a pattern, a
//! refusal included, is known from one set to the next, as long as a flag has it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::go_regex;
#[cfg(feature = "cel")]
use super::super::program::Refusal;
use super::super::program::{Budget, Exceeded, Program};
use super::super::size::{array, piece};
use super::Pattern;
use crate::limits::Limits;

/// Deepest nesting of a pattern of CEL: compiling one recurses.
#[cfg(feature = "cel")]
const CEL_DEPTH: u32 = 32;

/// A pattern, and what became of it.
#[derive(Debug)]
pub(crate) struct Known {
    dialect: Dialect,
    text: Box<[u8]>,
    outcome: Outcome,
}

#[derive(Debug)]
enum Outcome {
    Program(Arc<Program>),
    /// It is no regular expression of its dialect.
    Invalid,
    /// Its program would take so much memory, in bytes, more than the limits
    /// allowed.
    TooLarge(u64),
    /// It is beyond a limit that is fixed: which.
    Refused(String),
    /// It may compile at another time: why it did not.
    Temporary(String),
}

/// Which grammar a pattern follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    /// Go's, for `EREG`, `NEREG` and `MATCHES`.
    Go,
    /// That of the `regex` crate, for the function `matches` of CEL.
    #[cfg(feature = "cel")]
    Cel,
}

/// The patterns that a set of flags has.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    go: BTreeMap<Box<[u8]>, Arc<Known>>,
    #[cfg(feature = "cel")]
    cel: BTreeMap<Box<[u8]>, Arc<Known>>,
}

/// Compiles the patterns of a set of flags, as far as they are not known, and
/// keeps count of the memory of all compiled constraints.
#[derive(Debug)]
pub(crate) struct Patterns<'m> {
    limits: &'m Limits,
    before: Option<&'m Memory>,
    now: Memory,
    /// The memory of their programs, in bytes.
    bytes: u64,
    /// The memory of the caches of each thread that searches, in bytes.
    cache_bytes: u64,
    /// The memory of the compiled constraints, in bytes.
    constraint_bytes: u64,
    /// What the flag that is being compiled needs.
    of_flag: Needs,
    /// Which patterns this flag has, by where they are known.
    known_of_flag: BTreeSet<usize>,
    /// Something of this flag may compile at another time.
    temporary: bool,
    /// How many programs were compiled.
    compiled: usize,
}

/// What a flag needs of what its set of flags may take.
#[derive(Debug, Default)]
pub(crate) struct Needs {
    patterns: Vec<Arc<Known>>,
    /// The memory of its compiled constraints, in bytes: as far as they were
    /// compiled.
    bytes: u64,
    /// There was not so much memory, after the flags before it had taken so much.
    refused_after: Option<u64>,
    /// It has that memory: else it is invalid.
    is_held: bool,
}

impl Known {
    /// The memory of what is known, in bytes, its program aside.
    fn bytes(&self) -> u64 {
        let why = match &self.outcome {
            Outcome::Refused(why) | Outcome::Temporary(why) => why.len(),
            _ => 0,
        };
        // Twice, as it is the key of a map as well.
        let text = piece(self.text.len()) + array::<(Box<[u8]>, Arc<Self>)>(1);
        array::<Self>(1) + 2 * text + piece(why)
    }
}

impl Memory {
    fn get(&self, dialect: Dialect, text: &[u8]) -> Option<&Arc<Known>> {
        match dialect {
            Dialect::Go => self.go.get(text),
            #[cfg(feature = "cel")]
            Dialect::Cel => self.cel.get(text),
        }
    }

    fn insert(&mut self, known: Arc<Known>) {
        let by_text = match known.dialect {
            Dialect::Go => &mut self.go,
            #[cfg(feature = "cel")]
            Dialect::Cel => &mut self.cel,
        };
        by_text.insert(known.text.clone(), known);
    }
}

impl<'m> Patterns<'m> {
    /// Patterns within limits; those that `before` has are not compiled again.
    pub(crate) fn new(limits: &'m Limits, before: Option<&'m Memory>) -> Self {
        Self {
            limits,
            before,
            now: Memory::default(),
            bytes: 0,
            cache_bytes: 0,
            constraint_bytes: 0,
            of_flag: Needs::default(),
            known_of_flag: BTreeSet::new(),
            temporary: false,
            compiled: 0,
        }
    }

    /// The limits.
    pub(crate) fn limits(&self) -> &Limits {
        self.limits
    }

    /// A pattern in Go's dialect.
    ///
    /// # Errors
    ///
    /// One that Go would run, but that is beyond our limits.
    pub(crate) fn go(&mut self, text: Box<[u8]>) -> Result<Pattern, String> {
        let program = self.program(Dialect::Go, &text)?;
        Ok(Pattern { text, program })
    }

    /// A pattern in the dialect of the `regex` crate.
    ///
    /// # Errors
    ///
    /// One that is beyond our limits, and what is no regular expression.
    #[cfg(feature = "cel")]
    pub(crate) fn cel(&mut self, text: &str) -> Result<Arc<Program>, String> {
        self.program(Dialect::Cel, text.as_bytes())?.ok_or_else(|| {
            "the pattern of matches is no regular expression, or a deep one".to_owned()
        })
    }

    /// Takes over what a flag needs that did not change; `false` if it does not
    /// come to the same within the limits, so that the flag has to be compiled
    /// again. If there was no memory for it, where that ends decides which of its
    /// patterns count.
    pub(crate) fn keep(&mut self, needs: &Needs) -> bool {
        let is_same = match needs.refused_after {
            Some(taken) => self.constraint_bytes == taken,
            None => self.fits(needs.bytes),
        };
        let is_same = is_same
            && needs
                .patterns
                .iter()
                .all(|known| Arc::ptr_eq(&self.know(known.dialect, &known.text), known));
        if is_same && needs.is_held {
            self.constraint_bytes = self.constraint_bytes.saturating_add(needs.bytes);
        }
        is_same
    }

    /// Takes memory for the constraints of the flag that is being compiled.
    ///
    /// # Errors
    ///
    /// There is not so much, see [`exceeded`](Self::exceeded).
    pub(crate) fn take(&mut self, bytes: u64) -> Result<(), String> {
        let bytes = self.of_flag.bytes.saturating_add(bytes);
        self.of_flag.bytes = bytes;
        if !self.fits(bytes) {
            self.of_flag.refused_after = Some(self.constraint_bytes);
        }
        self.exceeded().map_or(Ok(()), Err)
    }

    /// Whether there is so much memory for the constraints of one more flag.
    fn fits(&self, bytes: u64) -> bool {
        let sum = self.constraint_bytes.saturating_add(bytes);
        sum <= self.limits.constraint_set_bytes as u64
    }

    /// Why there is no memory for the constraints of the flag that is being
    /// compiled; `None` if there is. It is the same whatever the other flags of
    /// the set are.
    pub(crate) fn exceeded(&self) -> Option<String> {
        self.of_flag.refused_after.map(|_| {
            let limit = self.limits.constraint_set_bytes;
            format!(
                "the compiled constraints take more memory than those of the flags before it \
                 leave of the {limit} bytes of the limit `constraint_set_bytes`; shorten lists, \
                 or delete flags that are not used"
            )
        })
    }

    /// What the flag needs that was compiled last, and, if it is `valid`, holds
    /// from now on. `None` if it has to be compiled again the next time, because
    /// the system had no thread for it.
    pub(crate) fn take_needs(&mut self, valid: bool) -> Option<Needs> {
        self.known_of_flag.clear();
        let mut needs = std::mem::take(&mut self.of_flag);
        needs.patterns.shrink_to_fit();
        needs.is_held = valid;
        if valid {
            self.constraint_bytes = self.constraint_bytes.saturating_add(needs.bytes);
        }
        (!std::mem::take(&mut self.temporary)).then_some(needs)
    }

    /// Remembers that the flag that is being compiled lacks something that there
    /// may be another time.
    #[cfg(feature = "cel")]
    pub(crate) fn set_temporary(&mut self) {
        self.temporary = true;
    }

    /// What there is to know at the next time.
    pub(crate) fn into_memory(self) -> Memory {
        self.now
    }

    /// The program of a pattern; `None` if its dialect refuses it.
    fn program(&mut self, dialect: Dialect, text: &[u8]) -> Result<Option<Arc<Program>>, String> {
        let known = self.know(dialect, text);
        let program = match &known.outcome {
            Outcome::Program(program) => Ok(Some(Arc::clone(program))),
            Outcome::Invalid => Ok(None),
            Outcome::Refused(why) => Err(why.clone()),
            Outcome::Temporary(why) => {
                self.temporary = true;
                Err(why.clone())
            }
            Outcome::TooLarge(needs) => match self.budget().check(*needs) {
                Err(exceeded) => Err(exceeded.to_string()),
                Ok(()) => Err(Exceeded::States.to_string()),
            },
        };
        // The flag has it once, however many constraints do.
        if self.known_of_flag.insert(Arc::as_ptr(&known).addr()) {
            let bytes = known.bytes();
            self.of_flag.patterns.push(known);
            self.take(bytes)?;
        }
        program
    }

    fn know(&mut self, dialect: Dialect, text: &[u8]) -> Arc<Known> {
        if let Some(known) = self.now.get(dialect, text) {
            return Arc::clone(known);
        }
        let budget = self.budget();
        let before = self.before.and_then(|memory| memory.get(dialect, text));
        let outcome = match before.map(|known| (known, &known.outcome)) {
            Some((_, Outcome::Program(program))) if budget.check(program.bytes()).is_err() => {
                Outcome::TooLarge(program.bytes())
            }
            // There is room for its cache now, or there no longer is.
            Some((_, Outcome::Program(program))) if !program.fits(budget) => {
                self.compile(dialect, text)
            }
            Some((_, Outcome::TooLarge(needs))) if budget.check(*needs).is_ok() => {
                self.compile(dialect, text)
            }
            None | Some((_, Outcome::Temporary(_))) => self.compile(dialect, text),
            Some((known, _)) => return self.add(Arc::clone(known)),
        };
        self.add(Arc::new(Known {
            dialect,
            text: text.into(),
            outcome,
        }))
    }

    fn add(&mut self, known: Arc<Known>) -> Arc<Known> {
        if let Outcome::Program(program) = &known.outcome {
            self.bytes = self.bytes.saturating_add(program.bytes());
            self.cache_bytes = self.cache_bytes.saturating_add(program.cache_bytes());
        }
        self.now.insert(Arc::clone(&known));
        known
    }

    fn budget(&self) -> Budget {
        Budget {
            program: self.limits.regex_program_bytes as u64,
            set: self.limits.regex_set_bytes as u64,
            used: self.bytes,
            cache: (self.limits.regex_cache_bytes as u64).saturating_sub(self.cache_bytes),
        }
    }

    fn compile(&mut self, dialect: Dialect, text: &[u8]) -> Outcome {
        let Ok(text) = std::str::from_utf8(text) else {
            return Outcome::Invalid;
        };
        let outcome = match dialect {
            Dialect::Go => match go_regex::compile(text, self.budget()) {
                Ok(program) => Outcome::Program(Arc::new(program)),
                Err(error) => match error.needs() {
                    Some(needs) => Outcome::TooLarge(needs),
                    None if error.is_temporary() => Outcome::Temporary(error.to_string()),
                    None if error.is_beyond_limits() => Outcome::Refused(error.to_string()),
                    None => Outcome::Invalid,
                },
            },
            #[cfg(feature = "cel")]
            Dialect::Cel => match Program::compile(text, CEL_DEPTH, self.budget()) {
                Ok(program) => Outcome::Program(Arc::new(program)),
                Err(Refusal::Syntax) => Outcome::Invalid,
                Err(Refusal::Beyond(exceeded)) => match exceeded.needs() {
                    Some(needs) => Outcome::TooLarge(needs),
                    None => Outcome::Refused(exceeded.to_string()),
                },
            },
        };
        self.compiled += usize::from(matches!(outcome, Outcome::Program(_)));
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGE: &str = r"[\pL\pN]{1000}";

    /// Whether the pattern matches "ab", and how many programs were compiled for
    /// all of them.
    fn matches(patterns: &mut Patterns<'_>, text: &str) -> Result<Option<bool>, String> {
        let pattern = patterns.go(text.as_bytes().into())?;
        Ok(pattern.program.map(|program| program.is_match("ab")))
    }

    #[test]
    fn a_pattern_is_compiled_once_whatever_became_of_it() {
        let limits = Limits::new();
        let mut before: Option<Memory> = None;
        for round in 0..3 {
            let mut patterns = Patterns::new(&limits, before.as_ref());
            for _ in 0..2 {
                assert_eq!(matches(&mut patterns, "^a"), Ok(Some(true)));
                assert_eq!(matches(&mut patterns, "^b"), Ok(Some(false)));
                assert_eq!(matches(&mut patterns, "a**"), Ok(None), "Go refuses it");
                let error = matches(&mut patterns, LARGE).unwrap_err();
                assert!(error.contains("`regex_program_bytes`"), "{error}");
            }
            let compiled = if round == 0 { 2 } else { 0 };
            assert_eq!(patterns.compiled, compiled, "{round}");
            assert!(patterns.bytes < 8 << 10, "{}", patterns.bytes);
            before = Some(patterns.into_memory());
        }
    }

    #[test]
    fn patterns_beyond_the_budget_of_the_set_are_refused_until_there_is_room() {
        let pattern = |n: usize| format!("{n}{{1}}[a-z]{{100}}");
        let limits = Limits::new().regex_set_bytes(20_000);
        let fits = |patterns: &mut Patterns<'_>, from: usize| {
            (from..10)
                .filter(|n| match matches(patterns, &pattern(*n)) {
                    Ok(_) => true,
                    Err(error) => {
                        assert!(error.contains("`regex_set_bytes`"), "{error}");
                        false
                    }
                })
                .collect::<Vec<_>>()
        };
        let mut patterns = Patterns::new(&limits, None);
        assert_eq!(fits(&mut patterns, 0), [0, 1]);
        assert!(patterns.bytes <= 20_000);
        assert_eq!(fits(&mut patterns, 0), [0, 1], "the same twice count once");
        assert_eq!(patterns.compiled, 2);
        let before = patterns.into_memory();

        // What was compiled gives way to what comes before it.
        let mut patterns = Patterns::new(&limits, Some(&before));
        assert_eq!(fits(&mut patterns, 2), [2, 3]);
        assert_eq!(fits(&mut patterns, 0), [2, 3]);
        assert_eq!(patterns.compiled, 2);
    }

    #[test]
    fn programs_have_caches_as_long_as_there_is_room() {
        const CACHE: u64 = 64 << 10;

        let limits = Limits::new().regex_cache_bytes(2 * usize::try_from(CACHE).unwrap() + 1);
        let cache = |patterns: &mut Patterns<'_>, text: &str| {
            let pattern = patterns.go(text.as_bytes().into()).unwrap();
            let program = pattern.program.unwrap();
            assert!(program.is_match("ab"));
            program.cache_bytes()
        };
        let mut patterns = Patterns::new(&limits, None);
        let caches = ["a", "b", "[ac]", "a"].map(|text| cache(&mut patterns, text));
        assert_eq!(caches, [CACHE, CACHE, 0, CACHE]);
        assert_eq!((patterns.compiled, patterns.cache_bytes), (3, 2 * CACHE));
        let before = patterns.into_memory();

        // One that had none gets one if there is room, and the other way round.
        let mut patterns = Patterns::new(&limits, Some(&before));
        let caches = ["[ac]", "b", "a"].map(|text| cache(&mut patterns, text));
        assert_eq!(caches, [CACHE, CACHE, 0]);
        assert_eq!((patterns.compiled, patterns.cache_bytes), (2, 2 * CACHE));
        let before = patterns.into_memory();

        let mut patterns = Patterns::new(&limits, Some(&before));
        let caches = ["[ac]", "b", "a"].map(|text| cache(&mut patterns, text));
        assert_eq!(caches, [CACHE, CACHE, 0]);
        assert_eq!(patterns.compiled, 0);
    }

    #[test]
    fn a_flag_keeps_its_patterns_only_while_they_come_to_the_same() {
        let limits = Limits::new().regex_set_bytes(10_000);
        let pattern = |n: usize| format!("{n}{{1}}[a-z]{{100}}");
        let mut patterns = Patterns::new(&limits, None);
        matches(&mut patterns, &pattern(0)).unwrap();
        let flag = patterns.take_needs(true).unwrap();
        let before = patterns.into_memory();

        let mut patterns = Patterns::new(&limits, Some(&before));
        assert!(patterns.keep(&flag));
        assert_eq!(patterns.compiled, 0);

        let mut patterns = Patterns::new(&limits, Some(&before));
        matches(&mut patterns, &pattern(1)).unwrap();
        assert!(!patterns.keep(&flag), "there is no room any more");
    }
}
