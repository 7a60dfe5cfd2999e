//! Filesystems that hold deployments of any kind.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;

use boot_config::policy::VerityPolicy;
use boot_config::{Config, Sources};
use deployment::candidates::recipe::MAX_ROOM;
use deployment::candidates::{
    Candidates, DeviceSource, Look, Part, Place, Recipe, Refused, RootSource, Trust, look_into, sysroot,
};
use deployment::ledger::file::LedgerFile;
use deployment::tree::{Below, FileKind, Status, Tree, TreeError};
use deployment::{FilesystemKind, Name, ReadAt};

use crate::input::text;

/// What lies between two files; it is in no UTF-8 text.
const SEPARATOR: u8 = 0xff;
/// Where the initramfs lies in the tree.
const INITRAMFS: &str = "initramfs";

/// A command line, then files of a filesystem: a letter for what each is, its path, a newline, and its content. All that is
/// found names no way out of the filesystem, and what may boot is verified where that is asked for.
pub(crate) fn look(input: &[u8]) {
    let mut parts = input.split(|byte| *byte == SEPARATOR);
    let cmdline = text(parts.next().unwrap_or_default());
    let Ok(config) = Config::parse(Sources { cmdline, ..Sources::default() }) else { return };
    let tree = Memory::new(parts);
    let initramfs = Below { tree: &tree, directory: INITRAMFS };
    let device = DeviceSource { device: Name::try_from("vda2").unwrap(), filesystem: Some(FilesystemKind::Btrfs) };
    let look = Look { config: &config, tree: &tree, initramfs: &initramfs, device: &device };
    let mut ledger = LedgerFile::default();
    let _ = ledger.read_in(&tree);
    let mut candidates = Candidates::new();
    look_into(&look, 0, &ledger, &mut candidates, &mut |what, why| {
        assert!(!what.is_empty() && !why.to_string().is_empty());
    });
    for candidate in &candidates {
        assert!(!candidate.name.to_string().is_empty());
        assert!(
            config.verity != VerityPolicy::Required || candidate.trust == Trust::Verified || candidate.is_barred(),
            "{candidate:?}"
        );
        let (RootSource::Tree(source), Some(kind)) = (&candidate.root, sysroot::kind_of(candidate)) else {
            panic!("{candidate:?} is in no filesystem");
        };
        is_inside(&source.directory);
        let below = Below { tree: &tree, directory: &source.directory };
        let look = Look { tree: &below, ..look };
        ROOM.with_borrow_mut(|room| {
            let mut recipe = Judge { room };
            let _ = (kind.root)(source, &look, &mut recipe);
        });
    }
}

fn is_inside(path: &str) {
    assert!(path.split('/').all(|part| part != ".."), "{path:?} leads out");
}

thread_local! {
    static ROOM: RefCell<Vec<u8>> = RefCell::new(vec![0; MAX_ROOM]);
}

/// Judges what makes up a root.
struct Judge<'r> {
    room: &'r mut [u8],
}

impl Recipe for Judge<'_> {
    fn add(&mut self, part: &Part<'_>) -> Result<(), Refused> {
        let place = |place: &Place<'_>| is_inside(place.path);
        match part {
            Part::Bind { directory, target, .. } | Part::OptionalBind { directory, target, .. } => {
                place(directory);
                place(target);
            }
            Part::Overlay { lower, upper, work, target, .. } => {
                [lower, upper, work, target].into_iter().for_each(place);
            }
            Part::Composefs { image, objects, target, digest, .. } => {
                [image, objects, target].into_iter().for_each(place);
                assert!(matches!(digest.len(), 0 | 32 | 64));
            }
            Part::Image { data, hash, .. } => {
                for extent in [data, hash] {
                    place(&extent.file);
                    assert!(extent.offset.checked_add(extent.size).is_some() && extent.size > 0);
                }
            }
            Part::PlainImage { data, .. } => {
                place(&data.file);
                assert!(data.offset.checked_add(data.size).is_some() && data.size > 0);
            }
            _ => {}
        }
        Ok(())
    }

    fn provides(&mut self, directory: &'static str) {
        assert!(directory.starts_with('/'));
    }

    fn room(&mut self) -> &mut [u8] {
        self.room
    }

    fn refuse(&mut self, why: fmt::Arguments<'_>) -> Refused {
        assert!(!why.to_string().is_empty());
        Refused
    }
}

