//! Boot entries as ostree writes them: `/boot/loader/entries/ostree-*.conf`.
//!
//! The form, the boot counters and their meaning are those of the Boot Loader Specification
//! (<https://uapi-group.org/specifications/specs/boot_loader_specification/>); what ostree makes of it is in its
//! src/libostree/ostree-sysroot-deploy.c and ostree-bootconfig-parser.c. `/boot/loader` is a link to the directory of the
//! entries that count.

use core::cmp::{Ordering, Reverse};

/// The boot counters in the name of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tries {
    /// How often the boot loader will still try the entry by itself. With none left the entry is bad.
    pub left: u32,
    /// How often it has tried.
    pub done: u32,
}

/// One boot entry: what tells deployments apart and ranks them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootEntry<'a> {
    /// The name of its file.
    pub name: &'a str,
    /// Its boot counters, where it has them. ostree gives them to new entries where the repository asks for it; an
    /// entry that booted well loses them.
    pub tries: Option<Tries>,
    /// `title`: what a menu shows.
    pub title: Option<&'a str>,
    /// `version`: 1 for ostree's last deployment, and the higher, the further ahead it is. `None` where it is no number.
    pub version: Option<u32>,
    /// `options`: the kernel command line.
    pub options: &'a str,
    /// `linux`: the kernel, as a path on the filesystem of `/boot`.
    pub linux: Option<&'a str>,
    /// The first `initrd`, likewise.
    pub initrd: Option<&'a str>,
}

impl<'a> BootEntry<'a> {
    /// Reads the entry whose file has the name `name` and holds `text`. `None` for a name that ostree does not give; lines
    /// that mean nothing are passed over, as by every boot loader.
    pub fn parse(name: &'a str, text: &'a str) -> Option<Self> {
        let stem = name.strip_prefix("ostree-")?.strip_suffix(".conf")?;
        let tries = stem.rsplit_once('+').and_then(|(_, counters)| Tries::parse(counters));
        let mut entry = Self { name, tries, title: None, version: None, options: "", linux: None, initrd: None };
        text.lines().filter_map(field).for_each(|(key, value)| entry.set(key, value));
        Some(entry)
    }

    fn set(&mut self, key: &str, value: &'a str) {
        match key {
            "title" => self.title = Some(value),
            "version" => self.version = value.parse().ok(),
            "options" => self.options = value,
            "linux" => self.linux = Some(value),
            // Those after the first are overlays, which do not belong to the deployment.
            "initrd" => self.initrd = self.initrd.or(Some(value)),
            _ => {}
        }
    }

    /// The value of `ostree=`, by which the entry names its deployment. As in ostree, the first one counts.
    pub fn ostree(&self) -> Option<&'a str> {
        self.options.split(' ').find_map(|word| word.strip_prefix("ostree="))
    }

    /// Whether the boot loader has given the entry up.
    pub fn is_bad(&self) -> bool {
        self.tries.is_some_and(|tries| tries.left == 0)
    }

    /// How entries are sorted, best first: bad ones behind all others, then by version, newest first, then by name.
    pub fn order(&self, other: &Self) -> Ordering {
        let key = |entry: &Self| (entry.is_bad(), Reverse(entry.version));
        key(self).cmp(&key(other)).then_with(|| other.name.cmp(self.name))
    }
}

/// The key and the value of a line.
fn field(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once([' ', '\t'])?;
    key.starts_with(|first: char| first.is_ascii_alphabetic()).then(|| (key, value.trim_ascii()))
}

impl Tries {
    /// Reads `LEFT` or `LEFT-DONE`.
    fn parse(counters: &str) -> Option<Self> {
        let (left, done) = counters.split_once('-').unwrap_or((counters, "0"));
        Some(Self { left: number(left)?, done: number(done)? })
    }
}

