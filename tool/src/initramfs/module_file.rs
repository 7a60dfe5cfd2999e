//! One kernel module's file: decompressing it, and what it says about itself in its `.modinfo` section.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use object::{Object, ObjectSection};

use crate::error::Error;

/// What a module says about itself: `key=value` texts, NUL-terminated, in its ELF section `.modinfo`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Modinfo {
    /// Modules whose symbols it uses (`depends=a,b`), by name.
    pub(crate) depends: Vec<String>,
    /// Patterns of what it serves (`alias=`).
    pub(crate) aliases: Vec<String>,
    /// Soft dependencies as written (`softdep=pre: a post: b`).
    pub(crate) softdeps: Vec<String>,
    /// Modules that it may ask for once it runs (`weakdep=a b`), by name or alias.
    pub(crate) weakdeps: Vec<String>,
    /// Firmware files that it may ask for.
    pub(crate) firmware: Vec<String>,
    /// Version of the kernel it was built for: the first word of `vermagic=`.
    pub(crate) kernel: Option<String>,
}

impl Modinfo {
    /// Reads it from a decompressed module; the error says what is wrong with the file.
    pub(crate) fn of_elf(module: &[u8]) -> Result<Self, String> {
        let elf = object::File::parse(module).map_err(|why| format!("not an ELF file: {why}"))?;
        let section = elf.section_by_name(".modinfo").ok_or("not a kernel module: it has no .modinfo section")?;
        let texts = section.data().map_err(|why| format!("its .modinfo section cannot be read: {why}"))?;
        Ok(texts.split(|&byte| byte == 0).filter_map(|text| str::from_utf8(text).ok()?.split_once('=')).collect())
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for Modinfo {
    fn from_iter<T: IntoIterator<Item = (&'a str, &'a str)>>(pairs: T) -> Self {
        let mut info = Self::default();
        for (key, value) in pairs {
            match key {
                "depends" => info.depends.extend(value.split(',').filter(|name| !name.is_empty()).map(str::to_owned)),
                "alias" => info.aliases.push(value.to_owned()),
                "softdep" => info.softdeps.push(value.to_owned()),
                "weakdep" => info.weakdeps.extend(value.split_ascii_whitespace().map(str::to_owned)),
                "firmware" => info.firmware.push(value.to_owned()),
                "vermagic" => info.kernel = value.split(' ').next().map(str::to_owned),
                _ => {}
            }
        }
        info
    }
}

/// Reads a file and decompresses it if the ending of its name says so (`.xz`, `.zst`, `.gz`).
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let packed = fs::read(path).map_err(|why| Error::file("cannot read", path, &why))?;
    decompress(path, packed).map_err(|why| Error::bad("cannot decompress", path.display(), why))
}

fn decompress(path: &Path, packed: Vec<u8>) -> io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("xz") => liblzma::read::XzDecoder::new_multi_decoder(&packed[..]).read_to_end(&mut plain)?,
        Some("zst") => zstd::Decoder::new(&packed[..])?.read_to_end(&mut plain)?,
        Some("gz") => flate2::read::MultiGzDecoder::new(&packed[..]).read_to_end(&mut plain)?,
        _ => return Ok(packed),
    };
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn reads_what_a_module_says() {
        let pairs = [
            ("alias", "pci:v*"),
            ("alias", "fs-a"),
            ("depends", "dm-mod,dm_bufio"),
            ("softdep", "pre: a"),
            ("weakdep", "b c"),
            ("firmware", "x/y.bin"),
            ("vermagic", "6.12.1 SMP mod_unload"),
            ("license", "GPL"),
        ];
        let info: Modinfo = pairs.into_iter().collect();
        assert_eq!(info.aliases, ["pci:v*", "fs-a"]);
        assert_eq!(info.depends, ["dm-mod", "dm_bufio"]);
        assert_eq!(info.softdeps, ["pre: a"]);
        assert_eq!(info.weakdeps, ["b", "c"]);
        assert_eq!(info.firmware, ["x/y.bin"]);
        assert_eq!(info.kernel.as_deref(), Some("6.12.1"));
    }

    #[test]
    fn no_dependencies_are_written_as_an_empty_list() {
        let info: Modinfo = [("depends", "")].into_iter().collect();
        assert_eq!(info, Modinfo::default());
    }

    #[test]
    fn what_is_no_module_is_named_so() {
        assert!(Modinfo::of_elf(b"text").unwrap_err().starts_with("not an ELF file: "));
    }

    #[test]
    fn all_three_compressions_give_the_same_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let plain = b"the same bytes".repeat(100);
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gz.write_all(&plain).unwrap();
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 6);
        xz.write_all(&plain).unwrap();
        let packed = [
            ("a.ko", plain.clone()),
            ("a.ko.gz", gz.finish().unwrap()),
            ("a.ko.xz", xz.finish().unwrap()),
            ("a.ko.zst", zstd::encode_all(&plain[..], 3).unwrap()),
        ];
        for (name, bytes) in packed {
            let path = dir.path().join(name);
            fs::write(&path, &bytes).unwrap();
            assert_eq!(read(&path).unwrap(), plain, "{name}");
        }
    }

    #[test]
    fn a_broken_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.ko.xz");
        fs::write(&path, b"not xz").unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.starts_with(&format!("cannot decompress {}: ", path.display())), "{error}");
    }
}
