//! `prepare-root.conf` of the initramfs.

use heapless::Vec;

use super::{Why, why};
use crate::candidates::Look;
use crate::ostree::PrepareRoot;
use crate::ostree::prepare_root::{CONFIG_PATHS, ConfigFile};
use crate::tree::TreeError;

/// Most bytes of each `prepare-root.conf`.
pub(super) const MAX_CONFIG: usize = 2048;

/// Room for the files.
pub(super) type Buffers = [[u8; MAX_CONFIG]; CONFIG_PATHS.len()];

/// Room for the files, with nothing in it.
pub(super) const BUFFERS: Buffers = [[0; MAX_CONFIG]; CONFIG_PATHS.len()];

/// How deployments are set up, as the initramfs and the command line have it.
#[inline(never)]
pub(super) fn read<'b>(look: &Look<'b>, buffers: &'b mut Buffers) -> Result<PrepareRoot<'b>, Why> {
    let mut files = Vec::<ConfigFile<'b>, { CONFIG_PATHS.len() }>::new();
    for (path, buffer) in CONFIG_PATHS.into_iter().zip(buffers) {
        match look.initramfs.read_text(path.trim_start_matches('/'), buffer) {
            // There is room for one of each path.
            Ok(text) => drop(files.push(ConfigFile { path, text })),
            Err(TreeError::Missing) => {}
            Err(error) => return Err(why(format_args!("{path} of the initramfs cannot be read: {error}"))),
        }
    }
    PrepareRoot::parse(&files, look.config.ostree_composefs).map_err(|error| why(format_args!("{error}")))
}
