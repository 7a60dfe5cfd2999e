//! The files in an initramfs, unpacked as the kernel unpacks it (its `early-userspace/buffer-format`): any number of
//! `newc` archives one after the other, each plain or compressed, with zeros between them. A later file replaces an
//! earlier one.

use std::collections::BTreeMap;
use std::io::{self, Read};

/// What an archive says that a path is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Node {
    /// A regular file with these bytes.
    File(Vec<u8>),
    /// A symbolic link to this text.
    Link(String),
    /// A directory.
    Directory,
    /// Anything else.
    Other,
}

/// All paths, without a slash at either end.
pub(crate) type Nodes = BTreeMap<String, Node>;

/// What a bootconfig, appended to an initramfs, ends in (the kernel's `admin-guide/bootconfig`).
const BOOTCONFIG: &[u8] = b"#BOOTCONFIG\n";
/// What every `newc` archive begins with, up to the digit that tells the two kinds apart.
const CPIO: &[u8] = b"07070";
/// The bits of a mode that hold the file type, and three types (inode(7)).
const FILE_TYPE: u32 = 0o170_000;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_000;
const DIRECTORY: u32 = 0o040_000;

/// How a segment is compressed.
#[derive(Clone, Copy)]
enum Compression {
    Zstd,
    Xz,
    Gzip,
}

/// What compressed segments begin with.
const COMPRESSIONS: [(&[u8], Compression); 3] =
    [(b"\x28\xb5\x2f\xfd", Compression::Zstd), (b"\xfd7zXZ\0", Compression::Xz), (b"\x1f\x8b", Compression::Gzip)];

/// Unpacks a whole initramfs; also tells whether a bootconfig is appended to it.
pub(crate) fn unpack(image: &[u8]) -> Result<(Nodes, bool), String> {
    let (segments, has_bootconfig) = match image.strip_suffix(BOOTCONFIG) {
        Some(rest) => (without_bootconfig(rest), true),
        None => (image, false),
    };
    let mut nodes = Nodes::new();
    let mut rest = segments;
    loop {
        rest = after_zeros(rest);
        let at = segments.len() - rest.len();
        let failed = |why: io::Error| format!("the part at byte {at} cannot be unpacked: {why}");
        if rest.is_empty() {
            return Ok((nodes, has_bootconfig));
        } else if let Some((_, compression)) = COMPRESSIONS.iter().find(|(magic, _)| rest.starts_with(magic)) {
            let archives = decompress(&mut rest, *compression).map_err(failed)?;
            archives_of(&mut nodes, &archives).map_err(failed)?;
        } else if rest.starts_with(CPIO) {
            rest = archive(&mut nodes, rest).map_err(failed)?;
        } else {
            return Err(format!("the part at byte {at} is neither a newc archive nor zstd, xz or gzip"));
        }
    }
}

/// What comes before the data of a bootconfig, whose size stands behind it.
fn without_bootconfig(rest: &[u8]) -> &[u8] {
    let size = rest.len().checked_sub(8).and_then(|at| rest[at..].first_chunk::<4>());
    let size = size.map_or(0, |size| u32::from_le_bytes(*size) as usize);
    &rest[..rest.len().saturating_sub(size.saturating_add(8))]
}

fn after_zeros(bytes: &[u8]) -> &[u8] {
    &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..]
}

/// Decompresses one stream and moves `bytes` behind it.
fn decompress(bytes: &mut &[u8], compression: Compression) -> io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    match compression {
        Compression::Zstd => {
            zstd::stream::read::Decoder::with_buffer(bytes)?.single_frame().read_to_end(&mut plain)?;
        }
        Compression::Xz => {
            liblzma::bufread::XzDecoder::new(bytes).read_to_end(&mut plain)?;
        }
        Compression::Gzip => {
            flate2::bufread::GzDecoder::new(bytes).read_to_end(&mut plain)?;
        }
    }
    Ok(plain)
}

fn archives_of(nodes: &mut Nodes, bytes: &[u8]) -> io::Result<()> {
    let mut rest = after_zeros(bytes);
    while !rest.is_empty() {
        rest = after_zeros(archive(nodes, rest)?);
    }
    Ok(())
}

