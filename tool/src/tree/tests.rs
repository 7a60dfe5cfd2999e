//! The same directory is seen alike when it is mounted, in an image of a filesystem, and packed into an initramfs.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use deployment::tree::{FileKind, Tree, TreeError};
use init::mounted_tree::MountedTree;

use super::*;
use crate::disk_image::{Disks, Reading};

/// Paths that are asked for, whatever is there.
const PATHS: [&str; 22] = [
    "",
    ".",
    "file",
    "empty",
    "long",
    "folder",
    "folder/",
    "folder/inner",
    "folder/deep/deeper",
    "file/x",
    "link",
    "link/inner",
    "dangling",
    "dangling/x",
    "absolute",
    "loop",
    "loop/x",
    "missing",
    "folder/missing",
    "pipe",
    "pipe/x",
    "./folder/./inner",
];

fn fill(root: &Path) {
    fs::create_dir_all(root.join("folder/deep/deeper")).unwrap();
    fs::write(root.join("file"), "text").unwrap();
    fs::write(root.join("empty"), "").unwrap();
    fs::write(root.join("long"), "0123456789".repeat(2000)).unwrap();
    fs::write(root.join("folder/inner"), b"\xff\xfe").unwrap();
    nix::unistd::mkfifo(&root.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    for (name, target) in [("link", "folder"), ("dangling", "nowhere"), ("absolute", "/file"), ("loop", "loop")] {
        symlink(target, root.join(name)).unwrap();
    }
}

/// All that a tree tells of a path.
fn told(tree: &dyn Tree, path: &str) -> String {
    let mut small = [0; 10];
    let mut large = vec![0; 40_000];
    let read = tree.read(path, &mut small).map(<[u8]>::to_vec);
    let whole = tree.read(path, &mut large).map(<[u8]>::len);
    let text = tree.read_text(path, &mut vec![0; 40_000]).map(str::len);
    let mut part = [0; 4];
    let at = tree.read_exact_at(path, 10_007, &mut part).map(|()| part);
    let link = tree.read_link(path, &mut [0; 255]).map(str::to_owned);
    let short_link = tree.read_link(path, &mut [0; 3]).map(str::to_owned);
    let status = tree.status(path).map(|status| {
        let size = if status.kind == FileKind::File { status.size } else { 0 };
        (status.kind, size)
    });
    let mut names = Vec::new();
    let list = tree.list(path, &mut |name| {
        names.push(name.to_owned());
        true
    });
    // What mkfs.ext4 makes in every filesystem.
    names.retain(|name| name != "lost+found");
    names.sort();
    format!("{path}: {read:?} {whole:?} {text:?} {at:?} {link:?} {short_link:?} {status:?} {list:?} {names:?}")
}

fn image(root: &Path, options: &[&str]) -> (tempfile::NamedTempFile, Disks) {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(8 << 20).unwrap();
    let mut command = Command::new("/usr/sbin/mkfs.ext4");
    let output = command.args(["-q", "-F", "-d"]).arg(root).args(options).arg(file.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let disks = Disks::open(&[file.path()], Reading::default()).unwrap();
    (file, disks)
}

fn packed(root: &Path) -> crate::explain::Nodes {
    let mut archive = Vec::new();
    for entry in walkdir::WalkDir::new(root).min_depth(1).sort_by_file_name() {
        let entry = entry.unwrap();
        let (kind, content) = if entry.path_is_symlink() {
            (0o120_777, fs::read_link(entry.path()).unwrap().into_os_string().into_encoded_bytes())
        } else if entry.file_type().is_dir() {
            (0o040_755, Vec::new())
        } else if entry.file_type().is_file() {
            (0o100_644, fs::read(entry.path()).unwrap())
        } else {
            (0o010_644, Vec::new())
        };
        let path = entry.path().strip_prefix(root).unwrap();
        let header = cpio::newc::Builder::new(path.to_str().unwrap()).mode(kind);
        let mut writer = header.write(&mut archive, u32::try_from(content.len()).unwrap());
        writer.write_all(&content).unwrap();
        writer.finish().unwrap();
    }
    cpio::newc::trailer(&mut archive).unwrap();
    crate::explain::unpack(&archive).unwrap().0
}

#[test]
fn all_trees_tell_the_same() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path());
    let mounted = MountedTree::open(folder.path().to_str().unwrap()).unwrap();
    let (_file, disks) = image(folder.path(), &[]);
    let ext4 = Ext4Tree::open(disks.content("vda").unwrap()).unwrap();
    let (_file, disks) = image(folder.path(), &["-O", "^extent,^64bit,^has_journal,^metadata_csum", "-b", "1024"]);
    let ext2 = Ext4Tree::open(disks.content("vda").unwrap()).unwrap();
    let nodes = packed(folder.path());
    let trees: [(&str, &dyn Tree); 3] = [("ext4", &ext4), ("ext2", &ext2), ("packed", &PackedTree(&nodes))];
    for path in PATHS {
        for (name, tree) in &trees {
            assert_eq!(told(*tree, path), told(&mounted, path), "{name}");
        }
    }
}

#[test]
fn nothing_leads_out() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path());
    let (_file, disks) = image(folder.path(), &[]);
    let ext4 = Ext4Tree::open(disks.content("vda").unwrap()).unwrap();
    let nodes = packed(folder.path());
    let trees: [&dyn Tree; 2] = [&ext4, &PackedTree(&nodes)];
    for tree in trees {
        for path in ["..", "folder/../file", "link/../file"] {
            assert_eq!(tree.status(path), Err(TreeError::Link), "{path}");
        }
    }
}

#[test]
fn what_is_no_such_filesystem_is_an_error() {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(1 << 20).unwrap();
    let disks = Disks::open(&[file.path()], Reading::default()).unwrap();
    assert!(Ext4Tree::open(disks.content("vda").unwrap()).is_err_and(|why| why.starts_with("corrupt filesystem: ")));
}
