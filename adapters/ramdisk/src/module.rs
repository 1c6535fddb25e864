//! Kernel modules, from depmod's files.

use super::{Ramdisk, RamdiskError};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// Adds modules, those that they depend on, and depmod's files cut to them.
pub fn add(ramdisk: &mut Ramdisk, root: &Path, release: &str, names: &[&str]) -> Result<(), RamdiskError> {
    let folder = format!("lib/modules/{release}");
    let read = |file: &str| {
        let path = root.join(&folder).join(file);
        fs::read_to_string(&path).map_err(|source| RamdiskError::Unreadable { path, source })
    };
    let dependencies = read("modules.dep")?;
    let dependencies: BTreeMap<&str, Vec<&str>> = dependencies.lines().filter_map(dependency).collect();
    let by_name: BTreeMap<String, &str> = dependencies.keys().map(|path| (name_of(path), *path)).collect();
    let built_in = read("modules.builtin")?;
    let built_in: BTreeSet<String> = built_in.lines().map(name_of).collect();
    let mut taken: BTreeSet<&str> = BTreeSet::new();
    for name in names {
        let name = name.replace('-', "_");
        match by_name.get(&name) {
            Some(path) => {
                taken.insert(*path);
                taken.extend(dependencies[path].iter().copied());
            }
            None if built_in.contains(&name) => {}
            None => return Err(RamdiskError::NoModule { name }),
        }
    }
    let mut own = String::new();
    for path in &taken {
        ramdisk.copy(&root.join(&folder).join(path), &format!("usr/{folder}/{path}"))?;
        own.push_str(&format!("{path}: {}\n", dependencies[path].join(" ")));
    }
    ramdisk.file(&format!("usr/{folder}/modules.dep"), 0o644, own);
    let names: BTreeSet<String> = taken.iter().map(|path| name_of(path)).collect();
    let aliases = read("modules.alias")?;
    let aliases: String = aliases
        .lines()
        .filter(|line| {
            line.rsplit(' ').next().is_some_and(|module| names.contains(&module.replace('-', "_")))
        })
        .flat_map(|line| [line, "\n"])
        .collect();
    ramdisk.file(&format!("usr/{folder}/modules.alias"), 0o644, aliases);
    Ok(())
}

/// A line of modules.dep: `kernel/fs/xfs/xfs.ko: kernel/lib/libcrc32c.ko`.
fn dependency(line: &str) -> Option<(&str, Vec<&str>)> {
    let (path, needs) = line.split_once(':')?;
    Some((path, needs.split_whitespace().collect()))
}

/// A module's name by its file: the kernel writes underscores.
fn name_of(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or_default();
    file.split(".ko").next().unwrap_or_default().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_named_and_what_they_need() {
        let root = tempfile::tempdir().expect("there is room");
        let folder = root.path().join("lib/modules/6.1");
        let write = |file: &str, text: &str| {
            let path = folder.join(file);
            fs::create_dir_all(path.parent().expect("it has one")).expect("there is room");
            fs::write(path, text).expect("there is room");
        };
        write("modules.dep", "kernel/a/a-b.ko: kernel/c.ko.xz\nkernel/c.ko.xz:\nkernel/d.ko:\n");
        write("modules.builtin", "kernel/e.ko\n");
        write("modules.alias", "alias pci:v1* a_b\nalias pci:v2* d\n");
        for path in ["kernel/a/a-b.ko", "kernel/c.ko.xz", "kernel/d.ko"] {
            write(path, path);
        }
        let mut ramdisk = Ramdisk::default();
        ramdisk.modules(root.path(), "6.1", &["a_b", "e"]).expect("they are there");
        let paths: Vec<_> = ramdisk.entries.keys().filter(|path| path.contains(".ko")).collect();
        assert_eq!(paths, ["usr/lib/modules/6.1/kernel/a/a-b.ko", "usr/lib/modules/6.1/kernel/c.ko.xz"]);
        let text = |file: &str| match &ramdisk.entries[&format!("usr/lib/modules/6.1/{file}")].1 {
            crate::Content::File(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            other => panic!("{other:?}"),
        };
        assert_eq!(text("modules.dep"), "kernel/a/a-b.ko: kernel/c.ko.xz\nkernel/c.ko.xz: \n");
        assert_eq!(text("modules.alias"), "alias pci:v1* a_b\n");
        let error = ramdisk.modules(root.path(), "6.1", &["nonexistent"]).expect_err("there is none");
        assert_eq!(error.to_string(), "the kernel has no module nonexistent");
    }
}