/// Reads one archive; gives what follows its trailer.
fn archive<'b>(nodes: &mut Nodes, mut rest: &'b [u8]) -> io::Result<&'b [u8]> {
    loop {
        let mut reader = cpio::newc::Reader::new(rest)?;
        if reader.entry().is_trailer() {
            return reader.finish();
        }
        let path = reader.entry().name().trim_start_matches("./").trim_matches('/').to_owned();
        let file_type = reader.entry().mode() & FILE_TYPE;
        let mut data = Vec::new();
        reader.read_to_end(&mut data)?;
        if data.len() != reader.entry().file_size() as usize {
            return Err(io::Error::other(format!("{path} is cut off")));
        }
        let node = match file_type {
            FILE => Node::File(data),
            LINK => Node::Link(String::from_utf8_lossy(&data).into_owned()),
            DIRECTORY => Node::Directory,
            _ => Node::Other,
        };
        nodes.insert(path, node);
        rest = reader.finish()?;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn newc(files: &[(&str, u32, &str)]) -> Vec<u8> {
        let mut archive = Vec::new();
        for (path, mode, text) in files {
            let entry = cpio::newc::Builder::new(path).mode(*mode);
            let mut writer = entry.write(&mut archive, u32::try_from(text.len()).unwrap());
            writer.write_all(text.as_bytes()).unwrap();
            writer.finish().unwrap();
        }
        cpio::newc::trailer(&mut archive).unwrap();
        archive
    }

    fn file(path: &str, text: &str) -> Vec<u8> {
        newc(&[(path, 0o100_644, text)])
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn xz(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 0);
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        zstd::encode_all(bytes, 1).unwrap()
    }

    #[test]
    fn segments_follow_one_another_in_any_form() {
        let image = [
            file("early/microcode", "m"),
            vec![0; 512],
            zstd(&file("a", "zstd")),
            xz(&file("b", "xz")),
            vec![0; 3],
            gzip(&[file("./c", "gzip"), vec![0; 8], file("/d", "second")].concat()),
            file("a", "replaced"),
        ];
        let (nodes, has_bootconfig) = unpack(&image.concat()).unwrap();
        let found: Vec<_> = nodes.iter().map(|(path, node)| (path.as_str(), node)).collect();
        let text = |text: &str| Node::File(text.as_bytes().to_vec());
        let expected = [
            ("a", text("replaced")),
            ("b", text("xz")),
            ("c", text("gzip")),
            ("d", text("second")),
            ("early/microcode", text("m")),
        ];
        assert_eq!(found, expected.iter().map(|(path, node)| (*path, node)).collect::<Vec<_>>());
        assert!(!has_bootconfig);
    }

    #[test]
    fn links_and_folders_are_told_from_files() {
        let (nodes, _) = unpack(&newc(&[("lib", 0o120_777, "usr/lib"), ("usr", 0o040_755, "")])).unwrap();
        assert_eq!(nodes["lib"], Node::Link("usr/lib".into()));
        assert_eq!(nodes["usr"], Node::Directory);
    }

    #[test]
    fn a_bootconfig_at_the_end_is_no_segment() {
        let mut image = file("a", "x");
        image.extend(b"kernel.root=1\n\0\0");
        image.extend(16u32.to_le_bytes());
        image.extend([1, 2, 3, 4]);
        image.extend(b"#BOOTCONFIG\n");
        let (nodes, has_bootconfig) = unpack(&image).unwrap();
        assert_eq!((nodes.len(), has_bootconfig), (1, true));
    }

    #[test]
    fn what_cannot_be_unpacked_is_said_with_its_place() {
        let plain = file("a", "x");
        let garbage = [plain.clone(), b"garbage".to_vec()].concat();
        let place = plain.len();
        let expected = format!("the part at byte {place} is neither a newc archive nor zstd, xz or gzip");
        assert_eq!(unpack(&garbage).unwrap_err(), expected);
        for compressed in [zstd(&plain), xz(&plain), gzip(&plain)] {
            let cut = unpack(&compressed[..compressed.len() - 6]).unwrap_err();
            assert!(cut.starts_with("the part at byte 0 cannot be unpacked: "), "{cut}");
        }
        for end in 1..plain.len() {
            assert!(unpack(&plain[..end]).is_err(), "cut at {end}");
        }
        assert_eq!(unpack(b"#BOOTCONFIG\n").unwrap().0, Nodes::new());
    }
}
