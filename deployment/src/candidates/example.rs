//! Plain folders: every directory in `roots` is a root. The worked example of docs/adding-a-kind.md, in tests only.

use core::fmt::Write as _;

use heapless::String;
use overlay::MountFlags;

use super::sysroot::{Finder, MAX_PLACE, Offer, SysrootKind, View};
use super::{Insecurity, Kind, Look, Part, Place, Recipe, Refused, TreeSource, Trust};

/// Plain folders.
pub(super) const FOLDER: SysrootKind = SysrootKind { kind: KIND, view: View::Top, find, root };

const KIND: Kind = Kind("folder");

fn find(look: &Look<'_>, finder: &mut Finder<'_>) {
    let named = look.config.named(KIND.0);
    if named.is_none() && !look.config.wants_all_of_kind() {
        return;
    }
    // A filesystem without that directory has no deployments of this kind.
    let _ = look.tree.list("roots", &mut |name| {
        let mut place = String::<MAX_PLACE>::new();
        if named.is_some_and(|named| named != name) {
        } else if write!(place, "roots/{name}").is_err() {
            finder.pass_over(name, format_args!("its path is longer than {MAX_PLACE} bytes (MAX_PLACE)"));
        } else {
            finder.offer(&Offer {
                name: format_args!("folder-{name}"),
                place: &place,
                trust: Trust::Insecure(Insecurity::Root),
                counters: None,
                named: named.is_some(),
            });
        }
        true
    });
}

fn root(source: &TreeSource, look: &Look<'_>, recipe: &mut dyn Recipe) -> Result<(), Refused> {
    if !look.tree.has_directory(&source.place) {
        return Err(recipe.refuse(format_args!("{} is no directory", source.place)));
    }
    let (directory, target) = (Place::sysroot(&source.place), Place::root(""));
    recipe.add(&Part::Bind { directory, target, flags: MountFlags::RDONLY })
}
