//! Links PID 1 without a C library: it has an entry of its own, and nobody would relocate it.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=link.ld");
    let script = concat!("-T,", env!("CARGO_MANIFEST_DIR"), "/link.ld");
    for argument in ["-nostartfiles", "-nostdlib", "-static", "-no-pie"] {
        println!("cargo:rustc-link-arg-bins={argument}");
    }
    // What only a dynamic loader would protect, and pages that keep code apart from constants, are room for nothing;
    // nor does anybody look up a build by its identity.
    for option in ["--no-eh-frame-hdr", "--build-id=none", "-z,norelro", "-z,noseparate-code", script] {
        println!("cargo:rustc-link-arg-bins=-Wl,{option}");
    }
}
