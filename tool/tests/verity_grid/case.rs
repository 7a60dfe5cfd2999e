//! One way to make a tree, and the two programs that make it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

pub(crate) const UUID: &str = "4ec27e96-5d1b-4f8a-9b3c-0f1d2a3b4c5d";
pub(crate) const SUREFOOT: &str = env!("CARGO_BIN_EXE_surefoot");

/// Where hash areas start: veritysetup itself cannot write a superblock at an offset that is not a multiple of this.
const PAGE: usize = 4096;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// Alone on the hash device.
    Alone,
    /// On the hash device, behind something else.
    Behind,
    /// Behind the data, on the same device.
    SameDevice,
}

#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) blocks: usize,
    pub(crate) data_block_size: usize,
    pub(crate) hash_block_size: usize,
    pub(crate) algorithm: &'static str,
    pub(crate) format: u32,
    pub(crate) salt: String,
    pub(crate) superblock: bool,
    pub(crate) place: Place,
}

impl Case {
    pub(crate) fn data_size(&self) -> usize {
        self.blocks * self.data_block_size
    }

    pub(crate) fn hash_device(&self) -> &'static str {
        match self.place {
            Place::Alone | Place::Behind => "hash",
            Place::SameDevice => "data",
        }
    }

    pub(crate) fn hash_offset(&self) -> usize {
        match self.place {
            Place::Alone => 0,
            Place::Behind => self.hash_block_size.max(2 * PAGE),
            Place::SameDevice => self.data_size().next_multiple_of(self.hash_block_size.max(PAGE)),
        }
    }

    /// The options that say how the tree is computed.
    pub(crate) fn tree_options(&self) -> Vec<String> {
        let mut options = vec![
            format!("--data-block-size={}", self.data_block_size),
            format!("--hash-block-size={}", self.hash_block_size),
            format!("--data-blocks={}", self.blocks),
            format!("--hash={}", self.algorithm),
            format!("--format={}", self.format),
            format!("--salt={}", self.salt),
        ];
        options.extend((!self.superblock).then(|| "--no-superblock".to_owned()));
        options
    }

    pub(crate) fn format_options(&self) -> Vec<String> {
        let uuid = self.superblock.then(|| format!("--uuid={UUID}"));
        self.tree_options().into_iter().chain(uuid).chain(["--root-hash-file=root.hash".to_owned()]).collect()
    }

    pub(crate) fn verify_options(&self) -> Vec<String> {
        if self.superblock { Vec::new() } else { self.tree_options() }
    }

    /// Does one thing with one of the two programs, in its own folder.
    pub(crate) fn run(&self, program: &Path, folder: &Path, action: &str, options: &[String]) -> Output {
        let mut arguments = Vec::new();
        if program == Path::new(SUREFOOT) {
            arguments.push("verity".to_owned());
        }
        arguments.push(action.to_owned());
        if action != "dump" {
            arguments.push("data".to_owned());
        }
        arguments.push(self.hash_device().to_owned());
        arguments.push(format!("--hash-offset={}", self.hash_offset()));
        arguments.extend_from_slice(options);
        run(program, folder, &arguments)
    }
}

pub(crate) fn veritysetup() -> &'static Path {
    let path = ["/usr/sbin/veritysetup", "/sbin/veritysetup"].map(Path::new).into_iter().find(|path| path.exists());
    path.expect("veritysetup is not installed: run `make test`, which installs it (Debian's cryptsetup-bin)")
}

pub(crate) fn run(program: &Path, folder: &Path, arguments: &[String]) -> Output {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).env("LC_ALL", "C").output().expect("program starts")
}

pub(crate) fn succeeded(output: &Output, what: &str, case: &Case) {
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what} failed: {words}\n{case:?}");
}

/// Bytes that do not repeat (xorshift64).
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// A folder in which a case's devices stand as they were before the tree was made.
pub(crate) fn folder(case: &Case, noise: &[u8]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut data = noise[..case.data_size()].to_vec();
    if matches!(case.place, Place::SameDevice) {
        // What stands between data and hash area must stay.
        data.resize(case.hash_offset(), 0xa5);
    } else {
        // What a device has after the data does not matter.
        data.push(0xa5);
    }
    fs::write(folder.path().join("data"), data).unwrap();
    if matches!(case.place, Place::Behind) {
        fs::write(folder.path().join("hash"), vec![0xa5; case.hash_offset() - 1]).unwrap();
    }
    folder
}

pub(crate) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}
