//! Which texts lead to a deployment, and which are refused.

use std::format;
use std::string::{String, ToString};

use proptest::prelude::*;

use super::*;

const BOOT: &str = "4c6ab4d5a0b8e1b7b9ff4ad7b2e8c0f5d2a1c3e4f5061728394a5b6c7d8e9f00";
const CSUM: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

fn checksum(text: &str) -> Checksum {
    text.parse().unwrap()
}

#[test]
fn a_boot_link_is_read_as_ostree_writes_it() {
    let path = format!("/ostree/boot.1/fedora-coreos/{BOOT}/12");
    let link = BootLink::parse(&path).unwrap();
    let expected =
        BootLink { boot_version: 1, os: "fedora-coreos", boot_checksum: checksum(BOOT), serial: 12, path: &path };
    assert_eq!(link, expected);
    assert_eq!(link.sub_version("boot.1.0"), Ok(0));
    assert_eq!(link.resolved(0).to_string(), format!("ostree/boot.1.0/fedora-coreos/{BOOT}/12"));
}

#[test]
fn a_boot_link_leads_to_a_deployment_of_its_stateroot() {
    let path = format!("/ostree/boot.0/debian/{BOOT}/0");
    let link = BootLink::parse(&path).unwrap();
    let text = format!("../../../deploy/debian/deploy/{CSUM}.3");
    let deployment = link.deployment(&text).unwrap();
    assert_eq!(deployment, Deployment { os: "debian", checksum: checksum(CSUM), serial: 3 });
    assert_eq!(deployment.to_string(), format!("ostree/deploy/debian/deploy/{CSUM}.3"));
    assert_eq!(deployment.var().to_string(), "ostree/deploy/debian/var");

    let text = format!("../../../deploy/evil/deploy/{CSUM}.3");
    assert_eq!(link.deployment(&text).unwrap_err().why, Why::OtherOs);
}

#[test]
fn boot_links_that_ostree_does_not_write_are_refused() {
    let long = "o".repeat(MAX_OS_NAME + 1);
    for (path, why) in [
        (String::new(), Why::Shape),
        (format!("ostree/boot.1/os/{BOOT}/0"), Why::Shape),
        (format!("/ostree/boot.1/os/{BOOT}"), Why::Shape),
        (format!("/ostree/boot.1/os/{BOOT}/0/"), Why::Shape),
        (format!("/ostree/boot.1/os/{BOOT}/0/usr"), Why::Shape),
        (format!("/ostree/root.a/os/{BOOT}/0"), Why::Shape),
        (format!("/ostree/boot.2/os/{BOOT}/0"), Why::BootVersion),
        (format!("/ostree/boot.1.0/os/{BOOT}/0"), Why::BootVersion),
        (format!("/ostree/boot.01/os/{BOOT}/0"), Why::BootVersion),
        (format!("/ostree/boot.1//{BOOT}/0"), Why::EmptyName),
        (format!("/ostree/boot.1/./{BOOT}/0"), Why::DotName),
        (format!("/ostree/boot.1/../{BOOT}/0"), Why::DotName),
        (format!("/ostree/boot.1/{long}/{BOOT}/0"), Why::LongName),
        (format!("/ostree/boot.1/a b/{BOOT}/0"), Why::NameCharacter),
        (format!("/ostree/boot.1/a\nb/{BOOT}/0"), Why::NameCharacter),
        (format!("/ostree/boot.1/ä/{BOOT}/0"), Why::NameCharacter),
        (format!("/ostree/boot.1/a,b/{BOOT}/0"), Why::NameCharacter),
        ("/ostree/boot.1/os/../0".into(), Why::Checksum),
        (format!("/ostree/boot.1/os/{}/0", BOOT.to_uppercase()), Why::Checksum),
        (format!("/ostree/boot.1/os/{}/0", &BOOT[1..]), Why::Checksum),
        (format!("/ostree/boot.1/os/{BOOT}/"), Why::Serial),
        (format!("/ostree/boot.1/os/{BOOT}/.."), Why::Serial),
        (format!("/ostree/boot.1/os/{BOOT}/+1"), Why::Serial),
        (format!("/ostree/boot.1/os/{BOOT}/00"), Why::Serial),
        (format!("/ostree/boot.1/os/{BOOT}/2147483648"), Why::Serial),
        (format!("/ostree/boot.1/os/{BOOT}/99999999999999999999"), Why::Serial),
    ] {
        assert_eq!(BootLink::parse(&path).map_err(|error| error.why), Err(why), "{path}");
    }
}

