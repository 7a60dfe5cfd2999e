//! A recipe that takes its parts down as text, for tests: one line each, as `surefoot explain` would tell a reader.

use core::fmt;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use boot_config::{Config, Sources};
use overlay::MountFlags;

use super::{Base, Extent, MAX_ROOM, Part, Place, Recipe, Refused};
use crate::candidates::sysroot::{SysrootKind, look_for};
use crate::candidates::{Candidate, Candidates, DeviceSource, Look, Order, RootSource, TreeSource, rank};
use crate::facts::Name;
use crate::filesystem::FilesystemKind;
use crate::ledger::file::LedgerFile;
use crate::tree::Tree;

/// Takes parts down as text.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    lines: Vec<String>,
    room: Vec<u8>,
    refusal: Option<String>,
}

impl Recorder {
    /// What makes up the root of the deployment at `place`, one line a part, the last ones saying what the deployment
    /// provides; or `refused: ` and why.
    pub(crate) fn root(kind: &SysrootKind, place: &str, look: &Look<'_>) -> String {
        let source = TreeSource {
            sysroot: 0,
            device: look.device.device.clone(),
            filesystem: look.device.filesystem,
            directory: heapless::String::new(),
            place: heapless::String::try_from(place).unwrap(),
        };
        let mut recorder = Self::default();
        match (kind.root)(&source, look, &mut recorder) {
            Ok(()) => recorder.lines.join("\n"),
            Err(Refused) => format!("refused: {}", recorder.refusal.expect("a reason")),
        }
    }
}

impl Recipe for Recorder {
    fn add(&mut self, part: &Part<'_>) -> Result<(), Refused> {
        self.lines.push(shown(part));
        Ok(())
    }

    fn provides(&mut self, directory: &'static str) {
        self.lines.push(format!("provides {directory}"));
    }

    fn room(&mut self) -> &mut [u8] {
        self.room.resize(MAX_ROOM, 0);
        &mut self.room
    }

    fn refuse(&mut self, why: fmt::Arguments<'_>) -> Refused {
        self.refusal = Some(why.to_string());
        Refused
    }
}