/// A number without a sign; zeros before it keep the length of the name.
fn number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// Reads the text of the link `/boot/loader`: `loader.0` or `loader.1`. Gives the boot version whose entries count.
pub fn loader_version(text: &str) -> Option<u8> {
    match text {
        "loader.0" => Some(0),
        "loader.1" => Some(1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;
    use crate::ostree::BootLink;

    /// Written by Debian's ostree 2022.7.
    const FIXTURES: [(&str, &str); 2] = [
        ("ostree-1-debian.conf", include_str!("bls/fixtures/ostree-1-debian.conf")),
        ("ostree-2-debian.conf", include_str!("bls/fixtures/ostree-2-debian.conf")),
    ];

    fn named(name: &'static str) -> BootEntry<'static> {
        BootEntry::parse(name, "").unwrap()
    }

    #[test]
    fn an_entry_of_ostree_is_read() {
        let (name, text) = FIXTURES[1];
        let entry = BootEntry::parse(name, text).unwrap();
        let directory = "/ostree/debian-ff6d610a0f0d84602d9e2878eb3a16a850f2d31faa2f14108006723892a17899";
        let kernel = std::format!("{directory}/vmlinuz-6.1");
        let initrd = std::format!("{directory}/initramfs-6.1.img");
        assert_eq!((entry.name, entry.tries, entry.version), (name, None, Some(2)));
        assert_eq!((entry.linux, entry.initrd), (Some(&*kernel), Some(&*initrd)));
        assert_eq!(entry.title, Some("Debian 12 12.2 (ostree:0)"));
        let link = BootLink::parse(entry.ostree().unwrap()).unwrap();
        assert_eq!((link.boot_version, link.os, link.serial), (0, "debian", 0));
    }

    #[test]
    fn what_means_nothing_is_passed_over() {
        let text = "# title no\ntitle\t Debian  \n\n version 9\nversion x\nversion\noptions\na b\r\n\
                    initrd /a\ninitrd /b\noptions quiet xostree=1  ostree=/a ostree=/b\r\n";
        let entry = BootEntry::parse("ostree-1.conf", text).unwrap();
        assert_eq!((entry.title, entry.version, entry.initrd), (Some("Debian"), None, Some("/a")));
        assert_eq!((entry.options, entry.ostree()), ("quiet xostree=1  ostree=/a ostree=/b", Some("/a")));
        assert_eq!(named("ostree-1.conf").ostree(), None);
        for name in ["", "ostree-", "ostree-1.conf.bak", "fedora.conf", "ostree.conf", ".ostree-1.conf"] {
            assert_eq!(BootEntry::parse(name, text), None, "{name}");
        }
    }

    #[test]
    fn boot_counters_stand_at_the_end_of_the_name() {
        for (name, expected) in [
            ("ostree-1.conf", None),
            ("ostree-1+3.conf", Some((3, 0))),
            ("ostree-1-a+b+02-01.conf", Some((2, 1))),
            ("ostree-1+0-3.conf", Some((0, 3))),
            ("ostree-1+.conf", None),
            ("ostree-1+-1.conf", None),
            ("ostree-1+1-.conf", None),
            ("ostree-1++1.conf", Some((1, 0))),
            ("ostree-1+1-+1.conf", Some((1, 0))),
            ("ostree-1+1-1-1.conf", None),
            ("ostree-1+4294967296.conf", None),
        ] {
            assert_eq!(named(name).tries.map(|tries| (tries.left, tries.done)), expected, "{name}");
        }
    }

    #[test]
    fn the_newest_entry_that_is_not_bad_comes_first() {
        let mut entries = [
            BootEntry::parse("ostree-4+0-3.conf", "version 4").unwrap(),
            BootEntry::parse("ostree-9.conf", "version 9").unwrap(),
            BootEntry::parse("ostree-10+1.conf", "version 10").unwrap(),
            BootEntry::parse("ostree-2-a.conf", "version 2").unwrap(),
            BootEntry::parse("ostree-2-b.conf", "version 2").unwrap(),
            BootEntry::parse("ostree-1.conf", "version new").unwrap(),
        ];
        entries.sort_by(BootEntry::order);
        let names: Vec<_> = entries.iter().map(|entry| entry.name).collect();
        let expected = [
            "ostree-10+1.conf",
            "ostree-9.conf",
            "ostree-2-b.conf",
            "ostree-2-a.conf",
            "ostree-1.conf",
            "ostree-4+0-3.conf",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn the_loader_link_names_the_boot_version() {
        assert_eq!(["loader.0", "loader.1"].map(loader_version), [Some(0), Some(1)]);
        assert_eq!(["", "loader", "loader.2", "../loader.0", "loader.0/"].map(loader_version), [None; 5]);
    }

    proptest! {
        #[test]
        fn no_text_panics(name in r"(ostree-|\+|-|\d|.){0,8}\.conf", text in r"(options|version|ostree=| |\t|\n|.){0,30}") {
            if let Some(entry) = BootEntry::parse(&name, &text) {
                let _ = (entry.ostree(), entry.order(&entry));
            }
        }
    }
}
