use boot_config::{DeviceSpec, Sources};
use std::string::{String, ToString};
use std::vec::Vec as StdVec;

use super::*;
use crate::layers::needs_state;

const DATA: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV);

fn config(cmdline: &str) -> Config<'_> {
    Config::parse(Sources { cmdline, ..Sources::default() }).map_err(|error| error.to_string()).unwrap()
}

fn made(cmdline: &str) -> StdVec<Layer<'_>> {
    layers(&config(cmdline), "abc", &[]).unwrap().into_iter().collect()
}

fn target(path: &str) -> Target {
    Target::new(path).unwrap()
}

fn state(path: &str) -> StatePath {
    StatePath::new(format_args!("{path}")).unwrap()
}

fn etc() -> Layer<'static> {
    Layer { target: target("/etc"), kind: LayerKind::Overlay(Upper::State(state("etc"))), flags: DATA }
}

fn var() -> Layer<'static> {
    Layer {
        target: target("/var"),
        kind: LayerKind::Bind { source: state("var"), copy_from_root: true },
        flags: MountFlags::NONE,
    }
}

fn home() -> Layer<'static> {
    Layer {
        target: target("/home"),
        kind: LayerKind::Bind { source: state("home"), copy_from_root: false },
        flags: DATA,
    }
}

#[test]
fn by_default_etc_is_an_overlay_and_var_and_home_are_binds() {
    assert_eq!(made(""), [etc(), var(), home()]);
    assert_eq!(root_layer(&config("")), RootLayer::Plain);
}

#[test]
fn every_policy_of_etc() {
    let overlay = |upper| Layer { target: target("/etc"), kind: LayerKind::Overlay(upper), flags: DATA };
    let table = [
        ("overlay", etc()),
        ("overlay:per-deployment", overlay(Upper::State(state("deployments/abc/etc")))),
        ("tmpfs", overlay(Upper::Memory)),
        (
            "bind",
            Layer {
                target: target("/etc"),
                kind: LayerKind::Bind { source: state("binds/etc"), copy_from_root: true },
                flags: DATA,
            },
        ),
    ];
    for (value, layer) in table {
        let cmdline = std::format!("surefoot.etc={value}");
        assert_eq!(made(&cmdline), [layer, var(), home()], "{value}");
    }
    assert_eq!(made("surefoot.etc=ro"), [var(), home()]);
}

#[test]
fn every_policy_of_var() {
    let tmpfs =
        |size| Layer { target: target("/var"), kind: LayerKind::Tmpfs { size, mode: 0o755 }, flags: MountFlags::NONE };
    let device = DeviceSpec::PartLabel("var");
    let table = [
        ("surefoot.var=bind", var()),
        ("surefoot.var=tmpfs", tmpfs(None)),
        ("surefoot.var=tmpfs:size=1g", tmpfs(Some("1g"))),
        (
            "surefoot.var=mount:PARTLABEL=var",
            Layer { target: target("/var"), kind: LayerKind::Device(device), flags: MountFlags::NONE },
        ),
    ];
    for (cmdline, layer) in table {
        assert_eq!(made(cmdline), [etc(), layer, home()], "{cmdline}");
    }
    assert_eq!(made("surefoot.var=ro"), [etc(), home()]);
}

#[test]
fn every_policy_of_home() {
    let tmpfs = |size| Layer { target: target("/home"), kind: LayerKind::Tmpfs { size, mode: 0o755 }, flags: DATA };
    let table = [
        ("surefoot.home=bind", home()),
        ("surefoot.home=tmpfs", tmpfs(None)),
        ("surefoot.home=tmpfs:size=50%", tmpfs(Some("50%"))),
        (
            "surefoot.home=overlay",
            Layer {
                target: target("/home"),
                kind: LayerKind::Overlay(Upper::State(state("overlays/home"))),
                flags: DATA,
            },
        ),
        (
            "surefoot.home=mount:UUID=ab",
            Layer { target: target("/home"), kind: LayerKind::Device(DeviceSpec::Uuid("ab")), flags: DATA },
        ),
    ];
    for (cmdline, layer) in table {
        assert_eq!(made(cmdline), [etc(), var(), layer], "{cmdline}");
    }
    assert_eq!(made("surefoot.home=ro"), [etc(), var()]);
}

#[test]
fn other_directories_come_after_those_above_them() {
    let cmdline = "surefoot.mount=/var/lib/x:tmpfs surefoot.mount=/usr/local:overlay surefoot.mount=/srv:bind \
                   surefoot.mount=/var/tmp:tmpfs:size=5m surefoot.mount=/root:tmpfs";
    let other = [
        Layer {
            target: target("/srv"),
            kind: LayerKind::Bind { source: state("binds/srv"), copy_from_root: true },
            flags: DATA,
        },
        Layer { target: target("/root"), kind: LayerKind::Tmpfs { size: None, mode: 0o700 }, flags: MountFlags::NONE },
        Layer {
            target: target("/usr/local"),
            kind: LayerKind::Overlay(Upper::State(state("overlays/usr-local"))),
            flags: MountFlags::NONE,
        },
        Layer { target: target("/var/tmp"), kind: LayerKind::Tmpfs { size: Some("5m"), mode: 0o1777 }, flags: DATA },
        Layer {
            target: target("/var/lib/x"),
            kind: LayerKind::Tmpfs { size: None, mode: 0o755 },
            flags: MountFlags::NONE,
        },
    ];
    assert_eq!(made(cmdline), [etc(), var(), home()].into_iter().chain(other).collect::<StdVec<_>>());
}

