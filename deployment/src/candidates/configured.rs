//! The deployment that the command line names outright.

use boot_config::config::{VerityConfig, VerityOptions};
use boot_config::policy::{VerityPolicy, Volatile};
use boot_config::spec::PartUuid;
use boot_config::{Config, DeviceSpec};
use verity::{RootHash, Uuid};

use super::error::{CandidateError, Missing, MissingDevice, Refusal, Role};
use super::{
    Candidate, CandidateName, Candidates, DeviceSource, Insecurity, Kind, Order, RootSource, Trust, UsrSource,
    VeritySource, kind_of,
};
use super::{name, rank};
use crate::facts::{BlockDevice, Facts};

/// Adds the root that `roothash=` or `root=` names, or a root in memory with the `/usr` that `usrhash=` names.
#[inline(never)]
pub(super) fn find<'a>(
    config: &Config<'a>,
    facts: &Facts,
    candidates: &mut Candidates,
) -> Result<(), CandidateError<'a>> {
    if config.wants_slots() || config.wants_sysroots() {
        return Ok(());
    }
    let trust = trust(config).map_err(CandidateError::Refused)?;
    let mut search = Search::new(config, facts)?;
    let root = search.root(config)?;
    let usr = search.usr(config)?;
    if !search.missing.devices.is_empty() {
        return Err(CandidateError::Missing(search.missing));
    }
    let (root, name) = match (root, &usr) {
        (Some((root, name)), _) => (root.into(), name),
        (None, Some((_, name))) => (RootSource::Memory, name.clone()),
        (None, None) => return Err(CandidateError::Refused(Refusal::NoRoot)),
    };
    let usr = usr.map(|(usr, _)| usr);
    let candidate = Candidate { name, kind: Kind::CONFIGURED, root, usr, trust, record: None, order: Order::default() };
    rank::offer(candidates, candidate);
    Ok(())
}

/// The `/usr` that `usrhash=` or `mount.usr=` names.
#[inline(never)]
pub(super) fn usr<'a>(config: &Config<'a>, facts: &Facts) -> Result<Option<UsrSource>, CandidateError<'a>> {
    if let (VerityPolicy::Required, None, Some(spec)) = (config.verity, &config.usr_verity, config.usr.device) {
        return Err(CandidateError::Refused(Refusal::UnverifiedUsr(spec)));
    }
    let mut search = Search::new(config, facts)?;
    let usr = search.usr(config)?;
    if search.missing.devices.is_empty() {
        Ok(usr.map(|(usr, _)| usr))
    } else {
        Err(CandidateError::Missing(search.missing))
    }
}

/// Whether what the command line names may boot, decided before any device is looked for.
#[inline(never)]
fn trust<'a>(config: &Config<'a>) -> Result<Trust, Refusal<'a>> {
    let has_usr = config.usr_verity.is_some() || config.usr.device.is_some();
    let plain_root = config.root.device.filter(|_| config.root_verity.is_none());
    let plain_usr = config.usr.device.filter(|_| config.usr_verity.is_none());
    let in_memory = has_usr && config.volatile == Volatile::Yes;
    if config.root_verity.is_none() && plain_root.is_none() && !in_memory {
        return Err(if has_usr { Refusal::OnlyUsr } else { Refusal::NoRoot });
    }
    match (config.verity, plain_root, plain_usr) {
        (_, None, None) => Ok(Trust::Verified),
        (VerityPolicy::Required, Some(spec), _) => Err(Refusal::UnverifiedRoot(spec)),
        (VerityPolicy::Required, None, Some(spec)) => Err(Refusal::UnverifiedUsr(spec)),
        (_, Some(_), _) => Ok(Trust::Insecure(Insecurity::Root)),
        (_, None, Some(_)) => Ok(Trust::Insecure(Insecurity::Usr)),
    }
}

/// The search for the devices of one candidate, which goes on past a missing one: all of them are reported together.
struct Search<'a, 'f> {
    facts: &'f Facts,
    within: Option<&'f str>,
    missing: Missing<'a>,
}

