//! The size of PID 1, beside programs that do a part of what it does, and that of the initramfs.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;

use super::peers::Peers;
use super::section::{Section, kib};
use crate::command::{command, run};
use crate::kernel::{self, Package};
use crate::size::for_virtio_machine;
use crate::{initramfs, paths, setup_root};

/// Programs that cannot be had from a registry of packages: bytes as they are stated elsewhere.
const STATED: [(&str, u64); 2] = [("rsinit (stated, not measured)", 1_200_000), ("nixos-init (stated)", 500 << 10)];

/// The table of programs.
///
/// # Errors
/// When one cannot be built or is not installed.
pub fn programs(others: &Peers) -> Result<Section> {
    let method = "Bytes of the file, and of the libraries that it needs in the initramfs as well.";
    let mut section = Section::new("Size of the first program", method, &["program", "size", "libraries"]);
    let prepare_root = "usr/lib/ostree/ostree-prepare-root";
    let measured: [(&str, PathBuf, u64); 4] = [
        ("surefoot-init", paths::program("surefoot-init")?, 0),
        ("surefoot-init, slots alone", paths::slots_alone()?, 0),
        ("composefs-setup-root", setup_root::program()?, 0),
        ("ostree-prepare-root", others.path(prepare_root), others.bytes_of_libraries(prepare_root)?),
    ];
    for (name, file, libraries) in measured {
        let libraries = if libraries == 0 { "-".to_owned() } else { kib(libraries) };
        section.push([name.to_owned(), kib(fs::metadata(file)?.len()), libraries]);
    }
    for (name, bytes) in STATED {
        section.push([name.to_owned(), kib(bytes), "-".to_owned()]);
    }
    Ok(section)
}

/// The table of initramfs images.
///
/// # Errors
/// What `surefoot initramfs` says.
pub fn images() -> Result<Section> {
    let method = "By `surefoot initramfs`: with the drivers of all machines, and (`--host-only`) for one with a disk and a network \
                  card on virtio, erofs and ext4. Unpacked they lie in memory until the hand-over, which frees them.";
    let columns = ["kernel", "all machines", "unpacked", "--host-only", "unpacked"];
    let mut section = Section::new("Size of the initramfs", method, &columns);
    let host_only = for_virtio_machine()?;
    let host_only = host_only.each_ref().map(String::as_str);
    for package in [Package::Cloud61, Package::Cloud612, Package::Full612] {
        let kernel = kernel::fetch(package)?;
        let mut row = vec![kernel.release.clone()];
        for options in [&[][..], &host_only] {
            let image = initramfs::build(&kernel, options)?;
            let unpacked = run(command("sh").args(["-ec", "zstd -dc -- \"$1\" | wc -c", "sh"]).arg(&image))?;
            row.extend([kib(fs::metadata(&image)?.len()), kib(unpacked.trim().parse()?)]);
        }
        section.push(row);
    }
    Ok(section)
}
