//! The patterns of a set of flags, and what became of each.
//!
//! Each pattern is compiled once: many constraints have the same, and compiling
//! one costs more than compiling the rest of its flag. What became of a pattern, a
//! refusal included, is known from one set to the next, as long as a flag has it.
//!
//! A flag that turns out to be invalid takes no room from others: what was compiled
//! for it does not count towards the limits. It is [set aside](Aside) where the
//! other flags leave room for it, since flags often have the same patterns.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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

/// What was compiled for flags that are invalid, in the room that the other flags
/// leave.
#[derive(Debug, Default)]
struct Aside {
    patterns: Memory,
    /// The memory of the programs, in bytes.
    program_bytes: u64,
    /// The memory of the rest, in bytes.
    bytes: u64,
}

/// What patterns take of the limits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Taken {
    /// The memory of their programs, in bytes.
    program_bytes: u64,
    /// The memory of the caches of each thread that searches, in bytes.
    cache_bytes: u64,
    /// A hash of the patterns, whatever their order.
    hash: u64,
}

/// Compiles the patterns of a set of flags, as far as they are not known, and
/// keeps count of the memory of all compiled constraints.
#[derive(Debug)]
pub(crate) struct Patterns<'m> {
    limits: &'m Limits,
    before: Option<&'m Memory>,
    /// Those of the flags that are valid, and of the one that is being compiled.
    now: Memory,
    /// What the patterns of `now` take.
    taken: Taken,
    /// What the patterns of the flags before this one take.
    taken_before: Taken,
    /// Patterns that no flag before this one has.
    added: Vec<Arc<Known>>,
    aside: Aside,
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
    /// Its patterns, if it is valid.
    patterns: Vec<Arc<Known>>,
    /// The memory of its compiled constraints, in bytes: as far as they were
    /// compiled.
    bytes: u64,
    /// There was not so much memory.
    is_refused: bool,
    /// It has that memory: else it is invalid.
    is_held: bool,
    /// What the flags before it had taken, if it is invalid and has patterns: they
    /// may be why.
    invalid_after: Option<Taken>,
}

impl Known {
    /// The memory of its program, in bytes.
    fn program_bytes(&self) -> u64 {
        match &self.outcome {
            Outcome::Program(program) => program.bytes(),
            _ => 0,
        }
    }

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

    fn remove(&mut self, known: &Known) -> Option<Arc<Known>> {
        match known.dialect {
            Dialect::Go => self.go.remove(&known.text),
            #[cfg(feature = "cel")]
            Dialect::Cel => self.cel.remove(&known.text),
        }
    }

    fn extend(&mut self, mut other: Self) {
        self.go.append(&mut other.go);
        #[cfg(feature = "cel")]
        self.cel.append(&mut other.cel);
    }
}

impl Aside {
    fn insert(&mut self, known: Arc<Known>) {
        self.program_bytes = self.program_bytes.saturating_add(known.program_bytes());
        self.bytes = self.bytes.saturating_add(known.bytes());
        self.patterns.insert(known);
    }

    fn remove(&mut self, known: &Known) {
        if let Some(known) = self.patterns.remove(known) {
            self.program_bytes = self.program_bytes.saturating_sub(known.program_bytes());
            self.bytes = self.bytes.saturating_sub(known.bytes());
        }
    }
}

impl Taken {
    fn add(&mut self, known: &Known) {
        if let Outcome::Program(program) = &known.outcome {
            self.program_bytes = self.program_bytes.saturating_add(program.bytes());
            self.cache_bytes = self.cache_bytes.saturating_add(program.cache_bytes());
        }
        let mut hasher = DefaultHasher::new();
        (known.dialect, &known.text).hash(&mut hasher);
        self.hash = self.hash.wrapping_add(hasher.finish());
    }
}

