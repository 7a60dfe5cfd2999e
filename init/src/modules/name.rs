//! Module names, in which `-` and `_` are the same character.

use core::fmt;

/// The byte that stands for `byte` in comparisons: the kernel writes every dash of a module name as an underscore.
pub(crate) const fn folded(byte: u8) -> u8 {
    if byte == b'-' { b'_' } else { byte }
}

/// Whether two names mean the same module: `dm-verity` and `dm_verity` do.
///
/// ```
/// assert!(init::modules::name::same("dm-verity", "dm_verity"));
/// ```
pub fn same(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).all(|(a, b)| folded(a) == folded(b))
}

/// The module's name in a path: `kernel/drivers/md/dm-verity.ko.xz` is `dm-verity`; none if the path names no module.
///
/// Known endings are `.ko`, `.ko.xz`, `.ko.zst` and `.ko.gz`, those that the kernel's own build installs.
pub fn of_path(path: &str) -> Option<&str> {
    let file = path.rsplit('/').next()?;
    let plain = [".xz", ".zst", ".gz"].iter().find_map(|ending| file.strip_suffix(ending)).unwrap_or(file);
    plain.strip_suffix(".ko").filter(|name| !name.is_empty())
}

/// A module's name as the kernel writes it, with underscores: the name of its folder in `/sys/module`.
///
/// ```
/// assert_eq!(init::modules::name::InSysfs("dm-verity").to_string(), "dm_verity");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct InSysfs<'a>(pub &'a str);

impl fmt::Display for InSysfs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, part) in self.0.split('-').enumerate() {
            if at > 0 {
                f.write_str("_")?;
            }
            f.write_str(part)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn dash_and_underscore_are_one_character() {
        assert!(same("snd-hda_intel", "snd_hda-intel"));
        assert!(!same("dm-mod", "dm-mo"));
        assert!(!same("dm-mod", "dm.mod"));
    }

    #[test]
    fn the_name_is_the_file_without_its_endings() {
        assert_eq!(of_path("kernel/drivers/md/dm-mod.ko"), Some("dm-mod"));
        assert_eq!(of_path("kernel/fs/erofs/erofs.ko.xz"), Some("erofs"));
        assert_eq!(of_path("a.ko.zst"), Some("a"));
        assert_eq!(of_path("a.ko.gz"), Some("a"));
        assert_eq!(of_path("kernel/fs/"), None);
        assert_eq!(of_path("kernel/.ko"), None);
        assert_eq!(of_path("modules.dep"), None);
        assert_eq!(of_path("a.xz"), None);
    }

    #[test]
    fn sysfs_names_have_underscores() {
        assert_eq!(InSysfs("a-b-c_d").to_string(), "a_b_c_d");
        assert_eq!(InSysfs("-").to_string(), "_");
    }
}
