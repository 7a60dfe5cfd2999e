//! Parameters of kernel modules on the command line.

use core::fmt;

use crate::bootconfig;
use crate::cmdline::{self, Word};
use crate::config::{Config, Sources};

/// One parameter of a module, from a word `MODULE.NAME` or `MODULE.NAME=VALUE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModuleParameter<'a> {
    /// The parameter, without the module before it.
    pub name: &'a str,
    /// Its value, without quotes around it.
    pub value: Option<&'a str>,
}

impl fmt::Display for ModuleParameter<'_> {
    /// Writes `NAME` or `NAME=VALUE` as finit_module(2) reads it, which splits its text by the rules of the command
    /// line: a value with white space goes in quotes, one that has quotes in it already stays as it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(value) = self.value else { return f.write_str(self.name) };
        if value.bytes().any(cmdline::is_space) && !value.contains('"') {
            write!(f, "{}=\"{value}\"", self.name)
        } else {
            write!(f, "{}={value}", self.name)
        }
    }
}

impl<'a> Config<'a> {
    /// The parameters that the command line has for a module, in order of precedence, lowest first: the module takes
    /// the last one. `-` and `_` are the same in the module's name.
    pub fn module_parameters(&self, module: &str) -> impl Iterator<Item = ModuleParameter<'a>> {
        words(self.sources).filter_map(move |word| {
            let (name, parameter) = word.key.split_once('.')?;
            let wanted = !parameter.is_empty() && same_module(name, module);
            wanted.then_some(ModuleParameter { name: parameter, value: word.value })
        })
    }
}

/// The words of all sources, lowest precedence first.
fn words(sources: Sources<'_>) -> impl Iterator<Item = Word<'_>> {
    cmdline::Words::new(sources.drop_ins)
        .chain(bootconfig::Words::new(sources.bootconfig))
        .chain(cmdline::Words::new(sources.cmdline))
}

/// Whether two names mean the same module: `-` and `_` are the same in them.
pub(crate) fn same_module(a: &str, b: &str) -> bool {
    let plain = |byte| if byte == b'-' { b'_' } else { byte };
    a.bytes().map(plain).eq(b.bytes().map(plain))
}

#[cfg(test)]
mod tests {
    use std::string::{String, ToString};
    use std::vec::Vec;

    use super::*;

    fn parameters(sources: Sources<'_>, module: &str) -> Vec<String> {
        let config = Config::parse(sources).unwrap();
        config.module_parameters(module).map(|parameter| parameter.to_string()).collect()
    }

    #[test]
    fn parameters_come_from_all_sources_in_order() {
        let sources = Sources {
            drop_ins: "nvme_core.io_timeout=1",
            bootconfig: "nvme-core.io_timeout = \"2\"\nnvme_core.multipath = \"\"\nnvme.x = \"y\"\n",
            cmdline: "nvme-core.io_timeout=3 nvme_core= nvme_core. ro -- nvme_core.io_timeout=4",
        };
        let expected = ["io_timeout=1", "io_timeout=2", "multipath", "io_timeout=3"];
        assert_eq!(parameters(sources, "nvme_core"), expected);
        assert_eq!(parameters(sources, "nvme-core"), expected);
        assert_eq!(parameters(sources, "nvme"), ["x=y"]);
        assert_eq!(parameters(sources, "core"), [""; 0]);
    }

    #[test]
    fn values_are_quoted_for_the_kernel_where_they_must_be() {
        let cmdline = r#"m.a="b c" "m.d=e f" m.g=h" "i m.j.k="#;
        let sources = Sources { cmdline, ..Sources::default() };
        assert_eq!(parameters(sources, "m"), [r#"a="b c""#, r#"d="e f""#, r#"g=h" "i"#, "j.k="]);
        let sources = Sources { bootconfig: "m.a = \"b c\"\n", ..Sources::default() };
        assert_eq!(parameters(sources, "m"), [r#"a="b c""#]);
    }
}
