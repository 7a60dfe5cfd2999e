//! The digest of a composefs image that a signed commit names.

use core::fmt;

use super::{Why, why};
use crate::candidates::Look;
use crate::ostree::Checksum;
use crate::ostree::commit::{Commit, CommitError};
use crate::ostree::object::{Kind, ObjectPath};
use crate::ostree::prepare_root::PrepareRoot;
use crate::tree::{Tree, TreeError};

/// Most bytes of the metadata that is detached from a commit: its signatures.
pub(super) const MAX_SIGNATURES: usize = 4096;
/// Most bytes of the file of public keys.
pub(super) const MAX_KEYS: usize = 4096;
/// The longest path of an object, in bytes.
const MAX_OBJECT_PATH: usize = 100;

/// The fs-verity digest that the image of the deployment of commit `checksum` must have, by the keys of the initramfs.
///
/// A commit without detached metadata that bootc made of a container image is vouched for by the commit that the
/// image was made of.
///
/// Commit objects lie in `room` while they are looked at: rpm-ostree's and bootc's hold lists of packages and layers.
#[inline(never)]
pub(super) fn digest(
    look: &Look<'_>,
    settings: &PrepareRoot<'_>,
    checksum: Checksum,
    room: &mut [u8],
) -> Result<Checksum, Why> {
    let mut buffer = [0; MAX_KEYS];
    let path = settings.keypath;
    let keys = look
        .initramfs
        .read_text(path.trim_start_matches('/'), &mut buffer)
        .map_err(|error| why(format_args!("the keys {path} of the initramfs cannot be read: {error}")))?;
    let mut checksum = checksum;
    if look.tree.status(&path_of(checksum, Kind::DetachedMetadata)) == Err(TreeError::Missing)
        && let Some(base) = base(look.tree, checksum, room)?
    {
        checksum = base;
    }
    verified(look.tree, checksum, keys, room)
}

/// The commit that a container image was made of.
fn base(tree: &dyn Tree, checksum: Checksum, room: &mut [u8]) -> Result<Option<Checksum>, Why> {
    let commit = commit(tree, checksum, room)?;
    commit.base().map_err(|error| fault(checksum, &error))
}

#[inline(never)]
fn verified(tree: &dyn Tree, checksum: Checksum, keys: &str, room: &mut [u8]) -> Result<Checksum, Why> {
    let mut signatures = [0; MAX_SIGNATURES];
    let commit = commit(tree, checksum, room)?;
    let signatures = match tree.read(&path_of(checksum, Kind::DetachedMetadata), &mut signatures) {
        Ok(signatures) => signatures,
        Err(TreeError::Missing) => return Err(fault(checksum, &CommitError::NotSigned)),
        Err(error) => return Err(fault(checksum, &format_args!("its detached metadata cannot be read: {error}"))),
    };
    commit.signed_digest(signatures, keys).map_err(|error| fault(checksum, &error))
}

fn commit<'b>(tree: &dyn Tree, checksum: Checksum, buffer: &'b mut [u8]) -> Result<Commit<'b>, Why> {
    let read = tree.read(&path_of(checksum, Kind::Commit), buffer);
    let bytes = read.map_err(|error| fault(checksum, &format_args!("it cannot be read: {error}")))?;
    Commit::parse(checksum, bytes).map_err(|error| fault(checksum, &error))
}

fn fault(checksum: Checksum, error: &dyn fmt::Display) -> Why {
    why(format_args!("nothing vouches for its image: commit {checksum}: {error}"))
}

fn path_of(checksum: Checksum, kind: Kind) -> heapless::String<MAX_OBJECT_PATH> {
    let mut path = heapless::String::new();
    // There is room for the longest.
    let _ = fmt::Write::write_fmt(&mut path, format_args!("{}", ObjectPath { checksum, kind }));
    path
}
