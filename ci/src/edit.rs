//! Changes to files that a tool has laid out, made before they become a filesystem: how scenarios damage things.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::cache::{self, Key};
use crate::tree::Node;

/// One change below some directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Puts something at a path, instead of what is there. A file that had other names stays what it was under these.
    Put(String, Node),
    /// Removes what is at a path, a directory with all below it.
    Remove(String),
    /// Flips the lowest bit of a file's byte at an offset, under all names of the file.
    Flip(String, u64),
    /// Gives the file at the first path the second one as another name.
    Link(String, String),
}

impl Edit {
    /// Puts a regular file, mode 0644, at a path.
    pub fn file(path: &str, content: impl Into<Vec<u8>>) -> Self {
        Self::Put(path.to_owned(), Node::File(content.into(), 0o644))
    }

    /// Puts a symlink at a path.
    pub fn symlink(path: &str, target: &str) -> Self {
        Self::Put(path.to_owned(), Node::Symlink(target.to_owned()))
    }

    /// Puts an empty directory, mode 0755, at a path.
    pub fn directory(path: &str) -> Self {
        Self::Put(path.to_owned(), Node::Directory(0o755))
    }

    /// Removes what is at a path.
    pub fn remove(path: &str) -> Self {
        Self::Remove(path.to_owned())
    }

    /// The same change further down, below `folder`.
    #[must_use]
    pub(crate) fn below(self, folder: &str) -> Self {
        let path = |path: String| format!("{folder}/{path}");
        match self {
            Self::Put(name, node) => Self::Put(path(name), node),
            Self::Remove(name) => Self::Remove(path(name)),
            Self::Flip(name, offset) => Self::Flip(path(name), offset),
            Self::Link(from, to) => Self::Link(path(from), path(to)),
        }
    }

    /// Adds the change to a cache key.
    #[must_use]
    pub fn key(&self, key: Key) -> Key {
        match self {
            Self::Put(path, node) => node.key(key.text("put").text(path)),
            Self::Remove(path) => key.text("remove").text(path),
            Self::Flip(path, offset) => key.text("flip").text(path).text(&offset.to_string()),
            Self::Link(from, to) => key.text("link").text(from).text(to),
        }
    }

    /// Makes the change below `top`.
    ///
    /// # Errors
    /// When there is nothing to remove or to flip, or something cannot be written.
    pub fn apply(&self, top: &Path) -> Result<()> {
        match self {
            Self::Put(path, node) => {
                let path = top.join(path);
                if path.symlink_metadata().is_ok() {
                    remove(&path)?;
                }
                node.write(&path)
            }
            Self::Remove(path) => remove(&top.join(path)),
            Self::Link(from, to) => fs::hard_link(top.join(from), top.join(to)).with_context(|| format!("link {to}")),
            Self::Flip(path, offset) => {
                let path = top.join(path);
                let mut content = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
                let length = content.len();
                let byte = content.get_mut(usize::try_from(*offset)?);
                ensure!(byte.map(|byte| *byte ^= 1).is_some(), "{} has only {length} bytes", path.display());
                fs::write(&path, content).with_context(|| format!("write {}", path.display()))
            }
        }
    }
}

/// Removes what is at a path; of a symlink, not what it points to.
fn remove(path: &Path) -> Result<()> {
    if path.is_symlink() {
        return fs::remove_file(path).with_context(|| format!("remove {}", path.display()));
    }
    cache::remove(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_leaves_its_other_names_alone() {
        let scratch = tempfile::tempdir().unwrap();
        let top = scratch.path();
        fs::create_dir(top.join("d")).unwrap();
        fs::write(top.join("d/a"), "old").unwrap();
        fs::hard_link(top.join("d/a"), top.join("b")).unwrap();
        Edit::file("a", "new").below("d").apply(top).unwrap();
        assert_eq!(fs::read_to_string(top.join("d/a")).unwrap(), "new");
        Edit::Flip("b".to_owned(), 1).apply(top).unwrap();
        assert_eq!(fs::read_to_string(top.join("b")).unwrap(), "omd");
        Edit::symlink("d", "nowhere").apply(top).unwrap();
        Edit::remove("d").apply(top).unwrap();
        assert!(top.join("d").symlink_metadata().is_err());
        assert!(Edit::remove("d").apply(top).is_err());
        assert!(Edit::Flip("b".to_owned(), 3).apply(top).is_err());
    }
}