#[test]
fn data_directories_are_told_by_whole_names() {
    for path in ["/etc", "/etc/x", "/home/a", "/srv", "/tmp", "/var/tmp"] {
        assert_eq!(flags(path), DATA, "{path}");
    }
    for path in ["/var", "/var/lib", "/srvx", "/opt", "/usr/local", "/root", "/opt/etc"] {
        assert_eq!(flags(path), MountFlags::NONE, "{path}");
    }
}

#[test]
fn a_volatile_state_has_var_in_memory() {
    let tmpfs =
        |size| Layer { target: target("/var"), kind: LayerKind::Tmpfs { size, mode: 0o755 }, flags: MountFlags::NONE };
    assert_eq!(made("systemd.volatile=state"), [etc(), tmpfs(None), home()]);
    assert_eq!(made("systemd.volatile=state surefoot.var=tmpfs:size=1g"), [etc(), tmpfs(Some("1g")), home()]);
    assert_eq!(root_layer(&config("systemd.volatile=state")), RootLayer::Plain);
}

#[test]
fn a_root_in_memory_has_only_the_layers_that_are_asked_for() {
    for (value, layer) in [("overlay", RootLayer::TmpfsOverlay), ("yes", RootLayer::TmpfsWithUsr)] {
        let cmdline = std::format!("systemd.volatile={value}");
        assert_eq!(root_layer(&config(&cmdline)), layer);
        assert_eq!(made(&cmdline), []);
        let cmdline = cmdline + " surefoot.home=bind surefoot.mount=/srv:tmpfs";
        let srv = Layer { target: target("/srv"), kind: LayerKind::Tmpfs { size: None, mode: 0o755 }, flags: DATA };
        assert_eq!(made(&cmdline), [home(), srv]);
    }
}

#[test]
fn what_volatile_rules_out_is_refused() {
    let table = [
        (
            "systemd.volatile=state surefoot.var=bind",
            "surefoot.var=bind: contradicts systemd.volatile=state, which has /var in memory; allowed with it: \
             surefoot.var=tmpfs[:size=SIZE]",
        ),
        (
            "systemd.volatile=overlay surefoot.var=ro",
            "surefoot.var=ro: contradicts systemd.volatile=overlay, which makes the whole root writable in memory; leave \
             out one of the two",
        ),
        (
            "systemd.volatile=yes surefoot.etc=ro",
            "surefoot.etc=ro: contradicts systemd.volatile=yes, which makes the whole root writable in memory; leave out \
             one of the two",
        ),
        (
            "systemd.volatile=yes surefoot.home=ro",
            "surefoot.home=ro: contradicts systemd.volatile=yes, which makes the whole root writable in memory; leave \
             out one of the two",
        ),
    ];
    for (cmdline, message) in table {
        assert_eq!(layers(&config(cmdline), "abc", &[]).unwrap_err().to_string(), message);
    }
}

#[test]
fn paths_that_do_not_fit_are_named() {
    let path = String::from("/") + &"-".repeat(80);
    let cmdline = std::format!("surefoot.mount={path}:bind");
    assert_eq!(
        layers(&config(&cmdline), "abc", &[]).unwrap_err().to_string(),
        std::format!(
            "{path}: its path or the one for it on the state device is too long; PATH_CAPACITY allows 255 bytes"
        )
    );
    let name = "n".repeat(250);
    let per_deployment = config("surefoot.etc=overlay:per-deployment");
    assert_eq!(layers(&per_deployment, &name, &[]), Err(LayerError::PathTooLong { path: "/etc" }));
}

#[test]
fn a_deployment_name_stays_one_directory() {
    let config = config("surefoot.etc=overlay:per-deployment surefoot.var=ro surefoot.home=ro");
    let layers = layers(&config, "../../x", &[]).unwrap();
    let upper = Upper::State(state(r"deployments/\x2e.-..-x/etc"));
    assert_eq!(layers, [Layer { target: target("/etc"), kind: LayerKind::Overlay(upper), flags: DATA }]);
    assert_eq!(super::layers(&config, "", &[]), Err(LayerError::NoDeploymentName));
}

#[test]
fn the_state_device_is_needed_by_binds_and_persistent_overlays() {
    let table = [
        ("", true),
        ("surefoot.etc=ro surefoot.var=ro surefoot.home=ro", false),
        ("surefoot.etc=tmpfs surefoot.var=tmpfs surefoot.home=mount:UUID=ab", false),
        ("surefoot.etc=tmpfs surefoot.var=tmpfs surefoot.home=overlay", true),
        ("surefoot.etc=overlay surefoot.var=ro surefoot.home=ro", true),
        ("systemd.volatile=yes", false),
        ("systemd.volatile=yes surefoot.mount=/srv:bind", true),
    ];
    for (cmdline, needed) in table {
        assert_eq!(needs_state(&made(cmdline)), needed, "{cmdline}");
    }
}

#[test]
fn all_layers_that_a_command_line_can_ask_for_have_room() {
    let cmdline: StdVec<_> = (0..16).map(|n| std::format!("surefoot.mount=/d{n}:bind")).collect();
    assert_eq!(made(&cmdline.join(" ")).len(), MAX_LAYERS);
}

#[test]
fn what_a_deployment_brings_itself_has_a_layer_only_if_its_key_is_given() {
    let targets = |cmdline: &str| -> StdVec<String> {
        let layers = layers(&config(cmdline), "abc", &["/etc", "/var", "/home"]).unwrap();
        layers.iter().map(|layer| layer.target.to_string()).collect()
    };
    assert_eq!(targets(""), [""; 0]);
    assert_eq!(targets("surefoot.etc=tmpfs surefoot.mount=/srv:tmpfs"), ["/etc", "/srv"]);
    assert_eq!(targets("systemd.volatile=state"), ["/var"]);
}
