//! Memory for large values of which a boot uses only a part.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};

/// A value in a `static`, which one caller can have for as long as the program runs.
///
/// On the stack a large value costs all of its pages, for a function touches every page of its frame when it is entered
/// (stack probes). Among the zeroed pages of a program (`.bss`) it costs only those that are used; so all bytes of the
/// value at first must be zero or without meaning, as those of an empty `heapless` vector are.
#[derive(Debug)]
pub struct Reserve<T> {
    taken: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: the only way to the value is `take`, which gives it to one caller alone. That caller may be another thread,
// hence `Send`.
#[allow(unsafe_code)]
unsafe impl<T: Send> Sync for Reserve<T> {}

impl<T> Reserve<T> {
    /// Holds `value` until it is taken.
    pub const fn new(value: T) -> Self {
        Self { taken: AtomicBool::new(false), value: UnsafeCell::new(value) }
    }

    /// The value; `None` if it was taken before.
    // The flag makes the one reference exclusive, which the lint cannot see.
    #[allow(clippy::mut_from_ref)]
    pub fn take(&'static self) -> Option<&'static mut T> {
        if self.taken.swap(true, Ordering::AcqRel) {
            return None;
        }
        // SAFETY: the flag lets one caller alone come here, ever, and nothing else uses the cell: the reference is the
        // only one. A `static` lives as long as the program.
        #[allow(unsafe_code)]
        Some(unsafe { &mut *self.value.get() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_caller_has_the_value() {
        static PLACE: Reserve<[u8; 2]> = Reserve::new([1, 2]);
        let value = PLACE.take().unwrap();
        value[0] = 7;
        assert_eq!(*value, [7, 2]);
        assert_eq!(PLACE.take(), None);
    }
}
