//! Several root slots on one disk: which one boots, what it costs, and what follows when it does not come up.

pub(crate) mod choice;
pub(crate) mod commands;
pub(crate) mod cuts;
pub(crate) mod exhausted;
pub(crate) mod fallback;
pub(crate) mod hang;
pub(crate) mod judge;
pub(crate) mod sectors;
pub(crate) mod table;
pub(crate) mod tries;
pub(crate) mod update;
