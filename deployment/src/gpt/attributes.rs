//! The 64 attribute bits of a partition.

/// The attribute bits of a GPT entry (UEFI specification, 5.3.3): bits 48 to 63 mean what the partition's type says.
///
/// The flags of the Discoverable Partitions Specification (59, 60, 63), the boot counting of ChromeOS (48 to 56), which
/// Flatcar and Bottlerocket share, and surefoot's own (58, 61, 62), which none of them uses, do not collide. The `with_…`
/// functions give a new value and write nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Attributes(pub u64);

const PRIORITY_SHIFT: u32 = 48;
const TRIES_SHIFT: u32 = 52;
const SUCCESSFUL: u64 = 1 << 56;
const ONCE_GOOD: u64 = 1 << 58;
const GROW_FILESYSTEM: u64 = 1 << 59;
const READ_ONLY: u64 = 1 << 60;
const REBOOTS_SHIFT: u32 = 61;
const REBOOTS: u64 = 0b11 << REBOOTS_SHIFT;
const NO_AUTO: u64 = 1 << 63;

/// The largest priority and the largest number of tries.
pub const MAX_PRIORITY: u8 = 15;

impl Attributes {
    /// Bit 63: the partition is not to be used unless it is named.
    pub const fn no_auto(self) -> bool {
        self.0 & NO_AUTO != 0
    }

    /// Bit 60: the partition is to be mounted read-only.
    pub const fn read_only(self) -> bool {
        self.0 & READ_ONLY != 0
    }

    /// Bit 59: the filesystem is to be grown to the size of its partition when it is mounted.
    pub const fn grow_filesystem(self) -> bool {
        self.0 & GROW_FILESYSTEM != 0
    }

    /// Bits 48 to 51: 0 never boots, 15 comes first.
    pub const fn priority(self) -> u8 {
        self.nibble(PRIORITY_SHIFT)
    }

    /// Bits 52 to 55: how often an unproven deployment may still be tried, 0 to 15.
    pub const fn tries(self) -> u8 {
        self.nibble(TRIES_SHIFT)
    }

    /// Bit 56: the deployment has booted well.
    pub const fn successful(self) -> bool {
        self.0 & SUCCESSFUL != 0
    }

    /// Bit 58, surefoot's own, or bit 56: what the slot holds has booted well once, whatever became of it later.
    pub const fn once_good(self) -> bool {
        self.0 & (ONCE_GOOD | SUCCESSFUL) != 0
    }

    /// Whether the deployment may be booted by the rule of ChromeOS: it has a priority, and has booted well or may
    /// still be tried.
    pub const fn may_boot(self) -> bool {
        self.priority() > 0 && (self.successful() || self.tries() > 0)
    }

    /// Whether a boot ledger is kept here: the slot may boot, or has booted well once.
    pub const fn is_in_ledger(self) -> bool {
        self.may_boot() || self.once_good()
    }

    /// Bits 61 and 62, surefoot's own: one digit, 0 to 3, of [`crate::ledger::reboots`].
    pub const fn reboots_digit(self) -> u8 {
        let [low, ..] = ((self.0 & REBOOTS) >> REBOOTS_SHIFT).to_le_bytes();
        low
    }

    /// With this priority; anything above [`MAX_PRIORITY`] becomes that.
    #[must_use]
    pub const fn with_priority(self, priority: u8) -> Self {
        self.with_nibble(PRIORITY_SHIFT, priority)
    }

    /// With this number of tries; anything above [`MAX_PRIORITY`] becomes that.
    #[must_use]
    pub const fn with_tries(self, tries: u8) -> Self {
        self.with_nibble(TRIES_SHIFT, tries)
    }

    /// With the bit for a deployment that has booted well set or cleared.
    #[must_use]
    pub const fn with_successful(self, successful: bool) -> Self {
        Self(if successful { self.0 | SUCCESSFUL } else { self.0 & !SUCCESSFUL })
    }

    /// With the bit for a deployment that has once booted well set or cleared.
    #[must_use]
    pub const fn with_once_good(self, once_good: bool) -> Self {
        Self(if once_good { self.0 | ONCE_GOOD } else { self.0 & !ONCE_GOOD })
    }

