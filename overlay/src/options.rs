//! The options of an overlayfs mount (Documentation/filesystems/overlayfs.rst).

use core::fmt::{self, Write};
use core::str::FromStr;

use heapless::{String, Vec};

use crate::path::PATH_CAPACITY;

/// Most lower directories of one overlay.
pub const MAX_LOWER_DIRECTORIES: usize = 4;

/// A path of an overlay, as it is without any escapes.
pub type LayerPath = String<PATH_CAPACITY>;

/// The options of an overlayfs mount.
///
/// The text is that of mount(2): options with commas between them, lower directories with colons between them, and a
/// backslash before every backslash, colon and comma of a path. The value of each single option, which is what
/// fsconfig(2) takes, is escaped in the same way, for the kernel takes the backslashes away there as well. (Kernels
/// before 6.5 refuse any comma in an overlay's fsconfig value; mount(2) takes it on all of them.)
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverlayOptions {
    /// `lowerdir=`, the topmost first.
    pub lower: Vec<LayerPath, MAX_LOWER_DIRECTORIES>,
    /// `upperdir=` and `workdir=`; the overlay is read-only without them.
    pub writable: Option<Writable>,
    /// The features that tie an upper directory to the lower one that it was made over.
    pub features: Features,
}

/// The two directories that take the changes. Both lie on the same filesystem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writable {
    /// `upperdir=`.
    pub upper: LayerPath,
    /// `workdir=`: an empty directory beside the upper one.
    pub work: LayerPath,
}

/// The features that tie an upper directory to the lower one that it was made over. With all of them off, the default
/// here, the lower directory may change while the overlay is not mounted, as it does with every new image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// `index=`: hard links stay together when one of them is copied up.
    pub index: Switch,
    /// `metacopy=`: a change of owner or mode copies no data up.
    pub metacopy: Switch,
    /// `redirect_dir=`: directories of the lower layer can be renamed.
    pub redirect_dir: Switch,
    /// `xino=`: inode numbers that tell from which filesystem a file comes.
    pub xino: Switch,
}

/// A feature's state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Switch {
    /// `off`.
    #[default]
    Off,
    /// `on`.
    On,
}

impl fmt::Display for Switch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::On { "on" } else { "off" })
    }
}

impl FromStr for Switch {
    type Err = OverlayError;

    fn from_str(text: &str) -> Result<Self, OverlayError> {
        match text {
            "on" => Ok(Self::On),
            "off" => Ok(Self::Off),
            _ => Err(OverlayError::BadSwitch),
        }
    }
}

impl OverlayOptions {
    /// An overlay over one lower directory, with all features off.
    pub fn new(lower: &str, upper: &str, work: &str) -> Result<Self, OverlayError> {
        let mut directories = Vec::new();
        push_lower(&mut directories, path(lower)?)?;
        let writable = Writable { upper: path(upper)?, work: path(work)? };
        Ok(Self { lower: directories, writable: Some(writable), features: Features::default() })
    }

    /// Each option with its value, in the order in which they are written.
    #[inline(never)]
    pub fn parameters(&self) -> Parameters<'_> {
        let Features { index, metacopy, redirect_dir, xino } = self.features;
        let path = |path| Value::Paths(core::slice::from_ref(path));
        let all = [
            ("lowerdir", Some(Value::Paths(&self.lower))),
            ("upperdir", self.writable.as_ref().map(|writable| path(&writable.upper))),
            ("workdir", self.writable.as_ref().map(|writable| path(&writable.work))),
            ("index", Some(Value::Switch(index))),
            ("metacopy", Some(Value::Switch(metacopy))),
            ("redirect_dir", Some(Value::Switch(redirect_dir))),
            ("xino", Some(Value::Switch(xino))),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, ParameterValue(value?)))).collect()
    }
}

impl fmt::Display for OverlayOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        for (name, value) in &self.parameters() {
            write!(f, "{comma}{name}={value}")?;
            comma = ",";
        }
        Ok(())
    }
}

impl FromStr for OverlayOptions {
    type Err = OverlayError;

