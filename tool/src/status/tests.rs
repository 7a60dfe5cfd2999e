use std::cell::Cell;

use boot_config::{Config, Sources};
use deployment::candidates::{self, CandidateName, Keeper, Kind, Record, RootSource, TreeSource};
use deployment::facts::DeviceNumber;
use deployment::filesystem::{Filesystem, FilesystemLabel, FilesystemUuid};
use deployment::gpt::Attributes;
use deployment::ledger::Entry;
use deployment::table::PartitionTable;
use deployment::{BlockDevice, Candidate, Facts, FilesystemKind, Name};
use init::execute::{System, execute};
use init::json::Json;
use init::load::Loaded;
use init::plan::{Action, LoopFile, MAX_STEPS, Mount, Plan, VerityDevice, With, select};
use init::reason;
use init::report::{Booted, Report};
use init::text::{Path, Reason};
use insta::assert_snapshot;
use serde_json::Value;

use super::report::{BootReport, LoadedModule, Reading, TimedStep, parse};
use super::text::Summary;

const CMDLINE: &str = "roothash=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef \
     systemd.verity_root_data=/dev/vda systemd.verity_root_hash=/dev/vdb mount.usr=/dev/vdc surefoot.state=/dev/vdd \
     surefoot.verity=optional surefoot.etcc=ro surefoot.zzzzzzzzzzzz=1";
const SCHEMA_FILE: &str = "../docs/boot-json.schema.json";
const FIELDS_FILE: &str = "../docs/boot-json.md";

/// A kernel that does all that it is asked for.
struct Willing;

impl System for Willing {
    fn load_module(&mut self, _: &str) -> Result<(), Reason> {
        Ok(())
    }

    fn attach_loop(&mut self, _: &LoopFile) -> Result<(), Reason> {
        Ok(())
    }

    fn detach_loop(&mut self, _: &str) -> Result<(), Reason> {
        Ok(())
    }

    fn activate_verity(&mut self, _: &VerityDevice) -> Result<(), Reason> {
        Ok(())
    }

    fn deactivate_verity(&mut self, _: &str) -> Result<(), Reason> {
        Ok(())
    }

    fn mount(&mut self, _: &Mount<'_>) -> Result<(), Reason> {
        Ok(())
    }

    fn unmount(&mut self, _: &str) -> Result<(), Reason> {
        Ok(())
    }

    fn check_root(&mut self, _: Option<&str>) -> Result<Path, Reason> {
        Ok(init::path!("/sbin/init"))
    }

    fn remove(&mut self, _: &str) -> Result<(), Reason> {
        Ok(())
    }

    fn check_undone(&mut self) -> Result<(), Reason> {
        Ok(())
    }

    fn perform(&mut self, _: &Action<'_>) -> Result<(), Reason> {
        Ok(())
    }
}

fn machine() -> Facts {
    let disk = |name: &str, kind| BlockDevice {
        name: Name::try_from(name).unwrap(),
        number: DeviceNumber::default(),
        size: 1 << 20,
        sector_size: 512,
        read_only: false,
        disk: None,
        partition: None,
        table: PartitionTable::None,
        filesystem: Some(Filesystem { kind, uuid: FilesystemUuid::new(), label: FilesystemLabel::new() }),
        read_error: None,
    };
    let mut facts = Facts::new();
    for (name, kind) in [
        ("vda", FilesystemKind::Erofs),
        ("vdb", FilesystemKind::VerityHash),
        ("vdc", FilesystemKind::Squashfs),
        ("vdd", FilesystemKind::Ext4),
    ] {
        facts.insert(disk(name, kind)).unwrap();
    }
    facts
}

