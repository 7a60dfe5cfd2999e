//! Kernel modules as texts: which module a name or a device's alias stands for, and what must be loaded before it.
//!
//! Nothing here does I/O or allocates: the texts are those of `modules.dep`, `modules.alias`, `modules.softdep`,
//! `modules.builtin` and `modprobe.d` as they lie in the initramfs (formats: `modules.dep(5)`, `modprobe.d(5)`).

pub mod alias;
pub mod index;
pub mod name;

pub use index::{Module, ModuleIndex, Order};

use crate::reason;
use crate::text::Reason;

/// Why a module cannot be loaded that the index in `directory` of the initramfs does not have.
pub fn missing(module: &str, directory: &str) -> Reason {
    reason!(
        "the kernel module {module} is neither in this initramfs ({directory}) nor built into the kernel: pack it with \
         surefoot initramfs --module {module}"
    )
}
