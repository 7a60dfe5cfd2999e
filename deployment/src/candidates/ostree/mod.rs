//! Deployments of ostree, as its own tool puts them into a sysroot, set up as its own initramfs program sets them up
//! (ostree-prepare-root(1)).
//!
//! [`list`] finds and ranks them; [`root`] says what makes up the root of one. The sysroot is not trusted: each link is read
//! and must lead where ostree would have it lead, and the kernel follows none.

mod fstab;
mod list;
mod root;
mod settings;
mod signed;

use core::fmt::{self, Write};

use boot_config::Config;
use boot_config::policy::DeploymentChoice;
use heapless::String;

use self::list::{Found, List};
use super::name::of_text;
use super::sysroot::{Counters, Finder, MAX_PLACE, Offer, SysrootKind, View};
use super::{Insecurity, Kind, Look, Trust};
use crate::ostree::prepare_root::Check;
use crate::ostree::target::MAX_PATH;
use crate::tree::Tree;

/// Deployments of ostree.
pub(super) const OSTREE: SysrootKind = SysrootKind { kind: KIND, view: View::Mounted, find, root: root::root };

const KIND: Kind = Kind("ostree");
/// Where all of ostree lies in a sysroot.
const FOLDER: &str = "ostree";

/// Longest reason why something is no deployment, in bytes. What does not fit is left out.
const MAX_WHY: usize = 320;

/// Why something is no deployment.
type Why = String<MAX_WHY>;

fn why(text: fmt::Arguments<'_>) -> Why {
    let mut why = Why::new();
    // What does not fit is left out.
    let _ = why.write_fmt(text);
    why
}

/// What the command line names: a boot link as in `ostree=`, or a deployment by the name that reports show.
fn asked_for<'a>(config: &Config<'a>) -> Option<&'a str> {
    match config.deployment {
        Some(DeploymentChoice::Named { .. }) => config.named(KIND.0),
        Some(DeploymentChoice::Auto) | None => config.ostree,
    }
}

/// Adds the deployment that the command line names, and the others if they may boot, too.
#[inline(never)]
fn find(look: &Look<'_>, finder: &mut Finder<'_>) {
    let asked = asked_for(look.config);
    if asked.is_none() && !look.config.wants_all_of_kind() {
        return;
    }
    if !look.tree.has_directory(FOLDER) {
        if let Some(asked) = asked {
            finder.pass_over(asked, format_args!("this filesystem has no directory /ostree"));
        }
        return;
    }
    // No deployment can be set up then.
    let trust = match trust(look) {
        Ok(trust) => trust,
        Err(why) => return finder.pass_over(FOLDER, format_args!("{why}")),
    };
    let mut list = List::new();
    list.fill(look.tree, &mut |what, why| finder.pass_over(what, why));
    let first = asked.and_then(|asked| named(look.tree, asked, &list));
    match (asked, &first) {
        (None, _) => {}
        (Some(_), Some(found)) => offer(finder, found, trust, true),
        // That it cannot be set up, and why, is told when it is tried.
        (Some(asked), None) => {
            let end = (0..=MAX_PLACE).rev().find(|end| asked.is_char_boundary(*end)).unwrap_or_default();
            let place = asked.get(..end).unwrap_or(asked);
            let name = asked.strip_prefix('/').filter(|name| !name.is_empty()).unwrap_or(asked);
            finder.offer(&Offer { name: format_args!("{name}"), place, trust, counters: None, named: true });
        }
    }
    if look.config.wants_all_of_kind() {
        let others = list.best_first().filter(|found| first.as_ref().is_none_or(|first| !first.is_same(found)));
        others.for_each(|found| offer(finder, found, trust, false));
    }
}

fn offer(finder: &mut Finder<'_>, found: &Found, trust: Trust, named: bool) {
    let place = found.directory();
    // The boot loader has counted the try of an entry that it started; what is left to us is that none are left.
    let counters = found.is_bad().then_some(Counters { left: 0 });
    finder.offer(&Offer { name: format_args!("{found}"), place: &place, trust, counters, named });
}

/// The deployment that `asked` names, if there is one.
fn named(tree: &dyn Tree, asked: &str, list: &List) -> Option<Found> {
    if asked.starts_with('/') {
        return list::resolve(tree, asked).ok();
    }
    list.best_first().find(|found| of_text(format_args!("{found}")) == asked).cloned()
}

/// The directory of the deployment that a boot link leads to, by the value of `ostree=`; `None` where it leads to none.
pub fn linked_deployment(tree: &dyn Tree, asked: &str) -> Option<String<MAX_PATH>> {
    list::resolve(tree, asked).ok().map(|found| found.directory())
}

/// Whether all that becomes `/` is vouched for: only if the initramfs asks for a signature by one of its keys.
#[inline(never)]
fn trust(look: &Look<'_>) -> Result<Trust, Why> {
    let mut buffers = settings::BUFFERS;
    let settings = settings::read(look, &mut buffers)?;
    Ok(match settings.composefs.check {
        Check::Signature => Trust::Verified,
        Check::Nothing | Check::Verity => Trust::Insecure(Insecurity::Root),
    })
}

#[cfg(test)]
mod tests;
