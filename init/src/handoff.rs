//! The hand-over to the real init: the end of the initramfs. Nothing here can be undone, so all that can be checked has
//! been checked before.

use core::ffi::CStr;

use heapless::String;
use sys::errno::Explained;
use sys::file;
use sys::process;
use sys::start::Words;

use crate::execute::NewRoot;
use crate::text::{PATH_CAPACITY, Reason, refused};
use crate::{path, places, reason};

/// The kernel's filesystems, moved with all that is mounted in them.
const CARRIED_OVER: [&str; 4] = ["/dev", "/proc", "/sys", "/run"];

/// Makes the new root `/` and starts its init. Comes back only with the reason why that failed.
pub fn hand_over(root: &NewRoot<'_, '_>, words: &Words) -> Reason {
    match switch(root, words) {
        Err(reason) => reason,
    }
}

fn switch(root: &NewRoot<'_, '_>, words: &Words) -> Result<core::convert::Infallible, Reason> {
    let mut init = String::<{ PATH_CAPACITY + 1 }>::new();
    let path = root.init();
    init.push_str(path)
        .and_then(|()| init.push('\0'))
        .map_err(|_| reason!("the path of the init {path} is too long"))?;
    let init =
        CStr::from_bytes_until_nul(init.as_bytes()).map_err(|_| reason!("the path of the init is not a path"))?;

    for source in CARRIED_OVER {
        let target = path!("{}{source}", places::NEW_ROOT);
        sys::mount::relocate(source, &target)
            .map_err(|errno| reason!("cannot move {source} to {target}: {}", Explained(errno)))?;
    }
    let into_root = |errno| reason!("cannot make {} the root: {}", places::NEW_ROOT, Explained(errno));
    process::enter(places::NEW_ROOT).map_err(into_root)?;
    if file::is_in_memory("/") {
        // What stays behind costs memory for as long as the machine runs, but no more than that.
        let _ = sys::empty::directory("/");
    }
    sys::mount::relocate(".", "/").map_err(into_root)?;
    process::make_current_directory_root().map_err(into_root)?;

    let passed_on = words.arguments().skip(1).map(|word| -> &CStr { word });
    let arguments = core::iter::once(init).chain(passed_on);
    let errno = process::execute(init, arguments, words.environment());
    Err(refused("start", path, errno))
}
