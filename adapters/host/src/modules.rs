//! Kernel modules: loaded by name with what they depend on, and for the hardware that is there.
//!
//! Reads depmod's files as modprobe does, but knows neither configuration nor aliases of users: a ramdisk has none.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

/// The modules of the running kernel.
#[derive(Debug, Clone, Default)]
pub struct Modules {
    folder: PathBuf,
    /// By name: its file, and those it needs, the nearest first.
    files: BTreeMap<String, Vec<String>>,
    /// Patterns of hardware, and the module for it.
    aliases: Vec<(String, String)>,
}

/// A module was not loaded.
#[derive(Debug, thiserror::Error)]
#[error("kernel module {name} cannot be loaded")]
pub struct ModuleError {
    /// Its name.
    pub name: String,
    /// Why.
    pub source: io::Error,
}

impl Modules {
    /// Those of the running kernel, below `/lib/modules`; none where it has none.
    pub fn of_running_kernel() -> Self {
        let release = rustix::system::uname().release().to_string_lossy().into_owned();
        let folder = Path::new("/lib/modules").join(release);
        let read = |file| fs::read_to_string(folder.join(file)).unwrap_or_default();
        Self::parse(&read("modules.dep"), &read("modules.alias"), folder.clone())
    }

    fn parse(dependencies: &str, aliases: &str, folder: PathBuf) -> Self {
        let files = dependencies.lines().filter_map(|line| {
            let (file, needs) = line.split_once(':')?;
            let all = std::iter::once(file).chain(needs.split_whitespace()).map(str::to_owned);
            Some((name_of(file), all.collect()))
        });
        let alias = |line: &str| {
            let (pattern, module) = line.strip_prefix("alias ")?.rsplit_once(' ')?;
            Some((pattern.to_owned(), module.replace('-', "_")))
        };
        Self { files: files.collect(), aliases: aliases.lines().filter_map(alias).collect(), folder }
    }

    /// Loads a module and what it needs. One that is loaded already, or that there is none of (as it is built into the
    /// kernel), is fine.
    ///
    /// # Errors
    /// The kernel refuses it.
    pub fn load(&self, name: &str) -> Result<(), ModuleError> {
        let Some(files) = self.files.get(&name.replace('-', "_")) else { return Ok(()) };
        for file in files.iter().rev() {
            let failed = |source| ModuleError { name: name_of(file), source };
            let opened = File::open(self.folder.join(file)).map_err(failed)?;
            match rustix::system::finit_module(opened, c"", 0) {
                Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                Err(error) => return Err(failed(error.into())),
            }
        }
        Ok(())
    }

    /// Loads the modules for all hardware that the kernel has found, until no more is found: a bus shows its devices only
    /// when its own module is there. What the kernel refuses is returned; the rest is loaded all the same.
    pub fn load_for_hardware(&self) -> Vec<ModuleError> {
        let (mut asked, mut errors) = (BTreeSet::new(), Vec::new());
        loop {
            let new: Vec<_> = hardware().into_iter().filter(|alias| !asked.contains(alias)).collect();
            if new.is_empty() {
                return errors;
            }
            for module in new.iter().flat_map(|alias| self.for_alias(alias)) {
                errors.extend(self.load(&module).err());
            }
            asked.extend(new);
        }
    }

    /// The modules for a device, by how the kernel describes it.
    fn for_alias(&self, alias: &str) -> BTreeSet<String> {
        let fitting =
            self.aliases.iter().filter(|(pattern, _)| matches(pattern.as_bytes(), alias.as_bytes()));
        fitting.map(|(_, module)| module.clone()).collect()
    }
}

/// How the kernel describes each device that it has found.
fn hardware() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for bus in fs::read_dir("/sys/bus").into_iter().flatten().flatten() {
        for device in fs::read_dir(bus.path().join("devices")).into_iter().flatten().flatten() {
            let alias = fs::read_to_string(device.path().join("modalias")).unwrap_or_default();
            found.insert(alias.trim().to_owned());
        }
    }
    found.remove("");
    found
}

fn name_of(file: &str) -> String {
    let name = file.rsplit('/').next().unwrap_or_default();
    name.split(".ko").next().unwrap_or_default().replace('-', "_")
}

/// Whether a text fits a pattern with `*`, `?` and `[…]`, as depmod writes them.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => (0..=text.len()).any(|at| matches(rest, &text[at..])),
        ([b'?', rest @ ..], [_, after @ ..]) => matches(rest, after),
        ([b'[', rest @ ..], [first, after @ ..]) => {
            let Some(end) = rest.iter().position(|b| *b == b']') else { return false };
            let set = &rest[..end];
            let single = set.contains(first);
            let range = set.windows(3).any(|w| w[1] == b'-' && (w[0]..=w[2]).contains(first));
            (single || range) && matches(&rest[end + 1..], after)
        }
        ([first, rest @ ..], [same, after @ ..]) => first == same && matches(rest, after),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_for_hardware() {
        let aliases = "# Aliases extracted from modules themselves.\nalias pci:v00008086d*sv*sd*bc02sc00i* e1000e\n\
                       alias virtio:d00000001v* virtio_net\nalias usb:v[0-9A-C]?F1p* usb-storage\n";
        let modules = Modules::parse("", aliases, PathBuf::new());
        let check = |alias: &str, expected: &[&str]| {
            assert_eq!(modules.for_alias(alias).into_iter().collect::<Vec<_>>(), expected, "{alias}");
        };
        check("pci:v00008086d000010D3sv00008086sd0000A01Fbc02sc00i00", &["e1000e"]);
        check("pci:v00008086d000010D3sv00008086sd0000A01Fbc01sc00i00", &[]);
        check("virtio:d00000001v00001AF4", &["virtio_net"]);
        check("usb:vB0F1p1", &["usb_storage"]);
        check("usb:vD0F1p1", &[]);
        check("", &[]);
    }

    #[test]
    fn one_needs_others_first() {
        let modules =
            Modules::parse("kernel/fs/xfs/xfs.ko: kernel/lib/libcrc32c.ko kernel/c.ko\n", "", "/m".into());
        let files = ["kernel/fs/xfs/xfs.ko", "kernel/lib/libcrc32c.ko", "kernel/c.ko"];
        assert_eq!(modules.files["xfs"], files);
        assert!(modules.load("built-in").is_ok(), "what is no module is built in");
        assert_eq!(modules.load("xfs").unwrap_err().to_string(), "kernel module c cannot be loaded");
    }
}
