//! A filesystem that was not looked into.

use deployment::tree::{Status, Tree, TreeError};

/// Nothing can be told of it.
pub(crate) struct Nothing;

impl Tree for Nothing {
    fn read<'b>(&self, _: &str, _: &'b mut [u8]) -> Result<&'b [u8], TreeError> {
        Err(TreeError::Unknown)
    }

    fn read_exact_at(&self, _: &str, _: u64, _: &mut [u8]) -> Result<(), TreeError> {
        Err(TreeError::Unknown)
    }

    fn read_link<'b>(&self, _: &str, _: &'b mut [u8]) -> Result<&'b str, TreeError> {
        Err(TreeError::Unknown)
    }

    fn list(&self, _: &str, _: &mut dyn FnMut(&str) -> bool) -> Result<(), TreeError> {
        Err(TreeError::Unknown)
    }

    fn status(&self, _: &str) -> Result<Status, TreeError> {
        Err(TreeError::Unknown)
    }

    fn verity_digest(&self, _: &str, _: &mut [u8; 64]) -> Result<usize, TreeError> {
        Err(TreeError::Unknown)
    }

    fn default_subvolume<'b>(&self, _: &'b mut [u8]) -> Result<&'b str, TreeError> {
        Err(TreeError::Unknown)
    }

    fn is_read_only_subvolume(&self, _: &str) -> Result<bool, TreeError> {
        Err(TreeError::Unknown)
    }
}