/// The report that PID 1's own code writes of a boot in which everything occurred that a report can hold.
pub(crate) fn written_by_pid1() -> String {
    let config = Config::parse(Sources { cmdline: CMDLINE, ..Sources::default() }).unwrap();
    let facts = machine();
    let mut selection = select(&config, &facts).unwrap();
    selection.candidates.push(ostree()).unwrap();
    let mut plan = Plan::new();
    let with = With { look: None, state: &selection.state, devices: &selection.devices, fallback: false };
    let candidate = &selection.candidates[0];
    plan.make(&config, candidate, &with).unwrap();
    let mut report = Report::default();
    report.reached("start");
    report.failed("newer", &reason!("cannot verify root: \"quoted\""));
    report.passed_over("snapshot-7", &reason!("it is no operating system"));
    report.degraded(reason!("changes are kept in memory"));
    report.insecure(reason!("/usr is not verified"));
    report.reached("root complete");
    let mut json = Json::new(String::new());
    let root = execute(&plan, &mut Willing).unwrap();
    report.chose(&config, &facts, candidate, &selection.candidates);
    let begun: Vec<u64> = (0..=MAX_STEPS).map(|step| 1000 * step as u64).collect();
    let module = Loaded { name: "dm-verity", began: 250, ended: 750 };
    let modules = [Some(module), None].map(Cell::new);
    let booted = Booted { root: &root, candidate, all: &selection.candidates, begun: &begun, modules: &modules };
    report.document(&mut json, &booted, &config.unknown).unwrap();
    json.finish()
}

/// A deployment in a filesystem.
fn ostree() -> Candidate {
    let attributes = Attributes::default().with_priority(2).with_tries(3);
    Candidate {
        name: CandidateName::try_from("debian-1.0").unwrap(),
        kind: Kind("ostree"),
        root: RootSource::Tree(TreeSource {
            sysroot: 0,
            device: Name::try_from("vdd").unwrap(),
            filesystem: Some(FilesystemKind::Ext4),
            directory: "".try_into().unwrap(),
            place: String::from("ostree/deploy/debian/deploy/1.0").as_str().try_into().unwrap(),
        }),
        record: Some(Record {
            keeper: Keeper::File(0),
            entry: Entry { number: 0, attributes },
            standing: candidates::Standing::Bootable,
            counted: true,
        }),
        ..Candidate::nothing()
    }
}

/// A report as a virtual machine has left it.
const CAPTURED: &str = include_str!("tests/boot.json");

fn whole(text: &str) -> BootReport {
    match parse(text).unwrap() {
        Reading::Whole(report) => report,
        Reading::Newer(_) => panic!("the schema is not newer"),
    }
}

fn shown(report: &BootReport, width: Option<usize>) -> String {
    anstream::adapter::strip_str(&Summary { report, width }.to_string()).to_string()
}

/// Every field that PID 1 writes is known here, and every field that is known here is one that PID 1 writes: nothing is
/// lost on the way through the types, nothing is added, and all of it is demanded but what may be absent.
#[test]
fn pid1_and_this_program_agree_on_every_field() {
    let text = written_by_pid1();
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_value(whole(&text)).unwrap(), value);
    let fields = value.as_object().unwrap();
    let optional = ["schema", "deployments", "fallback", "passed_over", "modules", "steps"];
    let required = fields.keys().filter(|field| !optional.contains(&field.as_str()));
    for field in required {
        let mut lacking = value.clone();
        lacking.as_object_mut().unwrap().remove(field);
        assert_eq!(parse(&lacking.to_string()).unwrap_err(), format!("missing field `{field}`"));
    }
    for list in [
        "failed",
        "mounts",
        "degraded",
        "insecure",
        "unknown_keys",
        "timeline",
        "deployments",
        "passed_over",
        "modules",
        "steps",
    ] {
        assert_ne!(fields[list], Value::Array(Vec::new()), "{list} is not tried");
    }
}

/// The schema file is made from the types; `UPDATE_SCHEMA=1` writes it.
#[test]
fn the_schema_file_describes_these_types() {
    let schema = schemars::schema_for!(BootReport);
    let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(SCHEMA_FILE, &text).unwrap();
    }
    let file = std::fs::read_to_string(SCHEMA_FILE).unwrap();
    assert!(file == text, "{SCHEMA_FILE} is not up to date: run this test with UPDATE_SCHEMA=1");
}

