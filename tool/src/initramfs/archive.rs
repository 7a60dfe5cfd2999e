//! The image's bytes: a `newc` cpio archive (the kernel's `early-userspace/buffer-format`), compressed once.
//!
//! Nothing of the builder's machine shows in it: times, owners and device numbers are zero, inodes count from one.

use std::io::{self, Write};

use clap::ValueEnum;
use liblzma::stream::{Check, Filters, LzmaOptions, Stream};

use super::contents::{Contents, Node};

/// How the archive is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Compression {
    /// Zstandard: small, and the quickest to unpack at boot.
    Zstd,
    /// XZ: smaller still, slow to unpack.
    Xz,
    /// Not at all.
    None,
}

/// The highest level that costs little: 19 takes twenty times as long, for a tenth less.
const ZSTD_LEVEL: i32 = 9;
/// The window, as a power of two: 8 MiB are the most that a kernel unpacks without a large buffer of its own.
const ZSTD_WINDOW: u32 = 23;

/// The level of XZ's presets that has a window of 8 MiB as well.
const XZ_PRESET: u32 = 6;

/// File types of `c_mode` (inode(7)).
const FOLDER: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_000;
const CHARACTER_DEVICE: u32 = 0o020_000;

/// The archive, not compressed.
pub(crate) fn write(contents: &Contents) -> io::Result<Vec<u8>> {
    let mut archive = Vec::new();
    for (inode, (path, node)) in (1..).zip(contents.iter()) {
        let (mode, links, data) = match node {
            Node::Folder => (FOLDER | if path == "tmp" { 0o1777 } else { 0o755 }, 2, &[][..]),
            Node::File { data, executable } => (FILE | if *executable { 0o755 } else { 0o644 }, 1, &data[..]),
            Node::Link(target) => (LINK | 0o777, 1, target.as_bytes()),
            Node::Device { .. } => (CHARACTER_DEVICE | 0o600, 1, &[][..]),
        };
        let mut entry = cpio::newc::Builder::new(path).ino(inode).mode(mode).nlink(links);
        if let Node::Device { major, minor } = node {
            entry = entry.rdev_major(*major).rdev_minor(*minor);
        }
        let size = u32::try_from(data.len()).map_err(|_| io::Error::other(format!("/{path} is larger than 4 GiB")))?;
        let mut writer = entry.write(&mut archive, size);
        writer.write_all(data)?;
        writer.finish()?;
    }
    cpio::newc::trailer(&mut archive)?;
    Ok(archive)
}

/// Compresses the archive into what the kernel's unpacker accepts. One thread only: how the work is shared out would show
/// in the bytes.
pub(crate) fn compress(archive: Vec<u8>, compression: Compression) -> io::Result<Vec<u8>> {
    match compression {
        Compression::None => Ok(archive),
        Compression::Zstd => {
            let mut encoder = zstd::Encoder::new(Vec::new(), ZSTD_LEVEL)?;
            encoder.include_checksum(true)?;
            encoder.window_log(ZSTD_WINDOW)?;
            encoder.long_distance_matching(true)?;
            encoder.set_pledged_src_size(Some(archive.len() as u64))?;
            encoder.write_all(&archive)?;
            encoder.finish()
        }
        Compression::Xz => {
            // The kernel knows no check but CRC32 (its `staging/xz`).
            let options = LzmaOptions::new_preset(XZ_PRESET)?;
            let stream = Stream::new_stream_encoder(Filters::new().x86().lzma2(&options), Check::Crc32)?;
            let mut encoder = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
            encoder.write_all(&archive)?;
            encoder.finish()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn the_header_holds_nothing_of_the_builder() {
        let mut contents = Contents::default();
        contents.add("dev/console", Node::Device { major: 5, minor: 1 }).unwrap();
        let archive = write(&contents).unwrap();
        let header = concat!(
            "070701",
            "00000002",
            "00002180",
            "00000000",
            "00000000",
            "00000001",
            "00000000",
            "00000000",
            "00000000",
            "00000000",
            "00000005",
            "00000001",
            "0000000C",
            "00000000",
            "dev/console\0",
        );
        let text = String::from_utf8(archive).unwrap();
        assert!(text.to_uppercase().contains(&header.to_uppercase()), "{text}");
        assert!(text.contains("TRAILER!!!"), "{text}");
    }

    #[test]
    fn compression_loses_nothing() {
        let plain = b"0123456789".repeat(1000);
        assert_eq!(compress(plain.clone(), Compression::None).unwrap(), plain);
        let zstd = compress(plain.clone(), Compression::Zstd).unwrap();
        assert_eq!(zstd::decode_all(&zstd[..]).unwrap(), plain);
        let xz = compress(plain.clone(), Compression::Xz).unwrap();
        let mut unpacked = Vec::new();
        liblzma::read::XzDecoder::new(&xz[..]).read_to_end(&mut unpacked).unwrap();
        assert_eq!(unpacked, plain);
    }
}
