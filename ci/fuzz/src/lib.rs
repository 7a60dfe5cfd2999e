//! What every reader of foreign bytes and texts holds to, for any input at all.
//!
//! A target takes bytes, gives them to one reader as a disk, a file or a text, and judges what comes out: that what is read is
//! written the same, that what is found lies where there is something, that a change is there once it was made. It panics where
//! the product is at fault; bytes that are refused are nobody's fault.
//!
//! `make fuzz` searches for inputs that fail; the tests go through those that are kept in `corpus` and `regressions`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod descriptions;
mod disks;
mod initramfs;
mod input;
mod ledgers;
mod modules;
mod names;
mod ostree;
mod trees;
mod verity;
mod words;

#[cfg(test)]
mod tests;

/// Gives an input to a reader and judges what comes out.
pub type Target = fn(&[u8]);

/// Every target by its name, which is also that of its folder in `corpus`.
pub const TARGETS: &[(&str, Target)] = &[
    ("command_line", words::command_line),
    ("bootconfig", words::bootconfig),
    ("drop_ins", words::drop_ins),
    ("device_spec", words::device_spec),
    ("mount_options", words::mount_options),
    ("hashes", words::hashes),
    ("verity_superblock", verity::superblock),
    ("verity_table", verity::table),
    ("verity_device", verity::device),
    ("gpt", disks::gpt),
    ("mbr", disks::mbr),
    ("filesystem", disks::filesystem),
    ("machine", disks::machine),
    ("ledger_file", ledgers::file),
    ("ledger_order", ledgers::order),
    ("ostree_paths", ostree::paths),
    ("ostree_commit", ostree::commit),
    ("ostree_prepare_root", ostree::prepare_root),
    ("boot_entry", ostree::boot_entry),
    ("vpick", names::vpick),
    ("versions", names::versions),
    ("composefs_metadata", descriptions::composefs_metadata),
    ("composefs_setup_root", descriptions::composefs_setup_root),
    ("snapper", descriptions::snapper),
    ("modules", modules::index),
    ("module_alias", modules::alias),
    ("uevent", modules::uevent),
    ("initramfs", initramfs::archives),
    ("tree", trees::look),
];

/// The target of this name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.iter().find(|(known, _)| *known == name).map(|(_, target)| *target)
}
