//! The device-mapper's ioctl interface (linux/dm-ioctl.h, version 4).

use core::fmt::Write as _;

use heapless::String;
use rustix::ioctl::{Direction, Opcode, opcode};

use crate::Errno;
use crate::call::ioctl;
use crate::file::{self, Access, AsFd as _, OwnedFd};

/// Longest parameter text of one target, including what the kernel prints of it.
pub const MAX_PARAMETERS: usize = 2048;

/// Longest device name and UUID with their closing NUL (`DM_NAME_LEN`, `DM_UUID_LEN`).
const NAME_LENGTH: usize = 128;
const UUID_LENGTH: usize = 129;

/// ioctl group of the device-mapper (`DM_IOCTL`).
const GROUP: u8 = 0xfd;

/// ioctl numbers of the commands.
mod command {
    use super::{Opcode, number};

    pub(super) const VERSION: Opcode = number(0);
    pub(super) const DEVICE_CREATE: Opcode = number(3);
    pub(super) const DEVICE_REMOVE: Opcode = number(4);
    pub(super) const DEVICE_SUSPEND: Opcode = number(6);
    pub(super) const TABLE_LOAD: Opcode = number(9);
    pub(super) const TABLE_CLEAR: Opcode = number(10);
    pub(super) const TABLE_STATUS: Opcode = number(12);
}

/// `DM_READONLY_FLAG`.
const READ_ONLY: u32 = 1 << 0;
/// `DM_SUSPEND_FLAG`.
const SUSPEND: u32 = 1 << 1;
/// `DM_BUFFER_FULL_FLAG`: the answer did not fit.
const BUFFER_FULL: u32 = 1 << 8;
/// `DM_NOFLUSH_FLAG`.
const NO_FLUSH: u32 = 1 << 11;
/// `DM_SKIP_LOCKFS_FLAG`.
const SKIP_LOCKFS: u32 = 1 << 10;

/// `struct dm_ioctl`, followed by what it calls its data. All fields are plain numbers, so every byte pattern is valid.
#[repr(C)]
struct Request {
    version: [u32; 3],
    data_size: u32,
    data_start: u32,
    target_count: u32,
    open_count: i32,
    flags: u32,
    event_number: u32,
    padding: u32,
    device: u64,
    name: [u8; NAME_LENGTH],
    uuid: [u8; UUID_LENGTH],
    reserved: [u8; 7],
    target: TargetSpec,
    parameters: [u8; MAX_PARAMETERS],
}

/// `struct dm_target_spec`.
#[repr(C)]
#[derive(Default)]
struct TargetSpec {
    sector_start: u64,
    length: u64,
    status: i32,
    next: u32,
    kind: [u8; 16],
}

/// Size of `struct dm_ioctl` alone, which the command number holds and behind which the data begins.
const HEADER_SIZE: usize = core::mem::offset_of!(Request, target);

const _: () = assert!(HEADER_SIZE == 312 && size_of::<TargetSpec>() == 40);

/// Number of a device-mapper device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// Major number.
    pub major: u32,
    /// Minor number: the kernel names the device `dm-MINOR`.
    pub minor: u32,
}

/// One target that fills a device from its first sector on.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Target type, for example `verity`.
    pub kind: &'a str,
    /// Length of the device in sectors of 512 bytes.
    pub sectors: u64,
    /// The target's own parameters.
    pub parameters: &'a str,
}

/// The device-mapper's control device.
#[derive(Debug)]
pub struct Control(OwnedFd);

impl Control {
    /// Opens `/dev/mapper/control`.
    pub fn open() -> Result<Self, Errno> {
        let control = Self(file::open("/dev/mapper/control", Access::Read)?);
        control.call(command::VERSION, &mut Request::new("")?)?;
        Ok(control)
    }

    /// Makes the device `name` with the unique name `uuid`, as yet without a table.
    pub fn create(&self, name: &str, uuid: &str) -> Result<Device, Errno> {
        let mut request = Request::new(name)?;
        put(&mut request.uuid, uuid)?;
        self.call(command::DEVICE_CREATE, &mut request)?;
        let (major, minor) = crate::block::number_parts(request.device);
        Ok(Device { major, minor })
    }

    /// Loads `target` as the read-only device's next table; it comes into force with [`Control::resume`].
    pub fn load(&self, name: &str, target: Target<'_>) -> Result<(), Errno> {
        let mut request = Request::new(name)?;
        request.flags = READ_ONLY;
        request.target_count = 1;
        request.target.length = target.sectors;
        put(&mut request.target.kind, target.kind)?;
        put(&mut request.parameters, target.parameters)?;
        self.call(command::TABLE_LOAD, &mut request)
    }

