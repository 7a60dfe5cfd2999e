//! Which modules boot unknown hardware: rules about folders and buses first, names only for what no device announces.

use super::catalogue::{Catalogue, Module};
use std::collections::BTreeSet;

/// Folders of drivers that booting may need, and what they drive. A module of theirs is packed if a device on one of
/// [`BUSES`] announces it; test devices, network storage and libraries of drivers announce nothing and stay out.
const FOLDERS: [(&str, &str); 12] = [
    ("kernel/drivers/acpi/nfit/", STORAGE),
    ("kernel/drivers/ata/", STORAGE),
    ("kernel/drivers/block/", STORAGE),
    ("kernel/drivers/message/fusion/", STORAGE),
    ("kernel/drivers/mmc/", STORAGE),
    ("kernel/drivers/nvdimm/", STORAGE),
    ("kernel/drivers/nvme/host/", STORAGE),
    ("kernel/drivers/scsi/", STORAGE),
    ("kernel/drivers/ufs/", STORAGE),
    ("kernel/drivers/usb/host/", BUS),
    ("kernel/drivers/usb/storage/", STORAGE),
    ("kernel/drivers/watchdog/", "watchdog driver"),
];

const STORAGE: &str = "storage driver";
const BUS: &str = "bus driver";

/// How the aliases of those devices start. Of SCSI's device types only disks (0x00), whose driver serves the other kinds
/// of disk as well.
const BUSES: [&str; 11] =
    ["acpi", "mmc:block", "nd:", "of:", "pci:", "platform:", "scsi:t-0x00", "usb:", "virtio:", "vmbus:", "xen:"];

/// Drivers of buses behind which storage is found, by name.
const BUS_DRIVERS: [&str; 7] = ["hv_vmbus", "pci_hyperv", "rtsx_pci", "rtsx_usb", "virtio_mmio", "virtio_pci", "vmd"];

/// Left out of the folders above: waiting for a floppy drive that is announced and not there takes seconds.
const LEFT_OUT: [&str; 1] = ["floppy"];

/// A PCI adapter that needs one of these talks to a storage network. They are by far the largest drivers and are left to
/// `--module`.
const STORAGE_NETWORKS: [&str; 2] = ["scsi_transport_fc", "scsi_transport_iscsi"];

/// What surefoot itself asks the kernel for, by name or alias, on every machine. No device announces it. dm-verity names
/// no dependency on the digest it is told to use.
pub(crate) const ALWAYS: [&str; 9] = [
    "dm_verity",
    "loop",
    "fs-erofs",
    "fs-ext4",
    "fs-overlay",
    "fs-squashfs",
    "crypto-sha1",
    "crypto-sha256",
    "crypto-sha512",
];

/// Of [`ALWAYS`], that without which no verified root with a writable /etc can be set up: to be reported when missing.
pub(crate) const ESSENTIAL: [&str; 2] = ["dm_verity", "fs-overlay"];

/// Further file systems for a root or a state device, by alias: the larger ones, which `--host-only` packs only if they
/// are mounted there.
pub(crate) const FILE_SYSTEMS: [&str; 4] = ["fs-btrfs", "fs-f2fs", "fs-vfat", "fs-xfs"];

/// Modules that are of no use without another one that they do not name: the driver for the disks of an adapter, the
/// character sets of FAT.
pub(crate) const COMPANIONS: [(&str, &str); 7] = [
    ("scsi_mod", "sd_mod"),
    ("mmc_core", "mmc_block"),
    ("libnvdimm", "nd_pmem"),
    ("fat", "nls_ascii"),
    ("fat", "nls_cp437"),
    ("fat", "nls_iso8859_1"),
    ("fat", "nls_utf8"),
];

