//! Which deployment boots, and what happens where it does not.

use anyhow::Result;
use surefoot_ci::edit::Edit;
use surefoot_ci::ostree::{STATEROOT, Sysroot};

use super::{Machine, is_booted, version};
use crate::Scenario;
use crate::judge::{actions, booted, refused, said, same, text};
use crate::slots::judge::{failed, fallback, passed_over};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("ostree::auto_boots_the_newest", auto_boots_the_newest),
    ("ostree::auto_without_boot_entries", auto_without_boot_entries),
    ("ostree::a_deployment_is_chosen_by_name", a_deployment_is_chosen_by_name),
    ("ostree::the_newest_is_broken", the_newest_is_broken),
    ("ostree::a_wrong_path_falls_back", a_wrong_path_falls_back),
    ("ostree::a_wrong_path_alone_is_refused", a_wrong_path_alone_is_refused),
    ("ostree::a_crafted_link_is_refused", a_crafted_link_is_refused),
    ("ostree::a_crafted_tree_is_refused", a_crafted_tree_is_refused),
    ("ostree::nothing_verifies_a_plain_root", nothing_verifies_a_plain_root),
    ("ostree::a_volatile_root_is_refused", a_volatile_root_is_refused),
];

const AUTO: &str = "surefoot.verity=optional surefoot.deployment=auto";

fn three() -> Result<Sysroot> {
    Ok(Sysroot::new().deploy(&version(1)?).deploy(&version(2)?).deploy(&version(3)?))
}

fn boots(machine: &Machine, words: &str, number: usize) -> Result<()> {
    let report = booted(&machine.boot(&format!("{words} probe.read=/usr/lib/version"))?)?;
    is_booted(&report, &machine.called(number)?, "insecure")?;
    same("what failed", &failed(&report)?, &Vec::new())?;
    actions(&report, &[("probe.read=/usr/lib/version", text(&(number + 1).to_string()))])
}

fn auto_boots_the_newest(name: &str) -> Result<()> {
    let machine = Machine::new(name, &three()?, &[])?;
    boots(&machine, AUTO, 2)?;
    // What the boot entry names comes first all the same.
    boots(&machine, &format!("{AUTO} {}", machine.deployment(0)?.word()), 0)
}

/// As where `/boot` is a partition of its own.
fn auto_without_boot_entries(name: &str) -> Result<()> {
    boots(&Machine::new(name, &three()?.edit(Edit::remove("boot/loader")), &[])?, AUTO, 2)
}

fn a_deployment_is_chosen_by_name(name: &str) -> Result<()> {
    let machine = Machine::new(name, &three()?, &[])?;
    let words = format!("surefoot.verity=optional surefoot.deployment=ostree:{}", machine.called(1)?);
    boots(&machine, &words, 1)
}

fn the_newest_is_broken(name: &str) -> Result<()> {
    let sysroot = three()?.edit_in(2, Edit::remove("sbin/init"));
    let machine = Machine::new(name, &sysroot, &[])?;
    let report = booted(&machine.boot(&format!("{AUTO} probe.read=/usr/lib/version"))?)?;
    is_booted(&report, &machine.called(1)?, "insecure")?;
    let reason = "the new root has no init that can be started: /sbin/init: No such file or directory (ENOENT); nor \
                  /etc/init, /bin/init, /bin/sh";
    let broken = (machine.called(2)?, reason.to_owned());
    same("what failed", &failed(&report)?, &vec![broken.clone()])?;
    same("what was meant", &fallback(&report)?, &Some(broken))?;
    actions(&report, &[("probe.read=/usr/lib/version", text("2"))])
}

fn wrong(machine: &Machine) -> Result<String> {
    Ok(machine.deployment(0)?.link.rsplit_once('/').map(|(folder, _)| format!("{folder}/7")).unwrap_or_default())
}

fn not_there(wrong: &str, sub_version: &str) -> String {
    let path = wrong.replacen("/ostree/boot.", "ostree/boot.", 1);
    let (version, rest) = path.split_once(&format!("/{STATEROOT}")).unwrap_or_default();
    format!("{version}.{sub_version}/{STATEROOT}{rest}: the boot link cannot be read: there is nothing by that name")
}

fn a_wrong_path_falls_back(name: &str) -> Result<()> {
    let machine = Machine::new(name, &three()?, &[])?;
    let wrong = wrong(&machine)?;
    let outcome = machine.boot(&format!("{AUTO} ostree={wrong}"))?;
    let report = booted(&outcome)?;
    is_booted(&report, &machine.called(2)?, "insecure")?;
    let failed = failed(&report)?;
    let reasons: Vec<_> = failed.iter().map(|(_, reason)| reason.as_str()).collect();
    let fits = |sub_version| reasons == [not_there(&wrong, sub_version)];
    anyhow::ensure!(fits("0") || fits("1"), "{reasons:?}");
    Ok(())
}

