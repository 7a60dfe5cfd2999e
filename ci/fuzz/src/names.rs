//! Names of image files, and the versions in them.

use std::cmp::Ordering;

use deployment::vpick::{ARCHITECTURE, Image, MAX_FILE_NAME, Pattern, compare_versions, path_after_try};

use crate::input::texts;

/// A folder of versions and two names of files in it.
pub(crate) fn vpick(input: &[u8]) {
    let [path, name, other] = texts(input);
    let _ = path_after_try(path);
    let Some(pattern) = Pattern::parse(path) else { return };
    let Some(image) = pattern.image(name, ARCHITECTURE) else { return };
    assert!(name.contains(image.version) && name.len() <= MAX_FILE_NAME);
    let again = |name: &str| pattern.image(name, ARCHITECTURE).map(|image| (image.version.to_owned(), image.counters));
    let counts = |image: &Image<'_>| image.counters.map(|counters| (counters.left, counters.done));
    if let Ok(tried) = image.after_try() {
        let found = pattern.image(&tried, ARCHITECTURE).unwrap();
        assert_eq!(found.version, image.version);
        match counts(&image) {
            None | Some((0, _)) => assert_eq!(tried, name),
            Some((left, done)) => {
                let (now_left, now_done) = counts(&found).unwrap();
                assert!(now_left == left - 1 && (now_done == done.saturating_add(1) || now_done == done));
            }
        }
    }
    if let Ok(failed) = image.after_failure() {
        let found = pattern.image(&failed, ARCHITECTURE).unwrap();
        assert!(found.is_bad() && found.version == image.version);
    }
    if let Ok(good) = image.after_success()
        // What stands before the counters may look like counters itself.
        && name.matches('+').count() <= 1
    {
        assert_eq!(again(&good), Some((image.version.to_owned(), None)));
    }
    if let Ok(more) = image.with_tries(3)
        && image.counters.is_some()
    {
        let found = pattern.image(&more, ARCHITECTURE).unwrap();
        assert_eq!(counts(&found), counts(&image).map(|(_, done)| (3, done)));
    }
    if let Some(other) = pattern.image(other, ARCHITECTURE) {
        assert_eq!(image.compare(&other), other.compare(&image).reverse());
        assert!(image.compare(&other).is_ne() || image.file_name == other.file_name);
    }
}

/// Three versions: their order is one.
pub(crate) fn versions(input: &[u8]) {
    let [a, b, c] = texts(input);
    assert_eq!(compare_versions(a, a), Ordering::Equal);
    for (left, right) in [(a, b), (b, c), (a, c)] {
        assert_eq!(compare_versions(left, right), compare_versions(right, left).reverse());
    }
    if compare_versions(a, b).is_le() && compare_versions(b, c).is_le() {
        assert!(compare_versions(a, c).is_le());
    }
}
