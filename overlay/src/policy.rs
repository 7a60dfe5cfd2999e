//! From the configuration to the layers.

use core::fmt;

use boot_config::Config;
use boot_config::policy::{DirectoryMount, DirectoryPolicy, EtcPolicy, HomePolicy, VarPolicy, Volatile};
use heapless::Vec;

use crate::layers::{Layer, LayerKind, MAX_LAYERS, RootLayer, Upper};
use crate::mount_options::MountFlags;
use crate::path::{Escaped, PATH_CAPACITY, PathTooLong, StatePath, Target};

/// Layers in the order in which they are to be mounted.
pub type Layers<'a> = Vec<Layer<'a>, MAX_LAYERS>;

/// What lies between the root filesystem and `/`.
#[inline(never)]
pub fn root_layer(config: &Config<'_>) -> RootLayer {
    match config.volatile {
        Volatile::No | Volatile::State => RootLayer::Plain,
        Volatile::Overlay => RootLayer::TmpfsOverlay,
        Volatile::Yes => RootLayer::TmpfsWithUsr,
    }
}

/// The layers over the root, a directory always before what is below it.
///
/// `/etc`, `/var` and `/home` have the layer of their key or of its default. Where `systemd.volatile=` makes the whole
/// root writable in memory they have one only if their key is given; with `systemd.volatile=state` a tmpfs is the
/// default of `/var`. `deployment_name` names the deployment that boots, for `surefoot.etc=overlay:per-deployment`. A
/// directory that the deployment brings itself, one of `provided`, has a layer only if its key is given.
pub fn layers<'a>(config: &Config<'a>, deployment_name: &str, provided: &[&str]) -> Result<Layers<'a>, LayerError<'a>> {
    check_volatile(config)?;
    if deployment_name.is_empty() && config.etc == Some(EtcPolicy::OverlayPerDeployment) {
        return Err(LayerError::NoDeploymentName);
    }
    let in_memory = root_layer(config) != RootLayer::Plain;
    let has_default = |directory: &str| !in_memory && !provided.contains(&directory);
    let var_default = if config.volatile == Volatile::State { VarPolicy::Tmpfs(None) } else { VarPolicy::default() };
    let mut layers = Layers::new();
    if let Some(policy) = config.etc.or(has_default("/etc").then(EtcPolicy::default)) {
        add(&mut layers, "/etc", etc_layer(policy, deployment_name))?;
    }
    if let Some(policy) =
        config.var.or((has_default("/var") || config.volatile == Volatile::State).then_some(var_default))
    {
        add(&mut layers, "/var", var_layer(policy))?;
    }
    if let Some(policy) = config.home.or(has_default("/home").then(HomePolicy::default)) {
        add(&mut layers, "/home", home_layer(policy))?;
    }
    for directory in &config.directories {
        add(&mut layers, directory.path, directory_layer(directory))?;
    }
    Ok(layers)
}

/// Refuses what `systemd.volatile=` makes impossible.
fn check_volatile<'a>(config: &Config<'a>) -> Result<(), LayerError<'a>> {
    let volatile = config.volatile;
    let in_memory = root_layer(config) != RootLayer::Plain;
    match config.var {
        Some(policy) if volatile == Volatile::State && !matches!(policy, VarPolicy::Tmpfs(_)) => {
            return Err(LayerError::Var { policy, volatile });
        }
        Some(policy @ VarPolicy::ReadOnly) if in_memory => return Err(LayerError::Var { policy, volatile }),
        _ => {}
    }
    if in_memory && config.etc == Some(EtcPolicy::ReadOnly) {
        return Err(LayerError::ReadOnly { key: "surefoot.etc", volatile });
    }
    if in_memory && config.home == Some(HomePolicy::ReadOnly) {
        return Err(LayerError::ReadOnly { key: "surefoot.home", volatile });
    }
    Ok(())
}

/// What goes over a directory, if anything does.
type Made<'a> = Result<Option<LayerKind<'a>>, PathTooLong>;

fn etc_layer<'a>(policy: EtcPolicy, deployment_name: &str) -> Made<'a> {
    match policy {
        EtcPolicy::Overlay => overlay(format_args!("etc")),
        EtcPolicy::OverlayPerDeployment => overlay(format_args!("deployments/{}/etc", Escaped(deployment_name))),
        EtcPolicy::Bind => bind_escaped("/etc"),
        EtcPolicy::Tmpfs => Ok(Some(LayerKind::Overlay(Upper::Memory))),
        EtcPolicy::ReadOnly => Ok(None),
    }
}