/// A filesystem in memory.
struct Memory<'b>(BTreeMap<&'b str, (u8, &'b [u8])>);

impl<'b> Memory<'b> {
    fn new(parts: impl Iterator<Item = &'b [u8]>) -> Self {
        let mut nodes = BTreeMap::new();
        for part in parts.take(200) {
            let [kind, rest @ ..] = part else { continue };
            let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
            let path = text(&rest[..end]);
            for (slash, _) in path.match_indices('/') {
                nodes.entry(&path[..slash]).or_insert((b'd', &[][..]));
            }
            if path.split('/').all(|name| !matches!(name, "" | "." | "..")) {
                nodes.insert(path, (*kind, rest.get(end + 1..).unwrap_or_default()));
            }
        }
        Self(nodes)
    }

    fn find(&self, path: &str) -> Result<(FileKind, u8, &'b [u8]), TreeError> {
        if path.is_empty() {
            return Ok((FileKind::Directory, b's', &[]));
        }
        for (slash, _) in path.match_indices('/') {
            match self.0.get(&path[..slash]).map(|(kind, _)| kind_of(*kind)) {
                Some(FileKind::Directory) => {}
                Some(FileKind::Link) => return Err(TreeError::Link),
                Some(_) => return Err(TreeError::WrongKind),
                None => return Err(TreeError::Missing),
            }
        }
        let (kind, content) = self.0.get(path).ok_or(TreeError::Missing)?;
        Ok((kind_of(*kind), *kind, content))
    }

    fn content(&self, path: &str) -> Result<&'b [u8], TreeError> {
        match self.find(path)? {
            (FileKind::File, _, content) => Ok(content),
            (FileKind::Link, ..) => Err(TreeError::Link),
            _ => Err(TreeError::WrongKind),
        }
    }
}

/// `f` is a file, `v` one with fs-verity, `l` a link, `d` a directory, `s` and `w` subvolumes.
fn kind_of(letter: u8) -> FileKind {
    match letter {
        b'f' | b'v' => FileKind::File,
        b'l' => FileKind::Link,
        b'd' | b's' | b'w' => FileKind::Directory,
        _ => FileKind::Other,
    }
}

fn fill<'b>(buffer: &'b mut [u8], bytes: &[u8]) -> Result<&'b [u8], TreeError> {
    let room = buffer.len();
    let place = buffer.get_mut(..bytes.len()).ok_or(TreeError::TooLong(room))?;
    place.copy_from_slice(bytes);
    Ok(place)
}

fn fill_text<'b>(buffer: &'b mut [u8], text: &str) -> Result<&'b str, TreeError> {
    fill(buffer, text.as_bytes()).map(|bytes| std::str::from_utf8(bytes).unwrap())
}

impl Tree for Memory<'_> {
    fn read<'b>(&self, path: &str, buffer: &'b mut [u8]) -> Result<&'b [u8], TreeError> {
        fill(buffer, self.content(path)?)
    }

    fn read_exact_at(&self, path: &str, offset: u64, buffer: &mut [u8]) -> Result<(), TreeError> {
        self.content(path)?.read_exact_at(offset, buffer).map_err(|_| TreeError::Failed(5))
    }

    fn read_link<'b>(&self, path: &str, buffer: &'b mut [u8]) -> Result<&'b str, TreeError> {
        match self.find(path)? {
            (FileKind::Link, _, content) => fill_text(buffer, text(content)),
            _ => Err(TreeError::WrongKind),
        }
    }

    fn list(&self, path: &str, visit: &mut dyn FnMut(&str) -> bool) -> Result<(), TreeError> {
        if self.find(path)?.0 != FileKind::Directory {
            return Err(TreeError::WrongKind);
        }
        let start = if path.is_empty() { String::new() } else { format!("{path}/") };
        let names = self.0.keys().filter_map(|known| known.strip_prefix(&start));
        names.filter(|name| !name.contains('/')).all(visit);
        Ok(())
    }

    fn status(&self, path: &str) -> Result<Status, TreeError> {
        let (kind, _, content) = self.find(path)?;
        let inode = self.0.keys().position(|known| *known == path).map_or(2, |index| index as u64 + 11);
        Ok(Status { kind, size: content.len() as u64, device: 0xfe02, inode, modified: content.len() as u64 })
    }

    fn verity_digest(&self, path: &str, digest: &mut [u8; 64]) -> Result<usize, TreeError> {
        match self.find(path)? {
            (FileKind::File, b'v', content) => {
                // The digest is what the content begins with.
                let length = if content.len() < 64 { 32 } else { 64 };
                digest.fill(0);
                digest.iter_mut().zip(content).for_each(|(to, from)| *to = *from);
                Ok(length)
            }
            (FileKind::File, ..) => Err(TreeError::Unsupported),
            (FileKind::Link, ..) => Err(TreeError::Link),
            _ => Err(TreeError::WrongKind),
        }
    }

    fn subvolume<'b>(&self, number: Option<u64>, buffer: &'b mut [u8]) -> Result<&'b str, TreeError> {
        let mut subvolumes = self.0.iter().filter(|(_, (kind, _))| matches!(kind, b's' | b'w')).map(|(path, _)| *path);
        let path = match number {
            None => subvolumes.next_back().unwrap_or_default(),
            Some(5) => "",
            Some(number) => (256..).zip(subvolumes).find(|(known, _)| *known == number).ok_or(TreeError::Missing)?.1,
        };
        fill_text(buffer, path)
    }

    fn is_read_only_subvolume(&self, path: &str) -> Result<bool, TreeError> {
        match self.find(path)? {
            (_, b's', _) => Ok(!path.is_empty()),
            (_, b'w', _) => Ok(false),
            (FileKind::Link, ..) => Err(TreeError::Link),
            _ => Err(TreeError::WrongKind),
        }
    }
}