#[test]
fn links_out_of_their_place_are_refused() {
    for (text, why) in [
        (String::new(), Why::Shape),
        (format!("/ostree/deploy/os/deploy/{CSUM}.0"), Why::Shape),
        (format!("../../deploy/os/deploy/{CSUM}.0"), Why::Shape),
        (format!("../../../../deploy/os/deploy/{CSUM}.0"), Why::Shape),
        (format!("../../../deploy/os/deploy/{CSUM}"), Why::Shape),
        (format!("../../../deploy/os/var/{CSUM}.0"), Why::Shape),
        ("../../../deploy/os".into(), Why::Shape),
        ("../../../deploy/os/deploy/../../../../etc".into(), Why::Checksum),
        (format!("../../../deploy/../deploy/{CSUM}.0"), Why::DotName),
        (format!("../../../deploy/os/deploy/{CSUM}.0/"), Why::Serial),
        (format!("../../../deploy/os/deploy/{CSUM}.0/../x"), Why::Serial),
        (format!("../../../deploy/os/deploy/{CSUM}.0.origin"), Why::Serial),
    ] {
        assert_eq!(Deployment::from_link(&text).map_err(|error| error.why), Err(why), "{text}");
    }
    let path = format!("/ostree/boot.1/os/{BOOT}/0");
    let link = BootLink::parse(&path).unwrap();
    for text in
        ["", "boot.1", "boot.0.1", "boot.1.2", "boot.1.", "boot.1.0/", "boot.1.0.0", "/ostree/boot.1.0", "../boot.1.0"]
    {
        assert_eq!(link.sub_version(text).map_err(|error| error.why), Err(Why::Shape), "{text}");
    }
}

#[test]
fn errors_say_what_is_wrong_on_one_line() {
    let error = BootLink::parse("/ostree/boot.1/a\nb").unwrap_err();
    assert_eq!(error.to_string(), r"ostree=/ostree/boot.1/a\nb: ostree writes /ostree/boot.[01]/OS/CHECKSUM/SERIAL");
    let error = Deployment::from_link("/etc").unwrap_err();
    let text = "the boot link leads to /etc: ostree writes ../../../deploy/OS/deploy/CHECKSUM.SERIAL";
    assert_eq!(error.to_string(), text);
    let path = "x".repeat(4096);
    assert!(BootLink::parse(&path).unwrap_err().to_string().len() < 300);
}

#[test]
fn the_longest_paths_are_as_long_as_they_are_said_to_be() {
    let os = "o".repeat(MAX_OS_NAME);
    let deployment = Deployment { os: &os, checksum: checksum(CSUM), serial: i32::MAX.unsigned_abs() };
    assert_eq!(deployment.to_string().len(), MAX_PATH);
    let path = format!("/ostree/boot.1/{os}/{BOOT}/{}", i32::MAX);
    assert!(BootLink::parse(&path).unwrap().resolved(0).to_string().len() <= MAX_PATH);
}

proptest! {
    #[test]
    fn what_is_read_is_written_the_same(version in 0..2_u8, os in "[a-z][a-z0-9._-]{0,20}", boot: [u8; 32], serial in 0..=0x7fff_ffff_u32) {
        let path = format!("/ostree/boot.{version}/{os}/{}/{serial}", Checksum(boot));
        let link = BootLink::parse(&path).unwrap();
        prop_assert_eq!((link.boot_version, link.os, link.boot_checksum.0, link.serial), (version, &*os, boot, serial));
        let text = format!("../../../deploy/{os}/deploy/{}.{serial}", Checksum(boot));
        let deployment = link.deployment(&text).unwrap();
        let written = deployment.to_string();
        prop_assert_eq!(written.replacen("ostree/", "../../../", 1), text);
    }

    #[test]
    fn no_text_panics(text in r"(/|\.|\.\./|ostree|boot\.1|deploy|[0-9a-f]{64}|.){0,24}") {
        let _ = Deployment::from_link(&text).map_err(|error| error.to_string());
        if let Ok(link) = BootLink::parse(&text) {
            let _ = link.sub_version(&text);
        }
    }
}
