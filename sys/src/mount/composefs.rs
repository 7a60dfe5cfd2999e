//! composefs: an image of names and metadata, whose files' content lies elsewhere, under the names of its digests.

use core::fmt::Write as _;

use heapless::String;

use super::filesystem::{Context, Message};
use super::{Attributes, MountError, attach, failed};
use crate::Errno;
use crate::file::{AsFd as _, BorrowedFd, descriptor_path};

/// [`MountError::call`] where overlays of this kernel cannot hold files to their fs-verity digests (before Linux 6.6).
/// Nothing is mounted then.
pub const NO_VERITY: &str = "fsconfig verity=require";

/// Whether the content of files must be what the image says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verity {
    /// A file whose object has not the fs-verity digest that the image names cannot be opened (`verity=require`). Where
    /// the objects' filesystem has no fs-verity at all, that is every file.
    Require,
    /// Objects are taken as they are.
    Off,
}

/// Where what is written over an image is kept: two directories of one filesystem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upper<'a> {
    /// `upperdir`.
    pub directory: &'a str,
    /// `workdir`: empty, and of no use but to the kernel.
    pub work: &'a str,
}

/// What a composefs is put together from.
#[derive(Clone, Copy, Debug)]
pub struct Composefs<'a> {
    /// Root of the [mounted image](super::image). Before Linux 6.15 it must be [attached](super::attach) somewhere. It can
    /// be [unmounted there](super::unmount_lazily) after the composefs is mounted; before, it is no layer any more.
    pub image: BorrowedFd<'a>,
    /// The directory of the objects.
    pub objects: BorrowedFd<'a>,
    /// The name to show as what is mounted.
    pub source: &'a str,
    /// Whether objects are verified.
    pub verity: Verity,
    /// Where changes are kept; without, nothing can be changed.
    pub upper: Option<Upper<'a>>,
    /// The mount's own attributes.
    pub attributes: Attributes,
}

/// How an overlay is told of its layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layers {
    /// `lowerdir+` and `datadir+` (Linux 6.7).
    Single,
    /// `lowerdir=IMAGE::OBJECTS` (Linux 6.5).
    DataOnly,
    /// `lowerdir=IMAGE:OBJECTS`: the objects are an ordinary layer, which an image hides by whiteouts in its root.
    Ordinary,
}

/// Mounts a composefs at `target`: an overlay whose lower layer is the image and whose data-only layer are the objects.
///
/// /proc must be mounted, through which the kernel finds the two handles.
///
/// # Errors
/// Under [`NO_VERITY`] where verity is required and the kernel has none in overlays. `EINVAL` where a layer is a mount
/// that is attached nowhere, before Linux 6.15.
pub fn composefs(parts: &Composefs<'_>, target: &str, message: &mut Message) -> Result<(), MountError> {
    let context = Context::new("overlay")?;
    // Before Linux 6.5 an overlay looks at no option until it is made, and would say of all the same: EINVAL.
    let looks_later = context.set_flag("surefoot-asks").is_ok();
    if looks_later && parts.verity == Verity::Require {
        return Err(MountError { call: NO_VERITY, errno: Errno::INVAL });
    }
    let (context, layers) =
        if looks_later { (Context::new("overlay")?, Layers::Ordinary) } else { (context, Layers::Single) };
    let mounted = configure(&context, parts, layers).and_then(|()| context.mount(parts.attributes));
    let mount = mounted.inspect_err(|_| context.read_message(message))?;
    attach(mount.as_fd(), target)
}

fn configure(context: &Context, parts: &Composefs<'_>, layers: Layers) -> Result<(), MountError> {
    let set = |key, value: &str| context.set(key, value).map_err(failed("fsconfig"));
    // What was asked above is none of the reader's business.
    context.read_message(&mut Message::new());
    set("source", parts.source)?;
    set("metacopy", "on")?;
    set("redirect_dir", "on")?;
    if parts.verity == Verity::Require {
        context.set("verity", "require").map_err(failed(NO_VERITY))?;
    }
    if let Some(upper) = parts.upper {
        set("upperdir", upper.directory)?;
        set("workdir", upper.work)?;
    }
    set_layers(context, parts, layers).map_err(failed("fsconfig"))
}

fn set_layers(context: &Context, parts: &Composefs<'_>, layers: Layers) -> Result<(), Errno> {
    let (image, objects) = (descriptor_path(parts.image), descriptor_path(parts.objects));
    let separator = match layers {
        Layers::Single => match context.set("lowerdir+", &image) {
            Err(Errno::INVAL) => return set_layers(context, parts, Layers::DataOnly),
            set => return set.and_then(|()| context.set("datadir+", &objects)),
        },
        Layers::DataOnly => "::",
        Layers::Ordinary => ":",
    };
    let mut both = String::<64>::new();
    write!(both, "{image}{separator}{objects}").map_err(|_| Errno::NAMETOOLONG)?;
    context.set("lowerdir", &both)
}

#[cfg(test)]
mod tests;
