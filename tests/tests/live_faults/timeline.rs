//! What a service served over a time.

use std::time::{Duration, Instant};

use vexilla_core::Level;

use crate::report::seconds;

/// What a service serves at one moment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    /// Flags that should be there and are not.
    pub(crate) missing: usize,
    /// Flags that answer something else than they should, missing ones aside.
    pub(crate) wrong: usize,
    pub(crate) level: Level,
    pub(crate) error: Option<String>,
}

impl Sample {
    /// Whether every flag answers what it should.
    pub(crate) fn is_right(&self) -> bool {
        self.missing == 0 && self.wrong == 0
    }

    /// Whether the flags are right, and the status says nothing else.
    pub(crate) fn is_well(&self) -> bool {
        self.is_right() && self.level == Level::Live && self.error.is_none()
    }

    /// Whether the level says that something is wrong, with a reason.
    pub(crate) fn is_loud(&self) -> bool {
        self.level != Level::Live && self.error.is_some()
    }
}

/// Samples, each from when it was first seen until the next one.
#[derive(Debug)]
pub(crate) struct Timeline {
    start: Instant,
    end: Instant,
    samples: Vec<(Instant, Sample)>,
}

impl Timeline {
    /// A part of all samples: from the last one before the start.
    pub(crate) fn new(all: &[(Instant, Sample)], start: Instant, end: Instant) -> Self {
        let after = all.partition_point(|(at, _)| *at <= start);
        let before_end = all.partition_point(|(at, _)| *at <= end);
        let samples = all[after.saturating_sub(1)..before_end].to_vec();
        Self {
            start,
            end,
            samples,
        }
    }

    /// For how long this was so.
    pub(crate) fn time(&self, so: impl Fn(&Sample) -> bool) -> Duration {
        let ends = self.samples.iter().skip(1).map(|(at, _)| *at);
        let ends = ends.chain([self.end]);
        let lasting = self.samples.iter().zip(ends);
        lasting
            .filter(|((_, sample), _)| so(sample))
            .map(|((at, _), end)| end.saturating_duration_since((*at).max(self.start)))
            .sum()
    }

    /// The share of the time in which this was so, in percent.
    pub(crate) fn percent(&self, so: impl Fn(&Sample) -> bool) -> f64 {
        let all = self.end.saturating_duration_since(self.start);
        100.0 * self.time(so).as_secs_f64() / all.as_secs_f64()
    }

    /// The most flags that were missing at once.
    pub(crate) fn most_missing(&self) -> usize {
        let missing = self.samples.iter().map(|(_, sample)| sample.missing);
        missing.max().unwrap_or(0)
    }

    /// When this was first so, from the start on, and the sample.
    pub(crate) fn first(&self, so: impl Fn(&Sample) -> bool) -> Option<(Duration, &Sample)> {
        let (at, sample) = self.samples.iter().find(|(_, sample)| so(sample))?;
        Some((at.saturating_duration_since(self.start), sample))
    }

    /// How many flags were missing, and for how long any was.
    pub(crate) fn losses(&self) -> String {
        match self.most_missing() {
            0 => "0 flags missing".to_owned(),
            most => {
                let time = seconds(self.time(|sample| sample.missing > 0));
                format!("{most} flags missing, for {time}")
            }
        }
    }

    /// The first reason that a level other than live gave, shortened.
    pub(crate) fn reason(&self) -> String {
        match self.first(Sample::is_loud) {
            Some((after, sample)) => {
                let error = sample.error.as_deref().unwrap_or_default();
                let short: String = error.chars().take(160).collect();
                format!("{} after {}: “{short}”", sample.level, seconds(after))
            }
            None => "silent".to_owned(),
        }
    }
}
