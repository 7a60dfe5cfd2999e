//! Others that make an initramfs: dracut, and Debian's initramfs-tools; and busybox with veritysetup, to make one by hand. All
//! of them come from a Debian system in a folder of its own, with the modules of the kernel that is measured.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::command::{command, is_root, run, timed};
use crate::debian;
use crate::guest_tool;
use crate::kernel::Kernel;

/// What is installed in there.
const PACKAGES: &str =
    "dracut-core,initramfs-tools,busybox,cryptsetup-bin,systemd,systemd-sysv,udev,kmod,zstd,cpio,ostree-boot";

/// The machines that an initramfs is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum For {
    /// All that the kernel has drivers for.
    AllMachines,
    /// The one that is measured.
    ThisMachine,
}

/// dracut's smallest set of modules that boots the root. What it needs for itself it adds.
const DRACUT_MODULES: &str = "systemd-veritysetup fs-lib rootfs-block dracut-systemd";

/// Drivers of the machine, for those that do not find them by themselves.
const DRIVERS: &str = "virtio_pci virtio_blk dm_verity sha256_ssse3 erofs";

/// The Debian system.
#[derive(Debug)]
pub struct Peers {
    top: tempfile::TempDir,
    release: String,
}

impl Peers {
    /// Unpacks the system, and gives it a kernel's modules. This takes root.
    ///
    /// # Errors
    /// What mmdebstrap, tar and depmod say.
    pub fn new(kernel: &Kernel) -> Result<Self> {
        ensure!(is_root()?, "dracut and initramfs-tools are run in a system of their own: only root may do that");
        let top = tempfile::tempdir()?;
        run(command("tar").arg("-xf").arg(debian::archive(PACKAGES)?).arg("-C").arg(top.path()))?;
        run(command("cp").arg("-a").arg(kernel.tree.join("lib/modules")).arg(top.path().join("usr/lib")))?;
        run(command("cp").arg("-a").arg(kernel.tree.join("boot")).arg(top.path()))?;
        run(command("depmod").arg("-b").arg(top.path()).arg(&kernel.release))?;
        // Of all that the root needs this is what mkinitramfs leaves out.
        fs::write(top.path().join("etc/initramfs-tools/modules"), "erofs\n")?;
        Ok(Self { top, release: kernel.release.clone() })
    }

    /// Runs a program of the system, and says how long that took.
    fn run(&self, program: &str, words: &[&str]) -> Result<Duration> {
        let script = "mkdir -p \"$1/dev\" \"$1/proc\" \"$1/tmp\"; mount --bind /dev \"$1/dev\"; \
                      mount -t proc proc \"$1/proc\"; mount -t tmpfs tmpfs \"$1/tmp\"; exec chroot \"$@\"";
        let inside = ["--mount", "sh", "-ec", script, "sh"];
        timed(command("unshare").args(inside).arg(self.top.path()).arg(program).args(words))
    }

    /// A file of the system.
    pub(super) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.top.path().join(name)
    }

    fn take(&self, name: &str, output: &Path) -> Result<()> {
        fs::copy(self.path(name), output).with_context(|| name.to_owned()).map(drop)
    }

    /// An initramfs by dracut, of Debian's defaults but for the modules.
    ///
    /// # Errors
    /// What dracut says.
    pub fn dracut(&self, machines: For, output: &Path) -> Result<Duration> {
        let kernel = ["--kver", &self.release];
        let (more, drivers) = match machines {
            For::AllMachines => (" kernel-modules", &["--add-drivers", DRIVERS][..]),
            For::ThisMachine => ("", &["--drivers", DRIVERS, "--filesystems", "erofs"][..]),
        };
        let modules = format!("{DRACUT_MODULES}{more}");
        // ostree-boot adds a module of its own to all images.
        let only = [&["--no-hostonly", "--modules", &modules, "--omit", "ostree"], drivers].concat();
        let words = [&["--force", "--quiet", "--reproducible"], &kernel[..], &only, &["/var/tmp/dracut.img"]].concat();
        let taken = self.run("dracut", &words)?;
        self.take("var/tmp/dracut.img", output)?;
        Ok(taken)
    }

    /// An initramfs by initramfs-tools, of Debian's defaults.
    ///
    /// # Errors
    /// What mkinitramfs says.
    pub fn initramfs_tools(&self, output: &Path) -> Result<Duration> {
        let taken = self.run("mkinitramfs", &["-o", "/var/tmp/mkinitramfs.img", &self.release])?;
        self.take("var/tmp/mkinitramfs.img", output)?;
        Ok(taken)
    }

    /// The libraries that a program of the system needs.
    fn libraries(&self, program: &str) -> Result<Vec<PathBuf>> {
        guest_tool::libraries(command("chroot").arg(self.top.path()).arg("ldd").arg(Path::new("/").join(program)))
    }

    /// How large those are together.
    pub(super) fn bytes_of_libraries(&self, program: &str) -> Result<u64> {
        self.libraries(program)?.iter().map(|library| Ok(fs::metadata(self.path(library))?.len())).sum()
    }

    /// Copies busybox and veritysetup with their libraries into an initramfs.
    pub(super) fn busybox(&self, top: &Path) -> Result<()> {
        let programs = ["bin/busybox", "sbin/veritysetup"];
        let mut files: Vec<_> = programs.map(PathBuf::from).to_vec();
        for program in programs {
            files.extend(self.libraries(program)?);
        }
        for file in files {
            let to = top.join(&file);
            fs::create_dir_all(to.parent().unwrap_or(top))?;
            fs::copy(self.path(&file), &to).with_context(|| file.display().to_string())?;
        }
        for applet in ["insmod", "mkdir", "mount", "switch_root"] {
            std::os::unix::fs::symlink("/bin/busybox", top.join("bin").join(applet))?;
        }
        Ok(())
    }
}