impl<'m> Patterns<'m> {
    /// Patterns within limits; those that `before` has are not compiled again.
    pub(crate) fn new(limits: &'m Limits, before: Option<&'m Memory>) -> Self {
        Self {
            limits,
            before,
            now: Memory::default(),
            taken: Taken::default(),
            taken_before: Taken::default(),
            added: Vec::new(),
            aside: Aside::default(),
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
    /// come to the same within the limits. Then the flag has to be compiled again,
    /// and it has to be the next one: its patterns may have been added already.
    pub(crate) fn keep(&mut self, needs: &Needs) -> bool {
        let invalid_after = needs.invalid_after;
        let is_same = self.fits(needs.bytes) != needs.is_refused
            && invalid_after.is_none_or(|taken| taken == self.taken_before)
            && needs
                .patterns
                .iter()
                .all(|known| Arc::ptr_eq(&self.know(known.dialect, &known.text), known));
        if is_same && needs.is_held {
            self.hold(needs.bytes);
        }
        is_same
    }

    /// Counts a flag that is valid.
    fn hold(&mut self, bytes: u64) {
        self.constraint_bytes = self.constraint_bytes.saturating_add(bytes);
        self.taken_before = self.taken;
        self.added.clear();
    }

    /// Sets aside what was compiled for a flag that is invalid.
    fn give_back(&mut self) {
        self.taken = self.taken_before;
        for known in std::mem::take(&mut self.added) {
            self.now.remove(&known);
            if self.has_room_aside(known.program_bytes(), known.bytes()) {
                self.aside.insert(known);
            }
        }
    }

    /// Whether the flags leave room for what is set aside and so many bytes more.
    fn has_room_aside(&self, program_bytes: u64, bytes: u64) -> bool {
        let (programs, rest) = (
            self.taken.program_bytes.saturating_add(program_bytes),
            bytes.saturating_add(self.of_flag.bytes),
        );
        programs.saturating_add(self.aside.program_bytes) <= self.limits.regex_set_bytes as u64
            && self.fits(rest.saturating_add(self.aside.bytes))
    }

    /// Forgets what is set aside, if the flags need its room.
    fn make_room(&mut self) {
        if !self.has_room_aside(0, 0) {
            self.aside = Aside::default();
        }
    }

    /// Takes memory for the constraints of the flag that is being compiled.
    ///
    /// # Errors
    ///
    /// There is not so much, see [`exceeded`](Self::exceeded).
    pub(crate) fn take(&mut self, bytes: u64) -> Result<(), String> {
        let bytes = self.of_flag.bytes.saturating_add(bytes);
        self.of_flag.bytes = bytes;
        if self.fits(bytes) {
            self.make_room();
        } else {
            self.of_flag.is_refused = true;
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
        self.of_flag.is_refused.then(|| {
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
        needs.is_held = valid;
        if valid {
            needs.patterns.shrink_to_fit();
            self.hold(needs.bytes);
        } else {
            let patterns = std::mem::take(&mut needs.patterns);
            needs.invalid_after = (!patterns.is_empty()).then_some(self.taken_before);
            self.give_back();
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
    pub(crate) fn into_memory(mut self) -> Memory {
        self.now.extend(self.aside.patterns);
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
        let aside = self.aside.patterns.get(dialect, text);
        let before = aside.or_else(|| self.before?.get(dialect, text)).cloned();
        let outcome = match before.as_ref().map(|known| (known, &known.outcome)) {
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
        self.aside.remove(&known);
        self.taken.add(&known);
        self.added.push(Arc::clone(&known));
        self.now.insert(Arc::clone(&known));
        self.make_room();
        known
    }

    fn budget(&self) -> Budget {
        Budget {
            program: self.limits.regex_program_bytes as u64,
            set: self.limits.regex_set_bytes as u64,
            used: self.taken.program_bytes,
            cache: (self.limits.regex_cache_bytes as u64).saturating_sub(self.taken.cache_bytes),
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
            let bytes = patterns.taken.program_bytes;
            assert!(bytes < 8 << 10, "{bytes}");
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
        assert!(patterns.taken.program_bytes <= 20_000);
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
        assert_eq!(
            (patterns.compiled, patterns.taken.cache_bytes),
            (3, 2 * CACHE)
        );
        let before = patterns.into_memory();

        // One that had none gets one if there is room, and the other way round.
        let mut patterns = Patterns::new(&limits, Some(&before));
        let caches = ["[ac]", "b", "a"].map(|text| cache(&mut patterns, text));
        assert_eq!(caches, [CACHE, CACHE, 0]);
        assert_eq!(
            (patterns.compiled, patterns.taken.cache_bytes),
            (2, 2 * CACHE)
        );
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
    /// Compiles a flag with these patterns, which may be invalid for another reason.
    fn flag(patterns: &mut Patterns<'_>, texts: &[String], valid: bool) -> Needs {
        let compiled = texts.iter().filter(|text| matches(patterns, text).is_ok());
        let fits = compiled.count() == texts.len();
        patterns.take_needs(valid && fits).unwrap()
    }

    #[test]
    fn an_invalid_flag_takes_no_room_and_is_known_as_long_as_it_is_the_same() {
        let limits = Limits::new().regex_set_bytes(20_000);
        let pattern = |n: usize| format!("{n}{{1}}[a-z]{{100}}");
        let (first, second) = ([pattern(0), pattern(1)], [pattern(2), pattern(3)]);
        let large = [pattern(4), LARGE.to_owned()];
        let (mut before, mut flags) = (None, Vec::new());
        for round in 0..3 {
            let mut patterns = Patterns::new(&limits, before.as_ref());
            if round == 0 {
                for (texts, valid) in [(&first, false), (&large, true), (&second, true)] {
                    flags.push(flag(&mut patterns, texts, valid));
                }
            }
            for needs in flags.iter().filter(|_| round > 0) {
                assert!(patterns.keep(needs), "{round}");
            }
            let held: Vec<_> = flags.iter().map(|needs| needs.is_held).collect();
            assert_eq!(held, [false, false, true], "{round}");
            assert_eq!(patterns.compiled, if round == 0 { 5 } else { 0 });
            // Those of the invalid flags do not stay beside the others.
            assert_eq!(patterns.aside.program_bytes, 0);
            let bytes = patterns.taken.program_bytes;
            assert!((10_000..=20_000).contains(&bytes), "{bytes}");
            assert!(flags[..2].iter().all(|needs| needs.patterns.is_empty()));
            let memory = patterns.into_memory();
            assert_eq!(memory.go.len(), 2, "{round}");
            before = Some(memory);
        }
    }

    #[test]
    fn patterns_of_invalid_flags_are_compiled_once_while_there_is_room() {
        let limits = Limits::new();
        let texts = ["^a".to_owned(), LARGE.to_owned()];
        let mut patterns = Patterns::new(&limits, None);
        let flags: Vec<_> = (0..3).map(|_| flag(&mut patterns, &texts, true)).collect();
        assert_eq!(patterns.compiled, 1);
        assert_eq!(
            (patterns.taken, patterns.constraint_bytes),
            (Taken::default(), 0)
        );
        assert!(patterns.aside.program_bytes > 0);
        let before = patterns.into_memory();

        // A change of another flag has them looked at again, and not compiled.
        let mut patterns = Patterns::new(&limits, Some(&before));
        flag(&mut patterns, &["^b".to_owned()], true);
        for needs in &flags {
            assert!(!patterns.keep(needs));
            flag(&mut patterns, &texts, true);
        }
        assert_eq!(patterns.compiled, 1);
        // One that is valid has what was set aside.
        assert!(flag(&mut patterns, &texts[..1], true).is_held);
        assert_eq!(patterns.compiled, 1);
        assert_eq!(patterns.aside.program_bytes, 0);
    }
}
