//! Mount options as users write them, told apart: flags of the mount, and options of the filesystem.

use core::fmt;
use core::ops::{BitOr, BitOrAssign};

use heapless::Vec;

/// Most filesystem options of one mount.
pub const MAX_FILESYSTEM_OPTIONS: usize = 32;

/// Flags of a mount, numbered as mount(2) numbers them (`MS_*` in include/uapi/linux/mount.h).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct MountFlags(u32);

impl MountFlags {
    /// No flag.
    pub const NONE: Self = Self(0);
    /// `ro`: nothing can be written.
    pub const RDONLY: Self = Self(1);
    /// `nosuid`: set-user-ID bits and file capabilities do not count.
    pub const NOSUID: Self = Self(1 << 1);
    /// `nodev`: device nodes cannot be opened.
    pub const NODEV: Self = Self(1 << 2);
    /// `noexec`: no program can be started.
    pub const NOEXEC: Self = Self(1 << 3);
    /// `sync`: every write reaches the device at once.
    pub const SYNCHRONOUS: Self = Self(1 << 4);
    /// `dirsync`: changes of directories reach the device at once.
    pub const DIRSYNC: Self = Self(1 << 7);
    /// `nosymfollow`: symbolic links are not followed.
    pub const NOSYMFOLLOW: Self = Self(1 << 8);
    /// `noatime`: access times are not kept.
    pub const NOATIME: Self = Self(1 << 10);
    /// `nodiratime`: those of directories are not kept.
    pub const NODIRATIME: Self = Self(1 << 11);
    /// `relatime`: access times are kept roughly, the kernel's default.
    pub const RELATIME: Self = Self(1 << 21);
    /// `strictatime`: access times are kept always.
    pub const STRICTATIME: Self = Self(1 << 24);
    /// `lazytime`: times are kept in memory until the inode is written for another reason.
    pub const LAZYTIME: Self = Self(1 << 25);

    /// The three of which a mount has one.
    const ATIME: Self = Self::NOATIME.union(Self::RELATIME).union(Self::STRICTATIME);

    /// The `MS_*` bits.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether all flags of `other` are among these.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether there is no flag.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// These flags and those of `other`.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// These flags without those of `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl BitOr for MountFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.union(other)
    }
}

impl BitOrAssign for MountFlags {
    fn bitor_assign(&mut self, other: Self) {
        *self = *self | other;
    }
}

/// Every word for a flag: the one that sets it, and those that clear it (mount(8)).
const WORDS: [(MountFlags, &str, &[&str]); 12] = [
    (MountFlags::RDONLY, "ro", &["rw"]),
    (MountFlags::NOSUID, "nosuid", &["suid"]),
    (MountFlags::NODEV, "nodev", &["dev"]),
    (MountFlags::NOEXEC, "noexec", &["exec"]),
    (MountFlags::SYNCHRONOUS, "sync", &["async"]),
    (MountFlags::DIRSYNC, "dirsync", &[]),
    (MountFlags::NOSYMFOLLOW, "nosymfollow", &["symfollow"]),
    (MountFlags::NOATIME, "noatime", &["atime"]),
    (MountFlags::NODIRATIME, "nodiratime", &["diratime"]),
    (MountFlags::RELATIME, "relatime", &["norelatime"]),
    (MountFlags::STRICTATIME, "strictatime", &["nostrictatime"]),
    (MountFlags::LAZYTIME, "lazytime", &["nolazytime"]),
];

impl fmt::Display for MountFlags {
    /// Writes the words that set the flags, with commas between them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        for (_, word, _) in WORDS.iter().filter(|(flag, _, _)| self.contains(*flag)) {
            write!(f, "{comma}{word}")?;
            comma = ",";
        }
        Ok(())
    }
}

/// One option of a filesystem, as fsconfig(2) takes it: a flag or a key with a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilesystemOption<'a> {
    /// The option's name.
    pub name: &'a str,
    /// Its value, without the double quotes around all of it that protect commas. Other quotes stay in it.
    pub value: Option<&'a str>,
}

impl fmt::Display for FilesystemOption<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value {
            None => f.write_str(self.name),
            Some(value) if value.contains(',') && ![self.name, value].iter().any(|text| text.contains('"')) => {
                write!(f, "{}=\"{value}\"", self.name)
            }
            Some(value) => write!(f, "{}={value}", self.name),
        }
    }
}

/// Mount options, told apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MountOptions<'a> {
    /// Flags that were asked for.
    pub set: MountFlags,
    /// Flags that were asked not to be set, such as [`MountFlags::RDONLY`] by `rw`. None is in both.
    pub cleared: MountFlags,
    /// Everything else, in order.
    pub filesystem: Vec<FilesystemOption<'a>, MAX_FILESYSTEM_OPTIONS>,
}

