//! The files that are packed into an initramfs.

use std::collections::BTreeSet;

use deployment::tree::{FileKind, Status, Tree, TreeError};

use super::parts;
use crate::explain::{Node, Nodes};

/// The files of an initramfs, as they are when PID 1 starts.
pub(crate) struct PackedTree<'n>(pub(crate) &'n Nodes);

impl PackedTree<'_> {
    /// What is at `path`, if no link leads there; a directory is `None`.
    fn find(&self, path: &str) -> Result<Option<&Node>, TreeError> {
        let mut found = String::new();
        let mut node: Option<&Node> = None;
        for part in parts(path)? {
            match node {
                None => {}
                Some(Node::Link(_)) => return Err(TreeError::Link),
                Some(_) => return Err(TreeError::WrongKind),
            }
            if !found.is_empty() {
                found.push('/');
            }
            found.push_str(part);
            node = match self.0.get(&found) {
                Some(Node::Directory) => None,
                None if self.has_below(&found) => None,
                None => return Err(TreeError::Missing),
                node => node,
            };
        }
        Ok(node)
    }

    fn has_below(&self, folder: &str) -> bool {
        let start = format!("{folder}/");
        self.0.range(start.clone()..).next().is_some_and(|(path, _)| path.starts_with(&start))
    }

    fn content(&self, path: &str) -> Result<&[u8], TreeError> {
        match self.find(path)? {
            Some(Node::File(content)) => Ok(content),
            Some(Node::Link(_)) => Err(TreeError::Link),
            _ => Err(TreeError::WrongKind),
        }
    }
}

impl Tree for PackedTree<'_> {
    fn read<'b>(&self, path: &str, buffer: &'b mut [u8]) -> Result<&'b [u8], TreeError> {
        let content = self.content(path)?;
        let too_long = TreeError::TooLong(buffer.len());
        let room = buffer.get_mut(..content.len()).ok_or(too_long)?;
        room.copy_from_slice(content);
        Ok(room)
    }

    fn read_exact_at(&self, path: &str, offset: u64, buffer: &mut [u8]) -> Result<(), TreeError> {
        let content = self.content(path)?;
        let start = usize::try_from(offset).ok();
        let wanted = start.and_then(|start| content.get(start..)?.get(..buffer.len()));
        buffer.copy_from_slice(wanted.ok_or(TreeError::Failed(nix::errno::Errno::EIO as i32))?);
        Ok(())
    }

    fn read_link<'b>(&self, path: &str, buffer: &'b mut [u8]) -> Result<&'b str, TreeError> {
        let Some(Node::Link(target)) = self.find(path)? else { return Err(TreeError::WrongKind) };
        let too_long = TreeError::TooLong(buffer.len());
        let room = buffer.get_mut(..target.len()).ok_or(too_long)?;
        room.copy_from_slice(target.as_bytes());
        std::str::from_utf8(room).map_err(|_| TreeError::NoText)
    }

    fn list(&self, path: &str, visit: &mut dyn FnMut(&str) -> bool) -> Result<(), TreeError> {
        match self.find(path)? {
            None => {}
            Some(Node::Link(_)) => return Err(TreeError::Link),
            Some(_) => return Err(TreeError::WrongKind),
        }
        let mut start = parts(path)?.join("/");
        if !start.is_empty() {
            start.push('/');
        }
        let below = self.0.range(start.clone()..).map_while(|(path, _)| path.strip_prefix(&start));
        let names: BTreeSet<_> =
            below.filter_map(|path| path.split('/').next()).filter(|name| !name.is_empty()).collect();
        let _ = names.into_iter().all(visit);
        Ok(())
    }

    fn status(&self, path: &str) -> Result<Status, TreeError> {
        let (kind, size) = match self.find(path)? {
            None | Some(Node::Directory) => (FileKind::Directory, 0),
            Some(Node::File(content)) => (FileKind::File, content.len()),
            Some(Node::Link(target)) => (FileKind::Link, target.len()),
            Some(Node::Other) => (FileKind::Other, 0),
        };
        Ok(Status { kind, size: size as u64, device: 0, inode: 0, modified: 0 })
    }

    fn verity_digest(&self, path: &str, _: &mut [u8; 64]) -> Result<usize, TreeError> {
        self.content(path)?;
        Err(TreeError::Unsupported)
    }

    fn subvolume<'b>(&self, _: Option<u64>, _: &'b mut [u8]) -> Result<&'b str, TreeError> {
        Err(TreeError::Unsupported)
    }

    fn is_read_only_subvolume(&self, path: &str) -> Result<bool, TreeError> {
        self.find(path)?;
        Err(TreeError::Unsupported)
    }
}
