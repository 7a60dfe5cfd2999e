//! `/proc/self/mountinfo` (proc_pid_mountinfo(5)).

use serde::{Deserialize, Serialize};

/// One line of mountinfo.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Mount id.
    pub id: u32,
    /// Id of the mount it is mounted on.
    pub parent: u32,
    /// `MAJOR:MINOR` of the filesystem's device.
    pub device: String,
    /// Directory of the filesystem that is mounted here: `/`, or a bind mount's source within its filesystem.
    pub root: String,
    /// Where it is mounted.
    pub target: String,
    /// Options of this mount: `ro`, `nosuid`, …
    pub options: Vec<String>,
    /// `shared:N`, `master:N` and the like; empty when the mount is private.
    pub propagation: Vec<String>,
    /// Filesystem type.
    pub filesystem: String,
    /// The source it was mounted from.
    pub source: String,
    /// Options of the filesystem itself.
    pub filesystem_options: Vec<String>,
}

impl Mount {
    /// Parses one line; `None` when it does not have mountinfo's fields.
    pub fn parse(line: &str) -> Option<Self> {
        let (left, right) = line.split_once(" - ")?;
        let mut left = left.split(' ');
        let (id, parent) = (left.next()?.parse().ok()?, left.next()?.parse().ok()?);
        let (device, root, target, options) = (left.next()?, left.next()?, left.next()?, left.next()?);
        let mut right = right.split(' ');
        let (filesystem, source, filesystem_options) = (right.next()?, right.next()?, right.next()?);
        Some(Self {
            id,
            parent,
            device: device.to_owned(),
            root: unescape(root),
            target: unescape(target),
            options: options_of(options),
            propagation: left.map(str::to_owned).collect(),
            filesystem: unescape(filesystem),
            source: unescape(source),
            filesystem_options: options_of(filesystem_options),
        })
    }

    /// Whether option `name` is among the mount's own options.
    pub fn has(&self, name: &str) -> bool {
        self.options.iter().any(|option| option == name)
    }

    /// The value of the filesystem's option `key=VALUE`.
    pub fn filesystem_option(&self, key: &str) -> Option<&str> {
        self.filesystem_options.iter().find_map(|option| option.strip_prefix(key)?.strip_prefix('='))
    }
}

fn options_of(text: &str) -> Vec<String> {
    text.split(',').map(unescape).collect()
}

/// Undoes the kernel's `\ooo` for blanks, newlines and backslashes.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let octal = (first == b'\\').then(|| after.get(..3)).flatten();
        let octal = octal.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        bytes.push(octal.unwrap_or(first));
        rest = if octal.is_some() { &after[3..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_every_field() {
        let line = r"36 35 98:0 /mnt1 /mnt\0402 ro,noatime shared:1 master:2 - ext3 /dev/root rw,errors=continue";
        let mount = Mount {
            id: 36,
            parent: 35,
            device: "98:0".into(),
            root: "/mnt1".into(),
            target: "/mnt 2".into(),
            options: vec!["ro".into(), "noatime".into()],
            propagation: vec!["shared:1".into(), "master:2".into()],
            filesystem: "ext3".into(),
            source: "/dev/root".into(),
            filesystem_options: vec!["rw".into(), "errors=continue".into()],
        };
        assert_eq!(Mount::parse(line), Some(mount.clone()));
        assert!(mount.has("ro") && !mount.has("rw"));
        assert_eq!(mount.filesystem_option("errors"), Some("continue"));
        assert_eq!(mount.filesystem_option("error"), None);
    }

    #[test]
    fn refuses_what_is_not_mountinfo() {
        for line in ["", "36 35 98:0 / /mnt ro", "x 35 98:0 / / ro - a b c", "36 35 98:0 / / ro - ext3 none"] {
            assert_eq!(Mount::parse(line), None, "{line}");
        }
    }

    #[test]
    fn unescapes_octal_only() {
        assert_eq!(unescape(r"a\134b\09\"), r"a\b\09\");
    }
}
