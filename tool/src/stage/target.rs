//! Where an image goes: the slot that is spare, and the hash partition that belongs to it.

use deployment::discoverable::is_unfinished;
use deployment::{BlockDevice, ReadAt};
use verity::{Geometry, RootHash, SUPERBLOCK_SIZE, Superblock, Uuid};

use super::Args;
use super::source::{Source, top};
use crate::error::Error;
use crate::slots::{Access, Context, State, attributes, label, name, number, uuid};

/// Longest label in UTF-16 code units: with `PRT#` before it, it is as long as a partition's can be.
const MAX_LABEL: usize = 32;
/// Longest label of a partition in UTF-16 code units.
const MAX_PART_LABEL: usize = 36;

/// What the hash partition of a slot with this label is called.
pub(super) fn hash_label(label: &str) -> String {
    let mut units = 0;
    let fits = |character: &char| {
        units += character.len_utf16();
        units <= MAX_PART_LABEL
    };
    format!("{label}-verity").chars().take_while(fits).collect()
}

/// The slot that is written: the one that is asked for, or the one that is spare.
pub(super) fn slot<'c>(context: &'c Context, wanted: Option<&str>) -> Result<&'c BlockDevice, Error> {
    let refused = |object: String, why: &str| Error::usage("cannot write to", object, why);
    let slot = match wanted {
        Some(wanted) => context.disk.find(wanted)?,
        None => spare(context)?,
    };
    if context.running == Some(number(slot)) {
        return Err(refused(name(slot), "the system runs from it"));
    }
    if attributes(slot).no_auto() {
        return Err(refused(name(slot), "its partition is marked no-auto, and so would never boot"));
    }
    check_way_back(context)?;
    Ok(slot)
}

/// What runs must be there to fall back to when the spare slot is given up.
fn check_way_back(context: &Context) -> Result<(), Error> {
    let Some(running) = context.running.and_then(|running| context.disk.slot(running)) else { return Ok(()) };
    if State::of(label(running), attributes(running)) == State::Good {
        return Ok(());
    }
    let why = format!("{}, which runs, is not marked good: there would be nothing to fall back to", name(running));
    Err(Error::bad("cannot stage to", context.disk.path().display(), why)
        .advice("If it runs well, say so first: surefoot mark-good."))
}

/// An unfinished slot, else one that has failed, else the one that comes last.
fn spare(context: &Context) -> Result<&BlockDevice, Error> {
    let unclear = |why: String| Error::usage("cannot choose a slot of", context.disk.path().display(), why);
    if context.running.is_none() {
        return Err(unclear("which one runs is not known".to_owned()).advice("Choose by --slot."));
    }
    let rank = |slot: &BlockDevice| match State::of(label(slot), attributes(slot)) {
        State::Empty => 0,
        State::Bad | State::Spent => 1,
        State::Good | State::Untested => 2 + attributes(slot).priority(),
    };
    let others: Vec<_> = context
        .disk
        .slots()
        .filter(|slot| context.running != Some(number(slot)) && !attributes(slot).no_auto())
        .collect();
    let best = others.iter().map(|slot| rank(slot)).min();
    let best: Vec<_> = others.into_iter().filter(|slot| Some(rank(slot)) == best).collect();
    match best.as_slice() {
        [] => Err(unclear("there is none besides the one that runs".to_owned())),
        [slot] => Ok(slot),
        several => {
            let names: Vec<_> =
                several.iter().map(|slot| format!("{} (partition {})", name(slot), number(slot))).collect();
            Err(unclear(format!("{} are equally spare", names.join(" and "))).advice("Choose by --slot."))
        }
    }
}

/// What the slot is called from now on.
pub(super) fn label_for(context: &Context, slot: &BlockDevice, args: &Args) -> Result<String, Error> {
    let before = label(slot);
    let before = before.strip_prefix("PRT#").or(before.strip_prefix("PND#")).unwrap_or(before);
    if args.label.is_none() && !before.is_empty() && !is_unfinished(before) {
        return checked(before.to_owned());
    }
    let stem = || args.image.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let label_for = checked(args.label.clone().unwrap_or_else(stem))?;
    let twin = context.disk.slots().find(|other| number(other) != number(slot) && label(other) == label_for);
    match twin {
        Some(twin) => Err(unusable(&label_for, format!("partition {} has it already", number(twin)))),
        None => Ok(label_for),
    }
}

fn checked(label: String) -> Result<String, Error> {
    let why = if label.is_empty() {
        "it is empty"
    } else if label.encode_utf16().count() > MAX_LABEL {
        "it is longer than 32 characters"
    } else if label.chars().any(char::is_control) {
        "it holds a control character"
    } else if is_unfinished(&label) {
        "it means that the slot is empty or unfinished"
    } else {
        return Ok(label);
    };
    Err(unusable(&label, why.to_owned()))
}

