//! Images of filesystems with deployments, made by the tools that make real ones, and the command under test.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::common::wait_until_detached;

const MIB: u64 = 1 << 20;
/// Words that let any deployment boot, and need no state device.
pub const ANY: &str = "root=/dev/vda surefoot.deployment=auto surefoot.verity=optional surefoot.etc=ro surefoot.var=ro \
                       surefoot.home=ro";

/// A folder with an image.
pub struct Machine {
    folder: TempDir,
    image: &'static str,
}

/// Puts a file with these words somewhere, with the folders on the way.
pub fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// The least that a root must hold to be started.
pub fn root(path: &Path) {
    for folder in ["dev", "proc", "sys", "run", "etc", "var", "home", "usr/lib", "sbin"] {
        fs::create_dir_all(path.join(folder)).unwrap();
    }
    write(&path.join("usr/lib/os-release"), "ID=test\n");
    write(&path.join("sbin/init"), "#!\n");
    fs::set_permissions(path.join("sbin/init"), Permissions::from_mode(0o755)).unwrap();
}

/// A sysroot of ostree's with deployments of these versions; each has a kernel of its own.
pub fn ostree(top: &Path, versions: &[u8]) {
    for folder in ["ostree/repo/objects", "ostree/deploy/debian/var"] {
        fs::create_dir_all(top.join(folder)).unwrap();
    }
    for version in versions {
        let (checksum, kernel) = (format!("{version:02x}").repeat(32), format!("{:02x}", version + 100).repeat(32));
        let deployment = top.join(format!("ostree/deploy/debian/deploy/{checksum}.0"));
        root(&deployment);
        for folder in ["sysroot", "boot", "usr/etc"] {
            fs::create_dir_all(deployment.join(folder)).unwrap();
        }
        let link = top.join(format!("ostree/boot.0.1/debian/{kernel}"));
        fs::create_dir_all(&link).unwrap();
        symlink(format!("../../../deploy/debian/deploy/{checksum}.0"), link.join("0")).unwrap();
        let options = format!("options quiet ostree=/ostree/boot.0/debian/{kernel}/0");
        let entry = format!("title Debian\nversion {version}\n{options}\nlinux /vmlinuz\n");
        write(&top.join(format!("boot/loader.0/entries/ostree-{version}+3-0.conf")), &entry);
    }
    symlink("boot.0.1", top.join("ostree/boot.0")).unwrap();
    symlink("loader.0", top.join("boot/loader")).unwrap();
}

/// Versions of an image file, by what stands behind `app_` in their names.
pub fn images(top: &Path, versions: &[&str]) {
    let folder = top.join("images/app.raw.v");
    fs::create_dir_all(&folder).unwrap();
    let source = TempDir::new().unwrap();
    root(source.path());
    for version in versions {
        let image = folder.join(format!("app_{version}.raw"));
        run(Command::new("mkfs.erofs").args(["-T0", "--all-root"]).arg(image).arg(source.path()));
    }
}

impl Machine {
    /// With an ext4 that `fill` fills.
    pub fn ext4(fill: impl FnOnce(&Path)) -> Self {
        Self::new("ext4.img", 32 * MIB, fill, &["/usr/sbin/mkfs.ext4", "-q", "-F", "-d"])
    }

    /// With a btrfs that `fill` fills.
    pub fn btrfs(fill: impl FnOnce(&Path)) -> Self {
        Self::new("btrfs.img", 128 * MIB, fill, &["/usr/sbin/mkfs.btrfs", "-q", "-f", "--rootdir"])
    }

    /// With a btrfs whose default subvolume `root` is filled by `fill`.
    pub fn subvolume(fill: impl FnOnce(&Path)) -> Self {
        let machine = Self::btrfs(|_| ());
        let source = machine.path("source");
        fs::create_dir_all(&source).unwrap();
        fill(&source);
        machine.mounted(|top| {
            let root = top.join("root");
            subvolume(&["create"], &root);
            run(Command::new("cp").arg("--archive").args([&source.join("."), &root]));
            subvolume(&["set-default"], &root);
        });
        machine
    }

    /// With a btrfs that has snapshots of these numbers, as snapper keeps them; the last one is the default subvolume.
    pub fn snapshots(numbers: &[u32]) -> Self {
        let machine = Self::btrfs(|_| ());
        machine.mounted(|top| {
            for name in ["@", "@/.snapshots", "@/var", "@/home"] {
                subvolume(&["create"], &top.join(name));
            }
            for number in numbers {
                let folder = top.join(format!("@/.snapshots/{number}"));
                let info = format!(
                    "<?xml version=\"1.0\"?>\n<snapshot>\n  <type>single</type>\n  <num>{number}</num>\n  \
                     <date>2026-11-22 10:00:00</date>\n</snapshot>\n"
                );
                write(&folder.join("info.xml"), &info);
                subvolume(&["create"], &folder.join("snapshot"));
                root(&folder.join("snapshot"));
            }
        });
        machine.make_default(*numbers.last().unwrap());
        machine
    }

