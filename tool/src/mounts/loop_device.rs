//! A part of a file as a block device.

use std::io;
use std::path::{Path, PathBuf};

use loopdev::LoopControl;
use nix::errno::Errno;

/// Times to ask for another free device, where somebody else was quicker to take the one that was offered.
const TRIES: usize = 16;

/// A loop device. It is detached when dropped, and by the kernel itself (`LO_FLAGS_AUTOCLEAR`) when the process ends in
/// any other way.
pub(crate) struct LoopDevice(loopdev::LoopDevice);

impl LoopDevice {
    /// Attaches `size` bytes from byte `start` of `file` on.
    pub(crate) fn attach(file: &Path, start: u64, size: u64, writable: bool) -> io::Result<Self> {
        let control = LoopControl::open()?;
        let mut tried = 1;
        loop {
            let device = control.next_free()?;
            let options = device.with().offset(start).size_limit(size).read_only(!writable).autoclear(true);
            match options.attach(file) {
                Ok(()) => return Ok(Self(device)),
                Err(why) if why.raw_os_error() == Some(Errno::EBUSY as i32) && tried < TRIES => tried += 1,
                Err(why) => return Err(why),
            }
        }
    }

    /// Its node.
    pub(crate) fn path(&self) -> io::Result<PathBuf> {
        self.0.path().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        // Should it fail, the kernel detaches the device when its node is closed, which is next.
        let _ = self.0.detach();
    }
}
