use std::fs;
use std::os::unix::fs::symlink;
use std::string::{String, ToString as _};
use std::vec::Vec;

use super::*;
use crate::file::{link, open_directory, write_to};
use crate::scratch::Scratch;

/// A directory with a file, folders, a pipe, and links in and out.
fn tree(name: &str) -> (Scratch, OwnedFd) {
    let scratch = Scratch::new(name);
    fs::create_dir_all(scratch.at("root/a/b")).unwrap();
    fs::write(scratch.at("root/a/b/file"), "12345").unwrap();
    fs::write(scratch.at("secret"), "s").unwrap();
    symlink("a", scratch.at("root/alias")).unwrap();
    symlink("b/file", scratch.at("root/a/shortcut")).unwrap();
    symlink(scratch.at("secret"), scratch.at("root/out")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        scratch.at("root/pipe").as_str(),
        rustix::fs::FileType::Fifo,
        Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let root = open_directory(&scratch.at("root")).unwrap();
    (scratch, root)
}

#[test]
fn a_link_never_leads_out_of_the_root() {
    let scratch = Scratch::new("beneath-links");
    fs::create_dir_all(scratch.at("bin")).unwrap();
    fs::write(scratch.at("bin/init"), "x").unwrap();
    link("/bin/init", &scratch.at("inside")).unwrap();
    link("/etc/passwd", &scratch.at("outside")).unwrap();
    let directory = open_directory(&scratch.at("")).unwrap();
    let inside = open_beneath(directory.as_fd(), "/inside", Links::FollowInside).unwrap();
    assert_eq!(status(inside.as_fd()).unwrap().kind, Kind::File);
    assert_eq!(open_beneath(directory.as_fd(), "/outside", Links::FollowInside).unwrap_err(), Errno::NOENT);
    assert_eq!(open_beneath(directory.as_fd(), "inside", Links::Refuse).unwrap_err(), Errno::LOOP);
}

#[test]
fn only_regular_files_without_a_link_on_the_way_are_read() {
    let (_scratch, root) = tree("beneath-read");
    let buffer = &mut [0; 5];
    assert_eq!(read_beneath(root.as_fd(), "a/b/file", buffer), Ok(&b"12345"[..]));
    assert_eq!(read_beneath(root.as_fd(), "a/b/file", &mut [0; 4]), Err(Errno::FBIG));
    for (path, errno) in [
        ("alias/b/file", Errno::LOOP),
        ("a/shortcut", Errno::LOOP),
        ("out", Errno::LOOP),
        ("pipe", Errno::INVAL),
        ("a/b", Errno::ISDIR),
        (".", Errno::ISDIR),
        ("a/none", Errno::NOENT),
        ("../secret", Errno::XDEV),
        ("a/../../secret", Errno::XDEV),
        ("/a/b/file", Errno::XDEV),
        ("", Errno::NOENT),
    ] {
        assert_eq!(read_beneath(root.as_fd(), path, buffer), Err(errno), "{path}");
        assert_eq!(open_writable_beneath(root.as_fd(), path, false).unwrap_err(), errno, "{path}");
    }
}

#[test]
fn a_link_is_read_and_described_as_itself() {
    let (scratch, root) = tree("beneath-link");
    let buffer = &mut [0; 7];
    assert_eq!(read_link_beneath(root.as_fd(), "a/shortcut", buffer), Ok("b/file"));
    assert_eq!(read_link_beneath(root.as_fd(), "a/shortcut", &mut [0; 6]), Err(Errno::NAMETOOLONG));
    assert_eq!(read_link_beneath(root.as_fd(), "alias/shortcut", buffer), Err(Errno::LOOP));
    assert_eq!(read_link_beneath(root.as_fd(), "a/b", buffer), Err(Errno::INVAL));
    assert_eq!(read_link_beneath(root.as_fd(), "..", buffer), Err(Errno::INVAL));
    assert_eq!(read_link_beneath(root.as_fd(), "/alias", buffer), Err(Errno::XDEV));

    let found = status_beneath(root.as_fd(), "a/shortcut").unwrap();
    assert_eq!((found.kind, found.size), (Kind::Link, 6));
    let found = status_beneath(root.as_fd(), "a/b/file").unwrap();
    let same = crate::file::status_of(&scratch.at("root/a/shortcut")).unwrap();
    assert_eq!((found.kind, found.size), (Kind::File, 5));
    assert_eq!(found, same);
    assert_eq!(status_beneath(root.as_fd(), "alias/b").unwrap_err(), Errno::LOOP);
}

#[test]
fn names_are_listed_until_the_visitor_has_enough() {
    let (_scratch, root) = tree("beneath-list");
    let mut names: Vec<String> = Vec::new();
    let mut note = |name: &str| {
        names.push(name.to_string());
        true
    };
    visit_directory_beneath(root.as_fd(), ".", &mut note).unwrap();
    names.sort();
    assert_eq!(names, ["a", "alias", "out", "pipe"]);
    let mut calls = 0;
    let mut once = |_: &str| {
        calls += 1;
        false
    };
    visit_directory_beneath(root.as_fd(), "a", &mut once).unwrap();
    assert_eq!(calls, 1);
    assert_eq!(visit_directory_beneath(root.as_fd(), "alias", &mut |_| true), Err(Errno::LOOP));
    assert_eq!(visit_directory_beneath(root.as_fd(), "pipe", &mut |_| true), Err(Errno::NOTDIR));
}

#[test]
fn folders_and_files_are_made_and_renamed_inside() {
    let (scratch, root) = tree("beneath-write");
    for _ in 0..2 {
        assert_eq!(make_directory_beneath(root.as_fd(), "a/new", 0o700), Ok(()));
        let file = open_writable_beneath(root.as_fd(), "a/new/ledger", true).unwrap();
        write_to(file.as_fd(), b"1").unwrap();
    }
    assert_eq!(fs::read(scratch.at("root/a/new/ledger")).unwrap(), b"1");
    assert_eq!(make_directory_beneath(root.as_fd(), "a/b/file", 0o700), Err(Errno::NOTDIR));
    assert_eq!(make_directory_beneath(root.as_fd(), "a/shortcut", 0o700), Err(Errno::NOTDIR));
    assert_eq!(make_directory_beneath(root.as_fd(), "alias/new2", 0o700), Err(Errno::LOOP));
    assert_eq!(make_directory_beneath(root.as_fd(), "none/new", 0o700), Err(Errno::NOENT));
    assert_eq!(open_writable_beneath(root.as_fd(), "out", true).unwrap_err(), Errno::LOOP);
    assert_eq!(open_writable_beneath(root.as_fd(), "alias/x", true).unwrap_err(), Errno::LOOP);

    assert_eq!(rename_beneath(root.as_fd(), "a/b/file", "a/b/other"), Ok(()));
    assert_eq!(sync_directory_beneath(root.as_fd(), "a/b"), Ok(()));
    assert_eq!(fs::read(scratch.at("root/a/b/other")).unwrap(), b"12345");
    assert_eq!(rename_beneath(root.as_fd(), "a/b/other", "a/new/ledger"), Err(Errno::EXIST));
    assert_eq!(rename_beneath(root.as_fd(), "alias/b/other", "x"), Err(Errno::LOOP));
    assert_eq!(rename_beneath(root.as_fd(), "a/b/other", "../x"), Err(Errno::XDEV));
}