    /// Makes a snapshot the default subvolume, as `snapper rollback` does.
    pub fn make_default(&self, number: u32) {
        self.mounted(|top| subvolume(&["set-default"], &top.join(format!("@/.snapshots/{number}/snapshot"))));
    }

    /// Does something while the filesystem in the image is mounted, from its top.
    fn mounted(&self, change: impl FnOnce(&Path)) {
        let folder = self.path("mounted");
        fs::create_dir_all(&folder).unwrap();
        run(Command::new("mount").args(["-o", "loop,subvol=/"]).args([&self.image_path(), &folder]));
        change(&folder);
        run(Command::new("sync").arg("--file-system").arg(&folder));
        run(Command::new("umount").arg(&folder));
        wait_until_detached(self.folder.path());
    }

    fn new(image: &'static str, size: u64, fill: impl FnOnce(&Path), make: &[&str]) -> Self {
        assert!(nix::unistd::geteuid().is_root(), "this test attaches loop devices: run it as root");
        let machine = Self { folder: TempDir::new().unwrap(), image };
        let top = machine.path("top");
        fs::create_dir_all(&top).unwrap();
        fill(&top);
        File::create(machine.path(image)).unwrap().set_len(size).unwrap();
        run(Command::new(make[0]).args(&make[1..]).arg(&top).arg(machine.path(image)));
        fs::create_dir_all(machine.path("tmp")).unwrap();
        machine
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `surefoot` with these words and its image.
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_surefoot"));
        command.current_dir(self.folder.path()).env("TMPDIR", self.path("tmp"));
        command.args(words).args(["--disk", self.image]);
        command
    }

    /// What it prints and exits with. Checksums are cut short, and nothing is left behind.
    pub fn run(&self, words: &[&str]) -> String {
        let Output { status, stdout, stderr } = self.command(words).output().unwrap();
        assert_eq!(fs::read_dir(self.path("tmp")).unwrap().count(), 0, "a folder is left behind");
        wait_until_detached(self.folder.path());
        let (mut stdout, stderr) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
        if status.code() != Some(0) || !stderr.is_empty() {
            stdout = format!("{stdout}--- stderr, exit code {}\n{stderr}", status.code().unwrap());
        }
        (1..10_u8)
            .fold(stdout, |text, byte| text.replace(&format!("{byte:02x}").repeat(32), &format!("CHECKSUM{byte}")))
    }

    /// `surefoot explain` with any deployment allowed.
    pub fn explain(&self, words: &[&str]) -> String {
        self.run(&[&["explain", "--cmdline", ANY], words].concat())
    }

    pub fn image_path(&self) -> PathBuf {
        self.path(self.image)
    }

    pub fn image(&self) -> Vec<u8> {
        fs::read(self.image_path()).unwrap()
    }

    /// Makes something of the ext4 in the image unreadable: its directory's blocks have not the checksums of before.
    pub fn damage(&self, path: &str) {
        let mut command = Command::new("/usr/sbin/debugfs");
        let output = command.args(["-R", &format!("blocks {path}")]).arg(self.image_path()).output().unwrap();
        let blocks = String::from_utf8(output.stdout).unwrap();
        let mut image = self.image();
        let size = 1024 << u32::from_le_bytes(image[1024 + 24..][..4].try_into().unwrap());
        for block in blocks.split_whitespace() {
            let block: usize = block.parse().unwrap();
            image[block * size..][..size].fill(0x5a);
        }
        fs::write(self.image_path(), image).unwrap();
    }

    /// A file of the ext4 in the image.
    pub fn file(&self, path: &str) -> Vec<u8> {
        let mut command = Command::new("/usr/sbin/debugfs");
        command.args(["-R", &format!("cat {path}")]).arg(self.image_path()).output().unwrap().stdout
    }

    /// The names in a folder of the ext4 in the image.
    pub fn names(&self, folder: &str) -> Vec<String> {
        let mut command = Command::new("/usr/sbin/debugfs");
        let output = command.args(["-R", &format!("ls -p {folder}")]).arg(self.path(self.image)).output().unwrap();
        let listing = String::from_utf8(output.stdout).unwrap();
        let mut names: Vec<_> = listing.lines().filter_map(|line| line.split('/').nth(5)).map(str::to_owned).collect();
        names.retain(|name| !name.starts_with('.') && !name.is_empty());
        names.sort();
        names
    }
}

/// Puts the program where everybody can read it. Another process writes it: a child that a test beside this one starts
/// would keep ours open for writing, and what is written is not started.
pub fn copy_program(to: &Path) {
    run(Command::new("cp").arg(env!("CARGO_BIN_EXE_surefoot")).arg(to));
}

/// Runs a command that must do what it is asked for.
fn subvolume(words: &[&str], path: &Path) {
    run(Command::new("btrfs").arg("subvolume").args(words).arg(path));
}

pub fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|why| panic!("{command:?}: {why}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
