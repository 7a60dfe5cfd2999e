//! What was packed, for people and for programs.

use std::fmt::{self, Write};
use std::path::PathBuf;

use init::modules::name;
use serde::Serialize;

/// What the image holds and what it came to.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Version of the kernel that the modules are for.
    pub(crate) kernel: String,
    /// The file that was written; none if only a list was asked for.
    pub(crate) output: Option<PathBuf>,
    /// Size of that file, in bytes.
    pub(crate) size: Option<usize>,
    /// Bytes of all packed files before compression.
    pub(crate) unpacked_size: usize,
    /// The packed modules.
    pub(crate) modules: Vec<PackedModule>,
    /// Every packed file, modules included.
    pub(crate) files: Vec<PackedFile>,
    /// Firmware that packed modules name and that is nowhere.
    pub(crate) missing_firmware: Vec<String>,
    /// What the user should know although nothing failed.
    pub(crate) notes: Vec<String>,
}

/// A packed module.
#[derive(Debug, Serialize)]
pub(crate) struct PackedModule {
    /// Name, as in `/sys/module`.
    pub(crate) name: String,
    /// Bytes of the decompressed module.
    pub(crate) size: usize,
    /// Why it is packed.
    pub(crate) why: String,
}

/// A packed file.
#[derive(Debug, Serialize)]
pub(crate) struct PackedFile {
    /// Absolute path in the image.
    pub(crate) path: String,
    /// Size in bytes.
    pub(crate) size: usize,
}

impl Report {
    /// One line a module and one a file that is no module: size in bytes, name, reason.
    pub(crate) fn list(&self) -> String {
        let mut text = String::new();
        for module in &self.modules {
            let _ = writeln!(text, "{:>10}  {}  ({})", module.size, module.name, module.why);
        }
        for file in self.files.iter().filter(|file| name::of_path(&file.path).is_none()) {
            let _ = writeln!(text, "{:>10}  {}", file.size, file.path);
        }
        text
    }
}

/// The one line that says what was done.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (modules, unpacked) = (self.modules.len(), Bytes(self.unpacked_size));
        match (&self.output, self.size) {
            (Some(output), Some(size)) => {
                write!(f, "{}: {}, {unpacked} unpacked, ", output.display(), Bytes(size))?;
            }
            _ => write!(f, "{unpacked} unpacked, ")?,
        }
        writeln!(f, "{modules} modules for kernel {}", self.kernel)
    }
}

/// A number of bytes in the unit that suits it.
struct Bytes(usize);

impl fmt::Display for Bytes {
    #[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            size @ 0..1024 => write!(f, "{size} bytes"),
            size @ 1024..1_048_576 => write!(f, "{:.1} KiB", size as f64 / 1024.0),
            size => write!(f, "{:.2} MiB", size as f64 / 1_048_576.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_the_unit_that_suits_them() {
        let texts = [1023, 1024, 1_048_575, 1_572_864].map(|size| Bytes(size).to_string());
        assert_eq!(texts, ["1023 bytes", "1.0 KiB", "1024.0 KiB", "1.50 MiB"]);
    }
}
