//! The texts about kernel modules, and the kernel's announcements of devices.

use init::modules::alias::matches;
use init::modules::{ModuleIndex, Order, name};
use sys::uevent::Event;

use crate::input::{text, texts};

/// `modules.dep`, `modules.alias`, `modules.softdep`, `modules.builtin`, `modprobe.d`, then the name that is asked for.
pub(crate) fn index(input: &[u8]) {
    let [dep, alias, softdep, builtin, modprobe, wanted] = texts(input);
    let index = ModuleIndex { dep, alias, softdep, builtin, modprobe };
    for module in index.modules() {
        assert!(!module.name.is_empty() && module.path.contains(module.name));
        assert!(index.find(module.name).is_some_and(|found| name::same(found.name, module.name)));
        assert!(module.dependencies().all(|path| !path.is_empty()));
        assert_eq!(name::InSysfs(module.name).to_string(), module.name.replace('-', "_"));
    }
    assert!(index.resolve(wanted).all(|module| index.find(module.name).is_some()));
    for order in [Order::Before, Order::After] {
        assert!(index.softdeps(wanted, order).all(|word| !matches!(word, "" | "pre:" | "post:")));
    }
    assert!(index.options(wanted).all(|options| !options.is_empty()));
    let _ = index.is_builtin(wanted) || index.is_blacklisted(wanted);
    // Every pattern that matches is found, by the short way as by the long one.
    let lines = modprobe.lines().chain(alias.lines()).filter_map(|line| line.strip_prefix("alias"));
    let pairs = lines.filter_map(|words| words.trim_ascii().split_once([' ', '\t']));
    let expected = pairs.filter(|(pattern, _)| matches(pattern, wanted)).map(|(_, module)| module.trim_ascii_start());
    assert!(index.by_alias(wanted).eq(expected));
}

/// A pattern and an alias.
pub(crate) fn alias(input: &[u8]) {
    let [pattern, alias] = texts(input);
    let found = matches(pattern, alias);
    assert!(matches("*", alias) && matches(&format!("*{pattern}*"), alias) >= found);
    if !pattern.contains(['*', '?', '[']) {
        assert_eq!(found, name::same(pattern, alias));
    }
}

/// A message of the kernel.
pub(crate) fn uevent(input: &[u8]) {
    let event = Event::of(input);
    let is_text = std::str::from_utf8(input).is_ok();
    for key in ["ACTION", "SUBSYSTEM", "DEVNAME", "MODALIAS", "PARTN", ""] {
        let value = event.field(key);
        assert!(value.is_none_or(|value| is_text && text(input).contains(&format!("{key}={value}"))));
    }
}
