//! `/run/ostree-booted`: what the initramfs tells the booted system about its root.
//!
//! The file is a GVariant of type `a{sv}` in the machine's byte order, in normal form
//! (<https://docs.gtk.org/glib/gvariant-specification-1.0.html>). ostree puts it together with a GVariantBuilder, so the
//! order of the keys is that in which its src/libotcore/otcore-prepare-root.c and src/switchroot/ostree-prepare-root.c
//! add them, and the same on every boot; readers look keys up by name. The tests hold the bytes to GLib's own.

use core::fmt;

use heapless::Vec;

use super::prepare_root::TransientRoot;

/// The path of the file. ostree makes it with mode 0644, under another name first.
pub const BOOTED_PATH: &str = "/run/ostree-booted";
/// The most bytes of the file. Without the two texts it has less than 256.
pub const MAX_BOOTED: usize = 512;

/// Every key is written, in this order at most.
const MAX_KEYS: usize = 8;

/// What is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Booted<'a> {
    /// The device number of the deployment's directory before anything is mounted over it, as stat(2) gives it. By this and
    /// `inode` the booted system finds which of its deployments it is.
    pub device: u64,
    /// The inode number of that directory.
    pub inode: u64,
    /// `[root] transient` and `transient-ro`.
    pub transient_root: TransientRoot,
    /// The composefs image that is mounted, if one is.
    pub composefs: Option<BootedImage<'a>>,
    /// Whether `/sysroot` is read-only.
    pub sysroot_readonly: bool,
    /// Where the upper layer of a transient `/etc` lies: the directory that holds `upper` and `work`.
    pub transient_etc: Option<&'a str>,
}

/// How a composefs image is mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootedImage<'a> {
    /// Whether every object needs its fs-verity digest.
    pub verity: bool,
    /// The file with the public key that vouches for the image, if that was asked for.
    pub signed: Option<&'a str>,
}

impl Booted<'_> {
    /// Writes the file's bytes to `buffer`, in place of what it holds.
    pub fn write(&self, buffer: &mut Vec<u8, MAX_BOOTED>) -> Result<(), BootedError> {
        buffer.clear();
        let mut dictionary = Dictionary { buffer, ends: Vec::new() };
        self.write_to(&mut dictionary).ok_or(BootedError(()))
    }

    fn write_to(&self, dictionary: &mut Dictionary<'_>) -> Option<()> {
        let place = [self.device.to_ne_bytes(), self.inode.to_ne_bytes()];
        dictionary.add("backing-root-device-inode", place.as_flattened(), "\0(tt)")?;
        // To ostree, `transient-ro` is a transient root, too.
        dictionary.add_boolean("root.transient", self.transient_root != TransientRoot::No)?;
        dictionary.add_boolean("root.transient-ro", self.transient_root == TransientRoot::ReadOnly)?;
        if let Some(image) = self.composefs {
            dictionary.add_text("composefs.signed", image.signed)?;
            dictionary.add_boolean("composefs", true)?;
            dictionary.add_boolean("composefs.verity", image.verity)?;
        }
        dictionary.add_boolean("sysroot-ro", self.sysroot_readonly)?;
        dictionary.add_text("transient-etc", self.transient_etc)?;
        dictionary.finish()
    }
}

/// A GVariant `a{sv}` that is being written. All of its functions give `None` when there is no room left.
struct Dictionary<'b> {
    buffer: &'b mut Vec<u8, MAX_BOOTED>,
    /// Where each of the entries ends.
    ends: Vec<usize, MAX_KEYS>,
}

impl Dictionary<'_> {
    /// Adds an entry. `kind` is the type string of the value, after the zero byte that a variant has before it.
    fn add(&mut self, key: &str, value: &[u8], kind: &str) -> Option<()> {
        self.align()?;
        let start = self.buffer.len();
        self.append(key.as_bytes())?;
        self.append(&[0])?;
        let key_end = self.buffer.len().checked_sub(start)?;
        self.align()?;
        self.append(value)?;
        self.append(kind.as_bytes())?;
        self.append_offsets(start, &[key_end])?;
        self.ends.push(self.buffer.len()).ok()
    }

    fn add_boolean(&mut self, key: &str, value: bool) -> Option<()> {
        self.add(key, &[u8::from(value)], "\0b")
    }

    /// Adds a string, whose value ends with a zero byte of its own.
    fn add_text(&mut self, key: &str, value: Option<&str>) -> Option<()> {
        value.map_or(Some(()), |text| self.add(key, text.as_bytes(), "\0\0s"))
    }

    fn finish(&mut self) -> Option<()> {
        let ends = self.ends.clone();
        self.append_offsets(0, &ends)
    }

    /// Ends the container that begins at `start` with the `offsets` into it: little-endian, and as short as the size of the
    /// whole container allows. None is larger than [`MAX_BOOTED`], so two bytes are enough.
    fn append_offsets(&mut self, start: usize, offsets: &[usize]) -> Option<()> {
        let size = self.buffer.len().checked_sub(start)?.checked_add(offsets.len())?;
        let width = if u8::try_from(size).is_ok() { 1 } else { 2 };
        offsets.iter().try_for_each(|offset| self.append(offset.to_le_bytes().get(..width)?))
    }

    /// Fills up to a multiple of eight bytes, the alignment of entries and of variants.
    fn align(&mut self) -> Option<()> {
        let length = self.buffer.len().checked_next_multiple_of(8)?;
        self.buffer.resize(length, 0).ok()
    }

    fn append(&mut self, bytes: &[u8]) -> Option<()> {
        self.buffer.extend_from_slice(bytes).ok()
    }
}

