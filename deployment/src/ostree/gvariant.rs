//! GVariants in their serialised form, as far as commits need them.
//!
//! The rules are those of the GVariant specification (<https://docs.gtk.org/glib/gvariant-specification-1.0.html>). GLib
//! reads what is not in normal form as some default; here it is [`Malformed`].

/// Bytes that are no GVariant of the type that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// The bytes of a container. At its end are the framing offsets of its members: little-endian, and as wide as its size
/// asks for.
#[derive(Clone, Copy)]
pub(super) struct Container<'a>(pub(super) &'a [u8]);

impl<'a> Container<'a> {
    /// How many bytes a framing offset has.
    fn width(self) -> usize {
        match self.0.len() {
            0..=0xff => 1,
            0x100..=0xffff => 2,
            0x1_0000..=0xffff_ffff => 4,
            _ => 8,
        }
    }

    /// The framing offset that begins at `position`.
    fn offset(self, position: usize) -> Option<usize> {
        let bytes = self.0.get(position..)?.get(..self.width())?;
        bytes.iter().rev().try_fold(0_usize, |sum, byte| sum.checked_mul(0x100)?.checked_add(usize::from(*byte)))
    }

    /// The framing offset that has `after` others behind it.
    pub(super) fn offset_from_end(self, after: usize) -> Result<usize, Malformed> {
        let back = after.checked_add(1).and_then(|count| count.checked_mul(self.width()));
        let position = back.and_then(|back| self.0.len().checked_sub(back));
        position.and_then(|position| self.offset(position)).ok_or(Malformed)
    }

    /// The elements of an array whose elements differ in size and are aligned to `alignment` bytes.
    pub(super) fn elements(self, alignment: usize) -> Result<Elements<'a>, Malformed> {
        let end = if self.0.is_empty() { 0 } else { self.offset_from_end(0)? };
        let table = self.0.len().checked_sub(end).ok_or(Malformed)?;
        // What is not empty holds at least the offset that was just read.
        if !table.is_multiple_of(self.width()) || (table == 0 && end > 0) {
            return Err(Malformed);
        }
        Ok(Elements { array: self, alignment, start: 0, position: end })
    }
}

/// The elements of an array, first to last. The first one that is malformed is the last.
pub(super) struct Elements<'a> {
    array: Container<'a>,
    alignment: usize,
    /// Where the next element begins, but for its alignment.
    start: usize,
    /// Where the offset of its end lies.
    position: usize,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<&'a [u8], Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let end = self.array.offset(self.position)?;
        self.position = self.position.checked_add(self.array.width())?;
        let start = self.start.checked_next_multiple_of(self.alignment);
        let element = start.and_then(|start| self.array.0.get(start..end)).ok_or(Malformed);
        self.start = end;
        if element.is_err() {
            self.position = usize::MAX;
        }
        Some(element)
    }
}

/// The value of `key` in a dictionary of type `a{sv}`, if it is there and has the type `kind`.
pub(super) fn lookup<'a>(dictionary: &'a [u8], key: &str, kind: &str) -> Result<Option<&'a [u8]>, Malformed> {
    for entry in Container(dictionary).elements(8)? {
        let entry = entry?;
        let end = Container(entry).offset_from_end(0)?;
        let name = entry.get(..end).and_then(|name| name.strip_suffix(&[0])).ok_or(Malformed)?;
        if name == key.as_bytes() {
            let start = end.checked_next_multiple_of(8);
            let stop = entry.len().checked_sub(Container(entry).width());
            let variant = start.zip(stop).and_then(|(start, stop)| entry.get(start..stop)).ok_or(Malformed)?;
            return Ok(variant.strip_suffix(kind.as_bytes()).and_then(|value| value.strip_suffix(&[0])));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    const TWO: &[u8] = include_bytes!("commit/fixtures/two.commitmeta");

    #[test]
    fn keys_are_found_by_name_and_type() {
        assert_eq!(lookup(TWO, "xa", "b"), Ok(Some(&[1][..])));
        assert_eq!(lookup(TWO, "xa", "s"), Ok(None));
        assert_eq!(lookup(TWO, "x", "b"), Ok(None));
        assert_eq!(lookup(&[], "x", "b"), Ok(None));
        let array = lookup(TWO, "ostree.sign.ed25519", "aay").unwrap().unwrap();
        let lengths: Vec<_> = Container(array).elements(1).unwrap().map(|element| element.unwrap().len()).collect();
        assert_eq!(lengths, [64, 64]);
        let array = lookup(TWO, "ostree.gpgsigs", "aay").unwrap().unwrap();
        let elements: Vec<_> = Container(array).elements(1).unwrap().collect();
        assert_eq!(elements, [Ok(&b"gpg"[..])]);
    }

    #[test]
    fn offsets_out_of_their_container_are_malformed() {
        for bytes in [&[1][..], &[0xff], &[0, 0xff, 1], &[5, 5, 5], &[b'x', 0, 0, 3]] {
            assert_eq!(lookup(bytes, "x", "b"), Err(Malformed), "{bytes:?}");
        }
        let elements: Vec<_> = Container(&[1, 2, 3, 2, 1, 3]).elements(1).unwrap().collect();
        assert_eq!(elements, [Ok(&[1, 2][..]), Err(Malformed)]);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(0..16_u8, 0..40), key in "[\0-\x0f]{0,2}") {
            let _ = lookup(&bytes, &key, "b");
        }

        #[test]
        fn no_damaged_dictionary_panics(position in 0..TWO.len(), value: u8, length in 0..=TWO.len()) {
            let mut bytes = TWO.to_vec();
            bytes[position] = value;
            let _ = lookup(&bytes[..length], "ostree.sign.ed25519", "aay");
        }
    }
}
