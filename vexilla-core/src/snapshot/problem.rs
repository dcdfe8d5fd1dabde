//! What is wrong with one flag, in a bounded number of words.

use crate::excerpt::beginning;

/// The most bytes of a flag's problem: what is longer is cut.
pub(crate) const MAX_PROBLEM: usize = 1 << 10;

/// Sentences about what is wrong with one flag, joined as they come. They are
/// as many as fit into [`MAX_PROBLEM`] bytes.
#[derive(Default)]
pub(super) struct Problems {
    joined: String,
    /// How many did not fit, or not as a whole.
    more: usize,
}

impl Problems {
    /// The faults of a definition.
    pub(super) fn of(faults: &[String]) -> Self {
        let mut problems = Self::default();
        faults.iter().for_each(|fault| problems.push(|| fault));
        problems
    }

    /// Adds a sentence, which is made only if there is room for it.
    pub(super) fn push<S: AsRef<str>>(&mut self, sentence: impl FnOnce() -> S) {
        // Room for what `joined` adds.
        const MOST: usize = MAX_PROBLEM - 64;
        if self.more > 0 {
            self.more += 1;
            return;
        }
        if !self.joined.is_empty() {
            self.joined.push_str("; ");
        }
        let sentence = sentence();
        let sentence = sentence.as_ref();
        let kept = beginning(sentence, MOST.saturating_sub(self.joined.len()));
        self.joined.push_str(kept);
        if kept.len() < sentence.len() {
            self.joined.push('…');
            self.more = 1;
        }
    }

    /// All that was said; `None` if nothing is wrong.
    pub(super) fn joined(self) -> Option<String> {
        let Self { mut joined, more } = self;
        if more > 1 {
            joined.push_str(&format!("; and {} more problems", more - 1));
        }
        (!joined.is_empty()).then_some(joined)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_joined_up_to_their_limit() {
        assert_eq!(Problems::of(&[]).joined(), None);
        let two = ["one".to_owned(), "two".to_owned()];
        assert_eq!(Problems::of(&two).joined().as_deref(), Some("one; two"));

        let mut problems = Problems::default();
        (0..100_000).for_each(|_| problems.push(|| "é".repeat(300)));
        let joined = problems.joined().unwrap();
        assert!(joined.len() <= MAX_PROBLEM, "{}", joined.len());
        assert!(joined.ends_with("é…; and 99998 more problems"), "{joined}");
    }

    #[test]
    fn what_does_not_fit_is_not_made() {
        let mut problems = Problems::default();
        problems.push(|| "x".repeat(5 * MAX_PROBLEM));
        problems.push(|| -> String { panic!("there is no room for it") });
        assert!(problems.joined().is_some());
    }
}
