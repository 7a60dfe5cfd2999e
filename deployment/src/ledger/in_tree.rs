//! The ledger of a filesystem, read as everything else in it is.

use super::file::{COPY_SIZE, FILE_SIZE, LedgerFile, PATH};
use crate::tree::{FileKind, Status, Tree, TreeError};

impl LedgerFile {
    /// Reads the ledger of a filesystem. Where there is none, nothing changes. Gives whether it is as it was written: of one
    /// that is not, nothing is known any more. A copy that cannot be read is an error only where the other is not sound.
    #[inline(never)]
    pub fn read_in(&mut self, tree: &dyn Tree) -> Result<bool, TreeError> {
        let size = match tree.status(PATH) {
            Ok(Status { kind: FileKind::File, size, .. }) => size,
            Ok(Status { kind: FileKind::Link, .. }) => return Err(TreeError::Link),
            Ok(_) => return Err(TreeError::WrongKind),
            Err(TreeError::Missing) => return Ok(true),
            Err(why) => return Err(why),
        };
        let (mut buffer, mut unreadable) = ([0; FILE_SIZE], None);
        for (number, copy) in (0..size / COPY_SIZE as u64).zip(buffer.chunks_exact_mut(COPY_SIZE)) {
            let place = number.saturating_mul(COPY_SIZE as u64);
            unreadable = tree.read_exact_at(PATH, place, copy).err().or(unreadable);
        }
        // What is in memory can be read, and half a copy is a damaged one.
        let _ = self.read(&buffer.as_slice());
        match unreadable {
            Some(why) if !self.was_written() => Err(why),
            _ => Ok(self.was_written() || size == 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::file::rewrite;
    use super::*;
    use crate::recorder::Recorder;
    use crate::tree::fixture::Fixture;

    /// A file that was changed so often, each time to the number of the change.
    fn file(changes: u8) -> std::vec::Vec<u8> {
        let file = Recorder::new(&[0; FILE_SIZE]);
        for count in 0..changes {
            let mut edit = |ledger: &mut LedgerFile| {
                ledger.set_reboots(count);
                Ok(())
            };
            rewrite(&file, &mut edit).unwrap();
        }
        file.image.into_inner()
    }

    fn reboots(tree: &Fixture) -> Result<(bool, u8), TreeError> {
        let mut ledger = LedgerFile::default();
        ledger.read_in(tree).map(|is_sound| (is_sound, ledger.reboots()))
    }

    #[test]
    fn a_copy_that_cannot_be_read_leaves_the_other_one() {
        // The first change goes to the first copy, and the others by turns.
        for (byte, left) in [(0, [3, 5]), (COPY_SIZE - 1, [3, 5]), (COPY_SIZE, [4, 4]), (FILE_SIZE - 1, [4, 4])] {
            let with = |changes| Fixture::default().file(PATH, file(changes)).unreadable(PATH, byte);
            assert_eq!(
                [5, 6].map(|changes| reboots(&with(changes))),
                left.map(|count| Ok((true, count))),
                "byte {byte}"
            );
        }
    }

    #[test]
    fn where_no_copy_is_left_it_is_told_that_one_cannot_be_read() {
        let mut damaged = file(2);
        damaged[COPY_SIZE] ^= 1;
        let tree = Fixture::default().file(PATH, &damaged);
        assert_eq!(reboots(&tree.clone().unreadable(PATH, 0)), Err(TreeError::Failed(5)));
        assert_eq!(reboots(&Fixture::default().file(PATH, &damaged[..COPY_SIZE])), Ok((true, 0)));
    }

    #[test]
    fn what_is_no_ledger_is_told_from_none() {
        assert_eq!(reboots(&Fixture::default()), Ok((true, 0)));
        assert_eq!(reboots(&Fixture::default().file(PATH, "")), Ok((true, 0)));
        assert_eq!(reboots(&Fixture::default().file(PATH, "text")), Ok((false, 0)));
        assert_eq!(reboots(&Fixture::default().directory(PATH)), Err(TreeError::WrongKind));
        assert_eq!(reboots(&Fixture::default().link(PATH, "x")), Err(TreeError::Link));
        assert_eq!(reboots(&Fixture::default().link("surefoot", "x")), Err(TreeError::Link));
    }
}
