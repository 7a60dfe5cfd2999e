//! One digest of everything that a directory holds.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use surefoot_probe::Mount;

use crate::gather;

/// Reads all that is below `top`, but for what is mounted there, and gives the digest's bytes in hexadecimal. What cannot be read is an
/// error, and the console tells which file it was.
pub(crate) fn of(top: &Path) -> io::Result<String> {
    let mounts = gather::text("/proc/self/mountinfo");
    let mounts: Vec<_> = mounts.lines().filter_map(Mount::parse).map(|mount| PathBuf::from(mount.target)).collect();
    let (mut sum, mut waiting, mut buffer) = (Sha256::new(), vec![top.to_owned()], vec![0; 1 << 16]);
    while let Some(path) = waiting.pop() {
        if path != top && mounts.contains(&path) {
            continue;
        }
        let below =
            take(&mut sum, &path, &mut buffer).inspect_err(|why| eprintln!("probe: {}: {why}", path.display()))?;
        waiting.extend(below);
    }
    Ok(format!("{:02x?}", sum.finalize().as_slice()))
}

/// Takes one file; gives what is in it, if it is a directory.
fn take(sum: &mut Sha256, path: &Path, buffer: &mut [u8]) -> io::Result<Vec<PathBuf>> {
    let metadata = fs::symlink_metadata(path)?;
    sum.update((path.as_os_str().len() as u64).to_le_bytes());
    sum.update(path.as_os_str().as_bytes());
    sum.update(attributes(&metadata));
    if metadata.is_symlink() {
        sum.update(fs::read_link(path)?.as_os_str().as_bytes());
    } else if metadata.is_file() {
        let mut file = File::open(path)?;
        loop {
            let count = file.read(buffer)?;
            sum.update(buffer.get(..count).unwrap_or_default());
            if count == 0 {
                break;
            }
        }
    } else if metadata.is_dir() {
        let mut below = fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
        below.sort();
        return Ok(below);
    }
    Ok(Vec::new())
}

/// Mode, owner and group; the size of a file or of a symlink's target.
fn attributes(metadata: &Metadata) -> Vec<u8> {
    let size = if metadata.is_dir() { 0 } else { metadata.size() };
    let numbers = [u64::from(metadata.mode()), metadata.uid().into(), metadata.gid().into(), size];
    numbers.into_iter().flat_map(u64::to_le_bytes).collect()
}
