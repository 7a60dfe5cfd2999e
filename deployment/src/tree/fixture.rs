//! A tree in memory, for tests.

use std::collections::BTreeMap;
use std::string::{String, ToString};
use std::vec::Vec;

use super::{FileKind, Status, Tree, TreeError};

/// What is at a path.
#[derive(Clone, Debug)]
enum Node {
    File(Vec<u8>, Option<Vec<u8>>),
    Directory,
    Link(String),
    Other,
}

/// A tree in memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fixture {
    nodes: BTreeMap<String, Node>,
    default_subvolume: Option<String>,
    modified: BTreeMap<String, u64>,
    /// The paths of subvolumes, with whether they are marked read-only. Their numbers are 256 and so on, in this order.
    subvolumes: BTreeMap<String, bool>,
    /// The byte of a file that cannot be read.
    unreadable: BTreeMap<String, usize>,
}

impl Fixture {
    /// With a file, and the folders that it lies in.
    pub(crate) fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.node(path, Node::File(content.as_ref().to_vec(), None))
    }

    /// With a file that has an fs-verity digest.
    pub(crate) fn verified_file(self, path: &str, content: impl AsRef<[u8]>, digest: &[u8]) -> Self {
        self.node(path, Node::File(content.as_ref().to_vec(), Some(digest.to_vec())))
    }

    pub(crate) fn directory(self, path: &str) -> Self {
        self.node(path, Node::Directory)
    }

    pub(crate) fn link(self, path: &str, destination: &str) -> Self {
        self.node(path, Node::Link(destination.to_string()))
    }

    /// With a pipe, a socket or a device node.
    pub(crate) fn other(self, path: &str) -> Self {
        self.node(path, Node::Other)
    }

    pub(crate) fn subvolume(mut self, path: &str, read_only: bool) -> Self {
        self.subvolumes.insert(path.to_string(), read_only);
        self.directory(path)
    }

    pub(crate) fn default_is(mut self, path: &str) -> Self {
        self.default_subvolume = Some(path.to_string());
        self
    }

    pub(crate) fn without(mut self, path: &str) -> Self {
        let below = std::format!("{path}/");
        self.nodes.retain(|known, _| known != path && !known.starts_with(&below));
        self
    }

    /// With something that last changed then.
    pub(crate) fn modified(mut self, path: &str, seconds: u64) -> Self {
        self.modified.insert(path.to_string(), seconds);
        self
    }

    /// With a file of which this byte cannot be read.
    pub(crate) fn unreadable(mut self, path: &str, byte: usize) -> Self {
        self.unreadable.insert(path.to_string(), byte);
        self
    }

    fn node(mut self, path: &str, node: Node) -> Self {
        for (end, _) in path.match_indices('/') {
            self.nodes.entry(path[..end].to_string()).or_insert(Node::Directory);
        }
        self.nodes.insert(path.to_string(), node);
        self
    }

    /// What is at `path`, if no link leads there.
    fn find(&self, path: &str) -> Result<&Node, TreeError> {
        if path.split('/').any(|part| part == "..") {
            return Err(TreeError::Link);
        }
        for (end, _) in path.match_indices('/') {
            match self.nodes.get(&path[..end]) {
                Some(Node::Directory) => {}
                Some(Node::Link(_)) => return Err(TreeError::Link),
                Some(_) => return Err(TreeError::WrongKind),
                None => return Err(TreeError::Missing),
            }
        }
        if path.is_empty() {
            return Ok(&Node::Directory);
        }
        self.nodes.get(path).ok_or(TreeError::Missing)
    }

    fn content(&self, path: &str) -> Result<&[u8], TreeError> {
        match self.find(path)? {
            Node::File(content, _) => Ok(content),
            Node::Link(_) => Err(TreeError::Link),
            Node::Directory | Node::Other => Err(TreeError::WrongKind),
        }
    }
}

/// Puts `bytes` at the beginning of `buffer`.
fn fill<'b>(buffer: &'b mut [u8], bytes: &[u8]) -> Result<&'b [u8], TreeError> {
    let room = buffer.len();
    let place = buffer.get_mut(..bytes.len()).ok_or(TreeError::TooLong(room))?;
    place.copy_from_slice(bytes);
    Ok(place)
}

