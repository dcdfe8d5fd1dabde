//! Asks the system to tell of changes on the way to a file.
//!
//! Folders are watched, not the file: editors put another file in its place,
//! and links come to lead elsewhere. What is told is only a reason to look at
//! the file.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::way::Way;

/// How long nothing is asked of a system that refused.
const REFUSED: Duration = Duration::from_secs(10);

/// Has the folders on the way to a file watched.
#[derive(Debug, Default)]
pub(super) struct Watch {
    running: Option<Running>,
    /// When the system refused last.
    refused: Option<Instant>,
}

/// Folders that are watched until this is dropped.
#[derive(Debug)]
struct Running {
    way: Arc<Way>,
    /// A folder is gone or was moved, so that another one may have its path.
    lost: Arc<AtomicBool>,
    watcher: Option<RecommendedWatcher>,
}

impl Watch {
    /// Sees to it that the folders on the way to a file are watched, as the
    /// way is now, and tells whether they are; blocks. From then on `told` is
    /// notified when something changes there.
    pub(super) fn cover(&mut self, path: &Path, told: &Arc<Notify>) -> bool {
        let way = Way::of(path).filter(|way| way.folders.iter().all(|folder| folder.is_dir()));
        let Some(way) = way else {
            self.running = None;
            return false;
        };
        if self.running.as_ref().is_some_and(|now| now.covers(&way)) {
            return true;
        }
        // Its folders may be the same as the new one's; none is watched twice.
        self.running = None;
        if self.refused.is_some_and(|at| at.elapsed() < REFUSED) {
            return false;
        }
        match Running::start(way, Arc::clone(told)) {
            Ok(running) => {
                self.running = Some(running);
                self.refused = None;
                true
            }
            Err(error) => {
                if self.refused.is_none() {
                    tracing::info!(
                        path = %path.display(),
                        error,
                        "cannot watch the flags file; it is polled instead"
                    );
                }
                self.refused = Some(Instant::now());
                false
            }
        }
    }
}

impl Running {
    fn start(way: Way, told: Arc<Notify>) -> Result<Self, String> {
        let way = Arc::new(way);
        let lost = Arc::new(AtomicBool::new(false));
        let handler = {
            let (way, lost) = (Arc::clone(&way), Arc::clone(&lost));
            move |event: notify::Result<notify::Event>| match event {
                Ok(event) => match meaning(&way, &event) {
                    Meaning::Nothing => {}
                    meaning => {
                        if meaning == Meaning::Lost {
                            lost.store(true, Ordering::Relaxed);
                        }
                        told.notify_one();
                    }
                },
                // Something may have been missed.
                Err(_) => told.notify_one(),
            }
        };
        let watcher = notify::recommended_watcher(handler).map_err(|error| error.to_string())?;
        let mut running = Self {
            way,
            lost,
            watcher: Some(watcher),
        };
        running.watch_all()?;
        Ok(running)
    }

    fn watch_all(&mut self) -> Result<(), String> {
        let Some(watcher) = &mut self.watcher else {
            return Ok(());
        };
        // It panics where its thread could not be started.
        let watched = catch_unwind(AssertUnwindSafe(|| {
            let mut folders = self.way.folders.iter();
            folders.try_for_each(|folder| watcher.watch(folder, RecursiveMode::NonRecursive))
        }));
        match watched {
            Ok(watched) => watched.map_err(|error| error.to_string()),
            Err(_) => Err("the watcher's thread did not start".to_owned()),
        }
    }

    fn covers(&self, way: &Way) -> bool {
        *self.way == *way && !self.lost.load(Ordering::Relaxed)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It panics where its thread could not be started.
        let _ = catch_unwind(AssertUnwindSafe(|| self.watcher.take()));
    }
}

/// What an event means to a way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// Nothing changed, or elsewhere.
    Nothing,
    /// The file may have changed.
    Change,
    /// A watched folder is gone or was moved.
    Lost,
}

fn meaning(way: &Way, event: &notify::Event) -> Meaning {
    let kind = match event.kind {
        // Reading is no change; we do it ourselves.
        EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write) => {
            return Meaning::Nothing;
        }
        EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)) => Meaning::Lost,
        _ => Meaning::Change,
    };
    if kind == Meaning::Lost && event.paths.iter().any(|path| way.is_folder(path)) {
        Meaning::Lost
    } else if event.paths.is_empty() || event.paths.iter().any(|path| way.passes_by(path)) {
        Meaning::Change
    } else {
        Meaning::Nothing
    }
}
