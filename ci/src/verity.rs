//! Hash trees, made by Debian's veritysetup: scenarios judge surefoot by the reference implementation.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::cache::{self, Key};
use crate::command::{command, run};

/// A hash device's image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashTree {
    /// The image, superblock first.
    pub image: PathBuf,
    /// The root hash in lowercase hexadecimal.
    pub root_hash: String,
}

const SALT: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const UUID: &str = "5afe0b07-0000-4000-8000-000000000002";

/// Makes the hash tree of an image with veritysetup's defaults, more `options` appended.
pub fn format(data: &Path, options: &[&str]) -> Result<HashTree> {
    let key = Key::default().file(data)?.text(&options.join(" "));
    let folder = cache::cached("verity", "tree", key, |folder| {
        std::fs::create_dir(folder)?;
        run(command("veritysetup")
            .arg("format")
            .args([data, &folder.join("image")])
            .args(["--salt", SALT, "--uuid", UUID])
            .arg("--root-hash-file")
            .arg(folder.join("root-hash"))
            .args(options))?;
        Ok(())
    })?;
    let root_hash = std::fs::read_to_string(folder.join("root-hash")).context("read the root hash")?;
    Ok(HashTree { image: folder.join("image"), root_hash: root_hash.trim().to_owned() })
}
