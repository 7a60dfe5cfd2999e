//! Memory for values that come and go, where there is no heap.

use core::cell::UnsafeCell;
use core::fmt;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicBool, Ordering};

/// A place in a `static` for one value, which is lent to one holder at a time.
///
/// Whoever holds a large value by its place hands on an address, where otherwise all of its bytes would be moved. Among
/// the zeroed pages of a program (`.bss`) only the places that are used cost memory; so all bytes of a new value must be
/// zero or without meaning, as those of an empty `heapless` text are.
#[derive(Debug)]
pub struct Place<T> {
    lent: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: the only way to the value is a `Lent`, of which there is one at a time. It may be on another thread, hence
// `Send`.
#[allow(unsafe_code)]
unsafe impl<T: Send> Sync for Place<T> {}

impl<T> Place<T> {
    /// A place that holds `value` at first.
    pub const fn new(value: T) -> Self {
        Self { lent: AtomicBool::new(false), value: UnsafeCell::new(value) }
    }

    fn lend(&'static self) -> Option<Lent<T>> {
        let is_free = !self.lent.swap(true, Ordering::Acquire);
        is_free.then(|| Lent(self))
    }
}

/// Lends the first place that is free, with what the last holder left in it; `None` if all are lent.
pub fn lend<T>(places: &'static [Place<T>]) -> Option<Lent<T>> {
    places.iter().find_map(Place::lend)
}

/// A value that is lent. Dropped, it is free to be lent again.
pub struct Lent<T: 'static>(&'static Place<T>);

impl<T> Drop for Lent<T> {
    fn drop(&mut self) {
        self.0.lent.store(false, Ordering::Release);
    }
}

impl<T> Deref for Lent<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the flag lets one `Lent` exist for a place, so all other references to the value come from this one.
        #[allow(unsafe_code)]
        unsafe {
            &*self.0.value.get()
        }
    }
}

impl<T> DerefMut for Lent<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and this one is borrowed exclusively.
        #[allow(unsafe_code)]
        unsafe {
            &mut *self.0.value.get()
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Lent<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_lent_to_one_holder_at_a_time() {
        static PLACES: [Place<u8>; 2] = [const { Place::new(7) }; 2];
        let (mut first, second) = (lend(&PLACES).unwrap(), lend(&PLACES).unwrap());
        *first = 1;
        assert_eq!((*first, *second), (1, 7));
        assert!(lend(&PLACES).is_none());
        assert!(lend(&PLACES).is_none());
        drop(first);
        let again = lend(&PLACES).unwrap();
        assert_eq!((*again, *second), (1, 7));
    }
}
