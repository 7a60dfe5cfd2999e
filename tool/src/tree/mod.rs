//! What can be seen of filesystems that are not mounted: by the same rules as PID 1 sees those that are.

mod ext4;
mod packed;
#[cfg(test)]
mod tests;

use deployment::tree::TreeError;

pub(crate) use ext4::Ext4Tree;
pub(crate) use packed::PackedTree;

/// The parts of a path that stays below the top of a tree.
fn parts(path: &str) -> Result<Vec<&str>, TreeError> {
    let parts: Vec<_> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.contains(&"..") { Err(TreeError::Link) } else { Ok(parts) }
}
