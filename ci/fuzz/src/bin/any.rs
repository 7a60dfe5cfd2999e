//! The search for an input that a target fails on (libFuzzer). `SUREFOOT_FUZZ` in the environment names the target.
#![no_main]
#![allow(clippy::expect_used)]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use surefoot_fuzz::{Target, target};

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("SUREFOOT_FUZZ").expect("SUREFOOT_FUZZ names no target");
    target(&name).expect("there is no target by the name in SUREFOOT_FUZZ")
});

fuzz_target!(|input: &[u8]| TARGET(input));
