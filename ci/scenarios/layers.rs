//! Every way in which a directory of a read-only root becomes writable, or does not.

use anyhow::Result;
use surefoot_ci::disk::{Partition, derived_uuids, types};
use surefoot_ci::filesystem::{self, Filesystem};
use surefoot_ci::tree::Tree;
use surefoot_ci::verity;
use surefoot_probe::Outcome;

use crate::Scenario;
use crate::boot::MOUNTS;
use crate::judge::{actions, booted, mount, mounts, same, text};
use crate::setup::{Layout, STATE_BYTES};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("layers::binds_and_overlays", binds_and_overlays),
    ("layers::read_only", read_only),
    ("layers::own_devices", own_devices),
    ("layers::etc_per_deployment", etc_per_deployment),
    ("layers::volatile_state", volatile_state),
    ("layers::volatile_overlay", volatile_overlay),
    ("layers::volatile_yes", volatile_yes),
    ("layers::separate_usr", separate_usr),
];

const ROOT: &str = "/ erofs /dev/mapper/root / ro,relatime ro,user_xattr,acl,cache_strategy=readaround";

fn binds_and_overlays(name: &str) -> Result<()> {
    let tree = Tree::probe()?.directory("srv").directory("opt").file("opt/shipped", "image", 0o644);
    let setup = Layout::new().tree(tree).prepare(name)?;
    let words = "surefoot.etc=bind surefoot.var=tmpfs:size=8M surefoot.home=overlay surefoot.mount=/srv:overlay \
        surefoot.mount=/opt:bind surefoot.mount=/tmp:tmpfs surefoot.state=PARTLABEL=state:ext4:noatime \
        probe.read=/etc/hostname probe.read=/opt/shipped probe.write=/opt/new:o probe.write=/srv/new:s probe.stat=/tmp";
    let report = booted(&setup.boot(words)?)?;
    let [_, dev, proc, run, sys, ..] = MOUNTS;
    mounts(
        &report,
        &[
            ROOT,
            dev,
            proc,
            run,
            sys,
            "/run/surefoot/state ext4 /dev/vda3 / rw,nosuid,nodev,noatime rw",
            "/etc ext4 /dev/vda3 /binds/etc rw,nosuid,nodev,noatime rw",
            "/var tmpfs tmpfs / rw,relatime rw,size=8192k,mode=755",
            "/home overlay overlay / rw,nosuid,nodev,relatime rw,lowerdir=/sysroot/home,upperdir=/run/surefoot/state/overlays/home/upper,workdir=/run/surefoot/state/overlays/home/work",
            "/srv overlay overlay / rw,nosuid,nodev,relatime rw,lowerdir=/sysroot/srv,upperdir=/run/surefoot/state/overlays/srv/upper,workdir=/run/surefoot/state/overlays/srv/work",
            "/opt ext4 /dev/vda3 /binds/opt rw,noatime rw",
            "/tmp tmpfs tmpfs / rw,nosuid,nodev,relatime rw",
        ],
    )?;
    actions(
        &report,
        &[
            ("probe.read=/etc/hostname", text("from-the-image\n")),
            ("probe.read=/opt/shipped", text("image")),
            ("probe.write=/opt/new:o", Outcome::Done),
            ("probe.write=/srv/new:s", Outcome::Done),
        ],
    )?;
    let tmp = report.outcome("probe.stat=/tmp");
    same("the mode of /tmp", &matches!(tmp, Some(Outcome::Entry(entry)) if entry.mode == 0o1777), &true)
}

/// Nothing is writable, so no state device is needed.
fn read_only(name: &str) -> Result<()> {
    let setup = Layout::new().without_state().prepare(name)?;
    let words = "surefoot.etc=ro surefoot.var=ro surefoot.home=ro probe.write=/etc/new:e probe.write=/var/new:v";
    let report = booted(&setup.boot(words)?)?;
    let [_, dev, proc, run, sys, ..] = MOUNTS;
    mounts(&report, &[ROOT, dev, proc, run, sys])?;
    actions(
        &report,
        &[("probe.write=/etc/new:e", Outcome::Failed(30)), ("probe.write=/var/new:v", Outcome::Failed(30))],
    )
}

fn own_devices(name: &str) -> Result<()> {
    let image = filesystem::empty_ext4(STATE_BYTES)?;
    let setup = Layout::new()
        .without_state()
        .partition(Partition::new("logs", types::LINUX, &image))
        .partition(Partition::new("people", types::LINUX, &image))
        .prepare(name)?;
    let words = "surefoot.etc=tmpfs surefoot.var=mount:PARTLABEL=logs surefoot.home=mount:/dev/vda4 \
        probe.read=/etc/hostname probe.write=/etc/new:e";
    let report = booted(&setup.boot(words)?)?;
    mount(&report, "/var ext4 /dev/vda3 / rw,relatime rw")?;
    mount(&report, "/home ext4 /dev/vda4 / rw,nosuid,nodev,relatime rw")?;
    actions(
        &report,
        &[("probe.read=/etc/hostname", text("from-the-image\n")), ("probe.write=/etc/new:e", Outcome::Done)],
    )
}