impl<'a> MountOptions<'a> {
    /// Reads texts of comma-separated options, such as those of several `rootflags=`. A comma between double quotes
    /// separates nothing, the last word about a flag counts, and `defaults` changes nothing.
    pub fn parse(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, OptionsError> {
        let mut options = Self::default();
        for text in texts {
            let mut in_quotes = false;
            let outside = move |c: char| {
                in_quotes ^= c == '"';
                c == ',' && !in_quotes
            };
            text.split(outside)
                .filter(|word| !matches!(*word, "" | "defaults"))
                .try_for_each(|word| options.add(word))?;
        }
        Ok(options)
    }

    fn add(&mut self, word: &'a str) -> Result<(), OptionsError> {
        if let Some((flag, set, _)) = WORDS.iter().find(|(_, set, clear)| *set == word || clear.contains(&word)) {
            if *set == word {
                self.set(*flag);
            } else {
                self.clear(*flag);
            }
            return Ok(());
        }
        let (name, value) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
        let inner = value.and_then(|value| value.strip_prefix('"')?.strip_suffix('"'));
        let value = inner.filter(|inner| ![name, inner].iter().any(|text| text.contains('"'))).or(value);
        self.filesystem.push(FilesystemOption { name, value }).map_err(|_| OptionsError::TooMany)
    }

    fn set(&mut self, flag: MountFlags) {
        if MountFlags::ATIME.contains(flag) {
            self.set = self.set.without(MountFlags::ATIME);
        }
        self.set |= flag;
        self.cleared = self.cleared.without(flag);
    }

    fn clear(&mut self, flag: MountFlags) {
        self.set = self.set.without(flag);
        self.cleared |= flag;
    }
}

impl fmt::Display for MountOptions<'_> {
    /// Writes the options that [`MountOptions::parse`] reads back to the same value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        let mut word = |f: &mut fmt::Formatter<'_>, word: &dyn fmt::Display| {
            write!(f, "{comma}{word}")?;
            comma = ",";
            Ok(())
        };
        for (flag, set, clear) in WORDS {
            if self.cleared.contains(flag)
                && let Some(clear) = clear.first()
            {
                word(f, clear)?;
            }
            if self.set.contains(flag) {
                word(f, &set)?;
            }
        }
        self.filesystem.iter().try_for_each(|option| word(f, option))
    }
}

/// Why mount options cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionsError {
    /// More than [`MAX_FILESYSTEM_OPTIONS`].
    TooMany,
}

impl fmt::Display for OptionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany => {
                write!(f, "too many mount options; MAX_FILESYSTEM_OPTIONS allows {MAX_FILESYSTEM_OPTIONS}")
            }
        }
    }
}

impl core::error::Error for OptionsError {}

#[cfg(test)]
mod tests {
    use std::string::{String, ToString};
    use std::vec::Vec as StdVec;

    use proptest::prelude::*;

    use super::*;

    fn parse<'a>(texts: &[&'a str]) -> MountOptions<'a> {
        MountOptions::parse(texts.iter().copied()).unwrap()
    }

    #[test]
    fn flags_have_the_numbers_of_the_kernel() {
        let all = WORDS.iter().fold(MountFlags::NONE, |all, (flag, _, _)| all | *flag);
        assert_eq!(all.bits(), 0x0320_0d9f);
        assert_eq!(MountFlags::LAZYTIME.bits(), 33_554_432);
        assert_eq!((MountFlags::NODEV | MountFlags::NOSUID).to_string(), "nosuid,nodev");
        assert_eq!(MountFlags::NONE.to_string(), "");
    }

    #[test]
    fn flags_and_filesystem_options_are_told_apart() {
        let options = parse(&["noatime,subvol=@/x,,defaults", "rw,compress", "context=\"a:b,c\",nodev"]);
        assert_eq!(options.set, MountFlags::NOATIME | MountFlags::NODEV);
        assert_eq!(options.cleared, MountFlags::RDONLY);
        assert_eq!(
            options.filesystem,
            [
                FilesystemOption { name: "subvol", value: Some("@/x") },
                FilesystemOption { name: "compress", value: None },
                FilesystemOption { name: "context", value: Some("a:b,c") },
            ]
        );
        assert_eq!(options.to_string(), "rw,nodev,noatime,subvol=@/x,compress,context=\"a:b,c\"");
    }

    #[test]
    fn the_last_word_about_a_flag_counts() {
        for (text, set, cleared) in [
            ("ro,rw", MountFlags::NONE, MountFlags::RDONLY),
            ("rw,ro", MountFlags::RDONLY, MountFlags::NONE),
            ("noatime,relatime,strictatime", MountFlags::STRICTATIME, MountFlags::NONE),
            ("nosuid,suid,dev", MountFlags::NONE, MountFlags::NOSUID | MountFlags::NODEV),
            ("atime", MountFlags::NONE, MountFlags::NOATIME),
        ] {
            let options = parse(&[text]);
            assert_eq!((options.set, options.cleared), (set, cleared), "{text}");
        }
    }

    #[test]
    fn only_quotes_around_a_whole_value_are_taken_away() {
        for text in ["a=\"\"\"\"", "a=x\"b,c\"y", "a=\"b,c", "a\",b=c,d"] {
            let options = parse(&[text]);
            assert_eq!((options.to_string().as_str(), options.filesystem.len()), (text, 1), "{text}");
        }
        assert_eq!(parse(&["a=\"b\""]).to_string(), "a=b");
    }

    #[test]
    fn running_out_of_room_names_the_constant() {
        let text = |count: usize| std::vec!["a=b"; count].join(",");
        assert_eq!(parse(&[&text(32)]).filesystem.len(), 32);
        let error = MountOptions::parse([text(33).as_str()]).unwrap_err();
        assert_eq!(error.to_string(), "too many mount options; MAX_FILESYSTEM_OPTIONS allows 32");
    }

    fn words() -> impl Strategy<Value = StdVec<String>> {
        let flags: StdVec<&'static str> =
            WORDS.iter().flat_map(|(_, set, clear)| std::iter::once(*set).chain(clear.iter().copied())).collect();
        let word = prop_oneof![
            prop::sample::select(flags).prop_map(str::to_string),
            "[a-z_]{1,6}(=[a-z:/@]{0,6})?",
            "[a-z]{1,6}=\"[a-z,]{0,6}\"",
        ];
        prop::collection::vec(word, 0..12)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(words in words()) {
            let text = words.join(",");
            let options = parse(&[&text]);
            let shown = options.to_string();
            prop_assert_eq!(parse(&[&shown]), options);
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = MountOptions::parse([text.as_str()]);
        }
    }
}
