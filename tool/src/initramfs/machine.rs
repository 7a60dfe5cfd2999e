//! The machine that a `--host-only` image is for: its devices and the file systems that it mounts.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use init::modules::alias;
use walkdir::WalkDir;

use crate::error::Error;

/// A machine as the kernel describes it in sysfs and procfs.
#[derive(Debug, Default)]
pub(crate) struct Machine {
    modaliases: BTreeSet<String>,
    mounted: BTreeSet<String>,
}

impl Machine {
    /// Reads the machine whose `/sys` and `/proc/self/mountinfo` lie below `root`: `/` is this one.
    pub(crate) fn read(root: &Path) -> Result<Self, Error> {
        let devices = root.join("sys/devices");
        let mut modaliases = BTreeSet::new();
        for entry in WalkDir::new(&devices) {
            // Devices come and go while the tree is walked; only a missing tree is an error.
            match entry {
                Ok(entry) if entry.file_name() == "modalias" => {
                    modaliases.extend(fs::read_to_string(entry.path()).iter().map(|text| text.trim_end().to_owned()));
                }
                Err(why) if why.depth() == 0 => {
                    return Err(Error::system("cannot list the devices of this machine in", devices.display(), why)
                        .advice("Without --host-only the image holds the drivers of all storage."));
                }
                _ => {}
            }
        }
        modaliases.remove("");
        let mountinfo = root.join("proc/self/mountinfo");
        let text = match fs::read_to_string(&mountinfo) {
            Err(why) if why.kind() != io::ErrorKind::NotFound => {
                return Err(Error::file("cannot read", &mountinfo, &why));
            }
            text => text.unwrap_or_default(),
        };
        Ok(Self { modaliases, mounted: mounted_types(&text) })
    }

    /// Whether one of its devices is served by a module with these aliases.
    pub(crate) fn has_device_for(&self, patterns: &[String]) -> bool {
        patterns.iter().any(|pattern| self.modaliases.iter().any(|device| alias::matches(pattern, device)))
    }

    /// Whether it has a file system of this type mounted.
    pub(crate) fn mounts(&self, file_system: &str) -> bool {
        self.mounted.contains(file_system)
    }

    /// A machine with these devices and mounted types.
    #[cfg(test)]
    pub(crate) fn of<const D: usize, const M: usize>(modaliases: [&str; D], mounted: [&str; M]) -> Self {
        Self { modaliases: modaliases.map(str::to_owned).into(), mounted: mounted.map(str::to_owned).into() }
    }
}

/// The types in a `mountinfo` text: the word after the separator ` - ` (proc_pid_mountinfo(5)).
fn mounted_types(mountinfo: &str) -> BTreeSet<String> {
    let words = mountinfo.lines().filter_map(|line| line.split_once(" - ")?.1.split(' ').next());
    words.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_devices_and_mounts() {
        let root = tempfile::tempdir().unwrap();
        let device = root.path().join("sys/devices/pci0000:00/0000:00:01.0/virtio0");
        fs::create_dir_all(&device).unwrap();
        fs::write(device.join("modalias"), "virtio:d00000002v00001AF4\n").unwrap();
        fs::write(device.join("../modalias"), "\n").unwrap();
        fs::create_dir_all(root.path().join("proc/self")).unwrap();
        let mounts =
            "24 1 254:0 / / ro,relatime shared:1 - erofs /dev/mapper/root ro\n30 24 0:5 / /dev rw - devtmpfs d rw\n";
        fs::write(root.path().join("proc/self/mountinfo"), mounts).unwrap();
        let machine = Machine::read(root.path()).unwrap();
        assert_eq!(machine.modaliases, ["virtio:d00000002v00001AF4".to_owned()].into());
        assert_eq!(machine.mounted, ["devtmpfs".to_owned(), "erofs".to_owned()].into());
        assert!(machine.has_device_for(&["virtio:d00000002v*".to_owned()]));
        assert!(!machine.has_device_for(&["virtio:d00000008v*".to_owned()]));
    }

    #[test]
    fn a_machine_without_sysfs_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let error = Machine::read(root.path()).unwrap_err().to_string();
        assert!(error.starts_with("cannot list the devices of this machine in "), "{error}");
    }
}