fn a_wrong_path_alone_is_refused(name: &str) -> Result<()> {
    let machine = Machine::new(name, &three()?, &[])?;
    let outcome = machine.boot("surefoot.verity=optional ostree=/ostree/../etc")?;
    refused(&outcome, "ostree=/ostree/../etc: ostree writes /ostree/boot.[01]/OS/CHECKSUM/SERIAL")
}

/// The deployment that is named lies elsewhere: it is refused, and the others are not touched by that.
fn a_crafted_link_is_refused(name: &str) -> Result<()> {
    let plain = Machine::new(name, &three()?, &[])?;
    let link = plain.deployment(2)?.link.clone();
    let real = |sub_version: u8| link.replacen("/ostree/boot.1", &format!("ostree/boot.1.{sub_version}"), 1);
    let version = (0..2).find(|version| {
        let (real, edit) = (real(*version), Edit::symlink(&real(*version), "/"));
        three().and_then(|sysroot| sysroot.edit(Edit::remove(&real)).edit(edit).build()).is_ok()
    });
    let real = real(version.unwrap_or_default());
    let sysroot = three()?.edit(Edit::remove(&real)).edit(Edit::symlink(&real, "/"));
    let machine = Machine::new(name, &sysroot, &[])?;
    let elsewhere = "the boot link leads to /: ostree writes ../../../deploy/OS/deploy/CHECKSUM.SERIAL";
    let why = format!("{real}: {elsewhere}");
    let outcome = machine.boot(&format!("{AUTO} ostree={link}"))?;
    let report = booted(&outcome)?;
    is_booted(&report, &machine.called(1)?, "insecure")?;
    let reasons: Vec<_> = failed(&report)?.into_iter().map(|(_, reason)| reason).collect();
    same("why it failed", &reasons, &vec![why.clone()])?;
    said(&outcome, &format!("{real} does not boot: {elsewhere}"))?;
    refused(&machine.boot(&format!("surefoot.verity=optional ostree={link}"))?, &why)
}

/// Boot links that lead to themselves and upwards, and a `/usr` that is a link to the initramfs: what is left boots.
fn a_crafted_tree_is_refused(name: &str) -> Result<()> {
    let four = || Ok::<_, anyhow::Error>(three()?.deploy(&version(4)?));
    let plain = Machine::new(name, &four()?, &[])?;
    let link = |number| {
        Ok::<_, anyhow::Error>(plain.deployment(number)?.link.replacen("/ostree/boot.0/", "ostree/boot.0.1/", 1))
    };
    let [upwards, itself] = [link(1)?, link(3)?];
    let sysroot = four()?
        .edit(Edit::remove(&itself))
        .edit(Edit::symlink(&itself, "0"))
        .edit(Edit::remove(&upwards))
        .edit(Edit::symlink(&upwards, "../../../deploy/../deploy/../../etc.0"))
        .edit_in(2, Edit::remove("usr"))
        .edit_in(2, Edit::symlink("usr", "/"));
    let machine = Machine::new(name, &sysroot, &[])?;
    let report = booted(&machine.boot(AUTO)?)?;
    is_booted(&report, &machine.called(0)?, "insecure")?;
    let links = [
        (
            upwards,
            "the boot link leads to ../../../deploy/../deploy/../../etc.0: the stateroot cannot be a directory itself",
        ),
        (itself, "the boot link leads to 0: ostree writes ../../../deploy/OS/deploy/CHECKSUM.SERIAL"),
    ];
    let told = passed_over(&report)?;
    for (link, why) in links {
        let why = format!("{link}: {why}");
        anyhow::ensure!(told.iter().any(|(_, reason)| *reason == why), "{why} is not among {told:?}");
    }
    let why = "cannot mount bind /sysroot/usr on /sysroot/usr: /sysroot/usr: a symbolic link leads to it";
    same("what failed", &failed(&report)?, &vec![(machine.called(2)?, why.to_owned())])
}

fn nothing_verifies_a_plain_root(name: &str) -> Result<()> {
    let machine = Machine::new(name, &three()?, &[])?;
    let outcome = machine.boot(&machine.deployment(0)?.word())?;
    let (name, why) = (machine.called(0)?, "nothing verifies it: surefoot.verity=optional boots it insecurely");
    refused(&outcome, &format!("no deployment was found that may boot; {name}: {why}"))?;
    said(&outcome, &format!("{name} does not boot: {why}"))
}

fn a_volatile_root_is_refused(name: &str) -> Result<()> {
    let machine = Machine::new(name, &three()?, &[])?;
    let words = format!("surefoot.verity=optional {} systemd.volatile=overlay", machine.deployment(0)?.word());
    let why = "systemd.volatile=overlay cannot be had with ostree: [root] transient=true in prepare-root.conf does that for \
               ostree";
    refused(&machine.boot(&words)?, why)
}
