//! Generated histories: what the breaker does is what the model says, and the
//! promises hold whatever happened.

use proptest::prelude::*;

use super::model::Model;
use super::*;

#[derive(Debug, Clone, Copy)]
enum Step {
    /// A call is asked for; its permit is kept.
    Call,
    /// One of the kept permits is reported.
    Report(prop::sample::Index, Outcome, f64),
    /// One of the kept permits is dropped.
    Forget(prop::sample::Index),
    /// Time goes on. As far as an instant can tell.
    Pass(Duration),
    /// Time goes on to when a call may go, or to just before.
    Wait { short_of: Duration },
    /// The clock says less than it did, as one read by another thread may.
    Back(Duration),
}

fn times() -> impl Strategy<Value = Duration> {
    prop_oneof![
        6 => (0_u64..2_000).prop_map(|tenths| Duration::from_millis(tenths * 100)),
        2 => Just(Duration::ZERO),
        1 => any::<u32>().prop_map(|nanos| Duration::from_nanos(nanos.into())),
        1 => (0_u64..10_000_000_000).prop_map(Duration::from_secs),
        1 => Just(Duration::MAX),
    ]
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        4 => Just(Outcome::Failure),
        3 => Just(Outcome::Success),
        1 => Just(Outcome::Cancelled),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => Just(Step::Call),
        6 => (any::<prop::sample::Index>(), outcomes(), 0.0..1.0_f64)
            .prop_map(|(which, outcome, random)| Step::Report(which, outcome, random)),
        1 => any::<prop::sample::Index>().prop_map(Step::Forget),
        2 => times().prop_map(Step::Pass),
        3 => prop_oneof![Just(Duration::ZERO), Just(Duration::from_nanos(1))]
            .prop_map(|short_of| Step::Wait { short_of }),
        1 => times().prop_map(Step::Back),
    ];
    prop::collection::vec(step, 0..120)
}

#[derive(Debug, Clone)]
struct Settings {
    failures: u32,
    successes: u32,
    open_for: Duration,
    probe_limit: Duration,
}

impl Settings {
    fn policy(&self) -> BreakerPolicy {
        BreakerPolicy::new()
            .failures(self.failures)
            .successes(self.successes)
            .open_for(self.open_for)
            .probe_limit(self.probe_limit)
    }

    /// The longest that nothing may go.
    fn longest_wait(&self) -> Duration {
        let open = self.open_for.as_secs_f64() * 1.2;
        let open = Duration::try_from_secs_f64(open).unwrap_or(Duration::MAX);
        open.max(self.probe_limit)
    }
}

fn settings() -> impl Strategy<Value = Settings> {
    (0_u32..5, 0_u32..4, times(), times()).prop_map(
        |(failures, successes, open_for, probe_limit)| Settings {
            failures,
            successes,
            open_for,
            probe_limit,
        },
    )
}

/// A breaker, the model that it is held against, and what is under way.
struct Run {
    settings: Settings,
    breaker: Breaker,
    model: Model,
    now: Instant,
    /// The latest time that was seen.
    latest: Instant,
    under_way: Vec<(Permit, usize)>,
}

impl Run {
    fn new(settings: Settings) -> Self {
        // Some way from the first instant, so that clocks can go back.
        let now = Instant::now() + Duration::from_secs(1_000_000);
        Self {
            breaker: Breaker::new(settings.policy()),
            model: Model::new(
                settings.failures as usize,
                settings.successes as usize,
                settings.probe_limit,
            ),
            settings,
            now,
            latest: now,
            under_way: Vec::new(),
        }
    }

    fn over(settings: Settings, steps: Vec<Step>) -> Result<Self, TestCaseError> {
        let mut run = Self::new(settings);
        for step in steps {
            run.step(step)?;
        }
        run.now = run.latest;
        Ok(run)
    }

    fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Call => {
                let expected = self.model.wait(self.now);
                let answer = self.breaker.try_call(self.now);
                prop_assert_eq!(answer.as_ref().err().copied(), expected);
                if let Ok(permit) = answer {
                    self.under_way.push((permit, self.model.begin(self.now)));
                }
            }
            Step::Report(which, outcome, random) if !self.under_way.is_empty() => {
                let (permit, call) = self.take(which);
                self.breaker.report(permit, outcome, self.now, random);
                let open_for = jittered(self.settings.open_for, 0.8, 1.2, random);
                self.model.end(call, outcome, self.now, open_for);
            }
            Step::Forget(which) if !self.under_way.is_empty() => drop(self.take(which)),
            Step::Report(..) | Step::Forget(_) => {}
            Step::Pass(time) => self.now = self.now.checked_add(time).unwrap_or(self.now),
            Step::Wait { short_of } => {
                let wait = self.model.wait(self.now).unwrap_or_default();
                let time = wait.saturating_sub(short_of);
                self.now = self.now.checked_add(time).unwrap_or(self.now);
            }
            Step::Back(time) => self.now = self.now.checked_sub(time).unwrap_or(self.now),
        }
        self.latest = self.latest.max(self.now);
        prop_assert_eq!(self.breaker.state(self.now), self.model.state(self.now));
        prop_assert_eq!(self.breaker.wait(self.now), self.model.wait(self.now));
        Ok(())
    }

    fn take(&mut self, which: prop::sample::Index) -> (Permit, usize) {
        self.under_way
            .swap_remove(which.index(self.under_way.len()))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn it_does_what_the_whole_history_says(settings in settings(), steps in steps()) {
        Run::over(settings, steps)?;
    }

    #[test]
    fn whatever_happened_a_call_may_go_within_the_open_time_or_the_limit_of_a_probe(
        settings in settings(),
        steps in steps(),
    ) {
        let mut run = Run::over(settings, steps)?;
        let wait = run.breaker.wait(run.now).unwrap_or_default();
        prop_assert!(wait <= run.settings.longest_wait());
        if let Some(now) = run.now.checked_add(wait) {
            prop_assert!(run.breaker.try_call(now).is_ok());
        }
    }

    #[test]
    fn whatever_happened_a_server_that_is_back_closes_it(
        settings in settings(),
        steps in steps(),
    ) {
        let mut run = Run::over(settings, steps)?;
        for _ in 0..run.settings.successes.max(1) {
            let wait = run.breaker.wait(run.now).unwrap_or_default();
            let Some(now) = run.now.checked_add(wait) else { return Ok(()) };
            run.now = now;
            let permit = run.breaker.try_call(now);
            prop_assert!(permit.is_ok());
            run.breaker.report(permit.unwrap(), Outcome::Success, now, 0.5);
        }
        prop_assert_eq!(run.breaker.state(run.now), BreakerState::Closed);
    }

    #[test]
    fn whatever_happened_a_server_that_is_gone_is_left_alone(
        settings in settings(),
        steps in steps(),
        random in 0.0..1.0_f64,
    ) {
        let mut run = Run::over(settings, steps)?;
        let closed = run.breaker.state(run.now) == BreakerState::Closed;
        let most = if closed { run.settings.failures.max(1) } else { 1 };
        let wait = run.breaker.wait(run.now).unwrap_or_default();
        let Some(now) = run.now.checked_add(wait) else { return Ok(()) };
        let mut calls = 0;
        while let Ok(permit) = run.breaker.try_call(now) {
            calls += 1;
            prop_assert!(calls <= most);
            run.breaker.report(permit, Outcome::Failure, now, random);
            if run.settings.open_for.is_zero() {
                break;
            }
        }
        let least = run.settings.open_for.mul_f64(0.799_999);
        prop_assert!(run.breaker.wait(now).unwrap_or_default() >= least);
    }

    #[test]
    fn no_call_goes_while_open_and_probes_go_one_at_a_time(
        settings in settings(),
        steps in steps(),
    ) {
        let mut run = Run::new(settings);
        // When the last probe went, if nothing was heard of it.
        let mut probe: Option<(usize, Instant)> = None;
        for step in steps {
            let (before, calls) = (run.breaker.state(run.now), run.under_way.len());
            run.step(step)?;
            if run.under_way.len() > calls {
                prop_assert_ne!(before, BreakerState::Open);
                if let Some((_, went)) = probe {
                    let since = run.now.saturating_duration_since(went);
                    prop_assert!(since >= run.settings.probe_limit);
                }
                let (_, call) = run.under_way.last().unwrap();
                probe = (before == BreakerState::HalfOpen).then_some((*call, run.now));
            }
            probe = probe.filter(|(call, _)| !run.model.ended(*call));
        }
    }

    #[test]
    fn reports_that_come_too_late_change_nothing(
        settings in settings(),
        steps in steps(),
        outcome in outcomes(),
        random in 0.0..1.0_f64,
    ) {
        let mut run = Run::over(settings, steps)?;
        let before = format!("{:?}", run.breaker);
        for (permit, call) in run.under_way {
            if !run.model.counts(call) {
                run.breaker.report(permit, outcome, run.now, random);
            }
        }
        prop_assert_eq!(format!("{:?}", run.breaker), before);
    }
}