/// Looks into `tree` with this command line, and the files of `initramfs`, on `/dev/vda2` with `filesystem`; gives to
/// `then` what is looked at.
pub(crate) fn looking<T>(
    cmdline: &str,
    tree: &dyn Tree,
    initramfs: &dyn Tree,
    filesystem: FilesystemKind,
    then: impl FnOnce(&Look<'_>) -> T,
) -> T {
    let config = Config::parse(Sources { cmdline, ..Sources::default() });
    let config = config.unwrap_or_else(|error| panic!("{cmdline}: {error}"));
    let device = DeviceSource { device: Name::try_from("vda2").unwrap(), filesystem: Some(filesystem) };
    then(&Look { config: &config, tree, initramfs, device: &device })
}

/// What the kinds find, in the order in which it would be tried: `NAME at PLACE: trust, record`; and behind that what is
/// passed over: `NAME: why`.
pub(crate) fn found(kind: &SysrootKind, look: &Look<'_>, ledger: &LedgerFile) -> String {
    let mut candidates = Candidates::new();
    let mut lines = Vec::new();
    let mut note = |what: &str, why: fmt::Arguments<'_>| lines.push(format!("{what}: {why}"));
    let order = Order { kind: 2, sysroot: 0, index: 0 };
    look_for(kind, look, "", order, ledger, &mut candidates, &mut note);
    rank::sort(&mut candidates);
    candidates
        .iter()
        .filter(|candidate| !candidate.is_barred())
        .map(candidate)
        .chain(lines)
        .collect::<Vec<_>>()
        .join("\n")
}

fn candidate(candidate: &Candidate) -> String {
    let place = match &candidate.root {
        RootSource::Tree(source) => source.place.as_str(),
        _ => "no filesystem",
    };
    let record = candidate.record.as_ref().map_or_else(|| "no record".to_string(), ToString::to_string);
    let keeper = candidate.record.as_ref().map_or_else(String::new, |record| format!(", {}", record.keeper));
    let named = if candidate.order.kind == 0 { ", named" } else { "" };
    format!("{} at {place}: {:?}, {record}{keeper}{named}", candidate.name, candidate.trust)
}

/// A part in words.
pub(crate) fn shown(part: &Part<'_>) -> String {
    match *part {
        Part::Subvolume { path, target, flags } => format!("subvolume {path} on {} {}", at(target), of(flags)),
        Part::Bind { directory, target, flags } => {
            format!("bind {} on {} {}", at(directory), at(target), of(flags))
        }
        Part::OptionalBind { directory, target, flags } => {
            format!("bind {} on {} {}, if that is there", at(directory), at(target), of(flags))
        }
        Part::Overlay { lower, upper, work, target, flags } => format!(
            "overlay on {} {}: lower {}, upper {}, work {}",
            at(target),
            of(flags),
            at(lower),
            at(upper),
            at(work)
        ),
        Part::Composefs { image, digest, objects, verity, source, writable, target, flags } => format!(
            "composefs {source} on {} {}: image {}, digest {}, objects {}, {}, {}",
            at(target),
            of(flags),
            at(image),
            if digest.is_empty() { "any".to_string() } else { hex(digest) },
            at(objects),
            if verity { "verity required" } else { "no verity" },
            writable.map_or_else(|| "not writable".to_string(), |place| format!("changes in {}", at(place)))
        ),
        Part::Image { data, hash, root_hash, filesystem, target, .. } => format!(
            "image on {}: {}, hash tree {}, root hash {root_hash}, {filesystem:?}",
            at(target),
            extent(data),
            extent(hash)
        ),
        Part::PlainImage { data, filesystem, target } => {
            format!("plain image on {}: {}, {filesystem:?}", at(target), extent(data))
        }
        Part::Tmpfs { target, mode } => format!("tmpfs on {} ({mode:04o})", at(target)),
        Part::Directory { place, mode } => format!("directory {} ({mode:04o})", at(place)),
        Part::Link { destination, place } => format!("link {} -> {destination}", at(place)),
        Part::File { place, mode, content } => {
            format!("file {} ({mode:04o}): {}", at(place), content.escape_ascii())
        }
        Part::RecordDevice => "record the device".to_string(),
    }
}

fn at(Place { base, path }: Place<'_>) -> String {
    let base = match base {
        Base::Sysroot => "SYSROOT",
        Base::Root => "ROOT",
        Base::Run => "RUN",
        Base::Memory => "MEMORY",
    };
    if path.is_empty() { base.to_string() } else { format!("{base}/{path}") }
}

fn of(flags: MountFlags) -> String {
    let mode = if flags.contains(MountFlags::RDONLY) { "ro" } else { "rw" };
    match flags.without(MountFlags::RDONLY) {
        rest if rest.is_empty() => format!("({mode})"),
        rest => format!("({mode},{rest})"),
    }
}

fn extent(Extent { file, offset, size }: Extent<'_>) -> String {
    format!("{}[{offset}+{size}]", at(file))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

#[test]
fn parts_are_shown_with_all_that_they_say() {
    let place = Place::root("x");
    let shown = [
        Part::Bind { directory: Place::sysroot(""), target: place, flags: MountFlags::RDONLY | MountFlags::NODEV },
        Part::Composefs {
            image: Place::sysroot("i"),
            digest: &[1, 0xab],
            objects: Place::sysroot("o"),
            verity: true,
            source: "composefs",
            writable: Some(Place::memory("")),
            target: place,
            flags: MountFlags::NONE,
        },
        Part::File { place: Place::run("f"), mode: 0o600, content: b"a\0\n" },
        Part::PlainImage {
            data: Extent { file: Place::sysroot("i"), offset: 1, size: 2 },
            filesystem: None,
            target: place,
        },
    ]
    .map(|part| self::shown(&part));
    let expected = [
        "bind SYSROOT on ROOT/x (ro,nodev)",
        "composefs composefs on ROOT/x (rw): image SYSROOT/i, digest 01ab, objects SYSROOT/o, verity required, changes in \
         MEMORY",
        "file RUN/f (0600): a\\x00\\n",
        "plain image on ROOT/x: SYSROOT/i[1+2], None",
    ];
    assert_eq!(shown, expected);
}