    /// With this digit, of which the lowest two bits count.
    #[must_use]
    pub const fn with_reboots_digit(self, digit: u8) -> Self {
        Self(self.0 & !REBOOTS | (digit as u64 & 0b11) << REBOOTS_SHIFT)
    }

    const fn nibble(self, shift: u32) -> u8 {
        let [low, ..] = (self.0 >> shift).to_le_bytes();
        low & 0xf
    }

    const fn with_nibble(self, shift: u32, value: u8) -> Self {
        let value = if value > MAX_PRIORITY { MAX_PRIORITY } else { value };
        Self(self.0 & !(0xf << shift) | (value as u64) << shift)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_flag_is_its_bit() {
        assert!(Attributes(1 << 63).no_auto() && !Attributes(!(1 << 63)).no_auto());
        assert!(Attributes(1 << 60).read_only() && !Attributes(!(1 << 60)).read_only());
        assert!(Attributes(1 << 59).grow_filesystem() && !Attributes(!(1 << 59)).grow_filesystem());
        assert!(Attributes(1 << 56).successful() && !Attributes(!(1 << 56)).successful());
        assert_eq!(Attributes(0x0152_0000_0000_0000).priority(), 2);
        assert_eq!(Attributes(0x0152_0000_0000_0000).tries(), 5);
    }

    #[test]
    fn too_large_a_number_becomes_the_largest() {
        assert_eq!(Attributes(0).with_priority(16).0, 0xf << 48);
        assert_eq!(Attributes(0).with_tries(255).0, 0xf << 52);
    }

    /// Every value of every field, with all other bits clear and with all of them set.
    #[test]
    fn every_field_is_read_as_it_was_set_and_leaves_all_others() {
        const FIELDS: u64 = 0x1ff << 48 | 1 << 58 | 0b11 << 61;
        for background in [Attributes(0), Attributes(u64::MAX), Attributes(!FIELDS), Attributes(FIELDS)] {
            for number in 0..=u8::MAX {
                let most = number.min(MAX_PRIORITY);
                let set = background.with_priority(number);
                assert_eq!((set.priority(), (set.0 ^ background.0) & !(0xf << 48)), (most, 0));
                let set = background.with_tries(number);
                assert_eq!((set.tries(), (set.0 ^ background.0) & !(0xf << 52)), (most, 0));
                let set = background.with_reboots_digit(number);
                assert_eq!((set.reboots_digit(), (set.0 ^ background.0) & !(0b11 << 61)), (number & 3, 0));
            }
            for fields in 0_u16..1 << 10 {
                let [priority, tries] = [0, 4].map(|shift| u8::try_from(fields >> shift & 0xf).unwrap());
                let [good, once_good] = [8, 9].map(|shift| fields >> shift & 1 == 1);
                let set = background
                    .with_once_good(once_good)
                    .with_tries(tries)
                    .with_successful(good)
                    .with_priority(priority);
                assert_eq!((set.priority(), set.tries(), set.successful()), (priority, tries, good));
                assert_eq!((set.once_good(), (set.0 ^ background.0) & !FIELDS), (good || once_good, 0));
                assert_eq!(set.may_boot(), priority > 0 && (good || tries > 0));
                assert_eq!(set.is_in_ledger(), set.may_boot() || set.once_good());
            }
        }
    }

    proptest! {
        #[test]
        fn setting_one_field_leaves_all_others(bits: u64, priority in 0..=MAX_PRIORITY, tries in 0..=MAX_PRIORITY, good: bool) {
            let set = Attributes(bits).with_priority(priority).with_tries(tries).with_successful(good);
            prop_assert_eq!((set.priority(), set.tries(), set.successful()), (priority, tries, good));
            prop_assert_eq!((set.0 ^ bits) & !(0x1ff << 48), 0);
        }

        #[test]
        fn our_own_bits_leave_all_others(bits: u64, once_good: bool, digit in 0_u8..4) {
            let set = Attributes(bits).with_once_good(once_good).with_reboots_digit(digit);
            prop_assert_eq!((set.once_good(), set.reboots_digit()), (once_good || set.successful(), digit));
            prop_assert_eq!((set.0 ^ bits) & !(1 << 58 | 0b11 << 61), 0);
        }
    }
}
