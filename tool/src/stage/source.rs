//! What is staged: an image, and the hash tree and root hash that come with it.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use deployment::{ReadAt, ReadError};
use verity::{Algorithm, Geometry, HashType, Parameters, RootHash, RootHashError, SUPERBLOCK_SIZE, Superblock};

use super::Args;
use crate::error::Error;
use crate::verity::{random_salt, random_uuid};

const BLOCK_SIZE: u32 = 4096;
/// The largest block that the kernel takes on x86-64, in bytes.
const PAGE_SIZE: u32 = 4096;

/// An image with all that is known about its hash tree.
pub(super) struct Source {
    pub(super) image: Input,
    /// The tree that comes with it; without one it is made.
    pub(super) tree: Option<Input>,
    pub(super) superblock: Superblock,
    pub(super) geometry: Geometry,
    /// Known where the tree comes with the image.
    pub(super) root_hash: Option<RootHash>,
}

impl Source {
    /// Opens what the command line names, and what lies beside it.
    pub(super) fn open(args: &Args) -> Result<Self, Error> {
        let image = Input::open(&args.image)?;
        if image.size == 0 {
            return Err(Error::bad("cannot stage", args.image.display(), "it is empty"));
        }
        let beside = |extension| if args.no_verity { None } else { beside(&args.image, extension) };
        let tree = args.verity.clone().or_else(|| beside("verity"));
        let root_hash = root_hash(args, beside("roothash"))?;
        match (tree, root_hash) {
            (Some(tree), root_hash) => Self::with_tree(image, Input::open(&tree)?, root_hash),
            (None, None) => Self::without_tree(image),
            (None, Some(root_hash)) => {
                let why = "there is no hash tree with it, and one that is made now has a salt of its own";
                Err(Error::usage("cannot use", format_args!("root hash {root_hash}"), why).advice(
                    "Give the tree by --verity, or leave the root hash away and accept the one that is printed.",
                ))
            }
        }
    }

    fn without_tree(image: Input) -> Result<Self, Error> {
        let parameters = Parameters {
            hash_type: HashType::Normal,
            algorithm: Algorithm::Sha256,
            data_block_size: BLOCK_SIZE,
            hash_block_size: BLOCK_SIZE,
            data_blocks: image.size.div_ceil(BLOCK_SIZE.into()),
            salt: random_salt()?,
        };
        let superblock = Superblock::new(random_uuid(), &parameters);
        let geometry = Geometry::with_superblock(&superblock, 0)
            .map_err(|why| Error::bad("cannot stage", image.path.display(), why))?;
        Ok(Self { image, tree: None, superblock, geometry, root_hash: None })
    }

    fn with_tree(image: Input, tree: Input, root_hash: Option<RootHash>) -> Result<Self, Error> {
        let unusable = |why: &dyn std::fmt::Display| Error::bad("cannot use", tree.path.display(), why);
        let mut superblock = [0; SUPERBLOCK_SIZE];
        tree.read_exact_at(0, &mut superblock).map_err(|why| unusable(&why))?;
        let superblock = Superblock::parse(&superblock).map_err(|why| unusable(&why))?;
        let geometry = Geometry::with_superblock(&superblock, 0).map_err(|why| unusable(&why))?;
        let parameters = geometry.parameters();
        if parameters.data_block_size > PAGE_SIZE || parameters.hash_block_size > PAGE_SIZE {
            return Err(unusable(&format_args!("its blocks are larger than the kernel's {PAGE_SIZE} bytes")));
        }
        let (needed, block) = (geometry.data_size(), u64::from(parameters.data_block_size));
        // Both ways are in use for what is no whole block: to pad it, and to leave it away.
        if image.size.div_ceil(block) * block != needed && image.size / block * block != needed {
            let why = format!("it is the tree of {needed} bytes, but {} has {}", image.path.display(), image.size);
            return Err(unusable(&why));
        }
        let found = top(&geometry, &tree, &image).map_err(|why| unusable(&why))?;
        if let Some(root_hash) = root_hash.filter(|root_hash| *root_hash != found) {
            return Err(unusable(&format_args!("its root hash is {found}, not {root_hash}")));
        }
        if found.data_partition().is_none() {
            return Err(unusable(&format_args!("its root hash is too short to name partitions")));
        }
        Ok(Self { image, tree: Some(tree), superblock, geometry, root_hash: Some(found) })
    }
}

/// The digest of the topmost block of a tree, or of a single data block.
pub(super) fn top(geometry: &Geometry, tree: &dyn ReadAt, data: &dyn ReadAt) -> Result<RootHash, ReadError> {
    let parameters = geometry.parameters();
    let (source, block, size) = match geometry.hash_blocks() {
        0 => (data, 0, parameters.data_block_size),
        _ => (tree, geometry.hash_start_block(), parameters.hash_block_size),
    };
    let mut bytes = vec![0; size as usize];
    let there = usize::try_from(source.size()).unwrap_or(usize::MAX).min(bytes.len());
    let front = if geometry.hash_blocks() == 0 { there } else { bytes.len() };
    source.read_exact_at(block * u64::from(size), &mut bytes[..front])?;
    Ok(parameters.hasher().digest(&bytes).into())
}

/// The root hash that is given, or that lies beside the image.
fn root_hash(args: &Args, beside: Option<PathBuf>) -> Result<Option<RootHash>, Error> {
    if let Some(root_hash) = args.root_hash {
        return Ok(Some(root_hash));
    }
    let Some(path) = args.root_hash_file.clone().or(beside) else { return Ok(None) };
    let text = std::fs::read_to_string(&path).map_err(|why| Error::file("cannot read", &path, &why))?;
    let parsed = text.trim().parse();
    parsed.map(Some).map_err(|why: RootHashError| Error::bad("cannot use", path.display(), why))
}

/// `root.erofs.verity` or `root.verity` of `root.erofs`, whichever is there.
fn beside(image: &Path, extension: &str) -> Option<PathBuf> {
    let mut appended = OsString::from(image);
    appended.push(".");
    appended.push(extension);
    let found = [PathBuf::from(appended), image.with_extension(extension)].into_iter().find(|path| path.exists());
    found.filter(|path| path != image)
}

/// A file or block device that is read from the front.
pub(super) struct Input {
    path: PathBuf,
    file: File,
    size: u64,
}

impl Input {
    fn open(path: &Path) -> Result<Self, Error> {
        let failed = |why| Error::file("cannot read", path, &why);
        let mut file = File::open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.is_dir() {
            return Err(Error::usage("cannot read", path.display(), "it is a folder"));
        }
        let size = file.seek(SeekFrom::End(0)).map_err(failed)?;
        Ok(Self { path: path.to_owned(), file, size })
    }
}

impl ReadAt for Input {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ReadError> {
        let read = self.file.read_exact_at(buffer, offset);
        read.map_err(|error| error.raw_os_error().map_or(ReadError::OutOfRange, ReadError::Device))
    }

    fn size(&self) -> u64 {
        self.size
    }
}
