//! What a machine wrote to a disk, in order, as QEMU's driver `blklogwrites` records it: the format of the kernel's
//! device-mapper target log-writes (kernel, admin-guide/device-mapper/log-writes).

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Result, bail, ensure};

use crate::random::Random;

const MAGIC: u64 = 0x6a_7366_7773_6872;
const VERSION: u64 = 1;
/// Bytes of a sector, the unit of the log and of what a disk writes as one.
const SECTOR: u64 = 512;
const FLUSH: u64 = 1;
const FORCED: u64 = 1 << 1;
const DISCARD: u64 = 1 << 2;

/// One write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Where, in bytes.
    pub at: u64,
    /// What.
    pub bytes: Vec<u8>,
}

/// All that was written, parted by flushes: what is in one part may reach the medium in any order, and only in part.
#[derive(Clone, Debug, Default)]
pub struct WriteLog {
    /// The parts, each of which a flush ends.
    pub epochs: Vec<Vec<Write>>,
}

impl WriteLog {
    /// Reads a log.
    ///
    /// # Errors
    /// When it is none, or cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        let file = File::open(path)?;
        let number = |at: u64| -> Result<u64> {
            let mut bytes = [0; 8];
            file.read_exact_at(&mut bytes, at)?;
            Ok(u64::from_le_bytes(bytes))
        };
        ensure!(number(0)? == MAGIC && number(8)? == VERSION, "{} is no log of writes", path.display());
        let (entries, mut at) = (number(16)?, SECTOR);
        let (mut log, mut open) = (Self::default(), Vec::new());
        for _ in 0..entries {
            // struct log_write_entry: sector, number of sectors, flags, length of the data.
            let (sector, count, flags) = (number(at)?, number(at + 8)?, number(at + 16)?);
            ensure!(flags & FORCED == 0, "a write that is forced: the guest should flush instead");
            at += SECTOR;
            if flags & FLUSH != 0 && !open.is_empty() {
                log.epochs.push(std::mem::take(&mut open));
            }
            let mut bytes = vec![0; usize::try_from(count * SECTOR)?];
            if flags & DISCARD == 0 {
                file.read_exact_at(&mut bytes, at)?;
                at += count * SECTOR;
            }
            if count > 0 {
                open.push(Write { at: sector * SECTOR, bytes });
            }
        }
        if !open.is_empty() {
            log.epochs.push(open);
        }
        if log.epochs.is_empty() {
            bail!("nothing was written");
        }
        Ok(log)
    }

    /// How many writes there are.
    pub fn len(&self) -> usize {
        self.epochs.iter().map(Vec::len).sum()
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.epochs.is_empty()
    }
}

/// Writes all of an epoch.
///
/// # Errors
/// When the disk cannot be written.
pub fn replay(disk: &File, epoch: &[Write]) -> Result<()> {
    epoch.iter().try_for_each(|write| Ok(disk.write_all_at(&write.bytes, write.at)?))
}

/// Writes what may have reached the medium of an epoch when the power failed: of each write all, nothing, or some units, of as
/// many bytes as `unit` tells for it.
///
/// # Errors
/// When the disk cannot be written.
pub fn replay_part(disk: &File, epoch: &[Write], unit: &dyn Fn(&Write) -> usize, random: &mut Random) -> Result<()> {
    // Often up to some write all is there, and nothing of what comes behind it.
    let reached = random.below(epoch.len() as u64 + 1);
    let is_in_order = random.below(2) == 0;
    for (number, write) in (0..).zip(epoch) {
        let whole = if is_in_order { number < reached } else { random.below(2) == 0 };
        let is_torn = random.below(4) == 0 || is_in_order && number == reached;
        let unit = unit(write);
        for (at, bytes) in (write.at..).step_by(unit).zip(write.bytes.chunks(unit)) {
            if if is_torn { random.below(2) == 0 } else { whole } {
                disk.write_all_at(bytes, at)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sector(words: [u64; 4]) -> Vec<u8> {
        let mut bytes: Vec<u8> = words.into_iter().flat_map(u64::to_le_bytes).collect();
        bytes.resize(512, 0);
        bytes
    }

    #[test]
    fn a_log_is_parted_by_flushes() -> Result<()> {
        let mut log = sector([MAGIC, VERSION, 4, 512]);
        log.extend(sector([8, 1, 0, 512]));
        log.extend(vec![1; 512]);
        log.extend(sector([0, 0, FLUSH, 0]));
        log.extend(sector([9, 2, 0, 1024]));
        log.extend(vec![2; 1024]);
        log.extend(sector([9, 1, DISCARD, 0]));
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), log)?;
        let log = WriteLog::read(file.path())?;
        let first = Write { at: 4096, bytes: vec![1; 512] };
        let second = [Write { at: 4608, bytes: vec![2; 1024] }, Write { at: 4608, bytes: vec![0; 512] }];
        assert_eq!(log.epochs, [vec![first], second.to_vec()]);

        let disk = tempfile::NamedTempFile::new()?;
        disk.as_file().set_len(8192)?;
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..100 {
            replay(disk.as_file(), &[Write { at: 4608, bytes: vec![9; 1024] }])?;
            replay_part(disk.as_file(), &log.epochs[1], &|_| 512, &mut Random::new(seed))?;
            let bytes = std::fs::read(disk.path())?;
            seen.insert((bytes[4608], bytes[5120]));
        }
        // Each sector on its own has what was there, or either of what was written.
        assert_eq!(seen.len(), 6, "{seen:?}");
        Ok(())
    }
}
