//! Waiting for what a service says of itself.

use std::time::Duration;

use tokio::time::timeout;
use vexilla_core::{Status, Vexilla};

/// No test waits for longer.
pub const GUARD: Duration = Duration::from_secs(20);

/// Waits until the status is so, and gives it.
///
/// # Panics
///
/// After [`GUARD`].
pub async fn until(vexilla: &Vexilla, so: impl Fn(&Status) -> bool) -> Status {
    let mut watch = vexilla.watch_status();
    let waiting = async {
        let mut status = vexilla.status();
        while !so(&status) {
            status = watch.next().await?;
        }
        Some(status)
    };
    match timeout(GUARD, waiting).await {
        Ok(Some(status)) => status,
        _ => panic!("it never came: {:?}", vexilla.status()),
    }
}
