//! The report of a boot, `/run/surefoot/boot.json`, as PID 1 writes it. What each field means is in `docs/boot-json.md`.

use deployment::gpt::Attributes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The newest version of the schema that this program knows.
pub(crate) const SCHEMA: u64 = init::report::SCHEMA;

/// How a machine came up.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(title = "/run/surefoot/boot.json"))]
pub(crate) struct BootReport {
    /// Version of this schema. It is raised when a field changes its meaning or goes away, not when one is added.
    pub(crate) schema: u64,
    /// The program that booted the machine.
    pub(crate) agent: Agent,
    /// Release of the running kernel, as `uname -r` prints it.
    pub(crate) kernel: String,
    /// What was booted.
    pub(crate) deployment: Deployment,
    /// The slots of the boot disk; absent where the command line does not choose from slots.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) slots: Vec<ReportedSlot>,
    /// All deployments that were found, in the order in which they would be tried, with those that the boot ledger bars at
    /// the end; at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) deployments: Vec<ReportedDeployment>,
    /// Why something else runs than what was meant; absent where it is what was meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) fallback: Option<Fallback>,
    /// The program that was started as the real init: its path in the new root, links not followed.
    pub(crate) init: String,
    /// The candidates that were tried before and failed, in the order in which they were tried.
    pub(crate) failed: Vec<Failure>,
    /// What was found in filesystems and does not boot; absent where there was nothing like it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) passed_over: Vec<Failure>,
    /// The mounts that were made, in the order in which they were made.
    pub(crate) mounts: Vec<Mount>,
    /// Why the machine runs with less than was asked for; empty when it does not. One sentence each.
    pub(crate) degraded: Vec<String>,
    /// What runs although nothing vouches for it; empty when all is verified. One sentence each.
    pub(crate) insecure: Vec<String>,
    /// Keys of the command line that begin with `surefoot.` and are unknown to this version; they had no effect.
    pub(crate) unknown_keys: Vec<UnknownKey>,
    /// The milestones of the boot, in their order.
    pub(crate) timeline: Vec<Milestone>,
    /// The kernel modules that were loaded, in their order; at most 96. Absent in reports of versions that did not measure.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) modules: Vec<LoadedModule>,
    /// The steps that set up what was booted, in their order. Absent in reports of versions that did not measure.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) steps: Vec<TimedStep>,
}

/// The program that booted the machine.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Agent {
    /// Always `surefoot`.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: String,
    /// The most memory that it had resident, in KiB (`VmHWM` of proc_pid_status(5) or, if that is more, `Rss` of `smaps_rollup`); 0 where the kernel does not tell.
    pub(crate) memory_peak_kib: u64,
}

/// What was booted.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Deployment {
    /// What it is called, one word. `/run/surefoot/deployment` holds the same name alone.
    pub(crate) name: String,
    /// How it was found. `configured`: the command line names it outright (`roothash=`, `root=`, `usrhash=`). `slot`:
    /// it is the best slot of the boot disk. Anything else is a kind of deployment that lies in a filesystem: `ostree`,
    /// `composefs`, `btrfs`, `image`.
    pub(crate) kind: String,
    /// `verified`: a root hash vouches for every byte of it. `insecure`: it does not, and `insecure` above says of what.
    pub(crate) trust: String,
    /// The root hash of `/`, in hexadecimal digits; absent where dm-verity does not protect it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) root_hash: Option<String>,
    /// The root hash of a `/usr` of its own, in hexadecimal digits; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) usr_hash: Option<String>,
    /// The fs-verity digest of its composefs image, in hexadecimal digits; absent where none vouches for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) digest: Option<String>,
    /// Kernel name of the block device that holds it, such as `vda2`; absent where it is in memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) device: Option<String>,
    /// Where it lies in the filesystem there, as its kind says it: a path, or a digest; absent where it is the filesystem.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) place: Option<String>,
    /// Its slot; absent where it is in none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) slot: Option<DeploymentSlot>,
    /// What the boot ledger says of it, this boot counted; absent where it keeps none about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ledger: Option<ReportedLedger>,
}

/// What the boot ledger says of a deployment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Standing {
    /// 0 never boots, 15 comes first.
    pub(crate) priority: u8,
    /// How often it may still be tried while it is not good.
    pub(crate) tries_left: u8,
    /// Whether it has booted well.
    pub(crate) successful: bool,
    /// Whether what it holds has booted well once, whatever became of it later.
    pub(crate) once_good: bool,
}

impl From<Attributes> for Standing {
    fn from(attributes: Attributes) -> Self {
        Self {
            priority: attributes.priority(),
            tries_left: attributes.tries(),
            successful: attributes.successful(),
            once_good: attributes.once_good(),
        }
    }
}

impl From<Standing> for Attributes {
    fn from(standing: Standing) -> Self {
        let attributes = Self::default().with_priority(standing.priority).with_tries(standing.tries_left);
        attributes.with_successful(standing.successful).with_once_good(standing.once_good)
    }
}

/// What the boot ledger says of a deployment, and what keeps that ledger.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct ReportedLedger {
    /// `table`: the partition table of its disk. `file`: a file in its filesystem. `name`: the name of its own file there.
    pub(crate) keeper: String,
    #[serde(flatten)]
    pub(crate) standing: Standing,
    /// Whether tries are counted: not before any deployment was marked good, and not for what the command line names.
    pub(crate) counted: bool,
}

