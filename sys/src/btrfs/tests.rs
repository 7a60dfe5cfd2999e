use std::fs;

use super::*;
use crate::file::{self, Access, AsFd as _, OwnedFd};
use crate::loop_device::{self, Options};
use crate::mount::{Attributes, Message, filesystem};
use crate::scratch::{Scratch, run};

fn open(path: &str) -> OwnedFd {
    file::open(path, Access::Read).unwrap()
}

/// Needs root, loop devices, a kernel with btrfs, and `btrfs`.
#[test]
fn subvolumes_have_a_number_a_path_and_a_property() {
    let scratch = Scratch::for_mounts("btrfs");
    let path = scratch.image("image", 256 << 20, "mkfs.btrfs", &["-q"]);
    let image = rustix::fs::open(path.as_str(), rustix::fs::OFlags::RDWR, rustix::fs::Mode::empty()).unwrap();
    let device = loop_device::attach(image.as_fd(), Options { auto_clear: true, ..Options::default() }).unwrap();
    let (source, top) = (loop_device::path(device.number), scratch.folder("top"));
    filesystem("btrfs", &source, &mut core::iter::empty(), Attributes::NONE, &top, &mut Message::new()).unwrap();
    drop(device);

    let root = open(&top);
    assert_eq!(default_subvolume(root.as_fd()), Ok(TOP_LEVEL));
    assert_eq!(subvolume_path(root.as_fd(), TOP_LEVEL).unwrap(), "");

    let subvolume =
        |action: &str, arguments: &[&str]| run("btrfs", &[&["-q", "subvolume", action], arguments].concat());
    subvolume("create", &[&scratch.at("top/@")]);
    subvolume("create", &[&scratch.at("top/@/.snapshots")]);
    fs::create_dir_all(scratch.at("top/@/.snapshots/7/more")).unwrap();
    let snapshot = scratch.at("top/@/.snapshots/7/more/snapshot");
    subvolume("snapshot", &["-r", &scratch.at("top/@"), &snapshot]);
    subvolume("set-default", &[&snapshot]);

    let number = default_subvolume(root.as_fd()).unwrap();
    assert_eq!(subvolume_path(root.as_fd(), number).unwrap(), "@/.snapshots/7/more/snapshot");
    assert_eq!(subvolume_path(root.as_fd(), 9999), Err(Errno::NOENT));
    assert_eq!(is_read_only(open(&snapshot).as_fd()), Ok(true));
    assert_eq!(is_read_only(open(&scratch.at("top/@")).as_fd()), Ok(false));
    assert_eq!(is_read_only(open(&scratch.at("top/@/.snapshots/7")).as_fd()), Err(Errno::INVAL));
    assert_eq!(default_subvolume(open(&scratch.at("")).as_fd()), Err(Errno::NOTTY));
}

#[test]
fn the_default_is_found_among_names_of_one_hash() {
    let entry = |subvolume: u64, data: u8, name: &[u8]| {
        let length = u8::try_from(name.len()).unwrap();
        let mut entry = std::vec![0; 30];
        entry[..8].copy_from_slice(&subvolume.to_le_bytes());
        (entry[25], entry[27]) = (data, length);
        entry.extend_from_slice(name);
        entry.extend(std::iter::repeat_n(9, data.into()));
        entry
    };
    let entries = [entry(300, 3, b"other"), entry(301, 0, b"default")].concat();
    assert_eq!(default_of(&entries), Some(301));
    for length in 0..entries.len() {
        assert_eq!(default_of(&entries[..length]), None);
    }
}

#[test]
fn items_follow_one_another_by_their_lengths() {
    let mut items = [0; 36];
    (items[16], items[28], items[32], items[35]) = (7, 3, 1, 9);
    assert_eq!(first_item(&items), Some((7, &[1, 0, 0][..], &[9][..])));
    assert_eq!(first_item(&items[..34]), None);
    assert_eq!(first_item(&[]), None);
}

#[test]
fn a_place_that_is_cut_short_or_too_long_is_an_error() {
    let mut item = [0; 20];
    (item[0], item[16], item[18], item[19]) = (1, 2, b'a', b'b');
    assert_eq!(place_of(&item, "below"), Ok((1, "ab/below".try_into().unwrap())));
    assert_eq!(place_of(&item, ""), Ok((1, "ab".try_into().unwrap())));
    assert_eq!(place_of(&item[..19], ""), Err(Errno::BADMSG));
    assert_eq!(place_of(&item, &"x".repeat(MAX_PATH - 2)), Err(Errno::NAMETOOLONG));
    for name in [b"\xffb", b"a\0", b"/b", b".."] {
        item[18..].copy_from_slice(name);
        assert_eq!(place_of(&item, ""), Err(Errno::BADMSG));
    }
}
