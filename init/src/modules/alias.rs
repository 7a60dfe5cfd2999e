//! Matching of a device's alias (its `modalias`) against the patterns that modules carry.

use super::name::folded;

/// Whether `pattern` (from `modules.alias`) matches the whole of `alias` (from a device, or from the kernel's request).
///
/// `*` stands for any bytes, `?` for one, `[a-z]` for one of a class, `[!a-z]` for one outside of it; an unclosed `[` is
/// itself. `-` and `_` are the same byte on both sides, as kmod has it, but in a class, where `-` makes a range.
///
/// Only the last `*` is ever tried again, so that no pattern costs more than the product of the two lengths.
///
/// ```
/// use init::modules::alias::matches;
/// assert!(matches("scsi:t-0x00*", "scsi:t-0x00"));
/// assert!(matches("pci:v*d*sv*sd*bc01sc06i01*", "pci:v00008086d00002922sv00001AF4sd00001100bc01sc06i01"));
/// ```
pub fn matches(pattern: &str, alias: &str) -> bool {
    let (mut pattern, mut alias) = (pattern.as_bytes(), alias.as_bytes());
    let mut last_star = None;
    loop {
        if let [b'*', after @ ..] = pattern {
            last_star = Some((after, alias));
            pattern = after;
        } else if let Some((pattern_rest, alias_rest)) = match_one(pattern, alias) {
            (pattern, alias) = (pattern_rest, alias_rest);
        } else if pattern.is_empty() && alias.is_empty() {
            return true;
        } else if let Some((after, [_, shorter @ ..])) = last_star {
            last_star = Some((after, shorter));
            (pattern, alias) = (after, shorter);
        } else {
            return false;
        }
    }
}

/// Whether `pattern` up to its first wildcard or blank starts as `alias` does. It settles nearly all of some thousand lines
/// for a device without a search for the pattern's end.
pub(crate) fn starts_alike(pattern: &str, alias: &str) -> bool {
    let literal = pattern.bytes().take_while(|byte| !matches!(byte, b'*' | b'?' | b'[' | b' ' | b'\t'));
    literal.zip(alias.bytes()).all(|(wanted, byte)| folded(wanted) == folded(byte))
}

/// Takes one byte of the alias and what stands for it in the pattern; none if they differ or either is at its end.
fn match_one<'p, 'a>(pattern: &'p [u8], alias: &'a [u8]) -> Option<(&'p [u8], &'a [u8])> {
    let (&wanted, pattern_rest) = pattern.split_first()?;
    let (&byte, alias_rest) = alias.split_first()?;
    let byte = folded(byte);
    if wanted == b'['
        && let Some((class, after)) = split_class(pattern_rest)
    {
        return class_has(class, byte).then_some((after, alias_rest));
    }
    (wanted == b'?' || folded(wanted) == byte).then_some((pattern_rest, alias_rest))
}

/// Splits what follows a `[` into the class and what comes after its `]`; a `]` in the first place is of the class.
fn split_class(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let first = usize::from(matches!(text, [b'!' | b'^', ..])).checked_add(1)?;
    let end = text.iter().enumerate().skip(first).find(|&(_, &byte)| byte == b']')?.0;
    let (class, after) = text.split_at_checked(end)?;
    Some((class, after.get(1..)?))
}

