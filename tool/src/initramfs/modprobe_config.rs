//! The administrator's module configuration of a machine (`modprobe.d(5)`), cut down to what PID 1 understands.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;

use super::catalogue::in_sysfs;
use crate::error::Error;

/// Where the files lie, in the order of kmod: a file hides those of the same name in later folders.
const FOLDERS: [&str; 5] =
    ["etc/modprobe.d", "run/modprobe.d", "usr/local/lib/modprobe.d", "usr/lib/modprobe.d", "lib/modprobe.d"];

/// All lines below `root` that PID 1 understands, the files sorted by name, lines that continue joined.
pub(crate) fn read(root: &Path) -> Result<String, Error> {
    let mut files = BTreeMap::<OsString, _>::new();
    for folder in FOLDERS.map(|folder| root.join(folder)) {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(why) if why.kind() == io::ErrorKind::NotFound => continue,
            Err(why) => return Err(Error::file("cannot list", &folder, &why)),
        };
        let named = entries.flatten().map(|entry| entry.path());
        for path in named.filter(|path| path.extension().is_some_and(|ending| ending == "conf")) {
            files.entry(path.file_name().unwrap_or_default().to_owned()).or_insert(path);
        }
    }
    let mut lines = String::new();
    for path in files.values() {
        let text = fs::read_to_string(path).map_err(|why| Error::file("cannot read", path, &why))?;
        for line in text.replace("\\\n", " ").lines().map(str::trim).filter(|line| subject(line).is_some()) {
            lines.push_str(line);
            lines.push('\n');
        }
    }
    Ok(lines)
}

/// The lines about these modules.
pub(crate) fn about(lines: &str, modules: &BTreeSet<&str>) -> String {
    let packed = |line: &&str| subject(line).is_some_and(|module| modules.contains(in_sysfs(module).as_str()));
    lines.split_inclusive('\n').filter(packed).collect()
}

/// The module that a line is about; none if the line is of no use to PID 1.
fn subject(line: &str) -> Option<&str> {
    let mut words = line.split_ascii_whitespace();
    match words.next()? {
        "options" | "blacklist" | "softdep" => words.next(),
        "alias" => words.nth(1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_administrator_hide_those_of_packages() {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("lib/modprobe.d/a.conf", "blacklist hidden\n");
        put("etc/modprobe.d/a.conf", "# comment\noptions loop \\\n  max_loop=8\ninstall loop /bin/true\n");
        put("usr/lib/modprobe.d/b.conf", "alias my-disk virtio_blk\nblacklist  sd-mod");
        put("etc/modprobe.d/ignored.txt", "blacklist ignored\n");
        let lines = read(root.path()).unwrap();
        assert_eq!(lines, "options loop    max_loop=8\nalias my-disk virtio_blk\nblacklist  sd-mod\n");
        assert_eq!(about(&lines, &["sd_mod", "virtio_blk"].into()), "alias my-disk virtio_blk\nblacklist  sd-mod\n");
        assert_eq!(about(&lines, &["my_disk"].into()), "");
    }

    #[test]
    fn a_machine_without_configuration_has_no_lines() {
        assert_eq!(read(tempfile::tempdir().unwrap().path()).unwrap(), "");
    }
}