    /// Reads the options in any order; a feature that is not named is off.
    fn from_str(text: &str) -> Result<Self, OverlayError> {
        let mut lower = Vec::new();
        let (mut upper, mut work) = (None, None);
        let mut features = Features::default();
        for option in split_unescaped(text, ',') {
            let (name, value) = option.split_once('=').ok_or(OverlayError::UnknownOption)?;
            match name {
                "lowerdir" => {
                    lower.clear();
                    split_unescaped(value, ':').try_for_each(|escaped| push_lower(&mut lower, unescaped(escaped)?))?;
                }
                "upperdir" => upper = Some(unescaped(value)?),
                "workdir" => work = Some(unescaped(value)?),
                "index" => features.index = value.parse()?,
                "metacopy" => features.metacopy = value.parse()?,
                "redirect_dir" => features.redirect_dir = value.parse()?,
                "xino" => features.xino = value.parse()?,
                _ => return Err(OverlayError::UnknownOption),
            }
        }
        let writable = match (upper, work) {
            (Some(upper), Some(work)) => Some(Writable { upper, work }),
            (None, None) => None,
            _ => return Err(OverlayError::HalfWritable),
        };
        if lower.is_empty() { Err(OverlayError::NoLower) } else { Ok(Self { lower, writable, features }) }
    }
}

/// Options with their values.
pub type Parameters<'a> = Vec<(&'static str, ParameterValue<'a>), 7>;

/// The value of one option; its text is escaped.
#[derive(Clone, Copy, Debug)]
pub struct ParameterValue<'a>(Value<'a>);

#[derive(Clone, Copy, Debug)]
enum Value<'a> {
    Paths(&'a [LayerPath]),
    Switch(Switch),
}

impl fmt::Display for ParameterValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Switch(switch) => switch.fmt(f),
            Value::Paths(paths) => paths.iter().enumerate().try_for_each(|(index, path)| {
                f.write_str(if index == 0 { "" } else { ":" })?;
                path.chars().try_for_each(|c| {
                    f.write_str(if matches!(c, '\\' | ':' | ',') { "\\" } else { "" })?;
                    f.write_char(c)
                })
            }),
        }
    }
}

/// Splits at each separator that has no backslash before it.
fn split_unescaped(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut escaped = false;
    text.split(move |c| {
        let splits = c == separator && !escaped;
        escaped = c == '\\' && !escaped;
        splits
    })
}

/// The path without its escapes: each backslash makes way for the character after it.
fn unescaped(text: &str) -> Result<LayerPath, OverlayError> {
    let mut path = LayerPath::new();
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        let c = if c == '\\' { characters.next().ok_or(OverlayError::BadPath)? } else { c };
        path.push(c).map_err(|_| OverlayError::PathTooLong)?;
    }
    if path.is_empty() { Err(OverlayError::BadPath) } else { Ok(path) }
}

fn path(text: &str) -> Result<LayerPath, OverlayError> {
    if text.is_empty() {
        return Err(OverlayError::BadPath);
    }
    LayerPath::try_from(text).map_err(|_| OverlayError::PathTooLong)
}

fn push_lower(lower: &mut Vec<LayerPath, MAX_LOWER_DIRECTORIES>, path: LayerPath) -> Result<(), OverlayError> {
    lower.push(path).map_err(|_| OverlayError::TooManyLower)
}

/// Why a text or a set of paths is no overlay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverlayError {
    /// A path longer than [`PATH_CAPACITY`].
    PathTooLong,
    /// An empty path, or one that ends in the middle of an escape.
    BadPath,
    /// More than [`MAX_LOWER_DIRECTORIES`].
    TooManyLower,
    /// No lower directory.
    NoLower,
    /// An upper directory without a work directory, or the other way round.
    HalfWritable,
    /// A feature that is neither `on` nor `off`.
    BadSwitch,
    /// An option that is not one of [`OverlayOptions`].
    UnknownOption,
}

