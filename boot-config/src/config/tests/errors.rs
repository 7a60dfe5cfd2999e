//! What is refused, and in which words.

use super::*;

fn refusal(cmdline: &str) -> String {
    Config::parse(Sources { cmdline, ..Sources::default() }).unwrap_err().to_string()
}

#[test]
fn errors_name_the_key_the_value_the_source_and_what_is_allowed() {
    let table = [
        (
            "surefoot.etc=foo",
            "surefoot.etc=foo in /proc/cmdline: not a value of this key; allowed: overlay, overlay:per-deployment, \
             bind, tmpfs, ro",
        ),
        ("surefoot.verity", "surefoot.verity in /proc/cmdline: a value is missing; allowed: required, optional, off"),
        ("rw=yes", "rw=yes in /proc/cmdline: this key takes no value; allowed: no value"),
        (
            "rd.timeout=2min",
            "rd.timeout=2min in /proc/cmdline: not a whole number from 0 to 4294967295; allowed: 30, or other \
             seconds; 0 waits for ever",
        ),
        (
            "surefoot.home=tmpfs:size=1x surefoot.etc=y",
            "surefoot.home=tmpfs:size=1x in /proc/cmdline: a tmpfs size is digits, with k, m, g or % after them; \
             allowed: bind, mount:DEVICE, overlay, tmpfs[:size=SIZE], ro",
        ),
        (
            "\"surefoot.home=a\nb\"",
            "surefoot.home=a\\nb in /proc/cmdline: not a value of this key; allowed: bind, mount:DEVICE, overlay, \
             tmpfs[:size=SIZE], ro",
        ),
        (
            "surefoot.etc=ro surefoot.etc=tmpfs",
            "surefoot.etc=tmpfs in /proc/cmdline: given twice, before as surefoot.etc=ro; once is allowed",
        ),
        (
            "surefoot.mount=/srv:bind surefoot.mount=/srv:overlay",
            "surefoot.mount=/srv:overlay in /proc/cmdline: given twice, before as surefoot.mount=/srv:bind; once is \
             allowed",
        ),
        (
            "roothash=abc",
            "roothash=abc in /proc/cmdline: root hash has 3 hexadecimal digits; allowed are 40 (sha1), 64 (sha256) or \
             128 (sha512)",
        ),
    ];
    for (cmdline, message) in table {
        assert_eq!(refusal(cmdline), message);
    }
    let device = refusal("root=sda1");
    assert_eq!(
        device,
        format!("root=sda1 in /proc/cmdline: it names no device; allowed: {}", crate::spec::DEVICE_FORMS)
    );
}

#[test]
fn words_that_rule_each_other_out_are_both_named() {
    let short = &HASH[..40];
    let table = [
        (
            format!("root=UUID=ab roothash={HASH}"),
            format!(
                "roothash={HASH} in /proc/cmdline: contradicts root=UUID=ab in /proc/cmdline; a root hash verifies its \
                 own device; leave out one of the two"
            ),
        ),
        (
            format!("mount.usr=/dev/sda2 usrhash={HASH}"),
            format!(
                "usrhash={HASH} in /proc/cmdline: contradicts mount.usr=/dev/sda2 in /proc/cmdline; a root hash verifies \
                 its own device; leave out one of the two"
            ),
        ),
        (
            format!("surefoot.verity=off usrhash={HASH}"),
            format!(
                "usrhash={HASH} in /proc/cmdline: contradicts surefoot.verity=off in /proc/cmdline; surefoot.verity=off \
                 verifies nothing; leave out one of the two"
            ),
        ),
        (
            format!("roothash={short} systemd.verity_root_data=/dev/vda1"),
            format!(
                "roothash={short} in /proc/cmdline: needs systemd.verity_root_hash=, which is not given; no PARTUUID \
                 follows from so short a hash"
            ),
        ),
        (
            format!("surefoot.roothash={HASH} root=/dev/vda1"),
            format!(
                "surefoot.roothash={HASH} in /proc/cmdline: contradicts root=/dev/vda1 in /proc/cmdline; slots are found \
                 by their root hashes and labels; leave out one of the two"
            ),
        ),
        (
            format!("surefoot.roothash={HASH} surefoot.verity=off"),
            format!(
                "surefoot.roothash={HASH} in /proc/cmdline: contradicts surefoot.verity=off in /proc/cmdline; \
                 surefoot.verity=off verifies nothing; leave out one of the two"
            ),
        ),
        (
            "surefoot.deployment=slot:a root=/dev/vda1 surefoot.verity=off".to_string(),
            "surefoot.deployment=slot:a in /proc/cmdline: contradicts root=/dev/vda1 in /proc/cmdline; slots are found \
             by their root hashes and labels; leave out one of the two"
                .to_string(),
        ),
        (
            format!("surefoot.deployment=auto roothash={HASH} systemd.verity_root_data=/dev/vda1"),
            "surefoot.deployment=auto in /proc/cmdline: contradicts systemd.verity_root_data=/dev/vda1 in /proc/cmdline; \
             slots are found by their root hashes and labels; leave out one of the two"
                .to_string(),
        ),
        (
            format!("ostree=/ostree/boot.1/a/b/0 composefs={HASH}"),
            format!(
                "ostree=/ostree/boot.1/a/b/0 in /proc/cmdline: contradicts composefs={HASH} in /proc/cmdline; they name two \
                 deployments; leave out one, or give surefoot.deployment=auto to try both"
            ),
        ),
        (
            format!("ostree=/ostree/boot.1/a/b/0 roothash={HASH}"),
            format!(
                "ostree=/ostree/boot.1/a/b/0 in /proc/cmdline: contradicts roothash={HASH} in /proc/cmdline; no root hash \
                 vouches for the filesystem that holds the deployment; leave out one of the two"
            ),
        ),
        (
            "systemd.verity_root_data=/dev/vda1".to_string(),
            "systemd.verity_root_data=/dev/vda1 in /proc/cmdline: needs roothash=, which is not given".to_string(),
        ),
        (
            "systemd.verity_usr_options=check-at-most-once".to_string(),
            "systemd.verity_usr_options=check-at-most-once in /proc/cmdline: needs usrhash=, which is not given"
                .to_string(),
        ),
        (
            "root=/dev/mapper/root".to_string(),
            "root=/dev/mapper/root in /proc/cmdline: needs roothash=, which is not given".to_string(),
        ),
        (
            "mount.usrflags=nodev".to_string(),
            "mount.usrflags=nodev in /proc/cmdline: needs mount.usr= or usrhash=, which is not given".to_string(),
        ),
    ];
    for (cmdline, message) in table {
        assert_eq!(refusal(&cmdline), message);
    }
    assert_eq!(parse("root=/dev/mapper/root root=UUID=ab").root.device, Some(DeviceSpec::Uuid("ab")));
}

