//! A composefs, put together from its image and its objects.

use sys::Errno;
use sys::file::{self, AsFd, BorrowedFd};
use sys::loop_device;
use sys::mount::{self, Attributes, Composefs, Message, MountError, Upper, Verity};

use crate::mounting::{explain, open_directory, open_file};
use crate::plan::ComposefsSource;
use crate::reason;
use crate::text::{Reason, refused};

/// Mounts it, or says why not; `room` is a place for a mount that is hidden again. Nothing is mounted as verified that is not: an image without the digest that it must have, and
/// a kernel that cannot hold objects to theirs, are errors.
#[inline(never)]
pub fn composefs(source: &ComposefsSource, target: &str, attributes: Attributes, room: &str) -> Result<(), Reason> {
    let image = open_file(&source.image)?;
    check_digest(source, image.as_fd())?;
    let objects = open_directory(&source.objects)?;
    let mut message = Message::new();
    file::make_directory(room, 0o700).map_err(|errno| reason!("{}: {}", room, sys::errno::Explained(errno)))?;
    let names = names(image.as_fd(), &mut message).map_err(|error| explain(error, &message))?;
    // Before Linux 6.15 an overlay takes no layer that is mounted nowhere.
    mount::attach(names.as_fd(), room).map_err(|error| explain(error, ""))?;
    let upper = source.writable.as_ref().map(|(directory, work)| Upper { directory, work });
    let parts = Composefs {
        image: names.as_fd(),
        objects: objects.as_fd(),
        source: &source.name,
        verity: if source.verity { Verity::Require } else { Verity::Off },
        upper,
        attributes,
    };
    let made = mount::composefs(&parts, target, &mut message).map_err(|error| match error.call {
        mount::NO_VERITY => reason!(
            "this kernel cannot verify the files of a composefs: its overlayfs has no verity=require (Linux 6.6 has)"
        ),
        _ => explain(error, &message),
    });
    let hidden = mount::unmount_lazily(room);
    if hidden.is_err() {
        // Nothing is to be left of a mount that failed.
        let _ = mount::unmount_lazily(room);
        if made.is_ok() {
            let _ = mount::unmount(target);
        }
    }
    made?;
    hidden.map_err(|errno| refused("unmount", room, errno))
}

fn check_digest(source: &ComposefsSource, image: BorrowedFd<'_>) -> Result<(), Reason> {
    if source.digest.is_empty() {
        return Ok(());
    }
    match sys::file_verity::measure(image) {
        Ok(digest) if *digest.bytes == *source.digest => Ok(()),
        Ok(_) => Err(reason!("the image {} has another fs-verity digest than it must have", source.image)),
        Err(Errno::NODATA) => Err(reason!("the image {} has no fs-verity, so that nothing verifies it", source.image)),
        Err(Errno::OPNOTSUPP | Errno::NOTTY) => {
            Err(reason!("the filesystem of the image {} has no fs-verity, so that nothing verifies it", source.image))
        }
        Err(errno) => Err(refused("read the fs-verity digest of", &source.image, errno)),
    }
}

/// The image, mounted nowhere yet: from the file itself where the kernel does that (Linux 6.12), else by a loop device.
fn names(image: BorrowedFd<'_>, message: &mut Message) -> Result<sys::file::OwnedFd, MountError> {
    let mut none = core::iter::empty();
    let path = file::descriptor_path(image);
    match mount::image("erofs", &path, &mut none, Attributes::NONE, message) {
        Err(MountError { errno: Errno::NOTBLK, .. }) => {}
        made => return made,
    }
    message.clear();
    let options = loop_device::Options { block_size: 4096, read_only: true, auto_clear: true, ..Default::default() };
    let device = loop_device::attach(image, options).map_err(|errno| MountError { call: "LOOP_CONFIGURE", errno })?;
    mount::image("erofs", &loop_device::path(device.number), &mut none, Attributes::NONE, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_that_must_have_a_digest_and_has_none_is_refused() {
        let mut source = ComposefsSource {
            name: "composefs:00".try_into().unwrap(),
            image: crate::path!("/proc/self/exe"),
            digest: heapless::Vec::new(),
            objects: crate::path!("/objects"),
            verity: false,
            writable: None,
        };
        let image = file::open("/proc/self/exe", file::Access::Read).unwrap();
        check_digest(&source, image.as_fd()).unwrap();
        source.digest.resize(32, 0).unwrap();
        let why = check_digest(&source, image.as_fd()).unwrap_err();
        let without = "the image /proc/self/exe has no fs-verity, so that nothing verifies it";
        let never = "the filesystem of the image /proc/self/exe has no fs-verity, so that nothing verifies it";
        assert!([without, never].contains(&&*why), "{}", &*why);
    }
}
