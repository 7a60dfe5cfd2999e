//! `surefoot initramfs`: builds the image that the kernel unpacks and whose `/init` is surefoot's PID 1.

mod archive;
mod catalogue;
mod contents;
mod drop_ins;
mod firmware;
mod index_files;
mod kernel_tree;
mod machine;
mod modprobe_config;
mod module_file;
mod packing;
mod pid1;
mod progress;
mod report;
mod rules;
mod selection;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::output;
use archive::Compression;
use catalogue::Catalogue;
use contents::{Contents, Node};
use kernel_tree::KernelTree;
use machine::Machine;
use progress::Progress;
use report::{PackedFile, PackedModule, Report};
use selection::Selection;

const EXAMPLES: &str = "\
Examples:
  surefoot initramfs --kernel 6.12.9-amd64 -o initramfs.img
  dpkg -x linux-image-6.12-cloud-amd64.deb tree && surefoot initramfs --kernel tree -o initramfs.img
  surefoot initramfs --kernel tree --config verity.conf --module qla2xxx -o initramfs.img
  surefoot initramfs --kernel tree --add /usr/bin/busybox:/bin/sh -o debug.img
  surefoot initramfs --kernel tree --list

What deployments inside file systems are checked against is read from the image, for that alone is trusted:
  surefoot initramfs --kernel tree -o ostree.img \\
    --add prepare-root.conf:/usr/lib/ostree/prepare-root.conf keys.pub:/etc/ostree/initramfs-root-binding.key
  surefoot initramfs --kernel tree -o composefs.img \\
    --add setup-root-conf.toml:/usr/lib/composefs/setup-root-conf.toml

By default the image holds the drivers of all local storage (adapters to storage networks by --module only), the file
systems that a root can have, dm-verity, loop and overlay: all that every kind of deployment needs. The same input gives
the same bytes.";

/// Builds the initramfs for a kernel: PID 1, the modules it needs, their index, firmware, configuration.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Kernel to build for: a folder that holds lib/modules/VERSION or usr/lib/modules/VERSION (an unpacked package), that
    /// last folder itself, or a version installed on this machine.
    #[arg(long, value_name = "DIR|VERSION")]
    kernel: String,

    /// Program to become /init [default: surefoot-init beside this program, or in ../lib/surefoot].
    #[arg(long, value_name = "FILE")]
    init: Option<PathBuf>,

    /// Files of command-line words, packed to /etc/cmdline.d; their names end in .conf.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    config: Vec<PathBuf>,

    /// Further modules, by name or alias, with all that they need.
    #[arg(long, value_name = "NAME", num_args = 1.., value_delimiter = ',')]
    module: Vec<String>,

    /// Pack the drivers of this machine's devices only, of the file systems that it has mounted, and what its modprobe.d
    /// says about them.
    #[arg(long)]
    host_only: bool,

    /// Root of the machine that --host-only means: the folder with its sys/devices,
    /// proc/self/mountinfo and modprobe.d.
    #[arg(long, value_name = "DIR", default_value = "/", requires = "host_only", hide = true)]
    machine: PathBuf,

    /// Further files or whole folders: SRC of this machine to the path DST in the image.
    #[arg(long, value_name = "SRC:DST", num_args = 1..)]
    add: Vec<String>,

    /// How to compress the image.
    #[arg(long, value_enum, default_value = "zstd")]
    compress: Compression,

    /// The file to write. It is replaced in one step, once it is complete.
    #[arg(short, long, value_name = "FILE", required_unless_present = "list")]
    output: Option<PathBuf>,

    /// Print what is packed, with sizes in bytes; without -o nothing is written.
    #[arg(long)]
    list: bool,

    /// Print the report in JSON.
    #[arg(long)]
    json: bool,
}

/// Builds the image, or prints what it would hold.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    let mut contents = Contents::default();
    packing::skeleton(&mut contents, pid1::read(args.init.as_deref())?)?;
    let remarks = drop_ins::pack(&mut contents, &args.config)?;
    packing::additions(&mut contents, &args.add)?;

    let tree = KernelTree::find(&args.kernel)?;
    let catalogue = Catalogue::read(&tree)?;
    let mut selection = select(args, &tree, &catalogue)?;
    selection.notes.extend(remarks);
    packing::modules(&mut contents, &tree, &selection)?;
    if args.host_only {
        packing::module_configuration(&mut contents, &modprobe_config::read(&args.machine)?, &selection)?;
    }
    let missing_firmware = packing::firmware(&mut contents, &tree, &selection)?;

    let mut report = report(&tree, &contents, selection, missing_firmware);
    if let Some(path) = &args.output {
        report.size = Some(write_image(&contents, args.compress, path)?);
        report.output = Some(path.clone());
    }
    print(args, &report)
}

fn select<'a>(args: &Args, tree: &KernelTree, catalogue: &'a Catalogue) -> Result<Selection<'a>, Error> {
    let mut selection = Selection::new(catalogue);
    selection.add_named(&args.module, &tree.version)?;
    if args.host_only {
        selection.add_for_machine(&Machine::read(&args.machine)?)?;
    } else {
        selection.add_default()?;
    }
    Ok(selection)
}

fn report(tree: &KernelTree, contents: &Contents, selection: Selection<'_>, missing_firmware: Vec<String>) -> Report {
    let files = contents.iter().filter(|(_, node)| matches!(node, Node::File { .. } | Node::Link(_)));
    let files: Vec<_> = files.map(|(path, node)| PackedFile { path: format!("/{path}"), size: node.size() }).collect();
    let size_of = |path: &str| files.iter().find(|file| file.path.ends_with(path)).map_or(0, |file| file.size);
    let modules = selection.modules().map(|chosen| PackedModule {
        name: chosen.module.name.clone(),
        size: size_of(&format!("/{}", chosen.module.path)),
        why: chosen.why.clone(),
    });
    Report {
        kernel: tree.version.clone(),
        output: None,
        size: None,
        unpacked_size: files.iter().map(|file| file.size).sum(),
        modules: modules.collect(),
        files,
        missing_firmware,
        notes: selection.notes,
    }
}

/// Writes the image beside its target and puts it in place in one step; returns its size in bytes.
fn write_image(contents: &Contents, compression: Compression, path: &Path) -> Result<usize, Error> {
    let failed = |why| Error::file("cannot write", path, &why);
    if fs::symlink_metadata(path).is_ok_and(|known| !known.is_file()) {
        return Err(Error::usage("cannot write", path.display(), "it is there and is not a regular file"));
    }
    let progress = Progress::spinner("compressing");
    let image = archive::write(contents).and_then(|archive| archive::compress(archive, compression)).map_err(failed)?;
    drop(progress);
    let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    file.write_all(&image).map_err(failed)?;
    file.as_file().set_permissions(fs::Permissions::from_mode(0o644)).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|why| failed(why.error))?;
    Ok(image.len())
}

fn print(args: &Args, report: &Report) -> Result<(), Error> {
    for note in &report.notes {
        anstream::eprintln!("surefoot: note: {note}");
    }
    if args.json {
        let json =
            serde_json::to_string_pretty(report).map_err(|why| Error::system("cannot print", "the report", why))?;
        return output::print(json + "\n");
    }
    if !report.missing_firmware.is_empty() {
        let missing = report.missing_firmware.join(" ");
        anstream::eprintln!("surefoot: note: firmware that is not on this machine: {missing}");
    }
    let list = if args.list { report.list() } else { String::new() };
    output::print(format!("{list}{report}"))
}
