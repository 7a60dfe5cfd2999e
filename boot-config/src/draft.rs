//! A configuration while its words are still being read, one source after the other.

use heapless::{Vec, VecView};
use verity::RootHash;

use crate::cmdline::Word;
use crate::composefs::ComposefsDigest;
use crate::config::{Config, MAX_DIRECTORIES, UnknownKey, VerityOptions};
use crate::error::{Cause, ConfigError, Setting, Source, Why};
use crate::keys::{KEYS, Repeat};
use crate::module::same_module;
use crate::nearest::nearest_key;
use crate::policy::{Emergency, Verbosity};
use crate::spec::DeviceSpec;
use crate::values::{self, Read};

/// What the words have said so far.
pub(crate) struct Draft<'a> {
    /// The fields that need no second look at the end.
    pub(crate) config: Config<'a>,
    /// `root=` or `mount.usr=` and the verity words that belong to it.
    pub(crate) root: VerityWords<'a>,
    pub(crate) usr: VerityWords<'a>,
    /// The word of each of `config.directories`.
    directory_words: Vec<Given<'a>, MAX_DIRECTORIES>,
    /// For each of [`KEYS`], the word that counts.
    given: [Option<Given<'a>>; KEYS.len()],
}

/// The words about one verity device.
pub(crate) struct VerityWords<'a> {
    /// `roothash=`.
    pub(crate) root_hash: Option<RootHash>,
    /// `systemd.verity_root_data=`.
    pub(crate) data: Option<DeviceSpec<'a>>,
    /// `systemd.verity_root_hash=`.
    pub(crate) hash: Option<DeviceSpec<'a>>,
    /// `systemd.verity_root_options=`.
    pub(crate) options: VerityOptions,
    /// `/dev/mapper/root` or `/dev/mapper/usr`: how `root=` or `mount.usr=` may name the verity device itself.
    pub(crate) mapper: &'static str,
    /// It did so.
    pub(crate) is_mapper: bool,
}

impl VerityWords<'_> {
    fn new(mapper: &'static str) -> Self {
        Self { root_hash: None, data: None, hash: None, options: VerityOptions::default(), mapper, is_mapper: false }
    }
}

#[derive(Clone, Copy)]
struct Given<'a> {
    value: Option<&'a str>,
    source: Source,
}

/// Why a word is refused; [`Draft::take`] adds the setting.
pub(crate) enum Refusal<'a> {
    Value(Why),
    Repeated { earlier: Option<&'a str> },
    TooMany { constant: &'static str, limit: usize },
}

impl From<Why> for Refusal<'_> {
    fn from(why: Why) -> Self {
        Self::Value(why)
    }
}

impl<'a> Draft<'a> {
    /// Nothing read yet.
    pub(crate) fn new() -> Self {
        Self {
            config: Config::default(),
            root: VerityWords::new("/dev/mapper/root"),
            usr: VerityWords::new("/dev/mapper/usr"),
            directory_words: Vec::new(),
            given: [None; KEYS.len()],
        }
    }

