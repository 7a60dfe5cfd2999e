//! What the image holds: a tree of paths, sorted, with folders made where a path needs them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use walkdir::WalkDir;

use crate::error::Error;

/// One path of the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node {
    /// A folder.
    Folder,
    /// A regular file.
    File {
        /// Its bytes.
        data: Vec<u8>,
        /// Whether it is a program: mode 0755, else 0644.
        executable: bool,
    },
    /// A symbolic link to this text.
    Link(String),
    /// A character device.
    Device {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
}

/// The image's tree; paths have no leading slash.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Contents(BTreeMap<String, Node>);

impl Contents {
    /// Puts something at a path, with the folders above it. A path that holds something else already is an error.
    pub(crate) fn add(&mut self, path: &str, node: Node) -> Result<(), Error> {
        let path = path.trim_matches('/');
        if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(Error::usage("cannot pack to", format!("/{path}"), "it is not a plain path inside the image"));
        }
        for (end, _) in path.match_indices('/') {
            self.put(&path[..end], Node::Folder)?;
        }
        self.put(path, node)
    }

    /// A regular file that is not a program.
    pub(crate) fn add_file(&mut self, path: &str, data: impl Into<Vec<u8>>) -> Result<(), Error> {
        self.add(path, Node::File { data: data.into(), executable: false })
    }

    /// Copies a file, a link or a whole folder of this machine to `target`. Of the permissions only "executable" is kept,
    /// so that the builder's umask and the owner do not show in the image.
    pub(crate) fn copy(&mut self, source: &Path, target: &str) -> Result<(), Error> {
        // A link named by the user means what it points to; links below a folder stay links.
        let source = fs::canonicalize(source).map_err(|why| Error::file("cannot read", source, &why))?;
        for entry in WalkDir::new(&source).sort_by_file_name() {
            let entry = entry.map_err(|why| Error::system("cannot read", source.display(), why))?;
            let below = entry.path().strip_prefix(&source).unwrap_or(entry.path());
            let path = Path::new(target).join(below);
            let Some(path) = path.to_str() else {
                return Err(Error::bad("cannot pack", entry.path().display(), "its name is not UTF-8"));
            };
            self.add(path, read_node(entry.path(), entry.file_type())?)?;
        }
        Ok(())
    }

    /// Whether there is something at a path (without leading slash).
    pub(crate) fn has(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    /// All paths, sorted, which puts each folder before what lies in it.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.0.iter().map(|(path, node)| (path.as_str(), node))
    }

    fn put(&mut self, path: &str, node: Node) -> Result<(), Error> {
        match self.0.get(path) {
            Some(known) if *known == node => Ok(()),
            Some(_) => {
                Err(Error::usage("cannot pack to", format!("/{path}"), "the image has something else there already"))
            }
            None => {
                self.0.insert(path.to_owned(), node);
                Ok(())
            }
        }
    }
}

impl Node {
    /// Bytes that it adds to the image, not counting its name.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::File { data, .. } => data.len(),
            Self::Link(target) => target.len(),
            Self::Folder | Self::Device { .. } => 0,
        }
    }
}

fn read_node(path: &Path, kind: fs::FileType) -> Result<Node, Error> {
    let failed = |why| Error::file("cannot read", path, &why);
    if kind.is_dir() {
        Ok(Node::Folder)
    } else if kind.is_symlink() {
        let target = fs::read_link(path).map_err(failed)?;
        let text =
            target.to_str().ok_or_else(|| Error::bad("cannot pack", path.display(), "its target is not UTF-8"))?;
        Ok(Node::Link(text.to_owned()))
    } else if kind.is_file() {
        let executable = fs::metadata(path).map_err(failed)?.permissions().mode() & 0o100 != 0;
        Ok(Node::File { data: fs::read(path).map_err(failed)?, executable })
    } else {
        Err(Error::bad("cannot pack", path.display(), "it is neither a file nor a folder nor a link"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_made_and_come_first() {
        let mut contents = Contents::default();
        contents.add_file("/a/b/c", "x").unwrap();
        contents.add_file("a-b", "y").unwrap();
        contents.add("a", Node::Folder).unwrap();
        let paths: Vec<_> = contents.iter().map(|(path, node)| (path, node.size())).collect();
        assert_eq!(paths, [("a", 0), ("a-b", 1), ("a/b", 0), ("a/b/c", 1)]);
    }

    #[test]
    fn one_path_holds_one_thing() {
        let mut contents = Contents::default();
        contents.add_file("a", "x").unwrap();
        contents.add_file("a", "x").unwrap();
        let clash = "cannot pack to /a: the image has something else there already";
        assert_eq!(contents.add_file("a", "y").unwrap_err().to_string(), clash);
        assert_eq!(contents.add_file("a/b", "y").unwrap_err().to_string(), clash);
    }

    #[test]
    fn paths_stay_inside_the_image() {
        for path in ["../a", "a/../b", "a//b", "", "/", "."] {
            assert!(Contents::default().add_file(path, "x").is_err(), "{path}");
        }
    }

    #[test]
    fn a_folder_is_copied_with_its_links_and_programs() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path();
        fs::create_dir(path.join("sub")).unwrap();
        fs::write(path.join("sub/tool"), "#!").unwrap();
        fs::set_permissions(path.join("sub/tool"), fs::Permissions::from_mode(0o700)).unwrap();
        fs::write(path.join("text"), "t").unwrap();
        fs::set_permissions(path.join("text"), fs::Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::symlink("sub/tool", path.join("link")).unwrap();
        let mut contents = Contents::default();
        contents.copy(path, "/opt").unwrap();
        let nodes: Vec<_> = contents.iter().map(|(path, node)| (path.to_owned(), node.clone())).collect();
        let expected = [
            ("opt", Node::Folder),
            ("opt/link", Node::Link("sub/tool".into())),
            ("opt/sub", Node::Folder),
            ("opt/sub/tool", Node::File { data: b"#!".to_vec(), executable: true }),
            ("opt/text", Node::File { data: b"t".to_vec(), executable: false }),
        ];
        assert_eq!(nodes, expected.map(|(path, node)| (path.to_owned(), node)));
    }
}
