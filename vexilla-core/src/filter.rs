//! Which flags of a source are held.
//!
//! Filtering saves memory in a service that needs few of many flags. A flag
//! that is left out is unknown here: it answers FLAG_NOT_FOUND, where Flagr
//! would evaluate it.

use std::fmt;
use std::sync::Arc;

use regex_automata::meta::Regex;

use crate::flag::Flag;

/// Which flags are held: those that fulfil every condition set. Without
/// conditions, all.
///
/// ```
/// use vexilla_core::Filter;
///
/// let filter = Filter::new()
///     .only_enabled()
///     .service("checkout")
///     .tag_pattern("team-*");
/// ```
#[derive(Clone, Default)]
pub struct Filter {
    conditions: Vec<Condition>,
}

type Predicate = Arc<dyn Fn(&Flag) -> bool + Send + Sync>;

#[derive(Clone)]
enum Condition {
    Enabled,
    AnyTag(Vec<String>),
    AllTags(Vec<String>),
    TagPattern(Option<Regex>),
    Closure(Predicate),
}

/// What a filter left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct FilterReport {
    /// How many flags.
    pub flags: usize,
    /// About how many bytes: the length of the flags in Flagr's export form.
    pub bytes: usize,
}

impl Filter {
    /// A filter without conditions.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Holds only enabled flags. A disabled flag is then unknown instead of
    /// DISABLED; getters give the default either way.
    #[must_use]
    pub fn only_enabled(self) -> Self {
        self.and(Condition::Enabled)
    }

    /// Holds only flags that are tagged with the name of this service.
    #[must_use]
    pub fn service(self, name: &str) -> Self {
        self.tags_all([name])
    }

    /// Holds only flags that have at least one of these tags.
    #[must_use]
    pub fn tags_any<'a>(self, tags: impl IntoIterator<Item = &'a str>) -> Self {
        self.and(Condition::AnyTag(owned(tags)))
    }

    /// Holds only flags that have all of these tags.
    #[must_use]
    pub fn tags_all<'a>(self, tags: impl IntoIterator<Item = &'a str>) -> Self {
        self.and(Condition::AllTags(owned(tags)))
    }

    /// Holds only flags with a tag of this pattern, in which `*` stands for any
    /// characters and `?` for one.
    #[must_use]
    pub fn tag_pattern(self, pattern: &str) -> Self {
        let mut regex = String::from("(?s)^");
        for c in pattern.chars() {
            match c {
                '*' => regex.push_str(".*"),
                '?' => regex.push('.'),
                other => regex.push_str(&regex_syntax::escape(other.encode_utf8(&mut [0; 4]))),
            }
        }
        regex.push('$');
        // What is left is valid; only an absurdly long pattern is too large.
        self.and(Condition::TagPattern(Regex::new(&regex).ok()))
    }

    /// Holds only flags for which the closure gives `true`. It is called for
    /// each flag at each refresh.
    #[must_use]
    pub fn with(self, holds: impl Fn(&Flag) -> bool + Send + Sync + 'static) -> Self {
        self.and(Condition::Closure(Arc::new(holds)))
    }

    fn and(mut self, condition: Condition) -> Self {
        self.conditions.push(condition);
        self
    }

    /// Whether the flag is held.
    #[must_use]
    pub fn holds(&self, flag: &Flag) -> bool {
        let has = |tag: &String| flag.tags.iter().any(|known| known.value == *tag);
        self.conditions.iter().all(|condition| match condition {
            Condition::Enabled => flag.enabled,
            Condition::AnyTag(tags) => tags.iter().any(has),
            Condition::AllTags(tags) => tags.iter().all(has),
            Condition::TagPattern(pattern) => pattern
                .as_ref()
                .is_some_and(|pattern| flag.tags.iter().any(|tag| pattern.is_match(&tag.value))),
            Condition::Closure(holds) => holds(flag),
        })
    }
}

fn owned<'a>(tags: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    tags.into_iter().map(str::to_owned).collect()
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = f.debug_list();
        for condition in &self.conditions {
            match condition {
                Condition::Enabled => list.entry(&"only enabled"),
                Condition::AnyTag(tags) => list.entry(&("any tag", tags)),
                Condition::AllTags(tags) => list.entry(&("all tags", tags)),
                Condition::TagPattern(pattern) => list.entry(&("tag pattern", pattern)),
                Condition::Closure(_) => list.entry(&"closure"),
            };
        }
        list.finish()
    }
}

impl FilterReport {
    pub(crate) fn add(&mut self, flag: &Flag) {
        let mut length = Length(0);
        // Counting cannot fail.
        let _ = serde_json::to_writer(&mut length, flag);
        self.flags += 1;
        self.bytes += length.0;
    }
}

/// Counts what is written.
struct Length(usize);

impl std::io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flag() -> Flag {
        Flag::new("f").enabled(true).tag("checkout").tag("team-a.b")
    }

    #[test]
    fn every_condition_must_hold() {
        let off = Flag::new("f").tag("checkout");
        assert!(Filter::new().holds(&off));
        assert!(!Filter::new().only_enabled().holds(&off));
        assert!(Filter::new().service("checkout").holds(&off));
        assert!(!Filter::new().service("search").holds(&flag()));
        assert!(Filter::new().tags_any(["x", "checkout"]).holds(&flag()));
        assert!(!Filter::new().tags_any([]).holds(&flag()));
        assert!(!Filter::new().tags_all(["x", "checkout"]).holds(&flag()));
        assert!(Filter::new().tags_all([]).holds(&flag()));
        assert!(
            !Filter::new()
                .service("checkout")
                .with(|flag| flag.key != "f")
                .holds(&flag())
        );
    }

    #[test]
    fn a_pattern_takes_all_but_stars_and_question_marks_literally() {
        for (pattern, holds) in [
            ("team-*", true),
            ("*b", true),
            ("team-a?b", true),
            ("team-a.b", true),
            ("team-a.", false),
            ("team", false),
            ("t.*", false),
            ("*", true),
        ] {
            assert_eq!(
                Filter::new().tag_pattern(pattern).holds(&flag()),
                holds,
                "{pattern}"
            );
        }
    }

    #[test]
    fn the_report_counts_what_is_left_out() {
        let mut report = FilterReport::default();
        report.add(&flag());
        assert_eq!(report.flags, 1);
        assert_eq!(report.bytes, serde_json::to_string(&flag()).unwrap().len());
    }
}