    /// Takes one word in.
    pub(crate) fn take(&mut self, word: Word<'a>, source: Source) -> Result<(), ConfigError<'a>> {
        let setting = Setting { key: word.key, value: word.value, source };
        let Some((key, given)) = KEYS.iter().zip(&mut self.given).find(|(key, _)| key.name == word.key) else {
            self.note_unknown(word.key);
            return Ok(());
        };
        let earlier = given.replace(Given { value: word.value, source });
        if let Some(earlier) = earlier.filter(|earlier| key.repeat == Repeat::Never && earlier.source == source) {
            return Err(ConfigError { setting, cause: Cause::Repeated { earlier: earlier.value } });
        }
        (key.read)(self, word.value, source).map_err(|refusal| ConfigError {
            setting,
            cause: match refusal {
                Refusal::Value(why) => Cause::BadValue { why, allowed: key.values },
                Refusal::Repeated { earlier } => Cause::Repeated { earlier },
                Refusal::TooMany { constant, limit } => Cause::TooMany { constant, limit },
            },
        })
    }

    /// The word that counts for a key, as somebody set it.
    pub(crate) fn setting(&self, name: &'static str) -> Option<Setting<'a>> {
        let (_, given) = KEYS.iter().zip(&self.given).find(|(key, _)| key.name == name)?;
        given.map(|given| Setting { key: name, value: given.value, source: given.source })
    }

    /// `surefoot.mount=`. The same directory of a source of lower precedence is replaced.
    pub(crate) fn add_directory(&mut self, value: Option<&'a str>, source: Source) -> Result<(), Refusal<'a>> {
        let mount = values::directory_mount(value)?;
        let given = Given { value, source };
        let mut present = self.config.directories.iter_mut().zip(&mut self.directory_words);
        if let Some((earlier_mount, earlier)) = present.find(|(earlier_mount, _)| earlier_mount.path == mount.path) {
            if earlier.source == source {
                return Err(Refusal::Repeated { earlier: earlier.value });
            }
            (*earlier_mount, *earlier) = (mount, given);
            return Ok(());
        }
        push(&mut self.config.directories, mount, "MAX_DIRECTORIES")?;
        push(&mut self.directory_words, given, "MAX_DIRECTORIES")
    }

    /// `composefs=` and `composefs.digest=`.
    pub(crate) fn add_composefs(&mut self, value: Read<ComposefsDigest>) -> Result<(), Refusal<'a>> {
        push(&mut self.config.composefs, value?, "MAX_COMPOSEFS")
    }

    /// Keeps a `surefoot.` key that is not one of [`KEYS`]. Where there is no room left the report is shorter, since
    /// an unknown key must not stop the boot.
    fn note_unknown(&mut self, key: &'a str) {
        let unknown = &mut self.config.unknown;
        if key.starts_with("surefoot.") && !unknown.iter().any(|known| known.key == key) {
            let _ = unknown.push(UnknownKey { key, nearest: nearest_key(key) });
        }
    }
}

/// Sets a field to a value, if that could be read.
pub(crate) fn set<'a, T>(field: &mut T, value: Read<T>) -> Result<(), Refusal<'a>> {
    *field = value?;
    Ok(())
}

/// Sets a field for a key that takes no value.
pub(crate) fn flag<'a, T>(field: &mut T, value: Option<&str>, meaning: T) -> Result<(), Refusal<'a>> {
    set(field, values::none(value).map(|()| meaning))
}

/// `quiet` and `debug`. With a value (initramfs-tools has `debug=vc`) neither is the kernel's word, nor ours.
pub(crate) fn verbosity(field: &mut Verbosity, value: Option<&str>, meaning: Verbosity) {
    if value.is_none() {
        *field = meaning;
    }
}

/// `rd.shell[=BOOL]`: turned off, it leaves any other action in place.
pub(crate) fn rescue_shell<'a>(field: &mut Emergency, value: Option<&str>) -> Result<(), Refusal<'a>> {
    if value.map_or(Ok(true), values::boolean)? {
        *field = Emergency::Shell;
    } else if *field == Emergency::Shell {
        *field = Emergency::default();
    }
    Ok(())
}

/// `root=` and `mount.usr=`. Names below `/dev/mapper` mean the verity device that is yet to be made.
pub(crate) fn filesystem_device<'a>(
    device: &mut Option<DeviceSpec<'a>>,
    words: &mut VerityWords<'a>,
    value: Option<&'a str>,
) -> Result<(), Refusal<'a>> {
    words.is_mapper = matches!(value, Some(path) if path == words.mapper);
    set(device, if words.is_mapper { Ok(None) } else { values::device(value).map(Some) })
}

/// Appends the text of a word of mount options.
pub(crate) fn push_options<'a>(list: &mut VecView<&'a str>, value: Option<&'a str>) -> Result<(), Refusal<'a>> {
    push(list, values::required(value)?, "MAX_OPTIONS")
}

/// Appends the modules of a comma-separated list, each once.
pub(crate) fn push_modules<'a>(
    list: &mut VecView<&'a str>,
    value: Option<&'a str>,
    constant: &'static str,
) -> Result<(), Refusal<'a>> {
    for name in values::required(value)?.split(',').filter(|name| !name.is_empty()) {
        if !list.iter().any(|present| same_module(present, name)) {
            push(list, name, constant)?;
        }
    }
    Ok(())
}

/// Appends to a list, or says which constant limits it.
fn push<'a, T>(list: &mut VecView<T>, item: T, constant: &'static str) -> Result<(), Refusal<'a>> {
    list.push(item).map_err(|_| Refusal::TooMany { constant, limit: list.capacity() })
}
