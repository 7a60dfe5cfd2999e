//! The ledger of a filesystem, read as everything else in it is.

use super::file::{FILE_SIZE, LedgerFile, PATH};
use crate::tree::{Tree, TreeError};

impl LedgerFile {
    /// Reads the ledger of a filesystem. Where there is none, nothing changes.
    #[inline(never)]
    pub fn read_in(&mut self, tree: &dyn Tree) -> Result<(), TreeError> {
        let mut buffer = [0; FILE_SIZE];
        match tree.read(PATH, &mut buffer) {
            Ok(bytes) => {
                // What is in memory can be read.
                let _ = self.read(&bytes);
                Ok(())
            }
            Err(TreeError::Missing) => Ok(()),
            Err(why) => Err(why),
        }
    }
}
