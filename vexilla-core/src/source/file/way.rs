//! The way from a path to its file: all folders in which a change can make the
//! path lead to another file.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::symlinks;

/// The folders on the way from a path to its file, and the names in them that
/// matter. Names of symbolic links and of the file itself are looked for in
/// all of the folders: to take one for another costs a look.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Way {
    /// The folder of each symbolic link, and that of the file; absolute and
    /// without links in them.
    pub(super) folders: Vec<PathBuf>,
    names: Vec<OsString>,
}

impl Way {
    /// The way of a path, which may end before the file; blocks. None if the
    /// links go round in circles or there is no working folder.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let mut way = Self::default();
        let file = symlinks::resolve(path, |folder, name| {
            way.passes(folder, name);
            Ok(())
        });
        let file = file.ok()?;
        way.passes(file.parent()?, file.file_name()?);
        Some(way)
    }

    fn passes(&mut self, folder: &Path, name: &OsStr) {
        if !self.folders.iter().any(|known| known == folder) {
            self.folders.push(folder.to_owned());
        }
        self.names.push(name.to_owned());
    }

    /// Whether a change of this path can be one of the way. Compared by name:
    /// some systems give other paths for the folders than they were asked
    /// about, and see no case in names.
    pub(super) fn passes_by(&self, path: &Path) -> bool {
        let name = path.file_name();
        let named = |known: &OsString| name.is_some_and(|name| known.eq_ignore_ascii_case(name));
        self.names.iter().any(named) || self.is_folder(path)
    }

    /// Whether this is a folder on the way.
    pub(super) fn is_folder(&self, path: &Path) -> bool {
        self.folders.iter().any(|folder| folder == path)
    }
}

#[cfg(all(test, unix))]
#[expect(clippy::unwrap_used, reason = "a test may fail by panicking")]
mod tests {
    use std::fs::{create_dir_all, remove_dir_all};
    use std::os::unix::fs::symlink;

    use super::*;

    /// An empty folder, gone when dropped.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let name = format!("vexilla-way-{}-{name}", std::process::id());
            let folder = std::env::temp_dir().join(name);
            create_dir_all(&folder).unwrap();
            Self(folder.canonicalize().unwrap())
        }

        /// The folders on the way to a path, as seen from here.
        fn folders(&self, path: &str) -> Vec<String> {
            let way = Way::of(&self.0.join(path)).unwrap();
            let folders = way.folders.iter();
            folders
                .map(|folder| match folder.strip_prefix(&self.0) {
                    Ok(inner) => inner.to_str().unwrap().to_owned(),
                    Err(_) => folder.to_str().unwrap().to_owned(),
                })
                .collect()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_way_to_a_file_is_its_folder_whether_it_is_there_or_not() {
        let folder = Folder::new("plain");
        assert_eq!(folder.folders("flags.json"), [""]);
        assert_eq!(folder.folders("a/b/../flags.json"), ["a"]);
        let relative = Way::of(Path::new("flags.json")).unwrap();
        assert_eq!(
            relative.folders,
            [std::env::current_dir().unwrap().canonicalize().unwrap()]
        );
        assert!(Way::of(Path::new("/")).is_none());
        assert!(Way::of(Path::new("")).is_none());
    }

    #[test]
    fn the_way_leads_through_all_links() {
        let folder = Folder::new("links");
        let at = |path: &str| folder.0.join(path);
        create_dir_all(at("volume/..1")).unwrap();
        create_dir_all(at("etc")).unwrap();
        symlink("..1", at("volume/..data")).unwrap();
        symlink("..data/flags.json", at("volume/flags.json")).unwrap();
        symlink(at("volume"), at("etc/app")).unwrap();
        symlink("../etc/app/./flags.json", at("etc/flags.json")).unwrap();
        assert_eq!(
            folder.folders("etc/flags.json"),
            ["etc", "volume", "volume/..1"]
        );
        let way = Way::of(&at("etc/flags.json")).unwrap();
        for (path, so) in [
            ("etc/app", true),
            ("volume/..data", true),
            ("volume/..1/Flags.JSON", true),
            ("volume/..1", true),
            ("volume/..data_tmp", false),
            ("volume/other.json", false),
        ] {
            assert_eq!(way.passes_by(&at(path)), so, "{path}");
        }
    }

    #[test]
    fn links_in_circles_are_no_way() {
        let folder = Folder::new("circle");
        symlink("b", folder.0.join("a")).unwrap();
        symlink("a", folder.0.join("b")).unwrap();
        assert!(Way::of(&folder.0.join("a")).is_none());
    }
}
