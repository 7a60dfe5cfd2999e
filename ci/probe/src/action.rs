//! What the kernel command line tells the probe to do: `probe.*=` words, in their order, each as often as wanted.

use std::str::FromStr;

/// One thing to try before the report is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// `probe.write=PATH:TEXT`: create or overwrite a file.
    Write(String, String),
    /// `probe.read=PATH`: a file's text.
    Read(String),
    /// `probe.list=PATH`: the names in a directory, sorted.
    List(String),
    /// `probe.stat=PATH`: type, mode, owner and size, without following a symlink.
    Stat(String),
    /// `probe.remove=PATH`: unlink a file.
    Remove(String),
    /// `probe.fill=PATH`: write zeros to a file until that fails.
    Fill(String),
    /// `probe.signals`: be sent SIGTERM and SIGCHLD by a child.
    Signals,
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
            "probe.list" => path().map(Self::List),
            "probe.stat" => path().map(Self::Stat),
            "probe.remove" => path().map(Self::Remove),
            "probe.fill" => path().map(Self::Fill),
            "probe.signals" => Ok(Self::Signals),
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
            _ => Err(format!("{word}: poweroff, reboot or sleep is wanted")),
        }
    }
}

/// Finds the probe's words in a command line.
///
/// # Errors
/// The first `probe.` word that the probe does not understand.
pub fn parse(cmdline: &str) -> Result<(Vec<(String, Action)>, Ending), String> {
    let mut actions = Vec::new();
    let mut ending = Ending::default();
    for word in cmdline.split_ascii_whitespace().filter(|word| word.starts_with("probe.")) {
        if word.starts_with("probe.then=") {
            ending = word.parse()?;
        } else {
            actions.push((word.to_owned(), word.parse()?));
        }
    }
    Ok((actions, ending))
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
    fn refuses_what_it_does_not_know() {
        for word in ["probe.write=/x", "probe.read=x", "probe.stat", "probe.then=halt", "probe.nothing=/x"] {
            assert!(parse(word).is_err(), "{word}");
        }
    }
}
