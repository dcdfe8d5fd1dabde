//! Levels, the mark of staleness and what is served, over generated histories,
//! with and without somebody who looks at the time.

use proptest::prelude::*;
use tokio::time::advance;

use super::*;
use crate::flag::Flag;
use crate::source::SourceErrorKind;

const LIVE_FOR: Duration = Duration::from_secs(30);
const MAX_STALE: Duration = Duration::from_secs(120);

#[derive(Debug, Clone)]
enum Event {
    Success,
    Failure,
    /// A copy of this age is read, or of an unknown one; only at the start.
    Restore(Option<u64>),
    /// So many milliseconds pass, and nobody looks.
    Pass(u64),
    /// Somebody pins the flags.
    Pin,
    /// The loop looks at the time.
    Tick,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        2 => Just(Event::Success),
        2 => Just(Event::Failure),
        3 => prop_oneof![0..2_000_u64, 0..60_000_u64, 0..300_000_u64].prop_map(Event::Pass),
        3 => Just(Event::Pin),
        2 => Just(Event::Tick),
    ];
    let age = proptest::option::of(0..200_u64);
    let start = prop_oneof![
        Just(Event::Success),
        age.prop_map(Event::Restore),
        Just(Event::Pin)
    ];
    (start, prop::collection::vec(event, 0..40)).prop_map(|(start, mut events)| {
        events.insert(0, start);
        events
    })
}

/// What a history must lead to, said in another way than the code does.
#[derive(Default)]
struct Model {
    /// When the flags were right, in milliseconds of the test, if that is known,
    /// and whether they are a copy's.
    held: Option<(Option<i64>, bool)>,
    /// When somebody first looked at flags that are too old.
    noticed: Option<i64>,
    defaults: bool,
}

impl Model {
    fn too_old(&self, now: i64) -> bool {
        let most = i64::try_from(MAX_STALE.as_millis()).unwrap();
        match self.held {
            None => true,
            Some((right, _)) => right.is_none_or(|right| now - right > most),
        }
    }
}

fn check(limited: bool, events: &[Event]) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let store = Arc::new(Store::default());
    let fallback = Fallback::default();
    let flags = Arc::new(Snapshot::new([Flag::boolean("new", true)]));
    let freshness = Freshness {
        live_for: LIVE_FOR,
        max_stale: limited.then_some(MAX_STALE),
    };
    runtime.block_on(async {
        let name = "generated".to_owned();
        let book = Degradation::new(name, Arc::clone(&store), freshness, fallback, None);
        let mut model = Model {
            defaults: true,
            ..Model::default()
        };
        let mut now = 0_i64;
        for event in events {
            match event {
                Event::Success => {
                    book.succeeded(Arc::clone(&flags), None, |_| {});
                    model.held = Some((Some(now), false));
                }
                Event::Failure => {
                    book.failed(&SourceError::new(SourceErrorKind::Timeout, "no answer"));
                }
                Event::Restore(age) => {
                    book.restored(Arc::clone(&flags), age.map(Duration::from_secs));
                    let right = age.map(|age| now - i64::try_from(age * 1_000).unwrap());
                    model.held = Some((right, true));
                }
                Event::Pass(millis) => {
                    advance(Duration::from_millis(*millis)).await;
                    now += i64::try_from(*millis).unwrap();
                    continue;
                }
                Event::Pin => drop(store.pin()),
                Event::Tick => book.tick(),
            }
            // Any of these has looked at the time.
            let too_old = limited && model.too_old(now);
            if !too_old {
                model.noticed = None;
                model.defaults = model.held.is_none();
            } else if !model.defaults {
                let noticed = *model.noticed.get_or_insert(now);
                // At once is right only where checks failed and that was seen.
                if now - noticed > 1_000 {
                    model.defaults = true;
                }
            }
            let (pinned, status) = (store.pin(), book.status());
            let served = pinned.served();
            prop_assert_eq!(served.stale, status.level != Level::Live);
            let defaults = status.level == Level::Defaults;
            prop_assert_eq!(served.snapshot.len(), usize::from(!defaults));
            prop_assert_eq!(served.emergency.is_some(), defaults);
            if model.defaults {
                prop_assert!(defaults, "flags that are too old are served on");
            }
            if defaults && !model.defaults {
                // Sooner than a second: in an outage that was seen to begin.
                let waited = model.noticed.is_some_and(|noticed| now - noticed == 1_000);
                prop_assert!(too_old && (waited || status.consecutive_failures > 0));
                model.defaults = true;
            }
            let age = model
                .held
                .and_then(|(right, _)| right)
                .map(|right| now - right);
            if let (Some(age), Some((_, copy))) = (age, model.held)
                && !defaults
            {
                let live = !copy && age <= i64::try_from(LIVE_FOR.as_millis()).unwrap();
                prop_assert_eq!(status.level == Level::Live, live);
                prop_assert_eq!(status.level == Level::Restored, copy);
            }
            // Whoever sleeps until time has an effect is not kept busy.
            let lasts = book.lasts();
            prop_assert!(lasts.is_none_or(|lasts| lasts > Duration::ZERO));
            prop_assert!(!defaults || lasts.is_none());
        }
        Ok(())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn pins_and_status_follow_the_clock(limited: bool, events in events()) {
        check(limited, &events)?;
    }
}

/// A reader must neither wait for whoever writes the book, nor take flags for
/// fresh meanwhile.
#[tokio::test(start_paused = true)]
async fn while_the_book_is_locked_a_pin_is_stale_all_the_same() {
    let store = Arc::new(Store::default());
    let freshness = Freshness {
        live_for: LIVE_FOR,
        max_stale: None,
    };
    let name = "locked".to_owned();
    let book = Degradation::new(
        name,
        Arc::clone(&store),
        freshness,
        Fallback::default(),
        None,
    );
    book.succeeded(Arc::default(), None, |_| {});
    assert!(!store.pin().served().stale);
    advance(LIVE_FOR + Duration::from_millis(1)).await;
    let locked = book.book();
    assert!(store.pin().served().stale);
    drop(locked);
    assert!(!store.current().stale, "not yet in place");
    assert!(store.pin().served().stale && store.current().stale);
}