impl fmt::Display for OverlayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PathTooLong => {
                write!(f, "a directory's path is too long; PATH_CAPACITY allows {PATH_CAPACITY} bytes")
            }
            Self::BadPath => f.write_str("a directory's path is empty or ends in a single backslash"),
            Self::TooManyLower => {
                write!(f, "too many lower directories; MAX_LOWER_DIRECTORIES allows {MAX_LOWER_DIRECTORIES}")
            }
            Self::NoLower => f.write_str("lowerdir= is missing"),
            Self::HalfWritable => f.write_str("upperdir= and workdir= go together, and one of them is missing"),
            Self::BadSwitch => f.write_str("a feature is neither `on` nor `off`"),
            Self::UnknownOption => f.write_str(
                "unknown option; allowed: lowerdir=, upperdir=, workdir=, index=, metacopy=, redirect_dir=, xino=",
            ),
        }
    }
}

impl core::error::Error for OverlayError {}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_default_survives_a_changed_lower_directory() {
        let options = OverlayOptions::new("/sysroot/etc", "/s/etc/upper", "/s/etc/work").unwrap();
        assert_eq!(
            options.to_string(),
            "lowerdir=/sysroot/etc,upperdir=/s/etc/upper,workdir=/s/etc/work,index=off,metacopy=off,redirect_dir=off,\
             xino=off"
        );
    }

    #[test]
    fn paths_are_escaped() {
        let options = OverlayOptions::new("/a:b", r"/c\d", "/e,f").unwrap();
        let text = options.to_string();
        assert!(text.starts_with(r"lowerdir=/a\:b,upperdir=/c\\d,workdir=/e\,f,index="), "{text}");
        assert_eq!(text.parse(), Ok(options));
    }

    #[test]
    fn every_option_is_read() {
        let options: OverlayOptions =
            r"xino=on,lowerdir=/a:/b\:c,redirect_dir=on,metacopy=on,index=on".parse().unwrap();
        assert_eq!(options.lower, ["/a", "/b:c"]);
        assert_eq!(options.writable, None);
        assert_eq!(
            options.features,
            Features { index: Switch::On, metacopy: Switch::On, redirect_dir: Switch::On, xino: Switch::On }
        );
    }

    #[test]
    fn what_is_no_overlay_is_refused() {
        let long = std::format!("lowerdir=/{}", "x".repeat(PATH_CAPACITY));
        for (text, error) in [
            ("", OverlayError::UnknownOption),
            ("lowerdir", OverlayError::UnknownOption),
            ("lowerdir=/a,volatile", OverlayError::UnknownOption),
            ("lowerdir=/a,verity=on", OverlayError::UnknownOption),
            ("index=off", OverlayError::NoLower),
            ("lowerdir=", OverlayError::BadPath),
            ("lowerdir=/a::/b", OverlayError::BadPath),
            ("lowerdir=/a\\", OverlayError::BadPath),
            ("lowerdir=/a:/b:/c:/d:/e", OverlayError::TooManyLower),
            ("lowerdir=/a,upperdir=/b", OverlayError::HalfWritable),
            ("lowerdir=/a,workdir=/b", OverlayError::HalfWritable),
            ("lowerdir=/a,index=yes", OverlayError::BadSwitch),
            (&long, OverlayError::PathTooLong),
        ] {
            assert_eq!(text.parse::<OverlayOptions>(), Err(error), "{text}");
        }
    }

    fn any_path() -> impl Strategy<Value = LayerPath> {
        "/[a\\\\:,\u{e4}]{0,12}".prop_map(|text| LayerPath::try_from(text.as_str()).unwrap())
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            lower in prop::collection::vec(any_path(), 1..=MAX_LOWER_DIRECTORIES),
            writable in prop::option::of((any_path(), any_path())),
            switches: [bool; 4],
        ) {
            let [index, metacopy, redirect_dir, xino] =
                switches.map(|on| if on { Switch::On } else { Switch::Off });
            let options = OverlayOptions {
                lower: lower.into_iter().collect(),
                writable: writable.map(|(upper, work)| Writable { upper, work }),
                features: Features { index, metacopy, redirect_dir, xino },
            };
            prop_assert_eq!(options.to_string().parse(), Ok(options));
        }

        #[test]
        fn no_text_panics(text in "(lowerdir=|upperdir=|workdir=|index=|\\PC|[\\\\,:]){0,20}") {
            let _ = text.parse::<OverlayOptions>();
        }
    }
}
