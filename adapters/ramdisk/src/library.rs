//! The libraries that a program needs, as its own tables say.

use super::RamdiskError;
use elf::{
    ElfBytes,
    abi::{DT_NEEDED, PT_INTERP},
    endian::AnyEndian,
};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Where libraries are, by Debian's and Fedora's habit.
const FOLDERS: [&str; 8] = [
    "usr/lib/x86_64-linux-gnu",
    "lib/x86_64-linux-gnu",
    "usr/lib/aarch64-linux-gnu",
    "lib/aarch64-linux-gnu",
    "usr/lib64",
    "lib64",
    "usr/lib",
    "lib",
];

/// Every library that a program needs, and those need in turn: where each is, and its name. The program that loads them is
/// one of them. A static program needs none.
pub fn needed(root: &Path, program: &Path) -> Result<Vec<(PathBuf, String)>, RamdiskError> {
    let mut found: BTreeMap<String, PathBuf> = BTreeMap::new();
    let mut rest = vec![program.to_owned()];
    while let Some(path) = rest.pop() {
        for name in wants(&path)? {
            if found.contains_key(&name) {
                continue;
            }
            let place =
                FOLDERS.iter().map(|folder| root.join(folder).join(&name)).find(|path| path.is_file());
            let missing = || RamdiskError::NoLibrary {
                by: path.display().to_string(),
                library: name.clone(),
                root: root.into(),
            };
            let place = place.ok_or_else(missing)?;
            rest.push(place.clone());
            found.insert(name, place);
        }
    }
    Ok(found.into_iter().map(|(name, path)| (path, name)).collect())
}

/// What one file names: its libraries, and the program that loads them.
fn wants(path: &Path) -> Result<Vec<String>, RamdiskError> {
    let bytes = fs::read(path).map_err(|source| RamdiskError::Unreadable { path: path.into(), source })?;
    let named = || -> Result<Vec<String>, elf::ParseError> {
        let file = ElfBytes::<AnyEndian>::minimal_parse(&bytes)?;
        let mut names = Vec::new();
        for segment in file
            .segments()
            .into_iter()
            .flat_map(|table| table.iter())
            .filter(|segment| segment.p_type == PT_INTERP)
        {
            let text =
                String::from_utf8_lossy(file.segment_data(&segment)?).trim_end_matches('\0').to_owned();
            names.extend(text.rsplit('/').next().map(str::to_owned));
        }
        if let (Some(dynamic), Some((_, texts))) = (file.dynamic()?, file.dynamic_symbol_table()?) {
            for entry in dynamic.iter().filter(|entry| entry.d_tag == DT_NEEDED) {
                let at = usize::try_from(entry.d_val()).unwrap_or(usize::MAX);
                names.push(texts.get(at)?.to_owned());
            }
        }
        Ok(names)
    };
    named().map_err(|source| RamdiskError::NoElf { path: path.into(), source })
}
