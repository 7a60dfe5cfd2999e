//! KVM where it works, emulation elsewhere.

use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;
use std::sync::OnceLock;

use anyhow::Result;

use crate::cache::{self, Key};
use crate::command::command;
use crate::kernel::{self, Package};

/// How long a kernel may take under KVM to come up and panic for want of a root.
const PATIENCE: &str = "15s";

/// The value of QEMU's `-accel`. Emulated processors share one thread: with a thread each, a processor may run into code
/// that another one is just patching, and the kernel takes the breakpoint that it finds there for a fault (`int3` Oops).
pub fn argument() -> &'static str {
    match name() {
        "tcg" => "tcg,thread=single",
        other => other,
    }
}

/// QEMU's name of the accelerator to use: `kvm` only where a kernel has come up under it, `tcg` otherwise. The answer
/// is kept for later runs; the environment variable `SUREFOOT_ACCEL` overrides it.
pub fn name() -> &'static str {
    static NAME: OnceLock<&str> = OnceLock::new();
    NAME.get_or_init(|| match std::env::var("SUREFOOT_ACCEL").as_deref() {
        Ok("kvm") => "kvm",
        Err(_) if kvm_works().unwrap_or(false) => "kvm",
        Ok(_) | Err(_) => "tcg",
    })
}

fn kvm_works() -> Result<bool> {
    if File::options().read(true).write(true).open("/dev/kvm").is_err() {
        return Ok(false);
    }
    let kernel = kernel::fetch(Package::Cloud61)?;
    let host = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let answer = cache::cached("accelerator", "kvm", Key::default().text(&host), |answer| {
        eprintln!("accelerator: trying KVM for up to {PATIENCE}");
        Ok(fs::write(answer, if boots_under_kvm(&kernel.image)? { "yes" } else { "no" })?)
    })?;
    Ok(fs::read_to_string(answer)? == "yes")
}

/// Whether a kernel without initramfs and root panics in time: then everything before that worked.
fn boots_under_kvm(image: &Path) -> Result<bool> {
    let scratch = tempfile::tempdir()?;
    let console = scratch.path().join("console");
    // Under a KVM that hangs, QEMU does not even answer SIGTERM. Its exit status says nothing of the guest.
    command("timeout")
        .args(["--signal=KILL", PATIENCE, "qemu-system-x86_64"])
        .args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-m", "256M"])
        .args(["-machine", "q35,accel=kvm", "-cpu", "max", "-append", "console=ttyS0 panic=-1", "-kernel"])
        .arg(image)
        .arg("-serial")
        .arg(format!("file:{}", console.display()))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    Ok(fs::read(&console).is_ok_and(|text| String::from_utf8_lossy(&text).contains("Kernel panic")))
}