/// Whether the class (without its brackets) has this byte.
fn class_has(class: &[u8], byte: u8) -> bool {
    let (negated, mut rest) = match class {
        [b'!' | b'^', rest @ ..] => (true, rest),
        _ => (false, class),
    };
    let mut found = false;
    loop {
        rest = match rest {
            [low, b'-', high, rest @ ..] => {
                found |= (*low..=*high).contains(&byte);
                rest
            }
            [one, rest @ ..] => {
                found |= *one == byte;
                rest
            }
            [] => return found != negated,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::{matches, starts_alike};
    use std::format;
    use std::string::String;

    #[test]
    fn literals_match_whole() {
        assert!(matches("virtio:d00000002v00001AF4", "virtio:d00000002v00001AF4"));
        assert!(!matches("virtio:d00000002v", "virtio:d00000002v00001AF4"));
        assert!(!matches("virtio:d00000002v00001AF4x", "virtio:d00000002v00001AF4"));
        assert!(matches("", ""));
        assert!(!matches("", "a"));
        assert!(!matches("a", ""));
    }

    #[test]
    fn stars_take_any_bytes_and_give_them_back() {
        assert!(matches("*", ""));
        assert!(matches("virtio:d00000002v*", "virtio:d00000002v00001AF4"));
        assert!(matches("a*b*c", "aXbXbXc"));
        assert!(matches("a**c", "abc"));
        assert!(!matches("a*b*c", "aXcXb"));
        assert!(matches("*ab", "aab"));
        assert!(!matches("*ab", "aba"));
    }

    #[test]
    fn a_question_mark_is_one_byte() {
        assert!(matches("a?c", "abc"));
        assert!(!matches("a?c", "ac"));
        assert!(!matches("a?", "a"));
    }

    #[test]
    fn classes_and_ranges() {
        assert!(matches("usb:v0421d[0-5]*", "usb:v0421d3"));
        assert!(!matches("usb:v0421d[0-5]*", "usb:v0421d6"));
        assert!(matches("[a-cx]", "x"));
        assert!(matches("[!a-c]", "d"));
        assert!(!matches("[!a-c]", "b"));
        assert!(!matches("[^a-c]", "b"));
        assert!(matches("[]x]y", "]y"));
        assert!(!matches("[!]x]", "]"));
        assert!(matches("[a-]", "a"));
        assert!(!matches("[z-a]", "m"));
    }

    #[test]
    fn an_unclosed_bracket_is_itself() {
        assert!(matches("a[b", "a[b"));
        assert!(!matches("a[b", "ab"));
        assert!(matches("[", "["));
        assert!(matches("[!", "[!"));
    }

    #[test]
    fn dashes_are_underscores_outside_of_classes() {
        assert!(matches("scsi:t-0x00*", "scsi:t-0x00"));
        assert!(matches("scsi:t_0x00*", "scsi:t-0x00"));
        assert!(matches("scsi:t-0x00*", "scsi:t_0x00 "));
        assert!(!matches("scsi:t-0x00*", "scsi:t-0x05"));
        assert!(matches("crypto-crc32c", "crypto_crc32c"));
        assert!(!matches("[a-c]", "-"));
    }

    #[test]
    fn real_pci_class_and_usb_patterns() {
        let ahci = "pci:v00008086d00002922sv00001AF4sd00001100bc01sc06i01";
        assert!(matches("pci:v*d*sv*sd*bc01sc06i01*", ahci));
        assert!(matches("pci:v00008086d00002922sv*sd*bc*sc*i*", ahci));
        assert!(!matches("pci:v00008086d00002923sv*sd*bc*sc*i*", ahci));
        let stick = "usb:v46F4p0001d0000dc00dsc00dp00ic08isc06ip50in00";
        assert!(matches("usb:v*p*d*dc*dsc*dp*ic08isc06ip50in*", stick));
        assert!(!matches("usb:v*p*d*dc*dsc*dp*ic08isc06ip62in*", stick));
    }

    #[test]
    fn the_literal_start_decides_alone_only_against_a_match() {
        assert!(starts_alike("pci:v*d*sv* ahci", "pci:v00008086"));
        assert!(starts_alike("dm-verity dm_verity", "dm_verity"));
        assert!(starts_alike("[a-c]x", "q"));
        assert!(starts_alike("usb:v0421d[0-5]*", "usb:v0421d9"));
        assert!(!starts_alike("usb:v0421d[0-5]*", "usb:v0422d1"));
    }

    #[test]
    fn a_hostile_pattern_stays_cheap() {
        let alias: String = "a".repeat(4000);
        assert!(!matches(&format!("{}b", "a*".repeat(2000)), &alias));
        assert!(matches(&"a*".repeat(2000), &alias));
    }
}
