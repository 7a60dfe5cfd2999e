//! What the probe is told to do: `probe.*=` words, in their order, each as often as wanted. Those in the file
//! [`WORDS_OF_THE_IMAGE`] come first, so that roots can differ in what they do; then come those of the kernel command
//! line. A word in double quotes may hold blanks.

use std::str::FromStr;

/// A file of words, parted by blanks and newlines as on the command line. It need not be there.
pub const WORDS_OF_THE_IMAGE: &str = "/etc/probe";

/// One thing to try before the report is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// `probe.write=PATH:TEXT`: create or overwrite a file.
    Write(String, String),
    /// `probe.read=PATH`: a file's text.
    Read(String),
    /// `probe.hex=PATH`: a file's bytes in hexadecimal, `[0a, ff]`.
    Hex(String),
    /// `probe.list=PATH`: the names in a directory, sorted.
    List(String),
    /// `probe.digest=PATH`: read everything below a directory, and give one digest of all names, modes, owners and contents.
    /// What is mounted below it is left out.
    Digest(String),
    /// `probe.stat=PATH`: type, mode, owner, size and identity, without following a symlink.
    Stat(String),
    /// `probe.remove=PATH`: unlink a file.
    Remove(String),
    /// `probe.fill=PATH`: write zeros to a file until that fails.
    Fill(String),
    /// `probe.signals`: be sent SIGTERM and SIGCHLD by a child.
    Signals,
    /// `probe.mount=DEVICE:DIRECTORY:TYPE`: mount a filesystem read-only; with `:rw` behind it, for writing.
    Mount(String, String, String, bool),
    /// `probe.unmount=DIRECTORY`: unmount it.
    Unmount(String),
    /// `probe.run=PROGRAM ARGUMENT…`: run a program to its end, and tell how it fared.
    Run(Vec<String>),
    /// `probe.enable-verity=PATH:ALGORITHM`: enable fs-verity with sha256 or sha512 on a file, or on all files below a
    /// directory.
    EnableVerity(String, Hash),
}

/// Hash algorithms of fs-verity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

/// How the machine ends once the report is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ending {
    /// `probe.then=poweroff`.
    #[default]
    PowerOff,
    /// `probe.then=reboot`.
    Reboot,
    /// `probe.then=sleep`: for ever.
    Sleep,
    /// `probe.then=panic`: the kernel's own crash.
    Panic,
}

impl FromStr for Action {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        let path = || value.starts_with('/').then(|| value.to_owned()).ok_or_else(|| format!("{word}: no path"));
        match key {
            "probe.write" => match path()?.split_once(':') {
                Some((path, text)) => Ok(Self::Write(path.to_owned(), text.to_owned())),
                None => Err(format!("{word}: PATH:TEXT is wanted")),
            },
            "probe.read" => path().map(Self::Read),
            "probe.hex" => path().map(Self::Hex),
            "probe.list" => path().map(Self::List),
            "probe.digest" => path().map(Self::Digest),
            "probe.stat" => path().map(Self::Stat),
            "probe.remove" => path().map(Self::Remove),
            "probe.fill" => path().map(Self::Fill),
            "probe.signals" => Ok(Self::Signals),
            "probe.mount" => match path()?.split(':').collect::<Vec<_>>()[..] {
                [device, target, kind] => Ok(Self::Mount(device.to_owned(), target.to_owned(), kind.to_owned(), false)),
                [device, target, kind, "rw"] => {
                    Ok(Self::Mount(device.to_owned(), target.to_owned(), kind.to_owned(), true))
                }
                _ => Err(format!("{word}: DEVICE:DIRECTORY:TYPE or DEVICE:DIRECTORY:TYPE:rw is wanted")),
            },
            "probe.unmount" => path().map(Self::Unmount),
            "probe.run" => path().map(|line| Self::Run(line.split_ascii_whitespace().map(str::to_owned).collect())),
            "probe.enable-verity" => match path()?.split_once(':') {
                Some((path, "sha256")) => Ok(Self::EnableVerity(path.to_owned(), Hash::Sha256)),
                Some((path, "sha512")) => Ok(Self::EnableVerity(path.to_owned(), Hash::Sha512)),
                _ => Err(format!("{word}: PATH:sha256 or PATH:sha512 is wanted")),
            },
            _ => Err(format!("{word}: unknown to the probe")),
        }
    }
}

