//! Initramfs images, built by the tool that is being tested.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use crate::cache::{self, Key};
use crate::command::{command, timed};
use crate::kernel::Kernel;
use crate::paths;

/// An initramfs with PID 1 for a kernel, with these words of `surefoot initramfs` appended.
///
/// # Errors
/// What the tool says.
pub fn build(kernel: &Kernel, options: &[&str]) -> Result<PathBuf> {
    let (tool, init) = (paths::program("surefoot")?, paths::program("surefoot-init")?);
    let key = Key::default().file(&tool)?.file(&init)?.text(&kernel.tree.to_string_lossy()).text(&options.join("\0"));
    cache::cached("initramfs", &kernel.release, key, |image| make(kernel, options, image).map(drop))
}

/// Makes such an initramfs, whether there is one already or not, and gives how long that took.
///
/// # Errors
/// What the tool says.
pub fn make(kernel: &Kernel, options: &[&str], image: &Path) -> Result<Duration> {
    let (tool, init) = (paths::program("surefoot")?, paths::program("surefoot-init")?);
    let mut build = command(&tool.to_string_lossy());
    build.arg("initramfs").arg("--kernel").arg(&kernel.tree).arg("--init").arg(&init);
    timed(build.args(options).arg("-o").arg(image))
}

/// The words of `surefoot initramfs` that pack these files: path, and content. A file is kept under a name that tells its
/// content, for images are cached by these words.
///
/// # Errors
/// When a file cannot be written.
pub fn adding(files: &[(&str, &str)]) -> Result<Vec<String>> {
    let folder = paths::cache().join("packed");
    fs::create_dir_all(&folder)?;
    let mut words = Vec::new();
    for (path, content) in files {
        let file = folder.join(Key::default().text(content).hex());
        fs::write(&file, content)?;
        words.extend(["--add".to_owned(), format!("{}:{path}", file.display())]);
    }
    Ok(words)
}
