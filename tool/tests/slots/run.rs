//! The tool as a program, on a disk image.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::image::{self, Part};

/// A folder with a disk image, a command line and a report.
pub struct Machine {
    folder: TempDir,
    running: Option<String>,
}

/// What a command printed, and its exit code.
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Machine {
    pub fn new(parts: &[Part]) -> Self {
        let machine = Self { folder: TempDir::new().unwrap(), running: None };
        std::fs::write(machine.disk(), image::disk(parts)).unwrap();
        machine
    }

    /// With this slot for the running one.
    pub fn running(mut self, name: &str) -> Self {
        self.running = Some(name.to_owned());
        self
    }

    /// Whose kernel has this command line.
    pub fn command_line(self, text: &str) -> Self {
        std::fs::write(self.path("cmdline"), text).unwrap();
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn disk(&self) -> PathBuf {
        self.path("disk.img")
    }

    pub fn image(&self) -> Vec<u8> {
        std::fs::read(self.disk()).unwrap()
    }

    pub fn ledger(&self, number: u32) -> String {
        image::ledger(&self.image(), number)
    }

    /// `surefoot` with these words and the options that make it work on this machine.
    pub fn command(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_surefoot"));
        command.args(words.split(' ')).arg("--disk").arg(self.disk());
        if let Some(running) = &self.running {
            command.args(["--running", running]);
        }
        for option in ["cmdline", "report"] {
            if self.path(option).exists() {
                command.arg(format!("--{option}")).arg(self.path(option));
            }
        }
        command
    }

    pub fn run(&self, words: &str) -> Ran {
        let Output { status, stdout, stderr } = self.command(words).output().unwrap();
        let text = |bytes| shorten(&String::from_utf8(bytes).unwrap(), self.folder.path());
        Ran { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
    }

    /// What a command prints that does what it is asked for without a remark.
    pub fn done(&self, words: &str) -> String {
        let ran = self.run(words);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{words}: {}", ran.stdout);
        ran.stdout
    }

    /// The exit code and the words of a command that fails, and leaves the disk as it was.
    pub fn refused(&self, words: &str) -> (i32, String) {
        let before = self.image();
        let ran = self.run(words);
        assert_eq!(ran.stdout, "", "{words}");
        assert!(self.image() == before, "{words}: the disk was changed");
        (ran.code.unwrap(), ran.stderr)
    }
}

fn shorten(text: &str, folder: &Path) -> String {
    text.replace(&format!("{}/", folder.display()), "")
}
