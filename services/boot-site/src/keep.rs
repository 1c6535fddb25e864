//! What a site keeps on disk: leases, what was heard of machines, and the last known objects.
//!
//! Leases and machines are lines of JSON, added at the end and written anew when they have grown too long. The first line says what
//! the file is and in which version of its form.

mod lines;
mod objects;

pub(crate) use objects::Objects;

use crate::machine::{Machine, Record};
use crate::{Knowledge, Site};
use lab_machine::lease::{Lease, Leases};
use lab_object::mac::MacAddress;
use lines::Lines;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Something could not be kept, or what was kept cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// The system refused.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file or folder.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A file is not what its name says.
    #[error("{} is no file of {kind}; move it away", path.display())]
    Other {
        /// The file.
        path: PathBuf,
        /// What it should be of.
        kind: &'static str,
    },
    /// A file has a form that this program does not know.
    #[error("{} has version {found} of its form, and this program reads version {known}; use the newer program that wrote it", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// The version found.
        found: u32,
        /// The version that is read.
        known: u32,
    },
}

/// An error of the system, with what was being done.
pub(crate) fn io<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> KeepError + 'a {
    move |source| KeepError::Io { doing, path: path.to_owned(), source }
}

/// Makes a folder that only its owner can look into: tokens of boots are in it.
pub(crate) fn private(folder: &Path) -> Result<(), KeepError> {
    fs::create_dir_all(folder).map_err(io("make", folder))?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(io("protect", folder))
}

/// A lease, and the network it is of.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Leased {
    network: String,
    #[serde(flatten)]
    lease: Lease,
}

/// The file of the leases of all networks.
#[derive(Debug)]
pub(crate) struct LeaseFile {
    lines: Lines<Leased>,
    count: usize,
}

impl LeaseFile {
    /// Opens the file, or makes an empty one, and reads what it has.
    pub fn open(path: &Path) -> Result<(Self, BTreeMap<String, Leases>), KeepError> {
        let (lines, stored) = Lines::open(path, "leases")?;
        let mut leases: BTreeMap<String, Leases> = BTreeMap::new();
        let count = stored.len();
        for Leased { network, lease } in stored {
            leases.entry(network).or_default().restore(lease);
        }
        Ok((Self { lines, count }, leases))
    }

    /// Adds leases. They are on disk when this returns.
    fn append(&mut self, changed: Vec<(String, Vec<Lease>)>) -> Result<(), KeepError> {
        let lines: Vec<Leased> = flat(changed);
        self.count += lines.len();
        self.lines.append(&lines)?;
        self.lines.sync()
    }

    /// Whether the file has many times more lines than there are leases.
    fn is_overgrown(&self, leases: usize) -> bool {
        self.count > 1000 + 4 * leases
    }

    fn rewrite(&mut self, all: Vec<(String, Vec<Lease>)>) -> Result<(), KeepError> {
        let lines = flat(all);
        self.lines.rewrite(&lines)?;
        self.count = lines.len();
        Ok(())
    }
}

fn flat(leases: Vec<(String, Vec<Lease>)>) -> Vec<Leased> {
    let of = |(network, leases): (String, Vec<Lease>)| {
        leases.into_iter().map(move |lease| Leased { network: network.clone(), lease })
    };
    leases.into_iter().flat_map(of).collect()
}

