use std::format;
use std::string::String;
use std::vec;
use std::vec::Vec;

use proptest::prelude::*;
use verity::{Algorithm, HashType, Parameters, Salt, Superblock, Uuid};

use super::*;
use crate::candidates::recipe::recorder::{self, Recorder, looking};
use crate::discoverable::X86_64;
use crate::filesystem::FilesystemKind;
use crate::ledger::file::LedgerFile;
use crate::tree::fixture::Fixture;

const HASH: &str = "0123456789abcdef0011223344556677fedcba98765432108899aabbccddeeff";
const OTHER_HASH: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
/// Bytes of [`filesystem`].
const SIZE: u64 = 8192;

fn accepting() -> String {
    format!("surefoot.deployment=auto surefoot.roothash={HASH}")
}

/// A squashfs, as far as it is looked at.
fn filesystem() -> Vec<u8> {
    let mut bytes = vec![0; 8192];
    bytes[..4].copy_from_slice(b"hsqs");
    (bytes[14], bytes[22], bytes[28]) = (2, 17, 4);
    // What is not needed of the last block.
    bytes[40..48].copy_from_slice(&(SIZE - 100).to_le_bytes());
    bytes
}

/// A hash tree's superblock, and something behind it.
fn hash_tree(data_blocks: u64) -> Vec<u8> {
    let parameters = Parameters {
        hash_type: HashType::Normal,
        algorithm: Algorithm::Sha256,
        data_block_size: 4096,
        hash_block_size: 4096,
        data_blocks,
        salt: Salt::from_bytes(&[]).unwrap(),
    };
    let mut bytes = Superblock::new(Uuid([1; 16]), &parameters).to_bytes().to_vec();
    bytes.resize(8192, 7);
    bytes
}

fn appended() -> Vec<u8> {
    [filesystem(), hash_tree(2)].concat()
}

/// A partition: type, PARTUUID (as the table has it), first and last sector.
type Row = ([u8; 16], Uuid, u64, u64);

/// A disk with these partitions, and a filesystem in the one at sector 64.
fn disk(sector_size: u64, rows: &[Row]) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(512 * sector_size).unwrap()];
    let at = usize::try_from(64 * sector_size).unwrap();
    bytes[at..at + 8192].copy_from_slice(&filesystem());
    let mut image = std::io::Cursor::new(bytes);
    let mut table = gptman::GPT::new_from(&mut image, sector_size, [7; 16]).unwrap();
    for (number, (meaning, uuid, first, last)) in (1..).zip(rows) {
        table[number] = gptman::GPTPartitionEntry {
            partition_type_guid: *meaning,
            unique_partition_guid: mixed_endian(*uuid),
            starting_lba: *first,
            ending_lba: *last,
            attribute_bits: 0,
            partition_name: "".into(),
        };
    }
    gptman::GPT::write_protective_mbr_into(&mut image, sector_size).unwrap();
    table.write_into(&mut image).unwrap();
    image.into_inner()
}

fn mixed_endian(Uuid(mut bytes): Uuid) -> [u8; 16] {
    bytes[..4].reverse();
    bytes[4..6].reverse();
    bytes[6..8].reverse();
    bytes
}

const ROOT: [u8; 16] = X86_64[0].0;
const ROOT_VERITY: [u8; 16] = X86_64[1].0;

fn rows(hash: &str) -> [Row; 3] {
    let hash: verity::RootHash = hash.parse().unwrap();
    let meaning = |bytes| mixed_endian(Uuid(bytes));
    [
        (meaning(X86_64[3].0), Uuid([3; 16]), 34, 40),
        (meaning(ROOT), hash.data_partition().unwrap(), 64, 95),
        (meaning(ROOT_VERITY), hash.hash_partition().unwrap(), 100, 131),
    ]
}

