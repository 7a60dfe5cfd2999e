//! Loop devices: regular files as block devices (linux/loop.h, loop(4)).

use core::fmt::Write as _;

use heapless::String;
use rustix::fd::AsRawFd as _;
use rustix::fs::{Mode, OFlags};

use crate::Errno;
use crate::call::ioctl;
use crate::file::{self, Access, AsFd as _, BorrowedFd, OwnedFd};
use crate::text::{Room, c};

/// Where the kernel gives out numbers; it is there when the module `loop` is.
const CONTROL: &str = "/dev/loop-control";
/// `LOOP_CTL_GET_FREE`.
const GET_FREE: u32 = 0x4c82;
/// `LOOP_CONFIGURE`.
const CONFIGURE: u32 = 0x4c0a;
/// `LOOP_CLR_FD`.
const CLEAR: u32 = 0x4c01;
/// `LO_FLAGS_READ_ONLY`.
const READ_ONLY: u32 = 1;
/// `LO_FLAGS_AUTOCLEAR`.
const AUTO_CLEAR: u32 = 4;

/// How often a free device may be taken by somebody else before it is used.
const MAX_ATTEMPTS: usize = 32;

/// `struct loop_config`, and within it `struct loop_info64` from `device` to `init`.
#[repr(C)]
#[derive(Default)]
struct Configuration {
    backing_file: u32,
    block_size: u32,
    device: [u64; 3],
    offset: u64,
    size_limit: u64,
    number: u32,
    encryption: [u32; 2],
    flags: u32,
    // Names and keys are texts of 64, 64 and 32 bytes.
    file_name: [u64; 8],
    cipher_name: [u64; 8],
    key: [u64; 4],
    init: [u64; 2],
    reserved: [u64; 8],
}

const _: () = assert!(size_of::<Configuration>() == 304 && core::mem::offset_of!(Configuration, flags) == 60);

/// Which part of a file becomes a device, and what kind of device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// First byte of the file that belongs to the device.
    pub offset: u64,
    /// Most bytes that belong to it; 0 is all up to the end of the file. The kernel rounds down to whole sectors of 512.
    pub size_limit: u64,
    /// Logical block size in bytes: a power of two from 512 to the page size; 0 is 512.
    pub block_size: u32,
    /// Whether nothing can be written through the device. It is so in any case where the file is open only for reading.
    pub read_only: bool,
    /// Whether the kernel detaches the file when the device is closed for the last time, mounts included.
    pub auto_clear: bool,
}

/// A file that is attached. Dropped, it stays attached, unless [`Options::auto_clear`] says otherwise.
#[derive(Debug)]
pub struct LoopDevice {
    /// The number N of `/dev/loopN`.
    pub number: u32,
    /// The device, open for reading, and for writing if it is not read-only.
    pub device: OwnedFd,
}

/// Path of the loop device `number`.
pub fn path(number: u32) -> String<20> {
    let mut path = String::new();
    // The longest number has ten digits.
    let _ = write!(path, "/dev/loop{number}");
    path
}

/// Attaches the open regular `file` to a free loop device (`LOOP_CTL_GET_FREE`, `LOOP_CONFIGURE`; Linux 5.8).
///
/// # Errors
/// `ENOENT` where the kernel has no loop devices: the module `loop` is not loaded. `EBUSY` where others took every free
/// one first. `EINVAL` where `file` is no regular file or block device, the block size is none, or the kernel is older.
pub fn attach(file: BorrowedFd<'_>, options: Options) -> Result<LoopDevice, Errno> {
    let control = file::open(CONTROL, Access::Read)?;
    let flag = |set, flag| if set { flag } else { 0 };
    let configuration = Configuration {
        backing_file: u32::try_from(file.as_raw_fd()).map_err(|_| Errno::BADF)?,
        block_size: options.block_size,
        offset: options.offset,
        size_limit: options.size_limit,
        flags: flag(options.read_only, READ_ONLY) | flag(options.auto_clear, AUTO_CLEAR),
        ..Configuration::default()
    };
    for _ in 0..MAX_ATTEMPTS {
        // SAFETY: this ioctl takes no argument beyond its number.
        #[allow(unsafe_code)]
        let number = unsafe { ioctl(control.as_fd(), GET_FREE, 0)? };
        let number = u32::try_from(number).map_err(|_| Errno::OVERFLOW)?;
        let device = match open(number, if options.read_only { OFlags::RDONLY } else { OFlags::RDWR }) {
            // Whoever removed the device left its node.
            Err(Errno::NXIO | Errno::NODEV) => continue,
            device => device?,
        };
        // SAFETY: the kernel copies a `struct loop_config` from the address, which is that of one, and writes nothing.
        #[allow(unsafe_code)]
        match unsafe { ioctl(device.as_fd(), CONFIGURE, &raw const configuration as usize) } {
            Ok(_) => return Ok(LoopDevice { number, device }),
            Err(Errno::BUSY) => {}
            Err(errno) => return Err(errno),
        }
    }
    Err(Errno::BUSY)
}

