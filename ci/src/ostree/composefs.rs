//! `.ostree.cfs`: the composefs image of a deployment, in libostree's format, written by the crate `composefs`. Debian's
//! ostree predates it.
//!
//! It is an image of version 0 (what C's mkcomposefs writes by default). Nothing is inlined: each file that is not empty names
//! its object in the bare repository, `XX/REST.file`, and carries the digest of its content. Times are 0.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use composefs::digest::Sha256;
use composefs::erofs::format::FormatVersion;
use composefs::erofs::writer::{ValidatedFileSystem, mkfs_erofs_versioned};
use composefs::fsverity::{Algorithm, FsVerityHashValue, Sha256HashValue, compute_verity};
use composefs::generic_tree::LeafId;
use composefs::tree::{Directory, FileSystem, Inode, LeafContent, RegularFile, Stat};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// A composefs image.
#[derive(Clone, Debug)]
pub(super) struct Cfs {
    /// The erofs.
    pub(super) image: Vec<u8>,
    /// Its fs-verity digest in hexadecimal.
    pub(super) digest: String,
}

/// Directories that every image has, for they get mounts.
const ALWAYS: [&str; 5] = ["usr", "etc", "boot", "var", "sysroot"];

thread_local! {
    /// The ostree object of each content, by the content's digest. The writer asks an object for its path, and an object is
    /// no more than its digest.
    static OBJECTS: RefCell<HashMap<Content, String>> = RefCell::default();
}

/// A file's content by its fs-verity digest, whose path is that of an ostree object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned)]
#[repr(C)]
struct Content([u8; 32]);

impl From<[u8; 32]> for Content {
    fn from(digest: [u8; 32]) -> Self {
        Self(digest)
    }
}

impl FsVerityHashValue for Content {
    type Digest = Sha256;
    const ALGORITHM: Algorithm = Algorithm::SHA256;
    const EMPTY: Self = Self([0; 32]);

    fn to_object_pathname(&self) -> String {
        OBJECTS.with_borrow(|objects| objects.get(self).cloned().unwrap_or_default())
    }
}

/// The image of a commit that is checked out at `top` with hard links into the repository `repo`.
pub(super) fn image(repo: &Path, top: &Path) -> Result<Cfs> {
    let objects = objects(&repo.join("objects"))?;
    let mut files = FileSystem::new(stat(top)?);
    OBJECTS.with_borrow_mut(HashMap::clear);
    let mut scan = Scan { objects: &objects, links: BTreeMap::new(), files: &mut files };
    let mut root = scan.directory(top)?;
    for name in ALWAYS {
        if root.lookup(name.as_ref()).is_none() {
            let stat = Stat { st_mode: 0o755, ..Stat::uninitialized() };
            root.insert(name.as_ref(), Inode::Directory(Box::new(Directory::new(stat))));
        }
    }
    files.root = root;
    let image = mkfs_erofs_versioned(&ValidatedFileSystem::new(files)?, FormatVersion::V0).into_vec();
    let digest: Sha256HashValue = compute_verity(&image);
    Ok(Cfs { image, digest: digest.to_hex() })
}

/// The paths of all objects that are files, by inode number.
fn objects(folder: &Path) -> Result<HashMap<u64, String>> {
    let mut objects = HashMap::new();
    for prefix in fs::read_dir(folder)? {
        let prefix = prefix?;
        for object in fs::read_dir(prefix.path())? {
            let object = object?;
            let name = object.file_name();
            if Path::new(&name).extension().is_some_and(|kind| kind == "file") {
                let path = format!("{}/{}", prefix.file_name().to_string_lossy(), name.to_string_lossy());
                objects.insert(object.metadata()?.ino(), path);
            }
        }
    }
    Ok(objects)
}

fn stat(path: &Path) -> Result<Stat> {
    let metadata = path.symlink_metadata().with_context(|| path.display().to_string())?;
    Ok(Stat {
        st_mode: metadata.mode() & 0o7777,
        st_uid: metadata.uid(),
        st_gid: metadata.gid(),
        st_mtim_sec: 0,
        st_mtim_nsec: 0,
        xattrs: BTreeMap::new(),
    })
}

/// Turns a checkout into the writer's tree.
struct Scan<'a> {
    objects: &'a HashMap<u64, String>,
    /// Files already seen, by inode number. libostree knows no hard links: what is there twice is two files.
    links: BTreeMap<u64, Content>,
    files: &'a mut FileSystem<Content>,
}

impl Scan<'_> {
    fn directory(&mut self, path: &Path) -> Result<Directory<Content>> {
        let mut directory = Directory::new(stat(path)?);
        for entry in fs::read_dir(path).with_context(|| path.display().to_string())? {
            let entry = entry?;
            let kind = entry.file_type()?;
            let inode = if kind.is_dir() {
                Inode::Directory(Box::new(self.directory(&entry.path())?))
            } else {
                Inode::leaf(self.leaf(&entry.path())?)
            };
            directory.insert(&entry.file_name(), inode);
        }
        Ok(directory)
    }

    fn leaf(&mut self, path: &Path) -> Result<LeafId> {
        let metadata = path.symlink_metadata()?;
        let content = if metadata.is_symlink() {
            LeafContent::Symlink(fs::read_link(path)?.into_os_string().into_boxed_os_str())
        } else if !metadata.is_file() {
            bail!("{} is of a kind that ostree does not keep", path.display())
        } else if metadata.len() == 0 {
            LeafContent::Regular(RegularFile::Inline(Box::default()))
        } else {
            LeafContent::Regular(RegularFile::External(self.content(path, metadata.ino())?, metadata.len()))
        };
        Ok(self.files.push_leaf(stat(path)?, content))
    }

    fn content(&mut self, path: &Path, inode: u64) -> Result<Content> {
        if let Some(content) = self.links.get(&inode) {
            return Ok(content.clone());
        }
        let object = self.objects.get(&inode).with_context(|| format!("{} is no object", path.display()))?;
        let content: Content = compute_verity(&fs::read(path)?);
        OBJECTS.with_borrow_mut(|objects| {
            objects.entry(content.clone()).or_insert_with(|| object.clone());
        });
        self.links.insert(inode, content.clone());
        Ok(content)
    }
}