#[test]
fn every_field_is_documented() {
    let documentation = std::fs::read_to_string(FIELDS_FILE).unwrap();
    let check = |path: &str| assert!(documentation.contains(&format!("| `{path}` |")), "{FIELDS_FILE} lacks {path}");
    let value: Value = serde_json::from_str(&written_by_pid1()).unwrap();
    for (name, value) in value.as_object().unwrap() {
        check(name);
        let (fields, prefix) = match value {
            Value::Array(elements) => (elements[0].as_object(), format!("{name}[].")),
            value => (value.as_object(), format!("{name}.")),
        };
        fields.into_iter().flat_map(serde_json::Map::keys).for_each(|field| check(&format!("{prefix}{field}")));
    }
    for field in ["deployment.usr_hash", "deployment.digest", "deployment.device", "deployment.place"] {
        check(field);
    }
    for field in ["keeper", "priority", "tries_left", "successful", "once_good", "counted"] {
        check(&format!("deployment.ledger.{field}"));
    }
}

/// A step lasts until the next one begins.
#[test]
fn modules_and_steps_have_their_times() {
    let report = whole(&written_by_pid1());
    let module = LoadedModule { name: "dm-verity".to_owned(), microseconds: 250, took: 500 };
    assert_eq!(report.modules, [module]);
    assert_eq!(report.steps[0].step, "load module dm-verity");
    for (number, TimedStep { step, microseconds, took }) in (0..).zip(&report.steps) {
        assert_eq!((*microseconds, *took), (1000 * number, 1000), "{step}");
    }
}

#[test]
fn a_good_boot_is_shown() {
    assert_snapshot!(shown(&whole(CAPTURED), None));
}

#[test]
fn lines_of_mounts_end_at_the_terminals_edge() {
    let text = shown(&whole(CAPTURED), Some(60));
    let mounts: Vec<_> = text.lines().skip_while(|line| *line != "mounts").skip(1).take(5).collect();
    assert_eq!(mounts[2], "  /etc                 overlay                   overlay  r…");
    assert!(mounts.iter().all(|line| line.chars().count() <= 60), "{text}");
}

#[test]
fn what_is_wrong_with_a_boot_comes_first() {
    let mut report = whole(&written_by_pid1());
    report.kernel = "6.12".to_owned();
    report.timeline[0].microseconds = 1_999_999;
    report.timeline[1].microseconds = 2_000_999;
    assert_snapshot!(shown(&report, None));
}

#[test]
fn of_a_newer_schema_what_is_known_is_read() {
    let mut value: Value = serde_json::from_str(CAPTURED).unwrap();
    value["schema"] = 2.into();
    value["timeline"] = "replaced".into();
    value["agent"]["colour"] = "blue".into();
    let Reading::Newer(report) = parse(&value.to_string()).unwrap() else { panic!("it is newer") };
    let expected = BootReport { schema: 2, timeline: Vec::new(), ..whole(CAPTURED) };
    assert_eq!(report, expected);
}

#[test]
fn added_fields_do_not_matter() {
    let mut value: Value = serde_json::from_str(CAPTURED).unwrap();
    value["ledger"] = Value::Array(Vec::new());
    assert_eq!(whole(&value.to_string()), whole(CAPTURED));
}

#[test]
fn what_is_no_report_is_refused() {
    assert_eq!(parse("{").unwrap_err(), "it is not JSON: EOF while parsing an object at line 1 column 1");
    assert_eq!(parse("[]").unwrap_err(), "it has no number \"schema\"");
    assert_eq!(parse(r#"{"schema":0}"#).unwrap_err(), "there is no schema 0");
    assert_eq!(parse(r#"{"schema":"1"}"#).unwrap_err(), "it has no number \"schema\"");
}
