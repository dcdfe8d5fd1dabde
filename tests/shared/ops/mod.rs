//! What the operations and the webhook answer over sockets: one table for every
//! adapter. The file that includes it names its crate `adapter`.

mod http;
mod listeners;
mod mounted;
mod proxied;
#[cfg(unix)]
mod unix_socket;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(crate) use listeners::{
    check_connections, check_listeners, check_shutdown, check_slow_clients,
};
pub(crate) use mounted::{check_operations, check_webhook};
pub(crate) use proxied::check_proxied;
#[cfg(unix)]
pub(crate) use unix_socket::{check_stale_sockets, check_unix_sockets};

use crate::adapter::flag::Flag;
use crate::adapter::ops::{Operations, Webhook};
use crate::adapter::vexilla_core::flag::FlagSet;
use crate::adapter::vexilla_core::source::{Source, SourceErrorKind};
use crate::adapter::{SourceError, Vexilla};

const EVENT: &str = r#"{"event":"flag.updated","flag_keys":["new-feature"]}"#;
/// Flagr 1.2, `pkg/notification/notifier.go`.
const NOTIFICATION: &str = r#"{"operation":"update","flag_id":1,"flag_key":"new-feature","component_type":"flag","component_id":1,"user":"a@example.com","timestamp":"2026-04-26T18:51:03Z"}"#;
/// A source that says nothing by itself of its changes.
#[derive(Clone, Default)]
pub(crate) struct Quiet(Arc<Held>);

#[derive(Default)]
struct Held {
    flags: Mutex<Option<FlagSet>>,
    fetches: AtomicU64,
}

impl Quiet {
    /// Sets the flags; without, every fetch fails.
    fn set(&self, flags: Option<FlagSet>) {
        *self.0.flags.lock().unwrap() = flags;
    }

    fn fetches(&self) -> u64 {
        self.0.fetches.load(Ordering::SeqCst)
    }
}

impl Source for Quiet {
    fn name(&self) -> String {
        "quiet".to_owned()
    }

    async fn fetch(&self) -> Result<FlagSet, SourceError> {
        self.0.fetches.fetch_add(1, Ordering::SeqCst);
        let failed = || SourceError::new(SourceErrorKind::Status(404), "out of order");
        self.0.flags.lock().unwrap().clone().ok_or_else(failed)
    }
}

fn flags(on: bool) -> Option<FlagSet> {
    Some(FlagSet::from(vec![
        Flag::boolean("new-feature", on),
        Flag::boolean("a b/c", on),
    ]))
}

/// What is served by operations that are mounted with [`token`] below
/// `/internal`, and by a webhook that is mounted at the root.
pub(crate) struct Served {
    pub(crate) source: Quiet,
    pub(crate) vexilla: Vexilla,
}

impl Served {
    pub(crate) async fn new() -> Self {
        let source = Quiet::default();
        source.set(flags(false));
        let vexilla = Vexilla::builder(source.clone())
            .poll_interval(Duration::from_secs(3600))
            .full_refresh_interval(Duration::from_secs(36_000))
            .build()
            .await
            .unwrap();
        Self { source, vexilla }
    }

    pub(crate) fn operations(&self) -> Operations {
        Operations::new(self.vexilla.clone(), "right").unwrap()
    }

    pub(crate) fn webhook(&self) -> Webhook {
        Webhook::new(self.vexilla.clone())
            .signing_secret("new-secret")
            .signing_secret("old-secret")
            .shared_secret("X-Flagr-Secret", "shared")
            .build()
            .unwrap()
    }
}
