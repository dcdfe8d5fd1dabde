//! Follows the symbolic links of a path, one after the other.

use std::ffi::OsStr;
use std::io;
use std::path::{Component, Path, PathBuf};

/// The most symbolic links that are followed; Linux follows 40.
const MAX_LINKS: usize = 40;

/// Where a path leads in the end, be there a file or not: absolute, and without
/// links in it. `on_link` sees the folder and the name of each link before it is
/// followed, and may refuse; the folder has no links in it. Blocks.
///
/// # Errors
///
/// Links that go round in circles, an empty path, a relative one without a
/// working folder, and the errors of `on_link`.
pub(crate) fn resolve(
    path: &Path,
    mut on_link: impl FnMut(&Path, &OsStr) -> io::Result<()>,
) -> io::Result<PathBuf> {
    let mut here = PathBuf::new();
    let mut rest = std::path::absolute(path)?;
    let mut links = 0;
    loop {
        let mut components = rest.components();
        let Some(component) = components.next() else {
            return Ok(here);
        };
        let next = here.join(component);
        let after = components.as_path().to_owned();
        match component {
            Component::Prefix(_) | Component::RootDir => here = next,
            Component::CurDir => {}
            Component::ParentDir => {
                here.pop();
            }
            Component::Normal(name) => match std::fs::read_link(&next) {
                Ok(target) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(io::Error::other("too many symbolic links"));
                    }
                    on_link(&here, name)?;
                    // An absolute one starts anew when it is joined.
                    rest = target.join(after);
                    continue;
                }
                Err(_) => here = next,
            },
        }
        rest = after;
    }
}
