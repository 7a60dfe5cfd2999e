//! Files in which composefs and snapper describe what they have made.

use deployment::composefs::repository::{MAX_OBJECT_PATH, image_object, image_path, object_path};
use deployment::composefs::{Metadata, SetupRoot};
use deployment::snapper::Snapshot;
use verity::{Algorithm, Digest};

use crate::input::{text, texts};

/// The repository's `meta.json`, and the link of an image.
pub(crate) fn composefs_metadata(input: &[u8]) {
    let [metadata, link] = texts(input);
    match Metadata::parse(metadata) {
        Ok(found) => assert_ne!(found.algorithm, Algorithm::Sha1),
        Err(why) => assert!(!why.to_string().is_empty()),
    }
    for digest in [&[0xab; 32][..], &[0xcd; 64]] {
        let digest = Digest::from_bytes(digest).unwrap();
        assert!(image_path(&digest).len() <= MAX_OBJECT_PATH && object_path(&digest).len() <= MAX_OBJECT_PATH);
        match image_object(&digest, link) {
            Ok(path) => assert_eq!(format!("../{path}"), link),
            Err(why) => assert!(!why.to_string().is_empty()),
        }
    }
}

/// `setup-root-conf.toml`.
pub(crate) fn composefs_setup_root(input: &[u8]) {
    let text = text(input);
    match SetupRoot::parse(text) {
        // A comment at the end changes nothing.
        Ok(settings) => assert_eq!(SetupRoot::parse(&format!("{text}\n# end")), Ok(settings)),
        Err(why) => assert!(!why.to_string().is_empty()),
    }
}

/// snapper's `info.xml`.
pub(crate) fn snapper(input: &[u8]) {
    let text = text(input);
    for number in [1, 42] {
        match Snapshot::parse(text, number) {
            Ok(snapshot) => {
                assert_eq!((snapshot.number, snapshot.date.len()), (number, 19));
                for field in [snapshot.description, snapshot.cleanup] {
                    assert!(field.to_string().len() <= field.as_written().len());
                }
                assert!(!snapshot.is_important() || snapshot.userdata("important").is_some());
                assert!(Snapshot::parse(text, number + 1).is_err());
            }
            Err(why) => assert!(!why.to_string().is_empty()),
        }
    }
}
