//! From two devices and a root hash to the table of a dm-verity device. What is wrong is found here, before the kernel
//! is asked, for here it can be told which of the parts is wrong.

use deployment::read::ReadAt;
use verity::diagnose::{Block, Buffers, MAX_BLOCK_SIZE, diagnose};
use verity::superblock::SUPERBLOCK_SIZE;
use verity::{Geometry, Superblock, Table, TableOptions, Uuid};

use crate::plan::VerityDevice;
use crate::reason;
use crate::text::Reason;

/// Memory page of x86-64 in bytes: the kernel takes no larger block.
const PAGE_SIZE: u32 = 4096;

/// A dm-verity device that can be activated.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// The superblock's UUID, part of the device-mapper UUID.
    pub uuid: Uuid,
    /// The table, with the devices by path.
    pub table: Table,
}

/// A device that is at hand.
#[derive(Clone, Copy)]
pub struct Content<'c> {
    /// What is on it.
    pub reader: &'c dyn ReadAt,
    /// The path of its node.
    pub path: &'c str,
}

/// Reads and checks the superblock and the top of the hash tree.
#[inline(never)]
pub fn prepare(device: &VerityDevice, data: Content<'_>, hash: Content<'_>) -> Result<Prepared, Reason> {
    let VerityDevice { name, root_hash, hash_offset, .. } = device;
    let Content { reader: data, path: data_path } = data;
    let Content { reader: hash, path: hash_path } = hash;
    let failed = |why: core::fmt::Arguments<'_>| reason!("cannot verify {name}: {why}");
    let on_hash_device = |why: core::fmt::Arguments<'_>| failed(format_args!("hash device {hash_path}: {why}"));

    let mut superblock = [0; SUPERBLOCK_SIZE];
    hash.read_exact_at(*hash_offset, &mut superblock)
        .map_err(|error| on_hash_device(format_args!("cannot read the superblock: {error}")))?;
    let superblock = Superblock::parse(&superblock).map_err(|error| on_hash_device(format_args!("{error}")))?;
    let geometry = Geometry::with_superblock(&superblock, *hash_offset)
        .map_err(|error| on_hash_device(format_args!("{error}")))?;
    let parameters = geometry.parameters();
    if !parameters.kernel_takes(PAGE_SIZE, verity::parameters::MIN_BLOCK_SIZE, verity::parameters::MIN_BLOCK_SIZE) {
        return Err(on_hash_device(format_args!(
            "blocks of {} and {} bytes are larger than the kernel's {PAGE_SIZE}",
            parameters.data_block_size, parameters.hash_block_size
        )));
    }
    check_size("data device", data_path, data.size(), geometry.data_size())
        .map_err(|why| failed(format_args!("{why}")))?;
    check_size("hash device", hash_path, hash.size(), geometry.hash_device_size())
        .map_err(|why| failed(format_args!("{why}")))?;

    let options = TableOptions {
        ignore_zero_blocks: device.ignore_zero_blocks,
        check_at_most_once: device.check_at_most_once,
        ..TableOptions::default()
    };
    let table = Table::new(&geometry, *root_hash, data_path, hash_path, options)
        .map_err(|error| failed(format_args!("{error}")))?;

    let (data_size, hash_size) = (u64::from(parameters.data_block_size), u64::from(parameters.hash_block_size));
    let mut buffers = ([0; MAX_BLOCK_SIZE], [0; MAX_BLOCK_SIZE]);
    let verdict =
        diagnose(&geometry, root_hash, Buffers { parent: &mut buffers.0, child: &mut buffers.1 }, |block, buffer| {
            match block {
                Block::Data(block) => data.read_exact_at(block.saturating_mul(data_size), buffer),
                Block::Hash(block) => hash.read_exact_at(block.saturating_mul(hash_size), buffer),
            }
        })
        .map_err(|error| failed(format_args!("{error}")))?;
    if !verdict.is_sound() {
        return Err(reason!(
            "cannot verify {name}: data {data_path}, hash {hash_path}, root hash {root_hash}: {verdict}"
        ));
    }
    Ok(Prepared { uuid: superblock.uuid, table })
}

fn check_size(role: &str, path: &str, size: u64, needed: u64) -> Result<(), Reason> {
    if size >= needed {
        return Ok(());
    }
    Err(reason!("{role} {path} is too short: the hash tree's superblock asks for {needed} bytes, it has {size}"))
}
