//! Slots: which of them are candidates, and in which order.

use super::*;

const HASHES: [&str; 3] = [
    "a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1",
    "b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1",
    "c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1",
];

/// Priority, tries, good; the slots `a`, `b` and `c` with their hash partitions.
type Ledger = [(u8, u8, bool); 3];

const FRESH: Ledger = [(2, 0, true), (1, 0, true), (0, 0, false)];

fn slots(disk: &str, ledger: Ledger) -> Vec<BlockDevice> {
    let mut devices = Vec::new();
    for (index, (priority, tries, good)) in ledger.into_iter().enumerate() {
        let hash: verity::RootHash = HASHES[index].parse().unwrap();
        let number = u32::try_from(index).unwrap() * 2 + 1;
        let label = ["a", "b", "c"][index];
        let mut data = partition(disk, number, &hash.data_partition().unwrap().to_string(), label);
        let attributes = Attributes(0).with_priority(priority).with_tries(tries).with_successful(good);
        data.partition.as_mut().unwrap().attributes = attributes;
        let mut tree = partition(disk, number + 1, &hash.hash_partition().unwrap().to_string(), "");
        tree.partition.as_mut().unwrap().type_uuid = Some(PartitionType::RootVerity.uuid());
        devices.extend([data, tree]);
    }
    devices
}

fn accept(hashes: &[usize]) -> String {
    let hashes: Vec<_> = hashes.iter().map(|index| HASHES[*index]).collect();
    format!("surefoot.roothash={}", hashes.join(","))
}

