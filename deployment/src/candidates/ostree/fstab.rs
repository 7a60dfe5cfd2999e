//! fstab(5) of a deployment, as far as it tells whether `/var` is its own business.

use crate::tree::Tree;

/// Most bytes of an fstab that is read; one that is longer is passed over.
pub(super) const MAX_FSTAB: usize = 4096;

/// Whether the fstab at `path` mounts something on `/var`. Where it does, ostree leaves `/var` to it
/// (src/libostree/ostree-impl-system-generator.c).
#[inline(never)]
pub(super) fn mounts_var(tree: &dyn Tree, path: &str) -> bool {
    let mut buffer = [0; MAX_FSTAB];
    tree.read_text(path, &mut buffer).is_ok_and(|text| text.lines().any(is_var))
}

/// Whether a line mounts something on `/var`.
fn is_var(line: &str) -> bool {
    let mut fields = line.split_ascii_whitespace();
    let what = fields.next().unwrap_or_default();
    let place = fields.next().and_then(|place| place.strip_prefix('/'));
    !what.starts_with('#') && place.is_some_and(|place| place.split('/').filter(|part| !part.is_empty()).eq(["var"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn var_is_told_from_all_else() {
        for line in ["LABEL=v /var ext4", "\t/dev/x\t//var/ xfs rw 0 2", "a /var"] {
            assert!(is_var(line), "{line}");
        }
        for line in ["", "#a /var", "# /var", "/var", "a /var/lib b", "a / b", "a var b", "a /srv/var b", "/var /srv"] {
            assert!(!is_var(line), "{line}");
        }
    }
}