/// The bytes do not fit into [`MAX_BOOTED`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootedError(());

impl fmt::Display for BootedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{BOOTED_PATH} cannot hold more than {MAX_BOOTED} bytes: the path of the keys is too long")
    }
}

impl core::error::Error for BootedError {}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use proptest::prelude::*;

    use super::*;

    const PLAIN: Booted<'static> = Booted {
        device: 0x802,
        inode: 2,
        transient_root: TransientRoot::No,
        composefs: None,
        sysroot_readonly: false,
        transient_etc: None,
    };

    fn assert_written(booted: &Booted<'_>, expected: &[u8]) {
        let mut buffer = Vec::from_array([7; 9]);
        booted.write(&mut buffer).unwrap();
        assert_eq!(buffer.as_slice(), expected, "{booted:?}");
    }

    /// The fixtures are g_variant_get_data() of GLib 2.74, on a little-endian machine, after the g_variant_builder_add()
    /// calls that ostree would make.
    #[cfg(target_endian = "little")]
    #[test]
    fn the_bytes_are_those_that_glib_writes() {
        assert_written(&PLAIN, include_bytes!("booted/fixtures/plain.booted"));
        let composefs = Booted {
            device: 0xfd00,
            inode: 131_074,
            composefs: Some(BootedImage { verity: false, signed: None }),
            sysroot_readonly: true,
            ..PLAIN
        };
        assert_written(&composefs, include_bytes!("booted/fixtures/composefs.booted"));
        let everything = Booted {
            device: 0xffff_ffff_0123_4567,
            inode: 0xfedc_ba98_7654_3210,
            transient_root: TransientRoot::ReadOnly,
            composefs: Some(BootedImage { verity: true, signed: Some("/etc/ostree/initramfs-root-binding.key") }),
            sysroot_readonly: true,
            transient_etc: Some("/run/ostree/transient-etc.aB3xY9"),
        };
        assert_written(&everything, include_bytes!("booted/fixtures/everything.booted"));
    }

    /// Of two sizes of offsets: those of an entry, whose text is long, and those of the whole.
    #[cfg(target_endian = "little")]
    #[test]
    fn a_long_text_is_written_as_glib_writes_it() {
        for (length, expected) in [
            (160, include_bytes!("booted/fixtures/long.booted").as_slice()),
            (227, include_bytes!("booted/fixtures/longer.booted").as_slice()),
            (228, include_bytes!("booted/fixtures/longest.booted").as_slice()),
        ] {
            let path = std::format!("/{}", "k".repeat(length - 1));
            let long = Booted {
                device: 0x10302,
                inode: 77,
                transient_root: TransientRoot::Writable,
                composefs: Some(BootedImage { verity: true, signed: Some(&path) }),
                sysroot_readonly: true,
                transient_etc: (length == 160).then_some("/run/ostree/transient-etc"),
            };
            assert_written(&long, expected);
        }
    }

    #[test]
    fn a_text_that_does_not_fit_is_an_error() {
        let path = "k".repeat(MAX_BOOTED);
        let booted = Booted { composefs: Some(BootedImage { verity: true, signed: Some(&path) }), ..PLAIN };
        let error = booted.write(&mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("more than 512 bytes"), "{error}");
    }

    proptest! {
        #[test]
        fn nothing_panics(signed in ".{0,600}", etc in proptest::option::of(".{0,600}")) {
            let composefs = Some(BootedImage { verity: true, signed: Some(&signed) });
            let booted = Booted { composefs, transient_etc: etc.as_deref(), ..PLAIN };
            let _ = booted.write(&mut Vec::new());
        }
    }
}
