//! The texts that the command line is read from.

use std::fs;
use std::path::Path;

use boot_config::{Config, Sources, cmdline};

use super::initramfs::Initramfs;
use crate::error::Error;

/// What a value that names a file begins with. No command line does: its first word would have to be a path.
const PATHS: [&str; 3] = ["/", "./", "../"];

/// Bytes at which an x86-64 kernel cuts its command line (`COMMAND_LINE_SIZE`, less the closing NUL).
const KERNEL_LIMIT: usize = 2047;

/// The texts.
#[derive(Debug)]
pub(crate) struct Words {
    cmdline: String,
    drop_ins: String,
}

impl Words {
    /// Takes the value of `--cmdline`, a text or the path of a file that holds one, and the words of the initramfs.
    pub(crate) fn read(cmdline: &str, initramfs: Option<&Initramfs>) -> Result<Self, Error> {
        let cmdline = if PATHS.iter().any(|start| cmdline.starts_with(start)) {
            let path = Path::new(cmdline);
            let bytes = fs::read(path).map_err(|why| Error::file("cannot read the command line from", path, &why))?;
            String::from_utf8(bytes)
                .map_err(|_| Error::bad("cannot read the command line from", path.display(), "it is not UTF-8 text"))?
        } else {
            cmdline.to_owned()
        };
        let drop_ins = initramfs.map_or(Ok(String::new()), Initramfs::words);
        let drop_ins = drop_ins.map_err(|why| Error::bad("the machine would not", "boot", why))?;
        Ok(Self { cmdline, drop_ins })
    }

    /// The texts as the parser takes them.
    pub(crate) fn sources(&self) -> Sources<'_> {
        Sources { drop_ins: &self.drop_ins, cmdline: &self.cmdline, ..Sources::default() }
    }

    /// Whether the backup of a partition table serves: `gpt` makes the kernel trust it, and of a disk with slots PID 1
    /// makes the damaged copy anew.
    pub(crate) fn reads_backup_table(&self) -> bool {
        let repairs = Config::parse(self.sources()).is_ok_and(|config| config.wants_slots());
        repairs || cmdline::Words::new(&self.cmdline).any(|word| word.key == "gpt" && word.value.is_none())
    }

    /// The size of the command line, where the kernel would cut it.
    pub(crate) fn cut_at(&self) -> Option<(usize, usize)> {
        let size = self.cmdline.trim_end().len();
        (size > KERNEL_LIMIT).then_some((size, KERNEL_LIMIT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_begins_like_a_path_is_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "quiet gpt\n").unwrap();
        let words = Words::read(file.path().to_str().unwrap(), None).unwrap();
        assert_eq!(words.sources().cmdline, "quiet gpt\n");
        assert!(words.reads_backup_table());
        let error = Words::read("./nothing here", None).unwrap_err().to_string();
        assert_eq!(error, "cannot read the command line from ./nothing here: No such file or directory");
    }

    #[test]
    fn anything_else_is_the_text_whatever_files_there_are() {
        let words = Words::read("Cargo.toml root=/dev/vda gpt=1", None).unwrap();
        assert_eq!(words.sources().cmdline, "Cargo.toml root=/dev/vda gpt=1");
        assert!(!words.reads_backup_table());
    }

    #[test]
    fn what_the_kernel_cuts_is_found() {
        let cut = |size: usize| Words::read(&("x".repeat(size) + "\n"), None).unwrap().cut_at();
        assert_eq!((cut(2047), cut(2048)), (None, Some((2048, 2047))));
    }
}
