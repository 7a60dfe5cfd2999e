use std::format;
use std::string::{String as StdString, ToString};
use std::vec::Vec;

use proptest::prelude::*;

use super::*;

const PATTERN: &str = "/images/os.raw.v";

fn image(name: &str) -> Option<Image<'_>> {
    Pattern::parse(PATTERN).unwrap().image(name, "x86-64")
}

fn sorted<'n>(names: &[&'n str]) -> Vec<&'n str> {
    let mut images: Vec<_> = names.iter().filter_map(|name| image(name)).collect();
    images.sort_by(Image::compare);
    images.iter().map(|image| image.file_name).collect()
}

#[test]
fn paths_say_which_files_are_meant() {
    let parse = |path| Pattern::parse(path).map(|pattern| (pattern.folder, pattern.name, pattern.suffix));
    assert_eq!(parse("/a/os.raw.v/"), Some(("/a/os.raw.v", "os", ".raw")));
    assert_eq!(parse("os.v"), Some(("os.v", "os", ".raw")));
    assert_eq!(parse("/a/x.v/os___.img"), Some(("/a/x.v", "os", ".img")));
    assert_eq!(parse("x.v//a___b___"), Some(("x.v", "a___b", "")));
    for path in [
        "",
        "/",
        "/a/os.raw",
        ".v",
        ".raw.v",
        "/a.v/.raw.v",
        "/a/os___.raw",
        "/a.v/___.raw",
        "os___.raw",
        "/a.v/b/os___.raw",
    ] {
        assert_eq!(parse(path), None, "{path}");
    }
}

#[test]
fn the_parts_of_a_name_are_told_apart() {
    let parts = |name| {
        image(name).map(|image: Image<'_>| {
            (image.version, image.native, image.counters.map(|counters| (counters.left, counters.done)))
        })
    };
    assert_eq!(parts("os_7.5.13.raw"), Some(("7.5.13", false, None)));
    assert_eq!(parts("os_7.5_x86-64.raw"), Some(("7.5", true, None)));
    assert_eq!(parts("os_7.5+3.raw"), Some(("7.5", false, Some((3, 0)))));
    assert_eq!(parts("os_7.5_x86-64+02-01.raw"), Some(("7.5", true, Some((2, 1)))));
    // What is no counter belongs to the version, and what is no architecture is dropped, as systemd does.
    assert_eq!(parts("os_1+rc1.raw"), Some(("1+rc1", false, None)));
    assert_eq!(parts("os_1+2-.raw"), Some(("1+2-", false, None)));
    assert_eq!(parts("os_1+2-3-4.raw"), Some(("1+2-3-4", false, None)));
    assert_eq!(parts("os_1+99999999999.raw"), Some(("1+99999999999", false, None)));
    assert_eq!(parts("os_1+rc1+2.raw"), Some(("1+rc1", false, Some((2, 0)))));
    assert_eq!(parts("os_1.0_beta.raw"), Some(("1.0", false, None)));
    assert_eq!(parts("os_2~rc1.raw"), Some(("2~rc1", false, None)));
    for name in [
        "os_7.6_arm64.raw",
        "os_7.6_riscv64+3.raw",
        "os_7.6_x86.raw",
        "os_.raw",
        "os_+3.raw",
        "os__x86-64.raw",
        "os.raw",
        "os7.raw",
        "osx_1.raw",
        "os_1.img",
        "os_1.raw.tmp",
        "os_1 2.raw",
        "os_ä.raw",
        "xos_1.raw",
        "os_1/2.raw",
        "",
        "os_",
        "ä",
    ] {
        assert_eq!(parts(name), None, "{name}");
    }
    assert!(Pattern::parse(PATTERN).unwrap().image("os_1_arm64.raw", "arm64").unwrap().native);
    assert_eq!(image(&format!("os_{}.raw", "1".repeat(249))), None);
}

#[test]
fn the_best_image_is_first() {
    // The example of systemd.v(7).
    let manual = ["os_7.5.13.raw", "os_7.5.14_x86-64.raw", "os_7.6.0_arm64.raw", "os_7.7.0_x86-64+0-5.raw"];
    assert_eq!(sorted(&manual), ["os_7.5.14_x86-64.raw", "os_7.5.13.raw", "os_7.7.0_x86-64+0-5.raw"]);
    let expected = [
        "os_2+1.raw",
        "os_1_x86-64.raw",
        "os_1.raw",
        "os_1+3-0.raw",
        "os_1+2-1.raw",
        "os_1+2-2.raw",
        "os_1+02-2.raw",
        "os_0.raw",
        "os_3+0-1.raw",
        "os_3+0-2.raw",
        "os_1+0.raw",
    ];
    let mut shuffled = expected;
    shuffled.sort_unstable();
    assert_eq!(sorted(&shuffled), expected);
}

