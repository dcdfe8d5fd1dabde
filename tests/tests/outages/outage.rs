//! An outage, and what a service must be like before, during and after it.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::time::timeout;
use vexilla_core::status::BreakerState;
use vexilla_core::{Context, FlagrSource, Level, Status, Vexilla, VexillaBuilder};
use vexilla_tests::fake_flagr::{Answer, FakeFlagr, GUARD, Route, key, until};

use crate::log;

/// How many flags are known.
pub(crate) const FLAGS: u64 = 40;
const POLL: Duration = Duration::from_millis(50);
const REQUEST: Duration = Duration::from_millis(200);
/// The longest pause that the server may ask for.
const PAUSE: Duration = Duration::from_millis(150);
const SLOW_RETRY: Duration = Duration::from_millis(200);
const MAX_BYTES: usize = 100_000;
/// The only authorization that the server takes.
pub(crate) const TOKEN: &str = "Bearer secret-token";

/// A service's settings; each secret in them has `secret` in it.
pub(crate) fn at(url: &str) -> VexillaBuilder {
    log::start();
    let source = FlagrSource::builder(&format!("{url}/secret-path/?secret-query"))
        .header("Authorization", TOKEN)
        .header("x-api-key", "secret-key")
        .timeout(REQUEST)
        .max_bytes(MAX_BYTES)
        .build()
        .unwrap();
    Vexilla::builder(source)
        .poll_interval(POLL)
        .full_refresh_interval(Duration::from_secs(86_400))
        .slow_retry_interval(SLOW_RETRY)
        .flagr_cache_interval(Duration::from_millis(10))
        .retry_after_limit(PAUSE)
}

/// The levels from now on, each as long as it lasts.
struct Levels(Arc<Mutex<Vec<Level>>>);

impl Levels {
    fn of(vexilla: &Vexilla) -> Self {
        let mut watch = vexilla.watch_status();
        let levels = Arc::new(Mutex::new(vec![vexilla.status().level]));
        let seen = Arc::clone(&levels);
        tokio::spawn(async move {
            while let Some(status) = watch.next().await {
                let mut seen = seen.lock().unwrap();
                if seen.last() != Some(&status.level) {
                    seen.push(status.level);
                }
            }
        });
        Self(levels)
    }

    /// Waits until the last one is this, and gives them all.
    async fn until(&self, level: Level) -> Vec<Level> {
        let waiting = async {
            loop {
                let levels = self.0.lock().unwrap().clone();
                if levels.last() == Some(&level) {
                    return levels;
                }
                tokio::task::yield_now().await;
            }
        };
        timeout(GUARD, waiting).await.unwrap()
    }
}

type Act = Box<dyn Fn(&FakeFlagr)>;

/// Something that goes wrong for a while.
pub(crate) struct Outage {
    name: &'static str,
    begin: Act,
    end: Act,
    /// The server is there and says no.
    refuses: bool,
}

impl Outage {
    pub(crate) fn new(
        name: &'static str,
        begin: impl Fn(&FakeFlagr) + 'static,
        end: impl Fn(&FakeFlagr) + 'static,
    ) -> Self {
        Self {
            name,
            begin: Box::new(begin),
            end: Box::new(end),
            refuses: false,
        }
    }

    /// Some routes are spoilt.
    pub(crate) fn of(
        routes: &'static [Route],
        name: &'static str,
        mode: impl Fn(Answer) -> Answer + Clone + Send + Sync + 'static,
    ) -> Self {
        let begin = move |server: &FakeFlagr| {
            for route in routes {
                server.spoil(*route, mode.clone());
            }
        };
        Self::new(name, begin, FakeFlagr::heal)
    }

    pub(crate) fn both(
        name: &'static str,
        mode: impl Fn(Answer) -> Answer + Clone + Send + Sync + 'static,
    ) -> Self {
        Self::of(&[Route::MaxId, Route::Export], name, mode)
    }

    pub(crate) fn answer(name: &'static str, answer: Answer) -> Self {
        Self::both(name, move |_| answer.clone())
    }

    pub(crate) fn refusal(mut self) -> Self {
        self.refuses = true;
        self
    }

    /// Goes through it with a service at this address of the server, from live
    /// to stale to live again.
    pub(crate) async fn survive(self, server: &FakeFlagr, url: &str) {
        let name = self.name;
        let vexilla = at(url).build().await.unwrap();
        until(&vexilla, |status| status.level == Level::Live).await;
        let reader = server.reader(vexilla.clone(), 1..=FLAGS);

        let levels = Levels::of(&vexilla);
        // Ports are used again.
        let address = server.address().to_string();
        let told = || log::logged(&[&address, "degradation: flags are "]);
        let silent = told().len();
        (self.begin)(server);
        let value = server.edit(|database| database.value(1)).unwrap() + 1;
        let change = server.edit(|database| database.set(1, value));
        let status = until(&vexilla, |status| {
            status.level == Level::Stale && status.consecutive_failures >= 4
        })
        .await;
        assert!(status.version < change, "{name}: nothing is made up");
        assert_eq!(status.flags as u64, FLAGS, "{name}");
        assert!(status.last_error.is_some(), "{name}");
        assert_ne!(status.breaker, BreakerState::Closed, "{name}: {status:?}");
        let served = vexilla.flags(Context::new("visitor"));
        assert!(served.evaluate(&key(1)).is_stale(), "{name}");

        let (before, checks) = (server.counts(), vexilla.status().counts.checks);
        let healed = Instant::now();
        (self.end)(server);
        let live = |status: &Status| status.level == Level::Live && status.version == change;
        let recovered = until(&vexilla, live).await;
        let took = healed.elapsed();
        let requests = server.counts().requests() - before.requests();
        let checks = recovered.counts.checks - checks;
        assert!(
            checks <= 2,
            "{name}: one under way, one after it; not {checks}"
        );
        assert!(requests <= 8, "{name}: {requests}");
        assert_eq!(
            (recovered.consecutive_failures, recovered.last_error),
            (0, None)
        );
        let levels = levels.until(Level::Live).await;
        assert_eq!(levels, [Level::Live, Level::Stale, Level::Live], "{name}");
        let told = told().split_off(silent);
        let [stale, live] = &told[..] else {
            panic!("{name}: one event for each of them, not {told:?}");
        };
        assert!(stale.contains("flags are stale") && live.contains("flags are live"));

        let readings = reader.stop();
        assert_eq!(readings.wrong, 0, "{name}: {:?}", readings.example);
        assert!(readings.values > FLAGS, "{name}");
        let json = format!("{status:?} {vexilla:?}");
        assert!(!json.contains("secret"), "{name}: {json}");
        assert_eq!(log::logged(&["secret"]), [""; 0], "{name}");
        let rest = match self.refuses {
            true => SLOW_RETRY.mul_f64(1.1),
            false => PAUSE.mul_f64(1.2),
        };
        println!(
            "{name}: live, stale, live; {} values read, 0 wrong; recovered in {took:.0?} (bound {:.0?}, and a request under way) with {requests} requests",
            readings.values,
            rest + POLL.mul_f64(1.1),
        );
    }
}

/// Goes through outages, one after the other, each with a server of its own.
pub(crate) async fn survive(outages: impl IntoIterator<Item = Outage>) {
    for outage in outages {
        let server = FakeFlagr::healthy(FLAGS).unwrap();
        server.authorize(TOKEN);
        let url = server.url();
        outage.survive(&server, &url).await;
    }
}
