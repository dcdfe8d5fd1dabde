//! What a breaker should do, told from the whole history each time it is asked.

use std::time::{Duration, Instant};

use super::super::{BreakerState, Outcome};

/// A breaker that remembers all that ever happened and nothing else.
#[derive(Debug)]
pub(super) struct Model {
    failures: usize,
    successes: usize,
    probe_limit: Duration,
    history: Vec<Event>,
}

#[derive(Debug, Clone, Copy)]
enum Event {
    /// A call went.
    Began(Instant),
    /// The call that began as event number `call` ended. Should this open the
    /// breaker, then for so long.
    Ended {
        call: usize,
        outcome: Outcome,
        at: Instant,
        open_for: Duration,
    },
}

/// What the history amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Now {
    Closed,
    Open { since: Instant, time: Duration },
    HalfOpen,
}

impl Model {
    pub(super) fn new(failures: usize, successes: usize, probe_limit: Duration) -> Self {
        Self {
            failures: failures.max(1),
            successes: successes.max(1),
            probe_limit,
            history: Vec::new(),
        }
    }

    /// A call goes; its number.
    pub(super) fn begin(&mut self, now: Instant) -> usize {
        self.history.push(Event::Began(now));
        self.history.len() - 1
    }

    pub(super) fn end(&mut self, call: usize, outcome: Outcome, at: Instant, open_for: Duration) {
        self.history.push(Event::Ended {
            call,
            outcome,
            at,
            open_for,
        });
    }

    pub(super) fn state(&self, now: Instant) -> BreakerState {
        match self.replay().0 {
            Now::Closed => BreakerState::Closed,
            Now::Open { since, time } if elapsed(since, now) < time => BreakerState::Open,
            Now::Open { .. } | Now::HalfOpen => BreakerState::HalfOpen,
        }
    }

    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        let wait = match self.replay().0 {
            Now::Closed => Duration::ZERO,
            Now::Open { since, time } => time.saturating_sub(elapsed(since, now)),
            Now::HalfOpen => match self.last_call() {
                Some((call, began)) if !self.ended(call) => {
                    self.probe_limit.saturating_sub(elapsed(began, now))
                }
                _ => Duration::ZERO,
            },
        };
        (wait > Duration::ZERO).then_some(wait)
    }

    /// Whether a report of this call would count.
    pub(super) fn counts(&self, call: usize) -> bool {
        let (state, start) = self.replay();
        call >= start && (state != Now::HalfOpen || self.is_last(call, self.history.len()))
    }

    /// The state, and the event from which on calls belong to it.
    fn replay(&self) -> (Now, usize) {
        let (mut state, mut start) = (Now::Closed, 0);
        // Of the calls that count in this state.
        let mut outcomes = Vec::new();
        for (number, event) in self.history.iter().enumerate() {
            let Event::Ended {
                call,
                outcome,
                at,
                open_for,
            } = *event
            else {
                if let Now::Open { .. } = state {
                    // The first probe.
                    (state, start) = (Now::HalfOpen, number);
                    outcomes.clear();
                }
                continue;
            };
            let replaced = state == Now::HalfOpen && !self.is_last(call, number);
            if call < start || replaced {
                continue;
            }
            outcomes.push(outcome);
            let open = Now::Open {
                since: at,
                time: open_for,
            };
            state = match state {
                Now::Closed if in_a_row(&outcomes, Outcome::Failure) == self.failures => open,
                Now::HalfOpen if outcome == Outcome::Failure => open,
                Now::HalfOpen if in_a_row(&outcomes, Outcome::Success) == self.successes => {
                    Now::Closed
                }
                _ => continue,
            };
            start = number + 1;
            outcomes.clear();
        }
        (state, start)
    }

    /// Whether this call is the last of those before event number `end`.
    fn is_last(&self, call: usize, end: usize) -> bool {
        let mut later = self.history.iter().take(end).skip(call + 1);
        !later.any(|event| matches!(event, Event::Began(_)))
    }

    fn last_call(&self) -> Option<(usize, Instant)> {
        let mut events = self.history.iter().enumerate().rev();
        events.find_map(|(number, event)| match event {
            Event::Began(at) => Some((number, *at)),
            Event::Ended { .. } => None,
        })
    }

    /// Whether the outcome of this call was reported.
    pub(super) fn ended(&self, wanted: usize) -> bool {
        let mut events = self.history.iter();
        events.any(|event| matches!(event, Event::Ended { call, .. } if *call == wanted))
    }
}

/// How many of the last outcomes are this one, cancelled calls apart.
fn in_a_row(outcomes: &[Outcome], wanted: Outcome) -> usize {
    let outcomes = outcomes.iter().rev();
    outcomes
        .filter(|outcome| **outcome != Outcome::Cancelled)
        .take_while(|outcome| **outcome == wanted)
        .count()
}

fn elapsed(since: Instant, now: Instant) -> Duration {
    if now > since {
        now - since
    } else {
        Duration::ZERO
    }
}