/// Detaches the file from loop device `number` (`LOOP_CLR_FD`). While the device is in use elsewhere the kernel only
/// makes a note, and detaches the file when the last user is gone.
///
/// # Errors
/// `ENXIO` where no file is attached.
pub fn detach(number: u32) -> Result<(), Errno> {
    let device = open(number, OFlags::RDONLY)?;
    // SAFETY: this ioctl takes no argument beyond its number.
    #[allow(unsafe_code)]
    unsafe {
        ioctl(device.as_fd(), CLEAR, 0).map(|_| ())
    }
}

fn open(number: u32, access: OFlags) -> Result<OwnedFd, Errno> {
    rustix::fs::open(c(&path(number), &mut Room::new())?, access | OFlags::CLOEXEC, Mode::empty())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::scratch::Scratch;

    fn fact(number: u32, name: &str) -> std::string::String {
        fs::read_to_string(std::format!("/sys/block/loop{number}/{name}")).unwrap().trim().into()
    }

    /// Needs root and loop devices.
    #[test]
    fn a_part_of_a_file_is_a_device_until_it_is_detached() {
        let scratch = Scratch::for_root("loop");
        let content: std::vec::Vec<u8> = (0..8u8).flat_map(|sector| [sector; 4096]).collect();
        fs::write(scratch.at("file"), content).unwrap();
        let file = file::open(&scratch.at("file"), Access::Read).unwrap();
        let options = Options { offset: 4096, size_limit: 8192, block_size: 4096, read_only: true, auto_clear: false };
        let first = attach(file.as_fd(), options).unwrap();
        let second = attach(file.as_fd(), Options { auto_clear: true, ..Options::default() }).unwrap();
        assert_ne!(first.number, second.number);
        assert_eq!((fact(first.number, "size").as_str(), fact(second.number, "size").as_str()), ("16", "64"));
        assert_eq!(crate::block::sector_size(first.device.as_fd()), Ok(4096));

        let mut bytes = [0; 2];
        file::read_exact_at(first.device.as_fd(), 4095, &mut bytes).unwrap();
        assert_eq!(bytes, [1, 2]);
        assert_eq!(fact(first.number, "ro"), "1");

        detach(first.number).unwrap();
        drop(first.device);
        // A file that is open for reading alone makes a device that cannot be written.
        assert_eq!(fact(second.number, "ro"), "1");
        drop(second.device);
        for number in [first.number, second.number] {
            assert_eq!(detach(number), Err(Errno::NXIO));
        }
    }

    /// Needs root and loop devices.
    #[test]
    fn what_is_written_to_a_device_is_in_its_file() {
        let scratch = Scratch::for_root("loop-write");
        fs::write(scratch.at("file"), [0; 8192]).unwrap();
        let file = rustix::fs::open(scratch.at("file").as_str(), OFlags::RDWR, Mode::empty()).unwrap();
        let attached = attach(file.as_fd(), Options { auto_clear: true, ..Options::default() }).unwrap();
        file::write_all_at(attached.device.as_fd(), 512, b"written").unwrap();
        crate::block::flush(attached.device.as_fd()).unwrap();
        assert_eq!(&fs::read(scratch.at("file")).unwrap()[512..519], b"written");
    }

    /// Needs root and loop devices.
    #[test]
    fn a_folder_is_no_device() {
        let scratch = Scratch::for_root("loop-folder");
        let folder = rustix::fs::open(scratch.at("").as_str(), OFlags::RDONLY, Mode::empty()).unwrap();
        assert_eq!(attach(folder.as_fd(), Options::default()).unwrap_err(), Errno::INVAL);
    }
}
