//! The last-known-good copy of the flags, kept where a restart finds them.
//!
//! After a change has been taken over, the whole set of flags is saved, before
//! filtering; a start that does not reach the source reads it back and answers
//! as before. What is read is the whole set that was saved, or an error: never
//! a part of it.
//!
//! - [`LastKnownGood`] is where a copy is kept; [`LastKnownGoodFile`] keeps it
//!   in one file.
//! - A document is a checksummed set of flags, with the source that it was fetched
//!   from and the time.
//! - A save after a loss of flags keeps the document before it as the previous
//!   generation.
//! - One document is saved at a time, in the background. What fails is repeated,
//!   and reported in the [`Status`](crate::Status).
//!
//! The copy names everything that the flags name, people included. It is not
//! encrypted, and the checksum detects corruption, not tampering: anyone who
//! can write the file controls the flags after a restart without Flagr.

mod document;
mod error;
mod file;
mod link_policy;
mod packing;
mod previous;
mod replace;
mod saver;

#[cfg(feature = "fuzzing")]
pub(crate) use document::{HEADER, decode, seal};
pub(crate) use document::{Identity, Provenance, encode};

pub use error::{PersistError, PersistErrorKind};
pub use file::LastKnownGoodFile;
pub use packing::Packing;
pub(crate) use saver::{SaveReport, Saver};

use std::pin::Pin;

/// Where the last-known-good copy is kept, for a start without the source.
///
/// It holds one document of bytes, which the store treats as opaque bytes: a
/// save puts another in its place, and a load gives the last one that was saved
/// whole. Saves come one at a time.
///
/// ```
/// use std::sync::Mutex;
/// use vexilla_core::persist::{LastKnownGood, PersistError};
///
/// /// A table of ours, say.
/// #[derive(Default)]
/// struct Table(Mutex<Option<Vec<u8>>>);
///
/// impl LastKnownGood for Table {
///     fn name(&self) -> String {
///         "table flags_copy".to_owned()
///     }
///
///     async fn load(&self) -> Result<Option<Vec<u8>>, PersistError> {
///         let held = self.0.lock().map_err(|error| PersistError::other(error.to_string()))?;
///         Ok(held.clone())
///     }
///
///     async fn save(&self, document: Vec<u8>) -> Result<(), PersistError> {
///         let mut held = self.0.lock().map_err(|error| PersistError::other(error.to_string()))?;
///         *held = Some(document);
///         Ok(())
///     }
/// }
/// ```
pub trait LastKnownGood: Send + Sync + 'static {
    /// What the store is, for logs and errors; without secrets.
    fn name(&self) -> String;

    /// Gives the document that was saved last; `None` where none ever was.
    ///
    /// # Errors
    ///
    /// Whatever went wrong. The start goes on without a copy then.
    fn load(&self) -> impl Future<Output = Result<Option<Vec<u8>>, PersistError>> + Send;

    /// Puts a document in place of the one before, all or nothing: whatever
    /// happens on the way, the next load gives one of the two whole.
    ///
    /// # Errors
    ///
    /// Whatever went wrong. The flags that are served stay, and the save is
    /// tried again after a second, then ever more seldom, at last every minute,
    /// until it succeeds or there is something newer to save.
    fn save(&self, document: Vec<u8>) -> impl Future<Output = Result<(), PersistError>> + Send;

    /// [`save`](Self::save) for a document that lost flags, which may turn out
    /// to be a mistake: the document before it is kept as well, as the previous
    /// generation, for an operator to go back to. [`load`](Self::load) never
    /// gives it.
    ///
    /// One accident may come in several steps, and every process that saves to
    /// the store saves them all. What an operator needs is the set from before
    /// the first one, so a previous generation is not replaced in the course of
    /// a loss; see
    /// [`LastKnownGoodFile`](LastKnownGoodFile#the-previous-generation) for the
    /// rule of the file.
    ///
    /// A save that failed is repeated in the same way, and so is one after it
    /// that was not marked as a loss. If it had put the document in its place
    /// all the same, the document must not become its own previous generation.
    ///
    /// Default: [`save`](Self::save), without a previous generation.
    ///
    /// # Errors
    ///
    /// As [`save`](Self::save). If the document before cannot be kept, it is
    /// not replaced either.
    fn save_after_loss(
        &self,
        document: Vec<u8>,
    ) -> impl Future<Output = Result<(), PersistError>> + Send {
        self.save(document)
    }

    /// How documents are to be made for this store. Default: [`Packing::new`].
    fn packing(&self) -> Packing {
        Packing::new()
    }
}

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// [`LastKnownGood`] without its type.
pub(crate) trait AnyLastKnownGood: Send + Sync {
    /// [`LastKnownGood::name`].
    fn name(&self) -> String;
    /// [`LastKnownGood::load`].
    fn load(&self) -> BoxFuture<'_, Result<Option<Vec<u8>>, PersistError>>;
    /// [`LastKnownGood::save`].
    fn save(&self, document: Vec<u8>) -> BoxFuture<'_, Result<(), PersistError>>;
    /// [`LastKnownGood::save_after_loss`].
    fn save_after_loss(&self, document: Vec<u8>) -> BoxFuture<'_, Result<(), PersistError>>;
    /// [`LastKnownGood::packing`].
    fn packing(&self) -> Packing;
}

impl<S: LastKnownGood> AnyLastKnownGood for S {
    fn name(&self) -> String {
        LastKnownGood::name(self)
    }

    fn load(&self) -> BoxFuture<'_, Result<Option<Vec<u8>>, PersistError>> {
        Box::pin(LastKnownGood::load(self))
    }

    fn save(&self, document: Vec<u8>) -> BoxFuture<'_, Result<(), PersistError>> {
        Box::pin(LastKnownGood::save(self, document))
    }

    fn save_after_loss(&self, document: Vec<u8>) -> BoxFuture<'_, Result<(), PersistError>> {
        Box::pin(LastKnownGood::save_after_loss(self, document))
    }

    fn packing(&self) -> Packing {
        LastKnownGood::packing(self)
    }
}
