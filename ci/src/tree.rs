//! The file tree of a root image, as a value.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::cache::Key;
use crate::paths;

/// One file of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A directory with its permission bits.
    Directory(u32),
    /// A regular file: content and permission bits.
    File(Vec<u8>, u32),
    /// A symlink's target.
    Symlink(String),
}

/// Files by path relative to the tree's top. Paths compare by component, so that a directory is followed by all it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    nodes: BTreeMap<PathBuf, Node>,
}

impl Tree {
    /// The root of most scenarios: the probe as `/sbin/init`, a little `/etc`, and the directories that get mounts.
    ///
    /// # Errors
    /// When the probe has not been built.
    pub fn probe() -> Result<Self> {
        let probe = fs::read(paths::program("surefoot-probe")?).context("read the probe")?;
        let mut tree = Self::default();
        for name in ["dev", "etc", "home", "proc", "run", "sbin", "sys", "sysroot", "tmp", "usr", "usr/lib", "var"] {
            tree = tree.directory(name);
        }
        Ok(tree
            .file("sbin/init", probe, 0o755)
            .file("etc/hostname", "from-the-image\n", 0o644)
            .file("etc/shadow", "root:*:::::::\n", 0o640)
            .file("usr/lib/os-release", "ID=surefoot-probe\nNAME=\"surefoot probe\"\n", 0o644)
            .symlink("etc/os-release", "../usr/lib/os-release"))
    }

    /// Adds a directory.
    #[must_use]
    pub fn directory(self, path: &str) -> Self {
        self.with(path, Node::Directory(0o755))
    }

    /// Adds or replaces a regular file.
    #[must_use]
    pub fn file(self, path: &str, content: impl Into<Vec<u8>>, mode: u32) -> Self {
        self.with(path, Node::File(content.into(), mode))
    }

    /// Adds or replaces a symlink.
    #[must_use]
    pub fn symlink(self, path: &str, target: &str) -> Self {
        self.with(path, Node::Symlink(target.to_owned()))
    }

    /// Gives a file another name.
    #[must_use]
    pub fn renamed(mut self, from: &str, to: &str) -> Self {
        if let Some(node) = self.nodes.remove(Path::new(from)) {
            self.nodes.insert(to.into(), node);
        }
        self
    }

    /// Leaves a file out, or a directory with all below it.
    #[must_use]
    pub fn without(mut self, path: &str) -> Self {
        self.nodes.retain(|name, _| !name.starts_with(path));
        self
    }

    /// Gives a directory another name, with all below it. The new name's parents must be there, or be added.
    #[must_use]
    pub fn moved(self, from: &str, to: &str) -> Self {
        let move_one = |(name, node): (PathBuf, Node)| match name.strip_prefix(from) {
            Ok(rest) if rest.as_os_str().is_empty() => (to.into(), node),
            Ok(rest) => (Path::new(to).join(rest), node),
            Err(_) => (name, node),
        };
        Self { nodes: self.nodes.into_iter().map(move_one).collect() }
    }

    /// Whether there is a file or directory of this name.
    pub fn contains(&self, path: &str) -> bool {
        self.nodes.contains_key(Path::new(path))
    }

    /// The path without the link that it may begin with: `usr/lib/x` for `lib/x` where `lib` is a link to `usr/lib`.
    pub fn followed(&self, path: &str) -> String {
        let (first, rest) = path.split_once('/').unwrap_or((path, ""));
        match self.nodes.get(Path::new(first)) {
            Some(Node::Symlink(target)) => format!("{target}/{rest}"),
            _ => path.to_owned(),
        }
    }

    /// The tree below a directory, as a tree of its own.
    #[must_use]
    pub fn below(self, path: &str) -> Self {
        let inside = |(name, node): (PathBuf, Node)| {
            let name = name.strip_prefix(path).ok().filter(|name| !name.as_os_str().is_empty())?;
            Some((name.to_owned(), node))
        };
        Self { nodes: self.nodes.into_iter().filter_map(inside).collect() }
    }

    fn with(mut self, path: &str, node: Node) -> Self {
        self.nodes.insert(path.into(), node);
        self
    }

    /// All files, each directory followed by all it holds.
    pub fn nodes(&self) -> impl Iterator<Item = (&Path, &Node)> {
        self.nodes.iter().map(|(path, node)| (path.as_path(), node))
    }

    /// Adds the tree to a cache key.
    #[must_use]
    pub fn key(&self, mut key: Key) -> Key {
        for (path, node) in &self.nodes {
            key = node.key(key.text(&path.to_string_lossy()));
        }
        key
    }

    /// Writes the tree below an empty directory.
    pub fn write(&self, top: &Path) -> Result<()> {
        fs::set_permissions(top, fs::Permissions::from_mode(0o755))?;
        for (path, node) in &self.nodes {
            node.write(&top.join(path))?;
        }
        Ok(())
    }
}

impl Tree {
    /// Makes a directory and writes the tree below it.
    pub fn write_new(&self, top: &Path) -> Result<()> {
        fs::create_dir(top).with_context(|| format!("create {}", top.display()))?;
        self.write(top)
    }
}

impl Node {
    /// Creates it at a path where nothing is yet.
    pub fn write(&self, path: &Path) -> Result<()> {
        match self {
            Self::Directory(_) => fs::create_dir(path),
            Self::File(content, _) => fs::write(path, content),
            Self::Symlink(target) => symlink(target, path),
        }
        .with_context(|| format!("create {}", path.display()))?;
        if let Self::Directory(mode) | Self::File(_, mode) = self {
            fs::set_permissions(path, fs::Permissions::from_mode(*mode))?;
        }
        Ok(())
    }

    /// Adds it to a cache key.
    #[must_use]
    pub fn key(&self, key: Key) -> Key {
        let (kind, content) = match self {
            Self::Directory(mode) => (format!("d{mode:o}"), &[][..]),
            Self::File(content, mode) => (format!("f{mode:o}"), content.as_slice()),
            Self::Symlink(target) => ("l".to_owned(), target.as_bytes()),
        };
        key.text(&kind).bytes(content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_at_the_beginning_is_followed() {
        let tree = Tree::default().directory("usr").directory("usr/lib").symlink("lib", "usr/lib");
        for (path, expected) in [("lib/x/y", "usr/lib/x/y"), ("usr/lib/x", "usr/lib/x"), ("lib64/x", "lib64/x")] {
            assert_eq!(tree.followed(path), expected);
        }
    }
}