#[test]
fn bad_values_of_every_kind_fail_closed() {
    let words = "surefoot.deployment=all surefoot.deployment=slot: surefoot.deployment=:a ostree= composefs=? composefs=ab composefs.digest=v3-sha256-12:ab surefoot.roothash= surefoot.roothash=a,b \
                 surefoot.on-exhausted=next surefoot.on-exhausted=reboot:16 surefoot.on-exhausted=halt:1 \
                 surefoot.on-exhausted=last-good: surefoot.watchdog=0 surefoot.watchdog=65536 surefoot.watchdog=on \
                 root root= root=/dev/mapper/other rootfstype=a,b rootflags= ro=1 rootwait=x rootdelay rootdelay=+1 \
                 rd.timeout=4294967296 init=bash roothash= systemd.verity_root_options=superblock=no \
                 systemd.verity_root_options=ignore-corruption systemd.verity_root_options=fec-device=/dev/x \
                 systemd.verity_root_options=restart-on-corruption,panic-on-corruption \
                 systemd.verity_root_options=hash-offset=100 systemd.verity_root_options=check-at-most-once=1 \
                 systemd.volatile= systemd.volatile=maybe rd.break= rd.break=now rd.shell=x rd.emergency=next \
                 rd.driver.pre module_blacklist= loglevel= loglevel=-1 surefoot.verity=Off surefoot.corruption= \
                 surefoot.var=overlay surefoot.var=mount surefoot.var=mount: surefoot.var=bind:x surefoot.var=tmpfs: \
                 surefoot.var=tmpfs:size= surefoot.var=tmpfs:size=% surefoot.var=tmpfs:mode=1 surefoot.home=ro:x \
                 surefoot.mount=/srv surefoot.mount=/srv:ro surefoot.mount=srv:bind surefoot.mount=/:bind \
                 surefoot.mount=/srv/:bind surefoot.mount=/a/../b:bind surefoot.mount=//a:bind surefoot.mount=/etc:bind \
                 surefoot.mount=/usr:overlay surefoot.mount=/run/x:bind surefoot.mount=/proc:bind surefoot.state= \
                 surefoot.state=state surefoot.state=LABEL=a:ext4/x surefoot.state.missing=ro \
                 surefoot.on-failure=last-good surefoot.disk=vda";
    for cmdline in words.split(' ') {
        let error = Config::parse(Sources { cmdline, ..Sources::default() }).unwrap_err();
        assert!(matches!(error.cause, Cause::BadValue { .. }), "{error}");
        assert!(error.to_string().starts_with(&format!("{cmdline} in /proc/cmdline: ")), "{error}");
    }
}

#[test]
fn running_out_of_room_names_the_constant() {
    let table: [(usize, MakeWord, &str); 5] = [
        (MAX_OPTIONS, |n| format!("rootflags=o{n}"), "MAX_OPTIONS allows 16"),
        (MAX_OPTIONS, |n| format!("mount.usr=/dev/a mount.usrflags=o{n}"), "MAX_OPTIONS allows 16"),
        (MAX_DIRECTORIES, |n| format!("surefoot.mount=/d{n}:bind"), "MAX_DIRECTORIES allows 16"),
        (MAX_PRELOADED_MODULES, |n| format!("rd.driver.pre=m{n}"), "MAX_PRELOADED_MODULES allows 32"),
        (MAX_BLACKLISTED_MODULES, |n| format!("module_blacklist=m{n}"), "MAX_BLACKLISTED_MODULES allows 64"),
    ];
    for (limit, word, message) in table {
        parse(&words(limit, word));
        let error = refusal(&words(limit + 1, word));
        assert!(error.ends_with(&format!("too many of them; {message}")), "{error}");
    }
}

#[test]
fn each_source_is_named_in_its_errors() {
    let drop_ins = Sources { drop_ins: "surefoot.etc=x", ..Sources::default() };
    assert!(Config::parse(drop_ins).unwrap_err().to_string().starts_with("surefoot.etc=x in /etc/cmdline.d: "));
    let bootconfig = Sources { bootconfig: "surefoot.etc = \"ro\", \"x\"\n", ..Sources::default() };
    assert_eq!(
        Config::parse(bootconfig).unwrap_err().to_string(),
        "surefoot.etc=x in /proc/bootconfig: given twice, before as surefoot.etc=ro; once is allowed"
    );
}