/// The names of the candidates in order; those that were good once in parentheses.
fn order(cmdline: &str, devices: Vec<BlockDevice>) -> String {
    let found = candidates(&config(cmdline), &facts(devices)).unwrap_or_else(|error| panic!("{cmdline}: {error}"));
    let name = |candidate: &Candidate| {
        assert_eq!(candidate.kind, Kind::SLOT);
        if candidate.is_last_good() { format!("({})", candidate.name) } else { candidate.name.to_string() }
    };
    found.iter().map(name).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_highest_priority_comes_first_and_good_ones_are_fallen_back_to() {
    let all = accept(&[0, 1, 2]);
    for (ledger, expected) in [
        (FRESH, "a b"),
        ([(1, 0, true), (2, 0, true), (0, 0, false)], "b a"),
        ([(1, 0, true), (1, 0, true), (1, 0, true)], "a b c"),
        ([(1, 0, true), (3, 3, false), (2, 0, true)], "b c a"),
        ([(1, 0, true), (3, 3, false), (2, 1, false)], "b a c"),
        ([(1, 0, true), (3, 0, false), (0, 7, false)], "a"),
        ([(1, 1, false), (0, 0, true), (1, 2, false)], "a c (b)"),
        ([(1, 0, false), (0, 0, true), (0, 0, true)], "(b) (c)"),
        ([(1, 0, false), (0, 9, false), (15, 0, false)], ""),
    ] {
        assert_eq!(order(&all, slots("vda", ledger)), expected, "{ledger:?}");
    }
}

#[test]
fn only_accepted_root_hashes_boot() {
    for (accepted, expected) in [(&[0, 1][..], "a b"), (&[1], "b"), (&[1, 0], "a b")] {
        assert_eq!(order(&accept(accepted), slots("vda", FRESH)), expected);
    }
    let single = format!("roothash={} surefoot.deployment=auto", HASHES[1]);
    assert_eq!(order(&single, slots("vda", FRESH)), "b");
    assert_eq!(
        refusal(&accept(&[0]), &facts(slots("vda", FRESH).split_off(2))),
        "a slot that may boot (a root partition with an accepted root hash)"
    );
    assert!(refusal("surefoot.deployment=auto", &Facts::new()).starts_with("nothing names a root"));
}

#[test]
fn a_candidate_has_its_own_hash_partition_and_place_in_the_ledger() {
    let found = candidates(&config(&accept(&[0, 1])), &facts(slots("vda", FRESH))).unwrap();
    let RootSource::Verity(source) = &found[1].root else { unreachable!() };
    assert_eq!((source.data.as_str(), source.hash.as_str()), ("vda3", "vda4"));
    assert_eq!(source.root_hash.to_string(), HASHES[1]);
    let record = found[1].record.as_ref().unwrap();
    assert_eq!(record.keeper, Keeper::Table(Name::try_from("vda").unwrap()));
    assert_eq!((record.entry.number, record.entry.attributes.priority()), (3, 1));
    assert_eq!(found[1].trust, Trust::Verified);
}

#[test]
fn the_one_that_is_chosen_boots_whatever_the_ledger_says() {
    let choose = |label: &str| format!("{} surefoot.deployment=slot:{label}", accept(&[0, 1, 2]));
    assert_eq!(order(&choose("c"), slots("vda", FRESH)), "c");
    assert!(refusal(&choose("x"), &facts(slots("vda", FRESH))).starts_with("a slot that may boot"));
    let mut twins = slots("vda", FRESH);
    twins[2].partition.as_mut().unwrap().label = PartLabel::try_from("c").unwrap();
    assert_eq!(
        refusal(&choose("c"), &facts(twins)),
        "PARTLABEL=c names both /dev/vda3 (on vda) and /dev/vda5 (on vda); detach one of them, or choose the disk by \
         surefoot.disk=/dev/NAME"
    );
}

#[test]
fn what_is_unfinished_or_marked_or_incomplete_is_no_candidate() {
    let all = accept(&[0, 1, 2]);
    for label in ["_empty", "PRT#a", "PND#a"] {
        let mut devices = slots("vda", FRESH);
        devices[0].partition.as_mut().unwrap().label = PartLabel::try_from(label).unwrap();
        assert_eq!(order(&all, devices), "b", "{label}");
    }
    let mut devices = slots("vda", FRESH);
    devices[0].partition.as_mut().unwrap().attributes.0 |= 1 << 63;
    assert_eq!(order(&all, devices), "b");
    let mut devices = slots("vda", FRESH);
    devices[0].partition.as_mut().unwrap().type_uuid = Some(PartitionType::Home.uuid());
    assert_eq!(order(&all, devices), "b");
    let mut devices = slots("vda", FRESH);
    devices.remove(1);
    assert_eq!(order(&all, devices), "b");
}

#[test]
fn one_name_for_two_things_is_refused_with_both() {
    let all = accept(&[0, 1]);
    let both = [slots("vda", FRESH), slots("vdb", FRESH)].concat();
    assert_eq!(
        refusal(&all, &facts(both.clone())),
        "both /dev/vda1 and /dev/vdb1 are slots that may boot, and they are on two disks; detach one of them, or choose \
         the disk by surefoot.disk=/dev/NAME"
    );
    assert_eq!(order(&format!("{all} surefoot.disk=/dev/vdb1"), both.clone()), "a b");
    let mut known = facts(both);
    known.insert(other("vdb", 9, PartitionType::EfiSystem, "esp")).unwrap();
    let esp = known.device("vdb9").unwrap().partition.as_ref().unwrap().uuid;
    let Some(PartUuid::Gpt(esp)) = esp else { unreachable!() };
    known.loader_partition = Some(esp);
    assert_eq!(candidates(&config(&all), &known).unwrap()[0].disk(&known), Some("vdb"));

    let mut twins = slots("vda", FRESH);
    twins[2].partition.as_mut().unwrap().uuid = twins[0].partition.as_ref().unwrap().uuid;
    assert!(refusal(&all, &facts(twins)).contains("names both /dev/vda1 (on vda) and /dev/vda3 (on vda)"));
    let mut twins = slots("vda", FRESH);
    twins[3].partition.as_mut().unwrap().uuid = twins[1].partition.as_ref().unwrap().uuid;
    assert!(refusal(&all, &facts(twins)).contains("names both /dev/vda2 (on vda) and /dev/vda4 (on vda)"));
}

/// Root partitions of other disks may hold other kinds of deployment, where such are looked for.
#[test]
fn another_disk_with_a_root_partition_is_no_second_disk_of_slots() {
    let filesystem = |disk| other(disk, 1, PartitionType::Root, "sysroot");
    let optional = "surefoot.verity=optional surefoot.deployment=auto";
    let devices = [slots("vda", FRESH), vec![filesystem("vdb"), filesystem("vdc")]].concat();
    assert_eq!(order(&format!("{} {optional}", accept(&[0, 1])), devices.clone()), "a b");
    assert_eq!(order(optional, devices), "a b");
    let none = facts(vec![filesystem("vdb"), filesystem("vdc")]);
    assert_eq!(refusal(optional, &none), "a slot that may boot (a root partition with an accepted root hash)");
    assert!(refusal("surefoot.verity=off", &none).contains("they are on two disks"));
}

#[test]
fn without_verity_slots_go_by_their_labels_and_are_insecure() {
    let off = candidates(&config("surefoot.verity=off"), &facts(slots("vda", FRESH))).unwrap();
    let insecure = Trust::Insecure(Insecurity::Root);
    assert!(off.iter().all(|candidate| candidate.trust == insecure));
    assert_eq!(order("surefoot.verity=off", slots("vda", FRESH)), "a b");
    assert_eq!(order("surefoot.verity=off surefoot.deployment=slot:c", slots("vda", FRESH)), "c");
    let optional = format!("{} surefoot.verity=optional", accept(&[0]));
    let found = candidates(&config(&optional), &facts(slots("vda", FRESH))).unwrap();
    let trust: Vec<_> = found.iter().map(|candidate| (candidate.name.as_str(), candidate.trust)).collect();
    assert_eq!(trust, [("a", Trust::Verified), ("b", insecure)]);
}
