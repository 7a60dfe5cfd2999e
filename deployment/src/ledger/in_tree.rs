//! The ledger of a filesystem, read as everything else in it is.

use super::file::{FILE_SIZE, LedgerFile, PATH};
use crate::tree::{Tree, TreeError};

impl LedgerFile {
    /// Reads the ledger of a filesystem. Where there is none, nothing changes. Gives whether it is as it was written: of one
    /// that is not, nothing is known any more.
    #[inline(never)]
    pub fn read_in(&mut self, tree: &dyn Tree) -> Result<bool, TreeError> {
        let mut buffer = [0; FILE_SIZE];
        match tree.read(PATH, &mut buffer) {
            Ok(bytes) => {
                // What is in memory can be read.
                let _ = self.read(&bytes);
                Ok(self.was_written() || bytes.is_empty())
            }
            Err(TreeError::Missing) => Ok(true),
            Err(why) => Err(why),
        }
    }
}