fn look<T>(cmdline: &str, tree: &Fixture, then: impl FnOnce(&Look<'_>) -> T) -> T {
    looking(cmdline, tree, &Fixture::default(), FilesystemKind::Ext4, then)
}

/// What is found, without what most candidates have in common.
fn found(cmdline: &str, tree: &Fixture) -> String {
    let found = look(cmdline, tree, |look| recorder::found(&IMAGE, look, &LedgerFile::default()));
    found.replace(": Verified, tries not counted, ledger of filesystem 0", "")
}

fn root(cmdline: &str, place: &str, tree: &Fixture) -> String {
    look(cmdline, tree, |look| Recorder::root(&IMAGE, place, look))
}

#[test]
fn a_filesystem_with_its_hash_tree_behind_it_is_verified() {
    let tree = Fixture::default().file("images/os_1.raw", appended()).file("images/os_1.roothash", format!("{HASH}\n"));
    assert_eq!(found(&accepting(), &tree), "os_1 at images/os_1.raw");
    let expected = format!(
        "image on ROOT: SYSROOT/images/os_1.raw[0+8192], hash tree SYSROOT/images/os_1.raw[8192+8192], root hash {HASH}, \
         Some(Squashfs)"
    );
    assert_eq!(root(&accepting(), "images/os_1.raw", &tree), expected);
}

#[test]
fn a_hash_tree_may_lie_beside_the_filesystem() {
    for (hash, hash_tree_file) in [("os.roothash", "os.verity"), ("os.raw.roothash", "os.raw.verity")] {
        let tree = Fixture::default()
            .file("images/os.raw", filesystem())
            .file(&format!("images/{hash}"), HASH.to_uppercase())
            .file(&format!("images/{hash_tree_file}"), hash_tree(2));
        assert_eq!(found(&accepting(), &tree), "os at images/os.raw");
        let expected = format!(
            "image on ROOT: SYSROOT/images/os.raw[0+8192], hash tree SYSROOT/images/{hash_tree_file}[0+8192], root hash \
             {HASH}, Some(Squashfs)"
        );
        assert_eq!(root(&accepting(), "images/os.raw", &tree), expected);
    }
}

#[test]
fn a_hash_tree_tells_its_own_root_hash() {
    let tree = hash_tree(2);
    let root_hash =
        verity::digest_block(Algorithm::Sha256, HashType::Normal, &Salt::from_bytes(&[]).unwrap(), &tree[4096..]);
    let accept = format!("surefoot.deployment=auto surefoot.roothash={}", verity::RootHash::from(root_hash));
    let beside = Fixture::default().file("images/os.raw", filesystem()).file("images/os.verity", &tree);
    for files in [Fixture::default().file("images/os.raw", appended()), beside] {
        assert_eq!(found(&accept, &files), "os at images/os.raw");
        assert!(
            root(&accept, "images/os.raw", &files).starts_with("image on ROOT: SYSROOT/images/os.raw[0+8192], hash")
        );
        let why = "os: no accepted root hash vouches for it";
        assert_eq!(found(&accepting(), &files), why);
        // What is told of it counts.
        assert_eq!(found(&accept, &files.file("images/os.roothash", OTHER_HASH)), why);
    }
    // One block of data is its own tree.
    let mut block = filesystem();
    block.truncate(4096);
    block[40..48].copy_from_slice(&4000_u64.to_le_bytes());
    let root_hash = verity::digest_block(Algorithm::Sha256, HashType::Normal, &Salt::from_bytes(&[]).unwrap(), &block);
    let accept = format!("surefoot.deployment=auto surefoot.roothash={}", verity::RootHash::from(root_hash));
    let files = Fixture::default().file("images/os.raw", [block, hash_tree(1)].concat());
    assert_eq!(found(&accept, &files), "os at images/os.raw");
}

#[test]
fn partitions_in_an_image_are_found_by_the_root_hash() {
    for sector_size in [512, 4096] {
        let both = [rows(OTHER_HASH)[1], rows(HASH)[0], rows(HASH)[2], rows(HASH)[1]];
        let shifted = (both[0].0, both[0].1, 200, 231);
        for rows in [&rows(HASH)[..], &[shifted, both[1], both[2], both[3]]] {
            let tree = Fixture::default().file("images/os.raw", disk(sector_size, rows));
            assert_eq!(found(&accepting(), &tree), "os at images/os.raw");
            let at = |sector: u64, sectors: u64| format!("[{}+{}]", sector * sector_size, sectors * sector_size);
            let expected = format!(
                "image on ROOT: SYSROOT/images/os.raw{}, hash tree SYSROOT/images/os.raw{}, root hash {HASH}, \
                 Some(Squashfs)",
                at(64, 32),
                at(100, 32)
            );
            assert_eq!(root(&accepting(), "images/os.raw", &tree), expected);
        }
    }
}

#[test]
fn what_no_accepted_hash_vouches_for_boots_only_where_that_is_allowed() {
    let (required, optional) = ("surefoot.deployment=auto", "surefoot.deployment=auto surefoot.verity=optional");
    let at = 64 * 512;
    for (content, part) in [
        (filesystem(), "[0+8192], Some(Squashfs)"),
        (appended(), "[0+16384], Some(Squashfs)"),
        (disk(512, &rows(OTHER_HASH)), &format!("[{at}+16384], Some(Squashfs)")),
    ] {
        let tree = Fixture::default().file("images/os.raw", content).file("images/os.roothash", OTHER_HASH);
        let why = "os: nothing verifies it: surefoot.verity=optional boots it insecurely";
        assert_eq!(found(required, &tree), why);
        let why = "os: no accepted root hash vouches for it";
        assert_eq!(found(&accepting(), &tree), why);
        assert_eq!(found(&format!("surefoot.verity=optional {}", accepting()), &tree), why);
        assert_eq!(
            root(&accepting(), "images/os.raw", &tree),
            "refused: no accepted root hash vouches for the image images/os.raw"
        );
        let insecure = "os at images/os.raw: Insecure(Root), tries not counted, ledger of filesystem 0";
        assert_eq!(found(optional, &tree), insecure);
        let expected = format!("plain image on ROOT: SYSROOT/images/os.raw{part}");
        assert_eq!(root(optional, "images/os.raw", &tree), expected);
    }
}

#[test]
fn an_image_that_is_none_is_passed_over_and_told() {
    let with_hash = |name: &str, content: Vec<u8>| {
        Fixture::default().file(&format!("images/{name}"), content).file("images/a.roothash", HASH)
    };
    let no_tree = "its root hash is accepted, but there is no hash tree: neither a .verity file beside it nor one right \
                   behind the filesystem";
    let unknown = "it holds neither a partition table nor a filesystem that is known";
    let short = "it, or the hash tree beside it, is too short to hold anything";
    let mut damaged = disk(512, &rows(HASH));
    for header in [512, 512 * 511] {
        damaged[header + 40] ^= 1;
    }
    let mut elsewhere = rows(HASH);
    elsewhere[1].0 = mixed_endian(Uuid(X86_64[2].0));
    let mut two_blocks = appended();
    two_blocks[8192 + 72] = 1;
    for (content, why) in [
        (vec![], short),
        (vec![1; 511], short),
        (vec![1; 9000], unknown),
        (hash_tree(2), unknown),
        (filesystem(), no_tree),
        (two_blocks, no_tree),
        (appended()[..8500].to_vec(), no_tree),
        (damaged, "the GUID partition table is damaged: the primary header does not match its checksum; the backup"),
        (disk(512, &elsewhere), "its partition table names no root partition for this architecture"),
        (
            disk(512, &rows(HASH)[..2]),
            "its root partition has an accepted root hash, but the hash partition is missing",
        ),
    ] {
        let said = found(&accepting(), &with_hash("a.raw", content));
        assert!(said.starts_with(&format!("a: {why}")), "{said}");
    }
    let beside = with_hash("a.raw", filesystem());
    let link = "a: cannot read the .verity file beside it: a symbolic link is in the way, and none is followed here";
    assert_eq!(found(&accepting(), &beside.clone().link("images/a.verity", "b")), link);
    assert_eq!(found(&accepting(), &beside.clone().file("images/a.verity", "x")), format!("a: {short}"));
    let digits = "a: the .roothash file beside it: root hash has 2 hexadecimal digits; allowed are 40 (sha1), 64 (sha256) \
                  or 128 (sha512)";
    assert_eq!(found(&accepting(), &beside.clone().file("images/a.roothash", "ab")), digits);
    let long = "a: cannot read the .roothash file beside it: it is longer than 130 bytes";
    assert_eq!(found(&accepting(), &beside.file("images/a.roothash", [b'a'; 131])), long);
    let odd = Fixture::default()
        .link("images/l.raw", "a")
        .directory("images/d.raw")
        .other("images/p.raw")
        .directory("images/n.v");
    let expected = "p: it is no regular file\n\
                    l: a symbolic link is in the way, and none is followed here\n\
                    d: it is no regular file";
    assert_eq!(found(&accepting(), &odd), expected);
}

/// With image files that an accepted root hash vouches for.
fn images(names: &[&str]) -> Fixture {
    names.iter().fold(Fixture::default(), |tree, name| {
        let path = format!("images/{name}");
        let beside = sidecar(&path, false, ".roothash").unwrap();
        tree.file(&path, appended()).file(&beside, HASH)
    })
}

#[test]
fn newer_versions_come_first_and_counters_count() {
    let tree = images(&[
        "os.v/os_1.raw",
        "os.v/os_2+0-3.raw",
        "os.v/os_3+2-1.raw",
        "os.v/os_10+3_x86-64.raw",
        "os.v/os_11+200.raw",
        "os.v/os_12_arm64.raw",
        "os.v/other_13.raw",
        "os.v/os_14.txt",
    ]);
    let counted = ", file name in filesystem 0";
    let expected = format!(
        "os_11 at images/os.v/os_11+200.raw: Verified, priority 1, 15 tries left{counted}\n\
         os_10+3_x86-64 at images/os.v/os_10+3_x86-64.raw: Verified, priority 1, good{counted}\n\
         os_1 at images/os.v/os_1.raw: Verified, priority 1, good{counted}\n\
         os_3 at images/os.v/os_3+2-1.raw: Verified, priority 1, 2 tries left{counted}\n\
         os_2: its tries are spent"
    );
    let said = found(&accepting(), &tree);
    assert_eq!(said, expected);
}

#[test]
fn all_that_lies_in_the_folder_is_found() {
    let tree =
        images(&["a.raw", "b_1.raw", "b_2.raw", "b_10.raw", "c.raw.v/c_1.raw", "c.raw.v/c_2.raw", "readme", "x.v"]);
    let expected = "c_2 at images/c.raw.v/c_2.raw\n\
                    c_1 at images/c.raw.v/c_1.raw\n\
                    b_10 at images/b_10.raw\n\
                    b_2 at images/b_2.raw\n\
                    b_1 at images/b_1.raw\n\
                    a at images/a.raw";
    assert_eq!(found(&accepting(), &tree), expected);
    assert_eq!(found(&accepting(), &Fixture::default().file("images", "")), "");
    assert_eq!(found("ostree=/ostree/boot.1/a/b/0 root=/dev/vda1 surefoot.verity=off", &tree), "");
    let many: Vec<String> = (0..40).map(|number| format!("a_{number}.raw")).collect();
    let many = found(&accepting(), &images(&many.iter().map(String::as_str).collect::<Vec<_>>()));
    assert_eq!((many.lines().count(), many.lines().next()), (MAX_IMAGES, Some("a_39 at images/a_39.raw")));
}

#[test]
fn one_can_be_pinned() {
    let tree = images(&["a.raw", "os.v/os_1+3.raw", "os.v/os_2+0.raw"]);
    let accept = format!("surefoot.roothash={HASH} surefoot.deployment=image");
    for path in ["images/a.raw", "/images/a.raw"] {
        let expected = "a at images/a.raw: Verified, tries not counted, ledger of filesystem 0, named";
        let found =
            look(&format!("{accept}:{path}"), &tree, |look| recorder::found(&IMAGE, look, &LedgerFile::default()));
        assert_eq!(found, expected);
    }
    // Of a folder that is pinned, the versions are ranked as ever.
    for path in ["images/os.v", "images/os.v/", "images/os.v/os___.raw"] {
        let expected = "os_1 at images/os.v/os_1+3.raw: Verified, priority 1, 3 tries left, file name in filesystem 0\n\
                        os_2: its tries are spent";
        assert_eq!(found(&format!("{accept}:{path}"), &tree), expected, "{path}");
    }
    // What is not there is refused when it is tried, if it cannot be anywhere else.
    for path in ["images/x.raw", "images/x.v"] {
        let cmdline = format!("{accept}:{path}");
        let name = path.strip_prefix("images/").unwrap().trim_end_matches(".raw");
        assert_eq!(found(&cmdline, &tree), format!("{name}: there is nothing by that name"));
        let cmdline = format!("{cmdline} root=/dev/vda2");
        assert!(found(&cmdline, &tree).starts_with(&format!("{name} at {path}")), "{}", found(&cmdline, &tree));
        let refused = format!("refused: cannot boot the image {path}: there is nothing by that name");
        assert_eq!(root(&cmdline, path, &tree), refused);
    }
}

#[test]
fn an_image_is_found_under_the_name_that_its_try_gave_it() {
    let tree = images(&["os.v/os_1+2-1.raw"]);
    let written_down = root(&accepting(), "images/os.v/os_1+3-0.raw", &tree);
    assert!(written_down.starts_with("image on ROOT: SYSROOT/images/os.v/os_1+2-1.raw[0+8192]"), "{written_down}");
    // The rehearsal renames nothing.
    let both = images(&["os.v/os_1+2-1.raw", "os.v/os_1+3-0.raw"]);
    assert!(root(&accepting(), "images/os.v/os_1+3-0.raw", &both).contains("/os_1+3-0.raw[0+8192]"));
    assert!(root(&accepting(), "images/os.v/os_1+0.raw", &tree).starts_with("refused"));
}

#[test]
fn what_belongs_to_an_image_is_named_without_its_counters() {
    for (path, expected) in [
        ("a.raw", "a.verity"),
        ("images/a", "images/a.verity"),
        ("images/a+3.raw", "images/a+3.verity"),
        ("images/a.v/a_1+3-0.raw", "images/a.v/a_1.verity"),
        ("images/a.v/a_1_x86-64+3-0.raw", "images/a.v/a_1_x86-64.verity"),
        ("images/a.v/b_1+3-0.raw", "images/a.v/b_1+3-0.verity"),
    ] {
        assert_eq!(sidecar(path, false, ".verity").as_deref(), Some(expected), "{path}");
        let with_raw = expected.replace(".verity", ".raw.verity");
        assert_eq!(sidecar(path, true, ".verity").as_deref(), Some(with_raw.as_str()), "{path}");
    }
    let long = "x".repeat(254);
    assert_eq!(sidecar(&long, true, ".verity"), None);
}

proptest! {
    #[test]
    fn no_bytes_or_names_make_it_panic(
        names in proptest::collection::vec("[a-c_.+v0-9/-]{1,12}(\\.raw|\\.v/[a-c]_[0-9+-]{1,5}\\.raw)?", 0..6),
        head in 0..4usize,
        edits in proptest::collection::vec((0..40_000usize, any::<u8>()), 0..12),
    ) {
        let mut content = [filesystem(), appended(), disk(512, &rows(HASH)), vec![]][head].clone();
        let length = content.len();
        for (place, byte) in edits {
            if let Some(there) = content.get_mut(place % length.max(1)) {
                *there = byte;
            }
        }
        let tree = names.iter().fold(Fixture::default().directory("images"), |tree, name| {
            tree.file(&format!("images/{}", name.trim_matches('/')), &content)
        });
        let optional = format!("surefoot.verity=optional {}", accepting());
        found(&accepting(), &tree);
        found(&optional, &tree);
        for name in &names {
            root(&optional, &format!("images/{name}"), &tree);
        }
    }

    #[test]
    fn parts_never_reach_out_of_the_file(edits in proptest::collection::vec((446..17_920usize, any::<u8>()), 1..4)) {
        let mut content = disk(512, &rows(HASH));
        let size = content.len() as u64;
        for (place, byte) in edits {
            content[place] = byte;
        }
        let tree = Fixture::default().file("a.raw", &content);
        let content = look(&accepting(), &tree, |look| content::content(&tree, "a.raw", look.config));
        if let Ok(Content { data, verity, .. }) = content {
            for range in [Some(data), verity.map(|verity| verity.range)].into_iter().flatten() {
                prop_assert!(range.offset + range.size <= size && range.size > 0);
            }
        }
    }
}
