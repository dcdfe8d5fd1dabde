//! Where flags come from.
//!
//! [`FlagrSource`] asks a Flagr server, [`FileSource`] reads a flags file,
//! [`MemorySource`] holds flags made in code. Applications can implement
//! [`Source`] for anything else.

mod error;
mod file;
#[cfg(feature = "flagr")]
mod flagr;
#[cfg(feature = "refresh")]
mod memory;
#[cfg(feature = "refresh")]
mod progress;

pub use error::{SourceError, SourceErrorKind};
pub use file::FileSource;
#[cfg(feature = "flagr")]
pub use flagr::{FlagrSource, FlagrSourceBuilder};
#[cfg(feature = "refresh")]
pub use memory::MemorySource;
#[cfg(feature = "refresh")]
pub use progress::{FetchProgress, SourceTimeouts};

/// The most bytes that a document of flags may have unless set otherwise:
/// 64 MiB, some 45,000 flags.
pub const DEFAULT_MAX_BYTES: usize = 64 << 20;

/// Where flags come from.
///
/// A source that reads its flags with [`FlagSet::from_export`](crate::flag::FlagSet::from_export)
/// is judged as a Flagr server: a set that lacks flags has to be confirmed, see
/// [`loss_confirmation`](crate::VexillaBuilder::loss_confirmation). Flags that are read
/// with [`FlagSet::from_json`](crate::flag::FlagSet::from_json), or made in code, are loaded
/// as they come, like those of a flags file.
///
/// ```
/// use vexilla_core::SourceError;
/// use vexilla_core::flag::FlagSet;
/// use vexilla_core::source::Source;
///
/// struct Database;
///
/// impl Source for Database {
///     fn name(&self) -> String {
///         "our database".to_owned()
///     }
///
///     async fn fetch(&self) -> Result<FlagSet, SourceError> {
///         let json = "{\"Flags\":[]}"; // read from a table
///         Ok(FlagSet::from_json(json.as_bytes())?)
///     }
/// }
/// ```
#[cfg(feature = "refresh")]
pub trait Source: Send + Sync + 'static {
    /// What the source is, for logs and errors; without secrets.
    fn name(&self) -> String;

    /// The unique identity of the source: a last-known-good copy is
    /// restored for the source that it was saved for, and for no other. Kept as
    /// a hash only. Default: the [`name`](Self::name); for [`FlagrSource`] the
    /// scheme, host, port and path of its address, for [`FileSource`] the
    /// absolute path.
    fn identity(&self) -> String {
        self.name()
    }

    /// Fetches all flags, within the limit of [`timeouts`](Self::timeouts).
    ///
    /// # Errors
    ///
    /// Whatever went wrong. The flags that are held stay then.
    fn fetch(&self) -> impl Future<Output = Result<crate::flag::FlagSet, SourceError>> + Send;

    /// The latest snapshot ID, if the source can give it without all flags:
    /// Flagr's `snapshots/max_id`. Vexilla polls it, and fetches the flags when it
    /// changes.
    ///
    /// `None`, the default, and 0 mean that the source has none: flags are
    /// fetched at each poll and compared by content.
    ///
    /// The ID is compared with the `SnapshotID`s of the flags: each change, a
    /// deletion included, must take the next one. A set that lacks flags is loaded
    /// at once only if the ID rose enough to explain that.
    ///
    /// # Errors
    ///
    /// Whatever went wrong. It never counts as a change.
    fn latest(&self) -> impl Future<Output = Result<Option<u64>, SourceError>> + Send {
        std::future::ready(Ok(None))
    }

    /// [`fetch`](Self::fetch), reporting how many bytes have arrived. This is
    /// what the refresh loop calls; by default it fetches and reports nothing.
    ///
    /// ```
    /// # use vexilla_core::SourceError;
    /// # use vexilla_core::flag::FlagSet;
    /// # use vexilla_core::source::{FetchProgress, Source};
    /// # struct Bucket;
    /// # impl Bucket {
    /// #     async fn chunk(&self) -> Option<Vec<u8>> { None }
    /// # }
    /// impl Source for Bucket {
    /// #   fn name(&self) -> String { "our bucket".to_owned() }
    ///     async fn fetch(&self) -> Result<FlagSet, SourceError> {
    ///         self.fetch_with_progress(&FetchProgress::default()).await
    ///     }
    ///
    ///     async fn fetch_with_progress(
    ///         &self,
    ///         progress: &FetchProgress,
    ///     ) -> Result<FlagSet, SourceError> {
    ///         let mut document = Vec::new();
    ///         while let Some(chunk) = self.chunk().await {
    ///             progress.received(chunk.len() as u64);
    ///             document.extend(chunk);
    ///         }
    ///         Ok(FlagSet::from_json(&document)?)
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`fetch`](Self::fetch).
    fn fetch_with_progress(
        &self,
        progress: &FetchProgress,
    ) -> impl Future<Output = Result<crate::flag::FlagSet, SourceError>> + Send {
        let _ = progress;
        self.fetch()
    }

    /// How long the refresh loop waits for [`latest`](Self::latest) and for
    /// [`fetch`](Self::fetch) before it drops the future and takes it for
    /// failed. A source with limits of its own, whose errors say more, returns
    /// longer ones here. Default: [`SourceTimeouts::new`].
    fn timeouts(&self) -> SourceTimeouts {
        SourceTimeouts::new()
    }

    /// Waits until the flags are likely to have changed, so that they are
    /// fetched without waiting for the next interval. Never, by default. It is
    /// called anew after each time that it returns, and may be dropped while
    /// it waits.
    fn changed(&self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }
}

/// [`Source`] without its type.
#[cfg(feature = "refresh")]
pub(crate) trait AnySource: Send + Sync {
    fn name(&self) -> String;
    fn identity(&self) -> String;
    fn fetch<'a>(
        &'a self,
        progress: &'a FetchProgress,
    ) -> BoxFuture<'a, Result<crate::flag::FlagSet, SourceError>>;
    fn timeouts(&self) -> SourceTimeouts;
    fn latest(&self) -> BoxFuture<'_, Result<Option<u64>, SourceError>>;
    fn changed(&self) -> BoxFuture<'_, ()>;
}

#[cfg(feature = "refresh")]
pub(crate) type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;

#[cfg(feature = "refresh")]
impl<S: Source> AnySource for S {
    fn name(&self) -> String {
        caught(|| Source::name(self)).unwrap_or_else(|| "a source whose name panicked".to_owned())
    }

    fn identity(&self) -> String {
        caught(|| Source::identity(self)).unwrap_or_default()
    }

    fn fetch<'a>(
        &'a self,
        progress: &'a FetchProgress,
    ) -> BoxFuture<'a, Result<crate::flag::FlagSet, SourceError>> {
        Box::pin(Source::fetch_with_progress(self, progress))
    }

    fn timeouts(&self) -> SourceTimeouts {
        caught(|| Source::timeouts(self)).unwrap_or_default()
    }

    fn latest(&self) -> BoxFuture<'_, Result<Option<u64>, SourceError>> {
        Box::pin(Source::latest(self))
    }

    fn changed(&self) -> BoxFuture<'_, ()> {
        Box::pin(Source::changed(self))
    }
}

/// What foreign code gives; `None` if it panics.
#[cfg(feature = "refresh")]
fn caught<T>(give: impl FnOnce() -> T) -> Option<T> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(give)).ok()
}