fn var_layer(policy: VarPolicy<'_>) -> Made<'_> {
    match policy {
        VarPolicy::Bind => bind(format_args!("var"), true),
        VarPolicy::Mount(device) => Ok(Some(LayerKind::Device(device))),
        VarPolicy::Tmpfs(size) => Ok(Some(tmpfs("/var", size))),
        VarPolicy::ReadOnly => Ok(None),
    }
}

fn home_layer(policy: HomePolicy<'_>) -> Made<'_> {
    match policy {
        HomePolicy::Bind => bind(format_args!("home"), false),
        HomePolicy::Mount(device) => Ok(Some(LayerKind::Device(device))),
        HomePolicy::Overlay => overlay_escaped("/home"),
        HomePolicy::Tmpfs(size) => Ok(Some(tmpfs("/home", size))),
        HomePolicy::ReadOnly => Ok(None),
    }
}

fn directory_layer<'a>(DirectoryMount { path, policy }: &DirectoryMount<'a>) -> Made<'a> {
    match policy {
        DirectoryPolicy::Overlay => overlay_escaped(path),
        DirectoryPolicy::Bind => bind_escaped(path),
        DirectoryPolicy::Tmpfs(size) => Ok(Some(tmpfs(path, *size))),
    }
}

fn overlay<'a>(path: fmt::Arguments<'_>) -> Made<'a> {
    Ok(Some(LayerKind::Overlay(Upper::State(StatePath::new(path)?))))
}

fn overlay_escaped<'a>(target: &str) -> Made<'a> {
    overlay(format_args!("overlays/{}", Escaped(target)))
}

fn bind<'a>(path: fmt::Arguments<'_>, copy_from_root: bool) -> Made<'a> {
    Ok(Some(LayerKind::Bind { source: StatePath::new(path)?, copy_from_root }))
}

fn bind_escaped<'a>(target: &str) -> Made<'a> {
    bind(format_args!("binds/{}", Escaped(target)), true)
}

fn tmpfs<'a>(target: &str, size: Option<&'a str>) -> LayerKind<'a> {
    let mode = match target {
        "/tmp" | "/var/tmp" => 0o1777,
        "/root" => 0o700,
        _ => 0o755,
    };
    LayerKind::Tmpfs { size, mode }
}

/// The mount flags that a directory has (see the crate's documentation).
fn flags(target: &str) -> MountFlags {
    let holds_data_only = ["/etc", "/home", "/srv", "/tmp", "/var/tmp"].iter().any(|directory| {
        target.strip_prefix(directory).is_some_and(|below| below.is_empty() || below.starts_with('/'))
    });
    if holds_data_only { MountFlags::NOSUID | MountFlags::NODEV } else { MountFlags::NONE }
}

/// Puts a layer before all that lie deeper, hence before what is below it.
fn add<'a>(layers: &mut Layers<'a>, path: &'a str, made: Made<'a>) -> Result<(), LayerError<'a>> {
    let too_long = |PathTooLong| LayerError::PathTooLong { path };
    let target = Target::new(path).map_err(too_long)?;
    let Some(kind) = made.map_err(too_long)? else { return Ok(()) };
    let depth = target.depth();
    let place = layers.iter().position(|other| other.target.depth() > depth).unwrap_or(layers.len());
    layers.insert(place, Layer { target, kind, flags: flags(path) }).map_err(|_| LayerError::TooMany)
}

/// Why no list of layers can be made. The text leaves out what happens next, which only the caller knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerError<'a> {
    /// `surefoot.var=` asks for what `systemd.volatile=` rules out.
    Var {
        /// What it asks for.
        policy: VarPolicy<'a>,
        /// What rules it out.
        volatile: Volatile,
    },
    /// `surefoot.etc=ro` or `surefoot.home=ro` under a root that is writable in memory.
    ReadOnly {
        /// The key.
        key: &'static str,
        /// What makes the root writable.
        volatile: Volatile,
    },
    /// The path of a directory, or what follows from it for the state device, is longer than [`PATH_CAPACITY`].
    PathTooLong {
        /// The directory.
        path: &'a str,
    },
    /// `surefoot.etc=overlay:per-deployment` for a deployment without a name.
    NoDeploymentName,
    /// More than [`MAX_LAYERS`].
    TooMany,
}

impl fmt::Display for LayerError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Var { policy, volatile: Volatile::State } => {
                write!(
                    f,
                    "surefoot.var={policy}: contradicts systemd.volatile=state, which has /var in memory; allowed \
                           with it: surefoot.var=tmpfs[:size=SIZE]"
                )
            }
            Self::Var { policy, volatile } => write_writable(f, format_args!("surefoot.var={policy}"), *volatile),
            Self::ReadOnly { key, volatile } => write_writable(f, format_args!("{key}=ro"), *volatile),
            Self::PathTooLong { path } => {
                write!(
                    f,
                    "{path}: its path or the one for it on the state device is too long; PATH_CAPACITY allows \
                           {PATH_CAPACITY} bytes"
                )
            }
            Self::NoDeploymentName => {
                f.write_str("surefoot.etc=overlay:per-deployment: the deployment that boots has no name")
            }
            Self::TooMany => write!(f, "too many directories to mount; MAX_LAYERS allows {MAX_LAYERS}"),
        }
    }
}

fn write_writable(f: &mut fmt::Formatter<'_>, setting: fmt::Arguments<'_>, volatile: Volatile) -> fmt::Result {
    write!(
        f,
        "{setting}: contradicts systemd.volatile={volatile}, which makes the whole root writable in memory; leave \
               out one of the two"
    )
}

impl core::error::Error for LayerError<'_> {}

#[cfg(test)]
mod tests;
