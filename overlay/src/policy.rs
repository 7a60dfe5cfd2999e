//! From the configuration to the layers.

use core::fmt;

use boot_config::Config;
use boot_config::policy::{DirectoryPolicy, EtcPolicy, HomePolicy, VarPolicy, Volatile};
use heapless::Vec;

use crate::layers::{Layer, MAX_LAYERS, RootLayer, Upper};
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
/// default of `/var`. `deployment_name` names the deployment that boots, for `surefoot.etc=overlay:per-deployment`.
pub fn layers<'a>(config: &Config<'a>, deployment_name: &str) -> Result<Layers<'a>, LayerError<'a>> {
    check_volatile(config)?;
    if deployment_name.is_empty() && config.etc == Some(EtcPolicy::OverlayPerDeployment) {
        return Err(LayerError::NoDeploymentName);
    }
    let in_memory = root_layer(config) != RootLayer::Plain;
    let var_default = if config.volatile == Volatile::State { VarPolicy::Tmpfs(None) } else { VarPolicy::default() };
    let mut layers = Layers::new();
    if let Some(policy) = config.etc.or((!in_memory).then(EtcPolicy::default)) {
        add(&mut layers, "/etc", &|target| etc_layer(target, policy, deployment_name))?;
    }
    if let Some(policy) = config.var.or((!in_memory).then_some(var_default)) {
        add(&mut layers, "/var", &|target| var_layer(target, policy))?;
    }
    if let Some(policy) = config.home.or((!in_memory).then(HomePolicy::default)) {
        add(&mut layers, "/home", &|target| home_layer(target, policy))?;
    }
    for directory in &config.directories {
        add(&mut layers, directory.path, &|target| directory_layer(target, directory.policy))?;
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

type Made<'a> = Result<Option<Layer<'a>>, PathTooLong>;

fn etc_layer<'a>(target: Target, policy: EtcPolicy, deployment_name: &str) -> Made<'a> {
    Ok(Some(match policy {
        EtcPolicy::Overlay => overlay(target, Upper::State(StatePath::new(format_args!("etc"))?)),
        EtcPolicy::OverlayPerDeployment => {
            let path = StatePath::new(format_args!("deployments/{}/etc", Escaped(deployment_name)))?;
            overlay(target, Upper::State(path))
        }
        EtcPolicy::Bind => bind_escaped(target)?,
        EtcPolicy::Tmpfs => overlay(target, Upper::Memory),
        EtcPolicy::ReadOnly => return Ok(None),
    }))
}

fn var_layer(target: Target, policy: VarPolicy<'_>) -> Made<'_> {
    Ok(Some(match policy {
        VarPolicy::Bind => bind(target, StatePath::new(format_args!("var"))?, true),
        VarPolicy::Mount(device) => Layer::Device { flags: flags(&target), target, device },
        VarPolicy::Tmpfs(size) => tmpfs(target, size),
        VarPolicy::ReadOnly => return Ok(None),
    }))
}

fn home_layer(target: Target, policy: HomePolicy<'_>) -> Made<'_> {
    Ok(Some(match policy {
        HomePolicy::Bind => bind(target, StatePath::new(format_args!("home"))?, false),
        HomePolicy::Mount(device) => Layer::Device { flags: flags(&target), target, device },
        HomePolicy::Overlay => overlay_escaped(target)?,
        HomePolicy::Tmpfs(size) => tmpfs(target, size),
        HomePolicy::ReadOnly => return Ok(None),
    }))
}

fn directory_layer(target: Target, policy: DirectoryPolicy<'_>) -> Made<'_> {
    Ok(Some(match policy {
        DirectoryPolicy::Overlay => overlay_escaped(target)?,
        DirectoryPolicy::Bind => bind_escaped(target)?,
        DirectoryPolicy::Tmpfs(size) => tmpfs(target, size),
    }))
}

fn overlay<'a>(target: Target, upper: Upper) -> Layer<'a> {
    Layer::Overlay { flags: flags(&target), target, upper }
}

fn overlay_escaped<'a>(target: Target) -> Result<Layer<'a>, PathTooLong> {
    let path = StatePath::new(format_args!("overlays/{}", Escaped(target.as_str())))?;
    Ok(overlay(target, Upper::State(path)))
}

fn bind<'a>(target: Target, source: StatePath, copy_from_root: bool) -> Layer<'a> {
    Layer::Bind { flags: flags(&target), target, source, copy_from_root }
}

fn bind_escaped<'a>(target: Target) -> Result<Layer<'a>, PathTooLong> {
    let path = StatePath::new(format_args!("binds/{}", Escaped(target.as_str())))?;
    Ok(bind(target, path, true))
}

fn tmpfs(target: Target, size: Option<&str>) -> Layer<'_> {
    let mode = match target.as_str() {
        "/tmp" | "/var/tmp" => 0o1777,
        "/root" => 0o700,
        _ => 0o755,
    };
    Layer::Tmpfs { flags: flags(&target), target, size, mode }
}

/// The mount flags that a directory has (see the crate's documentation).
fn flags(target: &Target) -> MountFlags {
    let holds_data_only = ["/etc", "/home", "/srv", "/tmp", "/var/tmp"].iter().any(|directory| {
        target.as_str().strip_prefix(directory).is_some_and(|below| below.is_empty() || below.starts_with('/'))
    });
    if holds_data_only { MountFlags::NOSUID | MountFlags::NODEV } else { MountFlags::NONE }
}

/// Makes a layer and puts it before all that lie deeper, hence before what is below it.
fn add<'a>(layers: &mut Layers<'a>, path: &'a str, make: &dyn Fn(Target) -> Made<'a>) -> Result<(), LayerError<'a>> {
    let Some(layer) = Target::new(path).and_then(make).map_err(|PathTooLong| LayerError::PathTooLong { path })? else {
        return Ok(());
    };
    let depth = layer.target().depth();
    let place = layers.iter().position(|other| other.target().depth() > depth).unwrap_or(layers.len());
    layers.insert(place, layer).map_err(|_| LayerError::TooMany)
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