fn unusable(label: &str, why: String) -> Error {
    Error::usage("cannot use", format_args!("label \"{}\"", label.escape_debug()), why)
        .advice("Give another by --label.")
}

/// The hash partition for the slot: its own, else a free one that is large enough. An error in words if there is none.
pub(super) fn hash_partition<'c>(
    context: &'c Context,
    slot: &BlockDevice,
    source: &Source,
) -> Result<&'c BlockDevice, String> {
    let needed = source.geometry.hash_device_size();
    let wanted = source.root_hash.and_then(|hash| hash.hash_partition());
    let mut free = Vec::new();
    for hash in context.disk.hash_partitions() {
        match owner(context, hash) {
            Some(owner) if owner != number(slot) => {}
            own => free.push((own.is_none() && uuid(hash) != wanted, !is_unfinished(label(hash)), hash)),
        }
    }
    free.sort_by_key(|(foreign, finished, hash)| (*foreign, *finished, number(hash)));
    let fitting = free.iter().find(|(.., hash)| hash.size >= needed);
    fitting.map(|(.., hash)| *hash).ok_or_else(|| match free.iter().map(|(.., hash)| hash.size).max() {
        Some(largest) => format!("the hash tree needs {needed} bytes, the free hash partition has {largest}"),
        None => "all of its hash partitions belong to other slots".to_owned(),
    })
}

/// The number of the slot that a hash partition belongs to: proved by the root hash of its tree, or by one that is known
/// of the running system, else said by its label.
fn owner(context: &Context, hash: &BlockDevice) -> Option<u32> {
    let known = context.command_line.accepted().unwrap_or_default().into_iter().chain(context.running_hash);
    let mut root_hashes = known.chain(stored_root_hash(context, hash));
    let proved = root_hashes.find_map(|root_hash| {
        let halves = (root_hash.data_partition(), root_hash.hash_partition());
        let slot = context.disk.slots().find(|slot| uuid(slot).is_some() && uuid(slot) == halves.0)?;
        (uuid(hash) == halves.1).then(|| number(slot))
    });
    let labelled = || {
        let plain = |device| label(device).strip_prefix("PRT#").unwrap_or(label(device)).to_owned();
        let named = plain(hash);
        context.disk.slots().find(|slot| !label(slot).is_empty() && hash_label(&plain(slot)) == named).map(number)
    };
    proved.or_else(labelled)
}

/// The root hash of what a slot holds, proved by the tree in its hash partition.
pub(super) fn root_hash_of(context: &Context, slot: &BlockDevice) -> Option<RootHash> {
    let found = context.disk.hash_partitions().filter_map(|hash| Some((hash, stored_root_hash(context, hash)?)));
    let mut own = found.filter(|(hash, root_hash)| {
        uuid(slot).is_some() && uuid(slot) == root_hash.data_partition() && uuid(hash) == root_hash.hash_partition()
    });
    own.next().map(|(_, root_hash)| root_hash)
}

/// The root hash of the tree that a hash partition holds.
fn stored_root_hash(context: &Context, hash: &BlockDevice) -> Option<RootHash> {
    let partition = context.disk.open_partition(hash, Access::Read).ok()?;
    let mut superblock = [0; SUPERBLOCK_SIZE];
    partition.read_exact_at(0, &mut superblock).ok()?;
    let geometry = Geometry::with_superblock(&Superblock::parse(&superblock).ok()?, 0).ok()?;
    if geometry.hash_blocks() == 0 {
        return None;
    }
    let tree: &dyn ReadAt = &*partition;
    top(&geometry, tree, tree).ok()
}

/// Two partitions by one PARTUUID would make every boot refuse both.
pub(super) fn check_no_twin(context: &Context, root_hash: &RootHash, own: &[u32]) -> Result<(), Error> {
    let halves: [Option<Uuid>; 2] = [root_hash.data_partition(), root_hash.hash_partition()];
    let partitions = context.disk.slots().chain(context.disk.hash_partitions());
    let mut others = partitions.filter(|partition| !own.contains(&number(partition)));
    match others.find(|other| uuid(other).is_some() && halves.contains(&uuid(other))) {
        Some(twin) => {
            let why = format!("partition {} ({}) has its PARTUUID already", number(twin), name(twin));
            Err(Error::bad("cannot stage", format_args!("root hash {root_hash}"), why)
                .advice("This very image is there; a tree that is made anew has another root hash."))
        }
        None => Ok(()),
    }
}
