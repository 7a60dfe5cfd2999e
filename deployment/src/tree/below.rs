//! A directory of a tree as a tree of its own.

use core::fmt::Write;

use heapless::String;

use super::{Status, Tree, TreeError};

/// The longest path below the top of the whole tree, in bytes.
const MAX_PATH: usize = 512;

/// A directory of a tree, with all that is below it; the whole tree where its path is empty.
#[derive(Clone, Copy)]
pub struct Below<'t> {
    /// The whole tree.
    pub tree: &'t dyn Tree,
    /// The path of the directory there.
    pub directory: &'t str,
}

impl Below<'_> {
    /// A path of the whole tree.
    #[inline(never)]
    fn path(&self, path: &str) -> Result<String<MAX_PATH>, TreeError> {
        let separator = if self.directory.is_empty() || path.is_empty() { "" } else { "/" };
        let mut whole = String::new();
        write!(whole, "{}{separator}{path}", self.directory).map_err(|_| TreeError::TooLong(MAX_PATH))?;
        Ok(whole)
    }
}

impl Tree for Below<'_> {
    fn read<'b>(&self, path: &str, buffer: &'b mut [u8]) -> Result<&'b [u8], TreeError> {
        self.tree.read(&self.path(path)?, buffer)
    }

    fn read_exact_at(&self, path: &str, offset: u64, buffer: &mut [u8]) -> Result<(), TreeError> {
        self.tree.read_exact_at(&self.path(path)?, offset, buffer)
    }

    fn read_link<'b>(&self, path: &str, buffer: &'b mut [u8]) -> Result<&'b str, TreeError> {
        self.tree.read_link(&self.path(path)?, buffer)
    }

    fn list(&self, path: &str, visit: &mut dyn FnMut(&str) -> bool) -> Result<(), TreeError> {
        self.tree.list(&self.path(path)?, visit)
    }

    fn status(&self, path: &str) -> Result<Status, TreeError> {
        self.tree.status(&self.path(path)?)
    }

    fn verity_digest(&self, path: &str, digest: &mut [u8; 64]) -> Result<usize, TreeError> {
        self.tree.verity_digest(&self.path(path)?, digest)
    }

    fn subvolume<'b>(&self, number: Option<u64>, buffer: &'b mut [u8]) -> Result<&'b str, TreeError> {
        self.tree.subvolume(number, buffer)
    }

    fn is_read_only_subvolume(&self, path: &str) -> Result<bool, TreeError> {
        self.tree.is_read_only_subvolume(&self.path(path)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::fixture::Fixture;

    #[test]
    fn paths_begin_at_the_directory() {
        let tree = Fixture::default().file("a/b/c", "text").link("a/l", "b").subvolume("a", true).file("top", "");
        let below = |directory| Below { tree: &tree, directory };
        let mut buffer = [0; 8];
        for (directory, path) in [("a/b", "c"), ("a", "b/c"), ("", "a/b/c")] {
            assert_eq!(below(directory).read(path, &mut buffer), Ok(&b"text"[..]), "{directory}");
        }
        assert_eq!(below("a").is_read_only_subvolume(""), Ok(true));
        assert_eq!(below("").status("").map(|status| status.size), Ok(0));
        assert_eq!(below("a").status("top"), Err(TreeError::Missing));
        assert_eq!(below("a/l").status("c"), Err(TreeError::Link));
        assert_eq!(below("a").status(&"x".repeat(MAX_PATH)), Err(TreeError::TooLong(MAX_PATH)));
    }
}