#[test]
fn a_try_moves_one_from_left_to_done() {
    let try_once = |name: &str| image(name).unwrap().after_try().unwrap().to_string();
    for (before, after) in [
        ("os_1+3.raw", "os_1+2-1.raw"),
        ("os_1+10-00.raw", "os_1+09-01.raw"),
        ("os_1_x86-64+003-9.raw", "os_1_x86-64+002-9.raw"),
        ("os_1+1-0.raw", "os_1+0-1.raw"),
        ("os_1+0-7.raw", "os_1+0-7.raw"),
        ("os_1+00.raw", "os_1+00.raw"),
        ("os_1.raw", "os_1.raw"),
        ("os_1+1-4294967295.raw", "os_1+0-4294967295.raw"),
    ] {
        assert_eq!(try_once(before), after);
    }
}

#[test]
fn verdicts_end_the_counting() {
    for (before, good, bad) in [
        ("os_1.raw", "os_1.raw", "os_1+0.raw"),
        ("os_1+3.raw", "os_1.raw", "os_1+0.raw"),
        ("os_1_x86-64+02-01.raw", "os_1_x86-64.raw", "os_1_x86-64+00-01.raw"),
    ] {
        let image = image(before).unwrap();
        assert_eq!(image.after_success().unwrap(), good);
        assert_eq!(image.after_failure().unwrap(), bad);
    }
}

#[test]
fn a_name_that_would_be_too_long_is_refused() {
    let name = format!("os_{}.raw", "1".repeat(248));
    let full = image(&name).unwrap();
    assert_eq!(full.after_success().unwrap(), name.as_str());
    assert_eq!(full.after_failure(), Err(NameTooLong));
    assert_eq!(NameTooLong.to_string(), "with counters its name would have more than 255 bytes (MAX_FILE_NAME)");
}

fn name() -> impl Strategy<Value = StdString> {
    "os_[01a.~]{1,3}(_(x86-64|arm64|y))?(\\+0?[0-2](-0?[0-2])?)?\\.raw"
}

proptest! {
    #[test]
    fn the_order_is_total(a in name(), b in name(), c in name()) {
        let images = [image(&a), image(&b), image(&c)];
        if let [Some(a), Some(b), Some(c)] = &images {
            prop_assert_eq!(a.compare(b), b.compare(a).reverse());
            prop_assert_eq!(a.compare(b).is_eq(), a == b);
            if a.compare(b).is_le() && b.compare(c).is_le() {
                prop_assert!(a.compare(c).is_le());
            }
        }
    }

    #[test]
    fn renaming_changes_nothing_but_the_counters(version in "[0-9a-z.]{1,5}", left in 1_u32..100, done in 0_u32..99) {
        let name = format!("os_{version}_x86-64+{left:03}-{done:02}.raw");
        let before = image(&name).unwrap();
        let tried_name = before.after_try().unwrap();
        let tried = image(&tried_name).unwrap();
        prop_assert_eq!((tried.version, tried.native), (before.version, before.native));
        prop_assert_eq!(tried.counters.map(|counters| (counters.left, counters.done)), Some((left - 1, done + 1)));
        prop_assert_eq!(tried_name.len(), name.len());
        let bad_name = tried.after_failure().unwrap();
        prop_assert!(image(&bad_name).unwrap().is_bad());
        prop_assert_eq!(tried.after_success(), before.after_success());
        let good_name = tried.after_success().unwrap();
        prop_assert_eq!(image(&good_name).unwrap().counters, None);
    }

    #[test]
    fn no_text_panics(path: StdString, text: StdString, near in "os_?[0-9_+äx.-]{0,12}(\\.raw)?") {
        let _ = Pattern::parse(&path);
        for text in [&text, &near] {
            if let Some(image) = image(text) {
                let names = [image.after_try(), image.after_success(), image.after_failure()];
                prop_assert!(names.iter().flatten().all(|name| name.starts_with("os_") && name.ends_with(".raw")));
            }
        }
    }
}