fn etc_per_deployment(name: &str) -> Result<()> {
    let setup = Layout::new().prepare(name)?;
    let report = booted(&setup.boot("surefoot.etc=overlay:per-deployment")?)?;
    mount(
        &report,
        "/etc overlay overlay / rw,nosuid,nodev,relatime rw,lowerdir=/sysroot/etc,upperdir=/run/surefoot/state/deployments/root/etc/upper,workdir=/run/surefoot/state/deployments/root/etc/work",
    )
}

fn volatile_state(name: &str) -> Result<()> {
    let setup = Layout::new().prepare(name)?;
    let report = booted(&setup.boot("systemd.volatile=state")?)?;
    mount(&report, ROOT)?;
    mount(&report, "/var tmpfs tmpfs / rw,relatime rw,mode=755")
}

fn volatile_overlay(name: &str) -> Result<()> {
    let setup = Layout::new().without_state().prepare(name)?;
    let words = "systemd.volatile=overlay probe.write=/etc/new:e probe.write=/usr/new:u probe.read=/usr/new";
    let report = booted(&setup.boot(words)?)?;
    mount(
        &report,
        "/ overlay overlay / rw,relatime rw,lowerdir=/run/surefoot/image,upperdir=/run/surefoot/memory/1/upper,workdir=/run/surefoot/memory/1/work",
    )?;
    actions(
        &report,
        &[
            ("probe.write=/etc/new:e", Outcome::Done),
            ("probe.write=/usr/new:u", Outcome::Done),
            ("probe.read=/usr/new", text("u")),
        ],
    )?;
    recorded_root_device(&report)
}

/// What lets systemd find the disk of a root that is not a block device.
fn recorded_root_device(report: &surefoot_probe::Report) -> Result<()> {
    let link = report.run.get("/run/systemd/volatile-root").and_then(|entry| entry.content.as_deref());
    let image = report.mount("/run/surefoot/image").map(|mount| format!("/dev/block/{}", mount.device));
    same("/run/systemd/volatile-root", &link, &image.as_deref())
}

/// `/` in memory; the image's /usr holds the program, as merged-/usr systems have it.
fn merged_usr() -> Result<Tree> {
    Ok(Tree::probe()?
        .directory("usr/sbin")
        .renamed("sbin/init", "usr/sbin/init")
        .without("sbin")
        .symlink("sbin", "usr/sbin"))
}

fn volatile_yes(name: &str) -> Result<()> {
    let setup = Layout::new().tree(merged_usr()?).without_state().prepare(name)?;
    let words = "systemd.volatile=yes probe.write=/etc/new:e probe.write=/usr/new:u probe.stat=/etc/hostname";
    let report = booted(&setup.boot(words)?)?;
    mount(&report, "/ tmpfs tmpfs / rw,relatime rw,mode=755")?;
    mount(&report, "/usr erofs /dev/mapper/root /usr ro,relatime ro,user_xattr,acl,cache_strategy=readaround")?;
    actions(
        &report,
        &[
            ("probe.write=/etc/new:e", Outcome::Done),
            ("probe.write=/usr/new:u", Outcome::Failed(30)),
            ("probe.stat=/etc/hostname", Outcome::Failed(2)),
        ],
    )
}

/// A verified `/usr` beside a verified root, which holds only what is not in `/usr`.
fn separate_usr(name: &str) -> Result<()> {
    let whole = merged_usr()?;
    let usr = whole.clone().below("usr");
    let root = whole.without("usr").directory("usr");
    let image = Filesystem::Squashfs.image(&usr)?;
    let tree = verity::format(&image, &[])?;
    let (data, hash) = derived_uuids(&tree.root_hash);
    let setup = Layout::new()
        .tree(root)
        .partition(Partition::new("usr", types::USR, &image).uuid(&data))
        .partition(Partition::new("usr-verity", types::USR_VERITY, &tree.image).uuid(&hash))
        .prepare(name)?;
    let report = booted(&setup.boot(&format!("usrhash={}", tree.root_hash))?)?;
    mount(&report, ROOT)?;
    mount(&report, "/usr squashfs /dev/mapper/usr / ro,relatime ro,errors=continue")?;
    let names: Vec<_> = report.device_mapper.values().map(|device| device.name.as_str()).collect();
    same("device-mapper devices", &names[..], &["root", "usr"])
}
