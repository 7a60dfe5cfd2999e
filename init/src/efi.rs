//! Which partition the firmware started the boot loader from (Boot Loader Interface,
//! <https://systemd.io/BOOT_LOADER_INTERFACE>).

use heapless::String;
use sys::file;
use sys::mount::{self, Attributes, Message};
use verity::Uuid;

/// Where the kernel shows the firmware's variables.
const VARIABLES: &str = "/sys/firmware/efi/efivars";
/// Set by systemd-boot, systemd-stub and others: the PARTUUID as UTF-16 text with a closing NUL.
const VARIABLE: &str = "/sys/firmware/efi/efivars/LoaderDevicePartUUID-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
/// efivarfs puts the variable's attributes in front of its value (Documentation/filesystems/efivarfs.rst).
const ATTRIBUTES_SIZE: usize = 4;
/// Characters of a UUID's text form.
const UUID_LENGTH: usize = 36;

/// Reads the variable. `None` where there is no such firmware, or where the loader did not say.
pub fn loader_partition() -> Option<Uuid> {
    if !file::is_directory(VARIABLES) {
        return None;
    }
    let attributes = Attributes::NO_SUID.with(Attributes::NO_DEVICES).with(Attributes::NO_EXECUTION);
    let mounted =
        mount::filesystem("efivarfs", "efivarfs", &mut ["ro"].into_iter(), attributes, VARIABLES, &mut Message::new());
    let mut buffer = [0; ATTRIBUTES_SIZE + 2 * (UUID_LENGTH + 1)];
    let partition = file::read(VARIABLE, &mut buffer).ok().and_then(parse);
    if mounted.is_ok() {
        // The real init mounts it in its own way; a mount that stays is in nobody's way either.
        let _ = mount::unmount(VARIABLES);
    }
    partition
}

fn parse(variable: &[u8]) -> Option<Uuid> {
    let text = variable.get(ATTRIBUTES_SIZE..)?;
    let units = text.chunks_exact(2).filter_map(|pair| Some(u16::from_le_bytes(pair.try_into().ok()?)));
    let mut uuid = String::<UUID_LENGTH>::new();
    for character in char::decode_utf16(units.take_while(|unit| *unit != 0)) {
        uuid.push(character.ok()?).ok()?;
    }
    uuid.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::string::ToString;
    use std::vec::Vec;

    use super::*;

    fn variable(text: &str) -> Vec<u8> {
        let units = text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes);
        [6, 0, 0, 0].into_iter().chain(units).collect()
    }

    #[test]
    fn the_variable_is_utf16_behind_its_attributes() {
        let uuid = parse(&variable("4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709")).unwrap();
        assert_eq!(uuid.to_string(), "4f68bce3-e8cd-4db1-96e7-fbcaf984b709");
    }

    #[test]
    fn anything_else_is_no_partition() {
        assert_eq!(parse(&variable("")), None);
        assert_eq!(parse(&variable("4f68bce3-e8cd-4db1-96e7-fbcaf984b7091")), None);
        assert_eq!(parse(&[6, 0]), None);
        assert_eq!(parse(&[6, 0, 0, 0, 0x00, 0xd8, 0x41, 0x00]), None);
    }
}