impl Tree for Fixture {
    fn read<'b>(&self, path: &str, buffer: &'b mut [u8]) -> Result<&'b [u8], TreeError> {
        let content = self.content(path)?;
        if self.unreadable.contains_key(path) { Err(TreeError::Failed(5)) } else { fill(buffer, content) }
    }

    fn read_exact_at(&self, path: &str, offset: u64, buffer: &mut [u8]) -> Result<(), TreeError> {
        let start = usize::try_from(offset).unwrap();
        let content = self.content(path)?;
        if self.unreadable.get(path).is_some_and(|byte| (start..start + buffer.len()).contains(byte)) {
            return Err(TreeError::Failed(5));
        }
        let part = content.get(start..).and_then(|rest| rest.get(..buffer.len())).ok_or(TreeError::Failed(5))?;
        buffer.copy_from_slice(part);
        Ok(())
    }

    fn read_link<'b>(&self, path: &str, buffer: &'b mut [u8]) -> Result<&'b str, TreeError> {
        let Node::Link(destination) = self.find(path)? else { return Err(TreeError::WrongKind) };
        let bytes = fill(buffer, destination.as_bytes())?;
        Ok(core::str::from_utf8(bytes).unwrap())
    }

    fn list(&self, path: &str, visit: &mut dyn FnMut(&str) -> bool) -> Result<(), TreeError> {
        if !matches!(self.find(path)?, Node::Directory) {
            return Err(TreeError::WrongKind);
        }
        let start = if path.is_empty() { String::new() } else { std::format!("{path}/") };
        let names = self.nodes.keys().filter_map(|known| known.strip_prefix(start.as_str()));
        let names = names.filter(|name| !name.is_empty() && !name.contains('/'));
        // In an order that is not that of the names, as of a filesystem.
        for name in names.collect::<Vec<_>>().into_iter().rev() {
            if !visit(name) {
                break;
            }
        }
        Ok(())
    }

    fn status(&self, path: &str) -> Result<Status, TreeError> {
        let node = self.find(path)?;
        let (kind, size) = match node {
            Node::File(content, _) => (FileKind::File, content.len()),
            Node::Directory => (FileKind::Directory, 0),
            Node::Link(destination) => (FileKind::Link, destination.len()),
            Node::Other => (FileKind::Other, 0),
        };
        let inode = self.nodes.keys().position(|known| known == path).map_or(2, |index| index as u64 + 11);
        let modified = self.modified.get(path).copied().unwrap_or_default();
        Ok(Status { kind, size: size as u64, device: 0xfe02, inode, modified })
    }

    fn verity_digest(&self, path: &str, digest: &mut [u8; 64]) -> Result<usize, TreeError> {
        match self.find(path)? {
            Node::File(_, Some(found)) => fill(digest, found).map(<[u8]>::len),
            Node::File(_, None) => Err(TreeError::Unsupported),
            Node::Link(_) => Err(TreeError::Link),
            Node::Directory | Node::Other => Err(TreeError::WrongKind),
        }
    }

    fn subvolume<'b>(&self, number: Option<u64>, buffer: &'b mut [u8]) -> Result<&'b str, TreeError> {
        let path = match number {
            None => self.default_subvolume.as_ref().ok_or(TreeError::Unsupported)?,
            Some(5) => "",
            Some(number) => {
                let found = (256..).zip(self.subvolumes.keys()).find(|(known, _)| *known == number);
                found.map(|(_, path)| path).ok_or(TreeError::Missing)?
            }
        };
        Ok(core::str::from_utf8(fill(buffer, path.as_bytes())?).unwrap())
    }

    fn is_read_only_subvolume(&self, path: &str) -> Result<bool, TreeError> {
        // The top is one itself.
        let of_top = path.is_empty().then_some(&false);
        match self.find(path)? {
            Node::Directory => self.subvolumes.get(path).or(of_top).copied().ok_or(TreeError::WrongKind),
            Node::Link(_) => Err(TreeError::Link),
            Node::File(..) | Node::Other => Err(TreeError::WrongKind),
        }
    }
}

#[test]
fn it_behaves_as_a_mounted_filesystem_does() {
    let tree = Fixture::default()
        .file("a/b", "text")
        .verified_file("a/v", "", &[7; 32])
        .link("a/l", "b")
        .link("d", "a")
        .other("a/pipe")
        .subvolume("s", true)
        .default_is("s")
        .file("gone/x", "")
        .modified("a", 7)
        .without("gone");
    let tree: &dyn Tree = &tree;
    let mut buffer = [0; 8];
    assert_eq!(tree.read_text("a/b", &mut buffer), Ok("text"));
    assert_eq!(tree.read("a/b", &mut [0; 3]), Err(TreeError::TooLong(3)));
    assert_eq!(tree.read_exact_at("a/b", 2, &mut [0; 3]), Err(TreeError::Failed(5)));
    assert_eq!(
        (tree.read("a/l", &mut [0; 8]), tree.read("d/b", &mut [0; 8])),
        (Err(TreeError::Link), Err(TreeError::Link))
    );
    assert_eq!(tree.read("a/pipe", &mut [0; 8]), Err(TreeError::WrongKind));
    assert_eq!(tree.read_link("a/l", &mut buffer), Ok("b"));
    assert_eq!(tree.verity_digest("a/v", &mut [0; 64]), Ok(32));
    assert_eq!(tree.verity_digest("a/b", &mut [0; 64]), Err(TreeError::Unsupported));
    assert_eq!((tree.subvolume(None, &mut buffer), tree.is_read_only_subvolume("s")), (Ok("s"), Ok(true)));
    assert_eq!(tree.subvolume(Some(256), &mut buffer), Ok("s"));
    assert_eq!(tree.subvolume(Some(257), &mut buffer), Err(TreeError::Missing));
    assert_eq!(tree.is_read_only_subvolume("a"), Err(TreeError::WrongKind));
    assert!(tree.has_directory("a") && !tree.has_directory("d") && !tree.has_directory("gone"));
    assert_eq!(["a", "s"].map(|path| tree.status(path).unwrap().modified), [7, 0]);
    let mut names = Vec::new();
    tree.list("a", &mut |name| {
        names.push(name.to_string());
        true
    })
    .unwrap();
    assert_eq!(names, ["v", "pipe", "l", "b"]);
}
