//! The valid key that a mistyped one most likely means.

use crate::keys::KEYS;

const PREFIX: &str = "surefoot.";
/// Longer names than this are compared with none: no key is half as long.
const MAX_NAME: usize = 32;

/// The `surefoot.` key next to `key` by the number of typing mistakes, if at most a third of its name is mistyped.
pub(crate) fn nearest_key(key: &str) -> Option<&'static str> {
    let typed = key.strip_prefix(PREFIX)?;
    let mut nearest = None;
    let mut least = usize::MAX;
    for known in KEYS {
        let Some(name) = known.name.strip_prefix(PREFIX) else { continue };
        let allowed = name.len().max(typed.len()).div_ceil(3);
        if let Some(distance) = distance(typed.as_bytes(), name.as_bytes())
            && distance <= allowed
            && distance < least
        {
            (nearest, least) = (Some(known.name), distance);
        }
    }
    nearest
}

/// How many insertions, deletions, replacements and swaps of neighbours turn `a` into `b` (the optimal string
/// alignment distance). `None` if `b` is longer than [`MAX_NAME`].
fn distance(a: &[u8], b: &[u8]) -> Option<usize> {
    // Each row holds the distances of one prefix of `a` from every prefix of `b`.
    let mut before_last = [0; MAX_NAME + 1];
    let mut last: [usize; MAX_NAME + 1] = core::array::from_fn(|column| column);
    let mut previous = None;
    for (row, &byte) in a.iter().enumerate() {
        let mut current = [0; MAX_NAME + 1];
        *current.first_mut()? = row + 1;
        for (column, &other) in b.iter().enumerate() {
            let replaced = last.get(column)? + usize::from(byte != other);
            let inserted = current.get(column)? + 1;
            let deleted = last.get(column + 1)? + 1;
            let mut best = replaced.min(inserted).min(deleted);
            let before = column.checked_sub(1).map(|earlier| (b.get(earlier), before_last.get(earlier)));
            if let Some((Some(neighbour), Some(swapped))) = before
                && previous == Some(other)
                && byte == *neighbour
            {
                best = best.min(swapped + 1);
            }
            *current.get_mut(column + 1)? = best;
        }
        (before_last, last, previous) = (last, current, Some(byte));
    }
    last.get(b.len()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_typing_mistakes() {
        let table = [("", "", 0), ("etc", "etc", 0), ("ect", "etc", 1), ("", "etc", 3), ("etc", "", 3)];
        let more = [("hom", "home", 1), ("homme", "home", 1), ("on_failure", "on-failure", 1), ("ca", "abc", 3)];
        for (a, b, expected) in table.into_iter().chain(more) {
            assert_eq!(distance(a.as_bytes(), b.as_bytes()), Some(expected), "{a} {b}");
        }
        assert_eq!(distance(b"x", &[b'y'; MAX_NAME]), Some(MAX_NAME));
        assert_eq!(distance(b"x", &[b'y'; MAX_NAME + 1]), None);
    }

    #[test]
    fn every_key_of_ours_can_be_found() {
        for key in KEYS.iter().filter(|key| key.name.starts_with(PREFIX)) {
            assert_eq!(nearest_key(key.name), Some(key.name));
        }
    }

    #[test]
    fn a_mistyped_key_finds_the_one_meant_and_a_strange_one_none() {
        let table = [
            ("surefoot.ect", Some("surefoot.etc")),
            ("surefoot.mnt", Some("surefoot.mount")),
            ("surefoot.on_failure", Some("surefoot.on-failure")),
            ("surefoot.state-missing", Some("surefoot.state.missing")),
            ("surefoot.verity-policy", None),
            ("surefoot.root-hash", Some("surefoot.roothash")),
            ("surefoot.onexhausted", Some("surefoot.on-exhausted")),
            ("surefoot.timeout", None),
            ("surefoot.", None),
            ("surefoot.a-very-long-name-of-many-more-than-thirty-two-bytes", None),
        ];
        for (key, nearest) in table {
            assert_eq!(nearest_key(key), nearest, "{key}");
        }
    }
}
