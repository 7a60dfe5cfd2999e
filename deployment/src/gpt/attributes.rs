//! The 64 attribute bits of a partition.

/// The attribute bits of a GPT entry (UEFI specification, 5.3.3): bits 48 to 63 mean what the partition's type says.
///
/// The flags of the Discoverable Partitions Specification (59, 60, 63) and the boot counting of ChromeOS (48 to 56),
/// which Flatcar and Bottlerocket share, do not collide. The `with_…` functions give a new value and write nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Attributes(pub u64);

const PRIORITY_SHIFT: u32 = 48;
const TRIES_SHIFT: u32 = 52;
const SUCCESSFUL: u64 = 1 << 56;
const GROW_FILESYSTEM: u64 = 1 << 59;
const READ_ONLY: u64 = 1 << 60;
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

    proptest! {
        #[test]
        fn setting_one_field_leaves_all_others(bits: u64, priority in 0..=MAX_PRIORITY, tries in 0..=MAX_PRIORITY, good: bool) {
            let set = Attributes(bits).with_priority(priority).with_tries(tries).with_successful(good);
            prop_assert_eq!((set.priority(), set.tries(), set.successful()), (priority, tries, good));
            prop_assert_eq!((set.0 ^ bits) & !(0x1ff << 48), 0);
        }
    }
}
