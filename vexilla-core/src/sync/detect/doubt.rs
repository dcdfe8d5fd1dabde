//! Why the loaded flags may be out of date although the source answers.

use std::fmt;
use std::time::{Duration, Instant};

use super::Detector;
use super::loss::{Cause, Suspicion};

/// Why the loaded flags may be out of date although the source answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sync) enum Doubt {
    /// Answers lack flags, and nothing explains that yet.
    Loss {
        missing: usize,
        loaded: usize,
        cause: Cause,
        /// How long answers must agree.
        confirmation: Duration,
    },
    /// Answers are older than the loaded flags, and no other came for so long.
    Older { version: u64 },
    /// Answers keep disagreeing on whether so many flags exist.
    Disputed { flags: usize },
    /// The latest ID rose, and the export does not show the change.
    Late { latest: u64, version: u64 },
}

impl Doubt {
    /// Whether another doubt has the same cause, and is about as many flags.
    pub(in crate::sync) fn is_covered_by(self, other: Self) -> bool {
        match (self, other) {
            (Self::Loss { missing, .. }, Self::Loss { missing: known, .. }) => missing <= known,
            _ => std::mem::discriminant(&self) == std::mem::discriminant(&other),
        }
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loss {
                missing,
                loaded,
                cause,
                confirmation,
            } => {
                let are = if *missing == 1 { "is" } else { "are" };
                let why = match cause {
                    Cause::Empty => "an answer without flags has to be confirmed",
                    Cause::Restored => {
                        "a loss of more than a tenth of a restored copy has to be confirmed"
                    }
                    Cause::Unexplained => "its latest snapshot ID does not explain that",
                    Cause::IdFell => "its latest snapshot ID is smaller than before",
                    Cause::IdMissing => {
                        "its latest snapshot ID, which could explain that, is no longer there"
                    }
                    Cause::NoIds => "it has no latest snapshot ID that could explain that",
                };
                write!(
                    f,
                    "{missing} of {loaded} flags {are} missing in the answer of the source, and {why}; such an answer is loaded when answers over {confirmation:?} agree, or when an operator accepts the loss"
                )
            }
            Self::Older { version } => write!(
                f,
                "the source answers with older flags than those loaded, which have snapshot ID {version}; perhaps a replica of Flagr is stuck"
            ),
            Self::Disputed { flags } => write!(
                f,
                "the answers of the source disagree on whether {flags} flag{} {}; perhaps a replica of Flagr is stuck or lacks flags",
                if *flags == 1 { "" } else { "s" },
                if *flags == 1 { "exists" } else { "exist" },
            ),
            Self::Late { latest, version } => write!(
                f,
                "the latest snapshot ID is {latest}, but the export does not show that change; its greatest snapshot ID is {version}"
            ),
        }
    }
}

impl Detector {
    /// The flags, by ID, that are missing in the last answer and are not known to
    /// be deleted.
    pub(in crate::sync) fn disputed(&self) -> impl Iterator<Item = u64> {
        self.suspicion.iter().flat_map(Suspicion::flags)
    }

    /// Why the loaded flags may be out of date, if they may.
    pub(in crate::sync) fn doubt(&self, now: Instant) -> Option<Doubt> {
        let loaded = self.loaded.as_ref()?;
        if let Some(dispute) = self.lasting_dispute(self.times.loss_confirmation, now) {
            return Some(Doubt::Disputed {
                flags: dispute.flags(),
            });
        }
        if let Some(suspicion) = &self.suspicion {
            return Some(Doubt::Loss {
                missing: suspicion.missing(),
                cause: suspicion.cause(),
                loaded: loaded.len(),
                confirmation: self.times.loss_confirmation,
            });
        }
        let settling = self.times.settling();
        if self.older.is_some_and(|older| older.lasted() >= settling) {
            return Some(Doubt::Older {
                version: loaded.version(),
            });
        }
        let announced = self.announced.as_ref()?;
        let latest = announced.id.filter(|_| self.is_late(announced, now))?;
        Some(Doubt::Late {
            latest,
            version: loaded.version(),
        })
    }
}
