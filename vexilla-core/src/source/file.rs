//! Flags from a file in Flagr's export form.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::{DEFAULT_MAX_BYTES, SourceError, SourceErrorKind};
use crate::FlagSet;

/// Flags from a file, in the form of Flagr's export, `{"Flags": […]}`, with
/// all that Flagr's JSON-file mode accepts (see [`FlagSet::from_json`]).
///
/// The file is read anew at each refresh.
#[derive(Debug, Clone)]
pub struct FileSource {
    path: PathBuf,
    max_bytes: usize,
}

impl FileSource {
    /// Flags from the file of this path.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            max_bytes: DEFAULT_MAX_BYTES,
        }
    }

    /// Sets the most bytes that the file may have. Default:
    /// [`DEFAULT_MAX_BYTES`].
    #[must_use]
    pub fn max_bytes(mut self, max_bytes: usize) -> Self {
        self.max_bytes = max_bytes;
        self
    }

    /// The file's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file; blocks while it does.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, is too large, or is no set of flags; then
    /// [`SourceError::document`] tells line and column.
    pub fn read(&self) -> Result<FlagSet, SourceError> {
        let unreadable = |error| {
            let message = format!("cannot read the flags file {}", self.path.display());
            SourceError::new(SourceErrorKind::Unreachable, message).because(error)
        };
        let file = std::fs::File::open(&self.path).map_err(unreadable)?;
        let mut bytes = Vec::new();
        // One byte more than allowed, to see that there is more.
        let most = u64::try_from(self.max_bytes)
            .unwrap_or(u64::MAX)
            .saturating_add(1);
        file.take(most)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        if bytes.len() > self.max_bytes {
            return Err(SourceError::new(
                SourceErrorKind::TooLarge,
                format!(
                    "the flags file {} has more than {} bytes; raise max_bytes if that is meant",
                    self.path.display(),
                    self.max_bytes
                ),
            ));
        }
        FlagSet::from_json(&bytes).map_err(|error| {
            let message = format!("the flags file {}", self.path.display());
            SourceError::new(SourceErrorKind::Document, message).because(error)
        })
    }
}

#[cfg(feature = "refresh")]
impl super::Source for FileSource {
    fn name(&self) -> String {
        format!("file {}", self.path.display())
    }

    async fn fetch(&self) -> Result<FlagSet, SourceError> {
        let source = self.clone();
        tokio::task::spawn_blocking(move || source.read())
            .await
            .map_err(SourceError::other)?
    }
}