impl<'a, 'f> Search<'a, 'f> {
    #[inline(never)]
    fn new(config: &Config<'a>, facts: &'f Facts) -> Result<Self, CandidateError<'a>> {
        let mut search = Self { facts, within: None, missing: Missing::default() };
        if let Some(spec) = config.disk {
            let Some(disk) = search.device(spec, Role::Disk)? else {
                return Err(CandidateError::Missing(search.missing));
            };
            search.within = Some(disk.disk_name());
        }
        Ok(search)
    }

    fn root(&mut self, config: &Config<'a>) -> Result<Option<(UsrSource, CandidateName)>, CandidateError<'a>> {
        let roles = [Role::Root, Role::RootData, Role::RootHashTree];
        self.source(config.root_verity.as_ref(), config.root.device, roles)
    }

    fn usr(&mut self, config: &Config<'a>) -> Result<Option<(UsrSource, CandidateName)>, CandidateError<'a>> {
        let roles = [Role::Usr, Role::UsrData, Role::UsrHashTree];
        self.source(config.usr_verity.as_ref(), config.usr.device, roles)
    }

    /// The filesystem that is named with a root hash or without; the roles are those of the device without one, of the
    /// data and of the hash tree.
    #[inline(never)]
    fn source(
        &mut self,
        verity: Option<&VerityConfig<'a>>,
        plain: Option<DeviceSpec<'a>>,
        [device, data, hash]: [Role; 3],
    ) -> Result<Option<(UsrSource, CandidateName)>, CandidateError<'a>> {
        if let Some(verity) = verity {
            let source = self.verity(verity, data, hash)?;
            return Ok(source.map(|(source, name)| (UsrSource::Verity(source), name)));
        }
        let Some(spec) = plain else { return Ok(None) };
        Ok(self.plain(spec, device)?.map(|(source, name)| (UsrSource::Plain(source), name)))
    }

    fn plain(
        &mut self,
        spec: DeviceSpec<'a>,
        role: Role,
    ) -> Result<Option<(DeviceSource, CandidateName)>, CandidateError<'a>> {
        let device = self.device(spec, role)?;
        Ok(device.map(|device| (DeviceSource::new(device), name::of(device, format_args!("{spec}")))))
    }

    fn verity(
        &mut self,
        config: &VerityConfig<'a>,
        data: Role,
        hash: Role,
    ) -> Result<Option<(VeritySource, CandidateName)>, CandidateError<'a>> {
        let root_hash = config.root_hash;
        let data = self.device(named_or_derived(config.data, root_hash.data_partition(), data)?, data)?;
        let hash = self.device(named_or_derived(config.hash, root_hash.hash_partition(), hash)?, hash)?;
        let (Some(data), Some(hash)) = (data, hash) else { return Ok(None) };
        let source = verity_source(data, hash, root_hash, config.options);
        let digits = root_hash.as_bytes().first_chunk().copied().map_or(0, u64::from_be_bytes);
        Ok(Some((source, name::of(data, format_args!("{digits:016x}")))))
    }

    /// The device that `spec` names; a missing one is noted.
    fn device(&mut self, spec: DeviceSpec<'a>, role: Role) -> Result<Option<&'f BlockDevice>, CandidateError<'a>> {
        let found = self.facts.find(&spec, self.within)?;
        if found.is_none() {
            // A candidate has no more devices than there is room for.
            let _ = self.missing.devices.push(MissingDevice { spec, role });
        }
        Ok(found)
    }
}

/// A verity device on two devices.
pub(super) fn verity_source(
    data: &BlockDevice,
    hash: &BlockDevice,
    root_hash: RootHash,
    options: VerityOptions,
) -> VeritySource {
    VeritySource { data: data.name.clone(), hash: hash.name.clone(), root_hash, options, filesystem: kind_of(data) }
}

/// The device that the command line names or, where it names none, the partition that follows from the root hash.
fn named_or_derived(
    named: Option<DeviceSpec<'_>>,
    derived: Option<Uuid>,
    role: Role,
) -> Result<DeviceSpec<'_>, CandidateError<'_>> {
    let derived = derived.map(|uuid| DeviceSpec::PartUuid { uuid: PartUuid::Gpt(uuid), offset: 0 });
    named.or(derived).ok_or(CandidateError::Refused(Refusal::NoPartition(role)))
}