impl Site {
    /// Stores the leases that changed. Where that fails machines are answered all the same: an address given out twice after a crash
    /// is found by the clients themselves.
    pub(crate) async fn keep_leases(&self) {
        if !self.with(|known| known.leases.values().any(Leases::has_changed)) {
            return;
        }
        let (file, knowledge) = (self.leases.clone(), self.knowledge.clone());
        let stored = tokio::task::spawn_blocking(move || {
            // Whoever has the file takes what changed until then, so that the file has changes in their order.
            let mut file = file.lock();
            let Some(file) = file.as_mut() else { return Ok(()) };
            let (changed, count) = {
                let mut known = knowledge.lock();
                let count = known.leases.values().map(|leases| leases.iter().count()).sum();
                let of = |(name, leases): (&String, &mut Leases)| (name.clone(), leases.take_changed());
                (known.leases.iter_mut().map(of).collect(), count)
            };
            file.append(changed)?;
            if !file.is_overgrown(count) {
                return Ok(());
            }
            let of = |(name, leases): (&String, &Leases)| (name.clone(), leases.iter().copied().collect());
            let all = knowledge.lock().leases.iter().map(of).collect();
            file.rewrite(all)
        });
        match stored.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(error = &error as &dyn std::error::Error, "leases are not stored")
            }
            Err(panic) => tracing::error!(%panic, "leases are not stored"),
        }
    }
}

/// The folder with a file for every machine that was heard.
#[derive(Debug)]
pub(crate) struct MachineFiles {
    folder: PathBuf,
}

const MACHINE: &str = "machine";

impl MachineFiles {
    /// Opens the folder and reads every machine. One whose file cannot be read is left out, and its file left alone.
    pub fn open(folder: &Path) -> Result<(Self, HashMap<MacAddress, Machine>), KeepError> {
        fs::create_dir_all(folder).map_err(io("make", folder))?;
        let mut machines = HashMap::new();
        for entry in fs::read_dir(folder).map_err(io("list", folder))? {
            let path = entry.map_err(io("list", folder))?.path();
            let named =
                path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".jsonl"));
            let Some(mac) = named.and_then(|name| MacAddress::parse(name).ok()) else { continue };
            match Lines::<Record>::open(&path, MACHINE) {
                Ok((_, records)) => {
                    machines.insert(mac, Machine::stored(records));
                }
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "a machine's history is not read"
                    );
                }
            }
        }
        Ok((Self { folder: folder.to_owned() }, machines))
    }

    /// Adds to a machine's file, or writes it anew.
    pub fn write(&self, mac: MacAddress, records: &[Record], anew: bool) -> Result<(), KeepError> {
        let path = self.path(mac);
        if anew {
            return Lines::create(&path, MACHINE, records);
        }
        Lines::add(&path, MACHINE, records)
    }

    /// Forgets a machine.
    pub fn remove(&self, mac: MacAddress) {
        // One that was never written is as good as removed.
        let _ = fs::remove_file(self.path(mac));
    }

    fn path(&self, mac: MacAddress) -> PathBuf {
        self.folder.join(format!("{}.jsonl", mac.dashed()))
    }
}

/// What is to be written of one machine.
pub(crate) struct Unsaved {
    mac: MacAddress,
    records: Vec<Record>,
    anew: bool,
}

impl Knowledge {
    /// What is to be written of machines, and the machines whose files are to go. It counts as written.
    pub(crate) fn take_unsaved(&mut self) -> (Vec<Unsaved>, Vec<MacAddress>) {
        let mut all = Vec::new();
        for mac in std::mem::take(&mut self.unsaved) {
            let Some(machine) = self.machines.get_mut(&mac).filter(|machine| !machine.unsaved.is_empty())
            else {
                continue;
            };
            let mut records = std::mem::take(&mut machine.unsaved);
            machine.stored += records.len();
            let anew = machine.is_overgrown();
            if anew {
                records = machine.records();
                machine.stored = records.len();
            }
            all.push(Unsaved { mac, records, anew });
        }
        (all, std::mem::take(&mut self.forgotten))
    }
}

/// Writes what was heard of machines.
pub(crate) fn write_machines(files: &MachineFiles, unsaved: Vec<Unsaved>, forgotten: Vec<MacAddress>) {
    for mac in forgotten {
        files.remove(mac);
    }
    let mut failed = None;
    for Unsaved { mac, records, anew } in unsaved {
        if let Err(error) = files.write(mac, &records, anew) {
            failed = Some(error);
        }
    }
    if let Some(error) = failed {
        tracing::error!(error = &error as &dyn std::error::Error, "what was heard of machines is not stored");
    }
}

#[cfg(test)]
mod tests;