impl FromStr for Ending {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "probe.then=poweroff" => Ok(Self::PowerOff),
            "probe.then=reboot" => Ok(Self::Reboot),
            "probe.then=sleep" => Ok(Self::Sleep),
            "probe.then=panic" => Ok(Self::Panic),
            _ => Err(format!("{word}: poweroff, reboot, sleep or panic is wanted")),
        }
    }
}

/// Finds the probe's words in a text. The last ending is the one that counts.
///
/// # Errors
/// The first `probe.` word that the probe does not understand.
pub fn parse(text: &str) -> Result<(Vec<(String, Action)>, Ending), String> {
    let mut actions = Vec::new();
    let mut ending = Ending::default();
    for word in words(text).into_iter().filter(|word| word.starts_with("probe.")) {
        if word.starts_with("probe.then=") {
            ending = word.parse()?;
        } else {
            let action = word.parse()?;
            actions.push((word, action));
        }
    }
    Ok((actions, ending))
}

/// The words of a command line, without the double quotes (lib/cmdline.c, `next_arg`).
fn words(text: &str) -> Vec<String> {
    let mut quoted = false;
    let blank = |letter: char| {
        quoted ^= letter == '"';
        !quoted && letter.is_ascii_whitespace()
    };
    text.split(blank).filter(|word| !word.is_empty()).map(|word| word.replace('"', "")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_its_own_words_in_order() {
        let cmdline = "ro probe.write=/etc/x:a:b root=/dev/vda probe.signals probe.then=reboot probe.read=/etc/x\n";
        let expected = vec![
            ("probe.write=/etc/x:a:b".to_owned(), Action::Write("/etc/x".into(), "a:b".into())),
            ("probe.signals".to_owned(), Action::Signals),
            ("probe.read=/etc/x".to_owned(), Action::Read("/etc/x".into())),
        ];
        assert_eq!(parse(cmdline), Ok((expected, Ending::Reboot)));
        assert_eq!(parse("root=/dev/vda"), Ok((vec![], Ending::PowerOff)));
    }

    #[test]
    fn quotes_keep_a_word_together() {
        let run = |line: &str| Action::Run(line.split(' ').map(str::to_owned).collect());
        let expected = ["probe.run=/bin/a b c", "probe.run=/bin/d"];
        let expected = expected.map(|word| (word.to_owned(), run(&word["probe.run=".len()..])));
        for text in ["\"probe.run=/bin/a b c\" x probe.run=/bin/d", "probe.run=\"/bin/a b c\"\nprobe.run=/bin/d\n"] {
            assert_eq!(parse(text), Ok((expected.to_vec(), Ending::PowerOff)), "{text}");
        }
        assert_eq!(parse("probe.then=panic probe.then=sleep"), Ok((vec![], Ending::Sleep)));
    }

    #[test]
    fn mounts_are_read_only_unless_asked_otherwise() {
        let mount = |write| Action::Mount("/dev/a".into(), "/b".into(), "ext4".into(), write);
        assert_eq!("probe.mount=/dev/a:/b:ext4".parse(), Ok(mount(false)));
        assert_eq!("probe.mount=/dev/a:/b:ext4:rw".parse(), Ok(mount(true)));
        let verity = Action::EnableVerity("/b".into(), Hash::Sha512);
        assert_eq!("probe.enable-verity=/b:sha512".parse(), Ok(verity));
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for word in [
            "probe.write=/x",
            "probe.read=x",
            "probe.stat",
            "probe.run",
            "probe.mount=/a:/b",
            "probe.mount=/a:/b:ext4:ro",
            "probe.unmount",
            "probe.enable-verity=/a",
            "probe.enable-verity=/a:md5",
            "probe.then=halt",
            "probe.nothing=/x",
        ] {
            assert!(parse(word).is_err(), "{word}");
        }
    }
}
