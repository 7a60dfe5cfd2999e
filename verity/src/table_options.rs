//! The optional parameters of a verity table.

use core::fmt;

use crate::table::TableError;

/// What the target does when a block does not have its digest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnCorruption {
    /// Fail the read with EIO. The kernel's own choice, so no word stands for it.
    #[default]
    Eio,
    /// Deliver the block and log it: nothing is protected.
    Ignore,
    /// Restart the machine.
    Restart,
    /// Panic the kernel.
    Panic,
}

/// What the target does when a block cannot be read at all (Linux 6.12 and later).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// Fail the read with EIO. The kernel's own choice, so no word stands for it.
    #[default]
    Eio,
    /// Restart the machine.
    Restart,
    /// Panic the kernel.
    Panic,
}

/// The optional parameters that surefoot uses. Options of error correction and signatures are not among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableOptions {
    /// `ignore_corruption`, `restart_on_corruption`, `panic_on_corruption`.
    pub corruption: OnCorruption,
    /// `restart_on_error`, `panic_on_error`. A kernel before 6.12 refuses the table.
    pub on_error: OnError,
    /// `ignore_zero_blocks`: blocks whose digest is that of zeros read as zeros, unchecked.
    pub ignore_zero_blocks: bool,
    /// `check_at_most_once`: only the first read of a block is checked.
    pub check_at_most_once: bool,
}

impl TableOptions {
    pub(crate) const ALLOWED: &str = "ignore_corruption, restart_on_corruption, panic_on_corruption, \
        restart_on_error, panic_on_error, ignore_zero_blocks and check_at_most_once";

    /// The words, in the order in which the kernel reports them.
    fn words(self) -> impl Iterator<Item = &'static str> + Clone {
        let corruption = match self.corruption {
            OnCorruption::Eio => None,
            OnCorruption::Ignore => Some("ignore_corruption"),
            OnCorruption::Restart => Some("restart_on_corruption"),
            OnCorruption::Panic => Some("panic_on_corruption"),
        };
        let on_error = match self.on_error {
            OnError::Eio => None,
            OnError::Restart => Some("restart_on_error"),
            OnError::Panic => Some("panic_on_error"),
        };
        let zero_blocks = self.ignore_zero_blocks.then_some("ignore_zero_blocks");
        let at_most_once = self.check_at_most_once.then_some("check_at_most_once");
        [corruption, on_error, zero_blocks, at_most_once].into_iter().flatten()
    }

    pub(crate) fn from_words<'a>(words: impl Iterator<Item = &'a str>) -> Result<Self, TableError> {
        let mut options = Self::default();
        for word in words {
            let before = options;
            match word {
                "ignore_corruption" => options.corruption = OnCorruption::Ignore,
                "restart_on_corruption" => options.corruption = OnCorruption::Restart,
                "panic_on_corruption" => options.corruption = OnCorruption::Panic,
                "restart_on_error" => options.on_error = OnError::Restart,
                "panic_on_error" => options.on_error = OnError::Panic,
                "ignore_zero_blocks" => options.ignore_zero_blocks = true,
                "check_at_most_once" => options.check_at_most_once = true,
                _ => return Err(TableError::Option),
            }
            // Each word adds exactly one to the count, unless it repeats or replaces an earlier one.
            if options.words().count() <= before.words().count() {
                return Err(TableError::OptionConflict);
            }
        }
        Ok(options)
    }
}

impl fmt::Display for TableOptions {
    /// ` <#opt_params> <opt_params>` with the leading space, or nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.words();
        match words.clone().count() {
            0 => return Ok(()),
            count => write!(f, " {count}")?,
        }
        words.into_iter().try_for_each(|word| write!(f, " {word}"))
    }
}
