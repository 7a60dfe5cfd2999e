//! The order in which people count devices.

use core::cmp::Ordering;

/// Compares two kernel names, runs of digits by their value: `vda2` comes before `vda10`.
pub(super) fn natural(left: &str, right: &str) -> Ordering {
    let (mut left, mut right) = (left.as_bytes(), right.as_bytes());
    loop {
        match (left.first(), right.first()) {
            (Some(a), Some(b)) if a.is_ascii_digit() && b.is_ascii_digit() => {
                let (left_run, right_run) = (digits(&mut left), digits(&mut right));
                // Without leading zeros, of which kernel names have none, the longer number is the larger.
                let order = left_run.len().cmp(&right_run.len()).then(left_run.cmp(right_run));
                if order != Ordering::Equal {
                    return order;
                }
            }
            (Some(a), Some(b)) if a == b => {
                left = left.get(1..).unwrap_or_default();
                right = right.get(1..).unwrap_or_default();
            }
            (a, b) => return a.cmp(&b),
        }
    }
}

/// Takes the digits that `text` begins with off it.
fn digits<'a>(text: &mut &'a [u8]) -> &'a [u8] {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (run, rest) = text.split_at_checked(end).unwrap_or((text, &[]));
    *text = rest;
    run
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_count_by_value_and_letters_by_letter() {
        let ordered = [
            "nvme0n1",
            "nvme0n1p1",
            "nvme0n1p2",
            "nvme0n1p10",
            "nvme0n2",
            "nvme1n1",
            "sda",
            "sda1",
            "sdaa",
            "sdb",
            "vda9",
            "vda10",
        ];
        for pair in ordered.windows(2) {
            assert_eq!(natural(pair[0], pair[1]), Ordering::Less, "{pair:?}");
        }
    }

    proptest! {
        #[test]
        fn it_is_an_order(a in "[a-b0-2!]{0,6}", b in "[a-b0-2!]{0,6}", c in "[a-b0-2!]{0,6}") {
            prop_assert_eq!(natural(&a, &b), natural(&b, &a).reverse());
            prop_assert_eq!(natural(&a, &b) == Ordering::Equal, a == b);
            if natural(&a, &b).is_le() && natural(&b, &c).is_le() {
                prop_assert!(natural(&a, &c).is_le());
            }
        }
    }
}
