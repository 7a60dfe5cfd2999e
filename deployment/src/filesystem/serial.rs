//! UUIDs and serial numbers in the form in which `UUID=` names them.

use core::fmt::Write;

use verity::Uuid;

use super::FilesystemUuid;

/// The text of a UUID, empty for the nil one, which stands for none.
pub(super) fn uuid(bytes: [u8; 16]) -> FilesystemUuid {
    if bytes == [0; 16] { FilesystemUuid::new() } else { text(format_args!("{}", Uuid(bytes))) }
}

/// The text of the serial number of a FAT filesystem (`ABCD-1234`), empty for zero, which stands for none.
pub(super) fn serial(number: u32) -> FilesystemUuid {
    if number == 0 { FilesystemUuid::new() } else { text(format_args!("{:04X}-{:04X}", number >> 16, number & 0xffff)) }
}

fn text(arguments: core::fmt::Arguments<'_>) -> FilesystemUuid {
    let mut text = FilesystemUuid::new();
    // Both forms fit.
    let _ = text.write_fmt(arguments);
    text
}
