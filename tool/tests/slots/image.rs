//! Images of disks with slots, written by gptman.

use std::io::Cursor;

use deployment::discoverable::PartitionType;
use deployment::gpt::Attributes;
use verity::Uuid;

/// Sectors of 512 bytes.
pub const SECTOR: u64 = 512;
/// The first sector that holds a partition: the first of a MiB.
const FIRST: u64 = 2048;

/// A partition to be made.
#[derive(Clone)]
pub struct Part {
    pub kind: PartitionType,
    pub label: String,
    pub uuid: Uuid,
    pub attributes: Attributes,
    /// Its size in bytes.
    pub size: u64,
}

/// A slot with this label, priority, tries, and whether it is good. Its PARTUUID is made of its label.
pub fn slot(label: &str, priority: u8, tries: u8, good: bool) -> Part {
    let attributes = Attributes::default().with_priority(priority).with_tries(tries).with_successful(good);
    Part {
        kind: PartitionType::Root,
        label: label.to_owned(),
        uuid: uuid_of(label),
        attributes: attributes.with_once_good(good),
        size: 64 * 1024,
    }
}

/// A hash partition with this label.
pub fn hash(label: &str) -> Part {
    Part { kind: PartitionType::RootVerity, ..slot(label, 0, 0, false) }
}

/// The root hash whose first half is the PARTUUID of the slot with this label.
pub fn root_hash_of(label: &str) -> String {
    let half = uuid_of(label).to_string().replace('-', "");
    format!("{half}{half}")
}

fn uuid_of(label: &str) -> Uuid {
    let mut bytes = [0xa5; 16];
    for (byte, letter) in bytes.iter_mut().zip(label.bytes()) {
        *byte = letter;
    }
    Uuid(bytes)
}

/// A disk with these partitions, each of which begins at a MiB.
pub fn disk(parts: &[Part]) -> Vec<u8> {
    let mib = |bytes: u64| bytes.div_ceil(1 << 20) << 20;
    let size: u64 = (2 << 20) + parts.iter().map(|part| mib(part.size)).sum::<u64>();
    let mut image = Cursor::new(vec![0; usize::try_from(size).unwrap()]);
    let mut table = gptman::GPT::new_from(&mut image, SECTOR, [7; 16]).unwrap();
    let mut next = FIRST;
    for (number, part) in (1..).zip(parts) {
        table[number] = gptman::GPTPartitionEntry {
            partition_type_guid: part.kind.uuid().to_mixed_endian(),
            unique_partition_guid: part.uuid.to_mixed_endian(),
            starting_lba: next,
            ending_lba: next + part.size / SECTOR - 1,
            attribute_bits: part.attributes.0,
            partition_name: part.label.as_str().into(),
        };
        next += mib(part.size) / SECTOR;
    }
    table.write_into(&mut image).unwrap();
    gptman::GPT::write_protective_mbr_into(&mut image, SECTOR).unwrap();
    image.into_inner()
}

/// What the table says of a partition, as gptman reads it.
pub fn entry(image: &[u8], number: u32) -> gptman::GPTPartitionEntry {
    gptman::GPT::read_from(&mut Cursor::new(image), SECTOR).unwrap()[number].clone()
}

/// `PRIORITY/TRIES/good` of a partition.
pub fn ledger(image: &[u8], number: u32) -> String {
    let attributes = Attributes(entry(image, number).attribute_bits);
    let good = match (attributes.successful(), attributes.once_good()) {
        (true, _) => "good",
        (false, true) => "once",
        (false, false) => "-",
    };
    format!("{}/{}/{good}", attributes.priority(), attributes.tries())
}