/// A deployment that was found.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct ReportedDeployment {
    /// What it is called.
    pub(crate) name: String,
    /// How it was found, as for the one that was booted.
    pub(crate) kind: String,
    /// Kernel name of the block device that holds it; absent where it is in memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) device: Option<String>,
    /// Where it lies in the filesystem there; absent where it is the filesystem.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) place: Option<String>,
    /// What the boot ledger says of it, this boot counted; absent where it keeps none about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ledger: Option<ReportedLedger>,
}

/// Where a deployment stands in the boot ledger.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct DeploymentSlot {
    /// The disk: its kernel name, such as `vda`.
    pub(crate) disk: String,
    /// The number of its partition.
    pub(crate) partition: u32,
    #[serde(flatten)]
    pub(crate) standing: Standing,
}

/// A slot of the boot disk, as PID 1 left it.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct ReportedSlot {
    /// Its label.
    pub(crate) name: String,
    /// The number of its partition.
    pub(crate) partition: u32,
    #[serde(flatten)]
    pub(crate) standing: Standing,
    /// Why it cannot boot; absent where it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cannot_boot: Option<String>,
}

/// Why something else runs than what was meant.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Fallback {
    /// What was meant; absent where nothing was left that may boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<String>,
    /// Why it does not run, in one line.
    pub(crate) reason: String,
}

/// A candidate that did not boot.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Failure {
    /// What it is called.
    pub(crate) name: String,
    /// What failed, on what, and why, in one line.
    pub(crate) reason: String,
}

/// A mount that was made.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Mount {
    /// The device, or the directory of a bind mount; `tmpfs` and `overlay` for those.
    pub(crate) source: String,
    /// Where it is in the running system. What lies under `/sysroot` in the initramfs is at `/` here.
    pub(crate) target: String,
    /// Type of the filesystem, or `bind`.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// The options that it was made with, joined by commas, `ro` or `rw` first. Paths among them are those of the
    /// initramfs.
    pub(crate) options: String,
}

/// A key of the command line that had no effect.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct UnknownKey {
    /// The key.
    pub(crate) key: String,
    /// The valid key that looks most like it; absent where none is near.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) nearest: Option<String>,
}

/// A milestone of the boot.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Milestone {
    /// What was reached: `start`, `drivers loaded`, `waiting for devices`, `devices found`, `deployments found`,
    /// `root complete`, `hand-over`.
    pub(crate) event: String,
    /// When, in microseconds since the kernel started (`CLOCK_BOOTTIME`).
    pub(crate) microseconds: u64,
}

/// A kernel module that was loaded.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct LoadedModule {
    /// Its name.
    pub(crate) name: String,
    /// When the kernel was asked to load it, in microseconds since it started (`CLOCK_BOOTTIME`).
    pub(crate) microseconds: u64,
    /// How long that took, in microseconds.
    pub(crate) took: u64,
}

/// A step that set up what was booted.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct TimedStep {
    /// What was done, as `surefoot explain` prints it.
    pub(crate) step: String,
    /// When it began, in microseconds since the kernel started (`CLOCK_BOOTTIME`).
    pub(crate) microseconds: u64,
    /// How long it took, in microseconds.
    pub(crate) took: u64,
}

/// A report, and whether all of it is understood.
#[derive(Debug, PartialEq)]
pub(crate) enum Reading {
    /// All of it is.
    Whole(BootReport),
    /// It has a newer schema than this program knows: fields may be missing, or mean something else.
    Newer(BootReport),
}

impl Reading {
    /// The report, understood as far as it is.
    pub(crate) fn into_report(self) -> BootReport {
        match self {
            Self::Whole(report) | Self::Newer(report) => report,
        }
    }
}

/// Reads a report.
pub(crate) fn parse(text: &str) -> Result<Reading, String> {
    let value: Value = serde_json::from_str(text).map_err(|why| format!("it is not JSON: {why}"))?;
    let schema = value.get("schema").and_then(Value::as_u64);
    match schema.ok_or("it has no number \"schema\"")? {
        1..=SCHEMA => serde_json::from_value(value).map(Reading::Whole).map_err(|why| why.to_string()),
        0 => Err("there is no schema 0".to_owned()),
        newer => Ok(Reading::Newer(what_is_known(&value, newer))),
    }
}

/// The fields that are still as they were; what is not is empty.
fn what_is_known(value: &Value, schema: u64) -> BootReport {
    fn field<T: DeserializeOwned + Default>(value: &Value, name: &str) -> T {
        let field = value.get(name).cloned().unwrap_or_default();
        serde_json::from_value(field).unwrap_or_default()
    }
    BootReport {
        schema,
        agent: field(value, "agent"),
        kernel: field(value, "kernel"),
        deployment: field(value, "deployment"),
        slots: field(value, "slots"),
        deployments: field(value, "deployments"),
        fallback: field(value, "fallback"),
        init: field(value, "init"),
        failed: field(value, "failed"),
        passed_over: field(value, "passed_over"),
        mounts: field(value, "mounts"),
        degraded: field(value, "degraded"),
        insecure: field(value, "insecure"),
        unknown_keys: field(value, "unknown_keys"),
        timeline: field(value, "timeline"),
        modules: field(value, "modules"),
        steps: field(value, "steps"),
    }
}