    /// Drops the table that was loaded but is not in force.
    pub fn clear(&self, name: &str) -> Result<(), Errno> {
        self.call(command::TABLE_CLEAR, &mut Request::new(name)?)
    }

    /// Puts the loaded table into force; the device can be used from then on.
    pub fn resume(&self, name: &str) -> Result<(), Errno> {
        self.call(command::DEVICE_SUSPEND, &mut Request::new(name)?)
    }

    /// Holds the device's input and output back until [`Control::resume`]. Nothing is flushed and no filesystem
    /// frozen: the devices are read-only.
    pub fn suspend(&self, name: &str) -> Result<(), Errno> {
        let mut request = Request::new(name)?;
        request.flags = SUSPEND | NO_FLUSH | SKIP_LOCKFS;
        self.call(command::DEVICE_SUSPEND, &mut request)
    }

    /// What the target says of itself: `V` or `C` (corrupted) for verity.
    pub fn status(&self, name: &str) -> Result<String<64>, Errno> {
        let mut request = Request::new(name)?;
        self.call(command::TABLE_STATUS, &mut request)?;
        if request.flags & BUFFER_FULL != 0 {
            return Err(Errno::NOBUFS);
        }
        let text = request.parameters.split(|byte| *byte == 0).next().unwrap_or_default();
        let mut status = String::new();
        write!(status, "{}", core::str::from_utf8(text).map_err(|_| Errno::BADMSG)?).map_err(|_| Errno::NOBUFS)?;
        Ok(status)
    }

    /// Removes the device.
    pub fn remove(&self, name: &str) -> Result<(), Errno> {
        self.call(command::DEVICE_REMOVE, &mut Request::new(name)?)
    }

    fn call(&self, command: Opcode, request: &mut Request) -> Result<(), Errno> {
        // SAFETY: every device-mapper command takes a pointer to a `struct dm_ioctl` whose `data_size` tells how many
        // bytes from there on belong to the call; `Request::new` sets it to the size of `Request`, which begins with
        // that structure, is borrowed for the call alone and in which any bytes that the kernel writes are valid.
        #[allow(unsafe_code)]
        unsafe {
            ioctl(self.0.as_fd(), command, &raw mut *request as usize).map(|_| ())
        }
    }
}

/// The ioctl number of a command: `_IOWR(DM_IOCTL, number, struct dm_ioctl)`.
const fn number(command: u8) -> Opcode {
    opcode::from_components(Direction::ReadWrite, GROUP, command, HEADER_SIZE)
}

impl Request {
    fn new(name: &str) -> Result<Self, Errno> {
        let mut request = Self {
            // The interface version that these commands need; the kernel refuses another major number.
            version: [4, 0, 0],
            data_size: u32::try_from(size_of::<Self>()).map_err(|_| Errno::INVAL)?,
            data_start: u32::try_from(HEADER_SIZE).map_err(|_| Errno::INVAL)?,
            target_count: 0,
            open_count: 0,
            flags: 0,
            event_number: 0,
            padding: 0,
            device: 0,
            name: [0; NAME_LENGTH],
            uuid: [0; UUID_LENGTH],
            reserved: [0; 7],
            target: TargetSpec::default(),
            parameters: [0; MAX_PARAMETERS],
        };
        put(&mut request.name, name)?;
        Ok(request)
    }
}

/// Writes `text` and a NUL into `field`.
fn put(field: &mut [u8], text: &str) -> Result<(), Errno> {
    let room = field.get_mut(..text.len()).ok_or(Errno::NAMETOOLONG)?;
    room.copy_from_slice(text.as_bytes());
    *field.get_mut(text.len()).ok_or(Errno::NAMETOOLONG)? = 0;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_numbers_are_those_of_the_kernel_header() {
        // From linux/dm-ioctl.h: DM_VERSION and DM_TABLE_LOAD as the C preprocessor expands them.
        assert_eq!(command::VERSION, 0xc138_fd00);
        assert_eq!(command::TABLE_LOAD, 0xc138_fd09);
    }

    #[test]
    fn a_text_and_its_end_must_fit() {
        let mut field = [9; 4];
        assert_eq!(put(&mut field, "abc"), Ok(()));
        assert_eq!(field, *b"abc\0");
        assert_eq!(put(&mut field, "abcd"), Err(Errno::NAMETOOLONG));
    }
}