/// What kind of driver that booting may need this is, if it is one.
pub(crate) fn boot_driver(module: &Module) -> Option<&'static str> {
    if LEFT_OUT.contains(&module.name.as_str()) {
        return None;
    }
    if BUS_DRIVERS.contains(&module.name.as_str()) {
        return Some(BUS);
    }
    let announced = module.info.aliases.iter().any(|alias| BUSES.iter().any(|bus| alias.starts_with(bus)));
    let folder = FOLDERS.iter().find(|(folder, _)| module.path.starts_with(folder));
    folder.filter(|_| announced).map(|&(_, kind)| kind)
}

/// Whether this is an adapter to a storage network.
pub(crate) fn is_storage_network(module: &Module, catalogue: &Catalogue) -> bool {
    let mut seen = BTreeSet::new();
    let mut open = vec![module];
    while let Some(next) = open.pop() {
        if STORAGE_NETWORKS.contains(&next.name.as_str()) {
            return module.info.aliases.iter().any(|alias| alias.starts_with("pci:"));
        }
        if seen.insert(&next.name) {
            open.extend(next.info.depends.iter().filter_map(|name| catalogue.find(name)));
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::super::catalogue::tests::module;
    use super::*;

    #[test]
    fn devices_announce_what_is_packed() {
        let packed = [
            ("kernel/drivers/scsi/sd_mod.ko", "scsi:t-0x00*", STORAGE),
            ("kernel/drivers/ata/ahci.ko", "pci:v*d*sv*sd*bc01sc06i01*", STORAGE),
            ("kernel/drivers/mmc/core/mmc_block.ko", "mmc:block", STORAGE),
            ("kernel/drivers/hv/hv_vmbus.ko", "", BUS),
            ("kernel/drivers/block/xen-blkfront.ko", "xen:vbd", STORAGE),
            ("kernel/drivers/watchdog/i6300esb.ko", "pci:v00008086d000025AB*", "watchdog driver"),
        ];
        let left_out = [
            ("kernel/drivers/scsi/st.ko", "scsi:t-0x01*"),
            ("kernel/drivers/scsi/sr_mod.ko", "scsi:t-0x05*"),
            ("kernel/drivers/scsi/scsi_debug.ko", ""),
            ("kernel/drivers/block/floppy.ko", "platform:floppy"),
            ("kernel/drivers/block/xen-blkback/xen-blkback.ko", "xen-backend:vbd"),
            ("kernel/drivers/nvme/target/nvmet.ko", "pci:v*"),
            ("kernel/drivers/net/e1000.ko", "pci:v*"),
            ("kernel/drivers/virtio/virtio_balloon.ko", "virtio:d00000005v*"),
        ];
        for (path, alias, kind) in packed {
            assert_eq!(boot_driver(&module(path, &[("alias", alias)])), Some(kind), "{path}");
        }
        for (path, alias) in left_out {
            assert_eq!(boot_driver(&module(path, &[("alias", alias)])), None, "{path}");
        }
    }

    #[test]
    fn a_storage_network_is_known_by_what_its_adapter_needs() {
        let adapter = module("kernel/drivers/scsi/lpfc.ko", &[("alias", "pci:v*"), ("depends", "libfc")]);
        let hyper_v =
            module("kernel/drivers/scsi/hv_storvsc.ko", &[("alias", "vmbus:4"), ("depends", "scsi_transport_fc")]);
        let local = module("kernel/drivers/ata/ahci.ko", &[("alias", "pci:v*"), ("depends", "libahci")]);
        let catalogue = Catalogue::of([
            module("kernel/drivers/scsi/libfc.ko", &[("depends", "scsi_transport_fc")]),
            module("kernel/drivers/scsi/scsi_transport_fc.ko", &[]),
            module("kernel/drivers/ata/libahci.ko", &[("depends", "libahci")]),
        ]);
        assert!(is_storage_network(&adapter, &catalogue));
        assert!(!is_storage_network(&hyper_v, &catalogue));
        assert!(!is_storage_network(&local, &catalogue));
    }
}
