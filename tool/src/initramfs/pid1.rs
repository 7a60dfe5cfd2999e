//! The program that becomes `/init`: surefoot's PID 1.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use object::elf::PT_INTERP;
use object::read::elf::{ElfFile64, ProgramHeader};
use object::{Architecture, Endianness, Object, ObjectKind};

use crate::error::Error;

/// Its file name.
const NAME: &str = "surefoot-init";

/// Reads the program: the one that is named, else the one that lies beside this tool or in its install path.
pub(crate) fn read(named: Option<&Path>) -> Result<Vec<u8>, Error> {
    let path = match named {
        Some(path) => path.to_owned(),
        None => find()?,
    };
    let program = fs::read(&path).map_err(|why| Error::file("cannot read PID 1", &path, &why))?;
    check(&program).map_err(|why| {
        Error::bad("cannot use as PID 1", path.display(), why).advice("Build it with: cargo build --release")
    })?;
    Ok(program)
}

fn find() -> Result<PathBuf, Error> {
    let tool = env::current_exe().and_then(fs::canonicalize);
    let tool = tool.map_err(|why| Error::system("cannot find", "this program's own file", why))?;
    let folder = tool.parent().unwrap_or(Path::new("/"));
    let places = [folder.join(NAME), folder.join("../lib/surefoot").join(NAME)];
    match places.iter().find(|place| place.is_file()) {
        Some(place) => Ok(place.clone()),
        None => {
            Err(Error::bad("cannot find PID 1", NAME, format!("no {} or {}", places[0].display(), places[1].display()))
                .advice("Build it with `cargo build --release`, or name it: --init FILE"))
        }
    }
}

/// Says what is wrong with a program that could not run alone in an initramfs.
fn check(program: &[u8]) -> Result<(), String> {
    let elf = ElfFile64::<Endianness>::parse(program).map_err(|why| format!("not a 64-bit ELF file: {why}"))?;
    if !matches!(elf.kind(), ObjectKind::Executable | ObjectKind::Dynamic) {
        return Err("not a program".into());
    }
    if elf.architecture() != Architecture::X86_64 {
        return Err(format!("it is for {:?}, not for x86-64", elf.architecture()));
    }
    if elf.elf_program_headers().iter().any(|header| header.p_type(elf.endian()) == PT_INTERP) {
        return Err("it is linked dynamically, and the image holds no libraries".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dynamic_program_is_refused() {
        let shell = fs::read("/bin/sh").unwrap();
        assert_eq!(check(&shell).unwrap_err(), "it is linked dynamically, and the image holds no libraries");
        assert!(check(b"#!/bin/sh").unwrap_err().starts_with("not a 64-bit ELF file: "));
    }
}
