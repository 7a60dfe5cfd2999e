//! These tests need root, loop devices, a kernel with erofs and an overlay that knows fs-verity (Linux 6.6), and
//! `mkfs.erofs`; without root they say that they test nothing.

use std::fs;
use std::string::String as StdString;

use rustix::fs::XattrFlags;

use super::*;
use crate::file::{self, Access, OwnedFd};
use crate::loop_device::{self, Options};
use crate::mount::tests::options;
use crate::mount::{image, unmount_lazily};
use crate::scratch::{Scratch, run};

const OBJECT: &str = "ab/cdef";

/// A directory of one object, and an image with one file whose content is that object.
struct Parts {
    scratch: Scratch,
    image: OwnedFd,
    objects: OwnedFd,
}

impl Parts {
    fn new(name: &str, is_verified: bool) -> Self {
        let scratch = Scratch::for_mounts(name);
        scratch.folder("objects/ab");
        fs::write(scratch.at("objects/ab/cdef"), "content").unwrap();
        scratch.folder("tree");
        let file = scratch.at("tree/file");
        fs::File::create(&file).unwrap().set_len(7).unwrap();
        let attribute =
            |name, value: &[u8]| rustix::fs::setxattr(file.as_str(), name, value, XattrFlags::empty()).unwrap();
        // struct ovl_metacopy: version, length, flags, and the number of the digest's algorithm before the digest.
        let digest = [&[0, 36, 0, 1][..], &[0x11; 32]].concat();
        attribute("trusted.overlay.metacopy", if is_verified { &digest } else { &[] });
        attribute("trusted.overlay.redirect", std::format!("/{OBJECT}").as_bytes());
        run("mkfs.erofs", &["--quiet", &scratch.at("image"), &scratch.at("tree")]);
        let image = mounted(&scratch.at("image"));
        attach(image.as_fd(), &scratch.folder("lower")).unwrap();
        let objects = file::open_directory(&scratch.at("objects")).unwrap();
        Self { scratch, image, objects }
    }

    fn composefs<'a>(&'a self, verity: Verity, upper: Option<Upper<'a>>) -> Composefs<'a> {
        let attributes = if upper.is_none() { Attributes::READ_ONLY } else { Attributes::NONE };
        let (image, objects) = (self.image.as_fd(), self.objects.as_fd());
        Composefs { image, objects, source: "composefs:abcdef", verity, upper, attributes }
    }

    fn read(&self) -> std::io::Result<StdString> {
        fs::read_to_string(self.scratch.at("root/file"))
    }
}

/// The image at `path`, mounted by itself where the kernel does that (Linux 6.12), else through a loop device.
fn mounted(path: &str) -> OwnedFd {
    let file = file::open(path, Access::Read).unwrap();
    let mount = |source: &str| {
        let options = &mut ["noacl"].into_iter();
        image("erofs", source, options, Attributes::NONE, &mut Message::new())
    };
    match mount(&file::descriptor_path(file.as_fd())) {
        Err(MountError { errno: Errno::NOTBLK, .. }) => {
            let options = Options { read_only: true, auto_clear: true, ..Options::default() };
            let device = loop_device::attach(file.as_fd(), options).unwrap();
            mount(&loop_device::path(device.number)).unwrap()
        }
        image => image.unwrap(),
    }
}

#[test]
fn the_content_of_files_comes_from_the_objects() {
    let parts = Parts::new("composefs", false);
    let target = parts.scratch.folder("root");
    composefs(&parts.composefs(Verity::Off, None), &target, &mut Message::new()).unwrap();
    unmount_lazily(&parts.scratch.at("lower")).unwrap();
    assert_eq!(parts.read().unwrap(), "content");
    assert!(!fs::exists(parts.scratch.at("root/ab")).unwrap());
    let (of_mount, of_overlay) = options(&target);
    assert_eq!(of_mount, "ro,relatime");
    for option in ["ro", "redirect_dir=on", "metacopy=on"] {
        assert!(of_overlay.split(',').any(|found| found == option), "{option} in {of_overlay}");
    }
}

#[test]
fn a_file_whose_digest_cannot_be_checked_cannot_be_read() {
    for is_verified in [false, true] {
        let parts = Parts::new("composefs-verity", is_verified);
        let target = parts.scratch.folder("root");
        composefs(&parts.composefs(Verity::Require, None), &target, &mut Message::new()).unwrap();
        assert!(options(&target).1.contains("verity=require"));
        assert!(parts.read().is_err());
    }
}

#[test]
fn changes_go_to_the_upper_layer() {
    let parts = Parts::new("composefs-upper", false);
    let (directory, work) = (parts.scratch.folder("state/upper"), parts.scratch.folder("state/work"));
    let upper = Upper { directory: &directory, work: &work };
    let message = &mut Message::new();
    composefs(&parts.composefs(Verity::Off, Some(upper)), &parts.scratch.folder("root"), message).unwrap();
    fs::write(parts.scratch.at("root/new"), "1").unwrap();
    assert_eq!(fs::read_to_string(parts.scratch.at("state/upper/new")).unwrap(), "1");
    assert_eq!(parts.read().unwrap(), "content");
}

#[test]
fn older_kernels_get_their_layers_in_one_option() {
    for layers in [Layers::DataOnly, Layers::Ordinary] {
        let parts = Parts::new("composefs-old", false);
        let context = Context::new("overlay").unwrap();
        configure(&context, &parts.composefs(Verity::Off, None), layers).unwrap();
        let mount = context.mount(Attributes::READ_ONLY).unwrap();
        attach(mount.as_fd(), &parts.scratch.folder("root")).unwrap();
        assert_eq!(parts.read().unwrap(), "content");
        assert_eq!(fs::exists(parts.scratch.at("root/ab")).unwrap(), layers == Layers::Ordinary);
    }
}

#[test]
fn what_is_no_layer_is_refused_with_the_kernels_words() {
    let parts = Parts::new("composefs-refused", false);
    let image = file::open(&parts.scratch.at("image"), Access::Read).unwrap();
    let broken = Composefs { image: image.as_fd(), ..parts.composefs(Verity::Off, None) };
    let message = &mut Message::new();
    let error = composefs(&broken, &parts.scratch.folder("root"), message).unwrap_err();
    assert_eq!(error.call, "fsconfig");
    assert!(!message.contains("surefoot"), "{message}");
}
