//! The kernel's log, read (`/dev/kmsg`, Documentation/ABI/testing/dev-kmsg).

use rustix::fs::{Mode, OFlags, SeekFrom};

use crate::Errno;
use crate::file::OwnedFd;

/// Longest record that `/dev/kmsg` hands out (`PRINTK_MESSAGE_MAX`).
pub const MAX_RECORD: usize = 2048;

/// Priority of the least severe record that tells of a fault: `KERN_WARNING`.
const WARNING: u64 = 4;

/// The records that the kernel logs from now on.
#[derive(Debug)]
pub struct Watch(OwnedFd);

impl Watch {
    /// Starts watching: records from before are passed over.
    pub fn start() -> Result<Self, Errno> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::open(c"/dev/kmsg", flags, Mode::empty())?;
        rustix::fs::seek(&file, SeekFrom::End(0))?;
        Ok(Self(file))
    }

    /// The next record of the kernel itself (not of a program) that is a warning or worse, if there is one.
    pub fn next_fault<'b>(&self, buffer: &'b mut [u8; MAX_RECORD]) -> Option<&'b str> {
        let length = loop {
            match rustix::io::read(&self.0, buffer.as_mut_slice()) {
                Ok(0) => return None,
                Ok(length) if fault(buffer.get(..length)?).is_some() => break length,
                // EPIPE: records were overwritten; the next read goes on with the oldest that is left.
                Ok(_) | Err(Errno::PIPE | Errno::INTR) => {}
                Err(_) => return None,
            }
        };
        fault(buffer.get(..length)?)
    }
}

/// The text of a record `PRIORITY,SEQUENCE,TIME,FLAGS;TEXT\n KEY=VALUE…` that the kernel logged as a fault.
fn fault(record: &[u8]) -> Option<&str> {
    let (head, text) = core::str::from_utf8(record).ok()?.split_once(';')?;
    let priority: u64 = head.split(',').next()?.parse().ok()?;
    // The low three bits are the severity, the rest the facility; 0 is the kernel.
    (priority <= WARNING).then(|| text.lines().next()).flatten().filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_faults_of_the_kernel_count() {
        let corrupted = b"3,512,1200,-;device-mapper: verity: 254:0: data block 5 is corrupted\n SUBSYSTEM=block\n";
        assert_eq!(fault(corrupted), Some("device-mapper: verity: 254:0: data block 5 is corrupted"));
        assert_eq!(fault(b"6,513,1200,-;EXT4-fs (vda3): mounted filesystem"), None);
        assert_eq!(fault(b"11,514,1200,-;surefoot: a program's error has facility 1"), None);
        assert_eq!(fault(b"3,515,1200,-;"), None);
        assert_eq!(fault(b"no record"), None);
    }
}
