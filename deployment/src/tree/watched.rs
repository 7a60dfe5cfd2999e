//! A tree whose failures are kept in mind.

use core::cell::Cell;
use core::fmt;

use heapless::String;

use super::{Status, Tree, TreeError};

/// Most bytes of a path that are shown.
const MAX_SHOWN: usize = 96;

/// Something that a filesystem failed to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Of what, as far as it fits.
    path: String<MAX_SHOWN>,
    why: TreeError,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}: {}", self.path, self.why)
    }
}

/// A tree that remembers the first thing that it failed to tell ([`TreeError::Failed`]). Whoever looks at a filesystem asks
/// much that need not be there, and goes another way where it is not. What could not be read is another matter: it may be
/// there, and the way without it is then the wrong one.
pub struct Watched<'t> {
    tree: &'t dyn Tree,
    failure: Cell<Option<Failure>>,
}

impl<'t> Watched<'t> {
    /// The same tree.
    pub fn new(tree: &'t dyn Tree) -> Self {
        Self { tree, failure: Cell::new(None) }
    }

    /// What it failed to tell first.
    pub fn into_failure(self) -> Option<Failure> {
        self.failure.into_inner()
    }

    #[inline(never)]
    fn keep(&self, path: &str, why: TreeError) {
        let failure = self.failure.take().or_else(|| {
            let mut shown = String::new();
            path.chars().try_for_each(|character| shown.push(character)).unwrap_or_default();
            Some(Failure { path: shown, why })
        });
        self.failure.set(failure);
    }

    fn watch<T>(&self, path: &str, told: Result<T, TreeError>) -> Result<T, TreeError> {
        if let Err(why @ TreeError::Failed(_)) = told {
            self.keep(path, why);
        }
        told
    }
}

impl Tree for Watched<'_> {
    fn read<'b>(&self, path: &str, buffer: &'b mut [u8]) -> Result<&'b [u8], TreeError> {
        self.watch(path, self.tree.read(path, buffer))
    }

    fn read_exact_at(&self, path: &str, offset: u64, buffer: &mut [u8]) -> Result<(), TreeError> {
        self.watch(path, self.tree.read_exact_at(path, offset, buffer))
    }

    fn read_link<'b>(&self, path: &str, buffer: &'b mut [u8]) -> Result<&'b str, TreeError> {
        self.watch(path, self.tree.read_link(path, buffer))
    }

    fn list(&self, path: &str, visit: &mut dyn FnMut(&str) -> bool) -> Result<(), TreeError> {
        self.watch(path, self.tree.list(path, visit))
    }

    fn status(&self, path: &str) -> Result<Status, TreeError> {
        self.watch(path, self.tree.status(path))
    }

    fn verity_digest(&self, path: &str, digest: &mut [u8; 64]) -> Result<usize, TreeError> {
        self.watch(path, self.tree.verity_digest(path, digest))
    }

    fn subvolume<'b>(&self, number: Option<u64>, buffer: &'b mut [u8]) -> Result<&'b str, TreeError> {
        self.watch("", self.tree.subvolume(number, buffer))
    }

    fn is_read_only_subvolume(&self, path: &str) -> Result<bool, TreeError> {
        self.watch(path, self.tree.is_read_only_subvolume(path))
    }
}
