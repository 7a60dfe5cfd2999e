//! The order of versions (UAPI.10 Version Format Specification).

use core::cmp::Ordering;

/// The characters that set a part apart, each of which sorts lower than its absence, in the order in which they are
/// looked for.
const MARKS: [u8; 3] = *b"-^.";

/// Compares two versions. A different text may be the same version: `1_0` and `1_00`.
///
/// Where the specification leaves room, the order is that of systemd: a number is higher than letters, even 0.
pub fn compare(left: &str, right: &str) -> Ordering {
    let mut left = Rest(left.as_bytes());
    let mut right = Rest(right.as_bytes());
    loop {
        left.skip_separators();
        right.skip_separators();
        let mut order = skip_mark(&mut left, &mut right, b'~');
        if order.is_eq() && (left.0.is_empty() || right.0.is_empty()) {
            return left.0.len().cmp(&right.0.len());
        }
        for mark in MARKS {
            order = order.then_with(|| skip_mark(&mut left, &mut right, mark));
        }
        if order.is_eq() {
            order = skip_part(&mut left, &mut right);
        }
        if order.is_ne() {
            return order;
        }
    }
}

/// Takes `mark` off both sides; whoever alone has it is lower.
fn skip_mark(left: &mut Rest, right: &mut Rest, mark: u8) -> Ordering {
    right.skip(mark).cmp(&left.skip(mark))
}

/// Takes the number or the letters off both sides and compares them.
fn skip_part(left: &mut Rest, right: &mut Rest) -> Ordering {
    let numbers = [left.take(u8::is_ascii_digit), right.take(u8::is_ascii_digit)];
    let [left_number, right_number] = numbers.map(|digits| {
        let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
        digits.get(zeros..).map(|digits| (digits.len(), digits))
    });
    let [left_has, right_has] = numbers.map(|digits| !digits.is_empty());
    if left_has || right_has {
        return left_has.cmp(&right_has).then(left_number.cmp(&right_number));
    }
    left.take(u8::is_ascii_alphabetic).cmp(right.take(u8::is_ascii_alphabetic))
}

/// What is left of a version.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, belongs: fn(&u8) -> bool) -> &'a [u8] {
        let end = self.0.iter().position(|byte| !belongs(byte)).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at_checked(end).unwrap_or_default();
        self.0 = rest;
        taken
    }

    /// Takes one `mark`, if it comes next.
    fn skip(&mut self, mark: u8) -> bool {
        self.0.strip_prefix(&[mark]).map(|rest| self.0 = rest).is_some()
    }

    /// Takes the characters that mean nothing.
    fn skip_separators(&mut self) {
        self.take(|byte| !byte.is_ascii_alphanumeric() && !matches!(byte, b'~' | b'-' | b'^' | b'.'));
    }
}

#[cfg(test)]
mod tests {
    use std::string::String;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_examples_of_the_specification_hold() {
        for (left, order, right) in [
            ("11", '=', "11"),
            ("systemd-123", '=', "systemd-123"),
            ("bar-123", '<', "foo-123"),
            ("123a", '>', "123"),
            ("123.a", '>', "123"),
            ("123.a", '<', "123.b"),
            ("123a", '>', "123.a"),
            ("11α", '=', "11β"),
            ("B", '<', "a"),
            ("", '<', "0"),
            ("0.", '>', "0"),
            ("0.0", '>', "0"),
            ("0", '>', "~"),
            ("", '>', "~"),
            ("1_", '=', "1"),
            ("_1", '=', "1"),
        ] {
            let expected = if order == '<' {
                Ordering::Less
            } else if order == '>' {
                Ordering::Greater
            } else {
                Ordering::Equal
            };
            assert_eq!(compare(left, right), expected, "{left} {order} {right}");
            assert_eq!(compare(right, left), expected.reverse(), "{right} {left}");
        }
    }

    #[test]
    fn releases_follow_each_other() {
        // The list in the specification's reference implementation, and numbers of any length.
        let versions = [
            "122.1",
            "123~rc1-1",
            "123",
            "123-a",
            "123-a.1",
            "123-1",
            "123-1.1",
            "123^post1",
            "123.a-1",
            "123.1-1",
            "123a-1",
            "124-1",
            "0124-2",
            "1000",
            "99999999999999999999999998",
            "99999999999999999999999999",
        ];
        for pair in versions.windows(2) {
            assert_eq!(compare(pair[0], pair[1]), Ordering::Less, "{pair:?}");
        }
        assert_eq!(compare("1.007", "1.7"), Ordering::Equal);
    }

    fn version() -> impl Strategy<Value = String> {
        "[01a_~^.-]{0,6}"
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn the_order_is_one(a in version(), b in version(), c in version()) {
            prop_assert_eq!(compare(&a, &a), Ordering::Equal);
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            if compare(&a, &b).is_le() && compare(&b, &c).is_le() {
                prop_assert!(compare(&a, &c).is_le(), "{} {} {}", a, b, c);
            }
        }

        #[test]
        fn no_text_panics(a: String, b: String) {
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
        }
    }
}
