//! The size of PID 1, beside programs that do a part of what it does.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;

use super::peers::Peers;
use super::section::{Section, kib};
use crate::{paths, peers};

/// Programs that cannot be had from a registry of packages: bytes as they are stated elsewhere.
const STATED: [(&str, u64); 2] = [("rsinit (stated, not measured)", 1_200_000), ("nixos-init (stated)", 500 << 10)];

/// The table of sizes.
///
/// # Errors
/// When one cannot be built or is not installed.
pub fn compare(others: &Peers) -> Result<Section> {
    let method = "Bytes of the file. What is linked dynamically needs its libraries in the initramfs as well.";
    let mut section = Section::new("Size of the first program", method, &["program", "size", "linked"]);
    let measured: [(&str, PathBuf, &str); 4] = [
        ("surefoot-init", paths::program("surefoot-init")?, "statically"),
        ("surefoot-init, slots alone", paths::slots_alone()?, "statically"),
        ("composefs-setup-root", peers::composefs_setup_root()?, "statically"),
        ("ostree-prepare-root", others.path("usr/lib/ostree/ostree-prepare-root"), "dynamically"),
    ];
    for (name, file, linked) in measured {
        section.push([name.to_owned(), kib(fs::metadata(file)?.len()), linked.to_owned()]);
    }
    for (name, bytes) in STATED {
        section.push([name.to_owned(), kib(bytes), "-".to_owned()]);
    }
    Ok(section)
}
