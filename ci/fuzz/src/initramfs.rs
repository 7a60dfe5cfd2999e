//! The files in an initramfs.

// The tool is no library, and this is all of it that reads foreign bytes.
#[path = "../../../tool/src/explain/segments.rs"]
mod segments;

use segments::{Node, unpack};

/// A whole initramfs: archives one after the other, plain or compressed.
pub(crate) fn archives(input: &[u8]) {
    match unpack(input) {
        Ok((nodes, has_bootconfig)) => {
            assert_eq!(has_bootconfig, input.ends_with(b"#BOOTCONFIG\n"));
            for (path, node) in &nodes {
                assert!(!path.starts_with('/') && !path.ends_with('/'), "{path:?}");
                let size = match node {
                    Node::File(bytes) => bytes.len(),
                    Node::Link(text) => text.len(),
                    Node::Directory | Node::Other => 0,
                };
                assert!(u32::try_from(size).is_ok());
            }
            // Zeros between archives mean nothing.
            if !has_bootconfig {
                let (again, _) = unpack(&[&[0; 3], input].concat()).unwrap();
                assert_eq!(again, nodes);
            }
        }
        Err(why) => assert!(!why.is_empty()),
    }
}
