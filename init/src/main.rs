//! `surefoot-init`: the first program of an immutable machine. Everything but its entry is in the library.
#![no_std]
#![no_main]

use core::panic::PanicInfo;

sys::program!(init::boot::run);

/// A panic is a fault of ours. It ends as every failed boot does: said, visible, and then what was asked for.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    init::boot::panicked(info)
}
