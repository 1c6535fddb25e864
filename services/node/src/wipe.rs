//! Wiping a machine's disks, for one that is given up.
//!
//! The disks are read again first: what is wiped are those that the bastion named, or nothing is.

use crate::install::Site;
use lab_host::command::{CallError, Run};
use lab_host::erase::{Erasure, erase};
use lab_host::observe::{self, Tree};
use lab_kinds::metal::server::status::{Stage, StageOutcome};
use lab_kinds::metal::server::{Disk, hardware::Contents};
use lab_object::Time;
use lab_wire::site::{Progress, WIPE, WipedDisk, Wiping};
use std::path::Path;

/// Why disks were not wiped.
#[derive(Debug, thiserror::Error)]
pub enum WipeError {
    /// The disks cannot be read.
    #[error("nothing was wiped, as the disks cannot be read: {0}")]
    Unreadable(String),
    /// A disk is not there, or another one has its name.
    #[error("nothing was wiped, as disk {disk} ({id}) is not there as it was reported")]
    Changed {
        /// The kernel's name of the disk.
        disk: String,
        /// Its serial number or WWN.
        id: String,
    },
    /// A disk refused.
    #[error("disk {disk} was not wiped: {source}")]
    Refused {
        /// The kernel's name of the disk.
        disk: String,
        /// Why.
        source: CallError,
    },
    /// Something can be read on it all the same.
    #[error("disk {disk} was written to without an error, and what was on it can still be read")]
    StillThere {
        /// The kernel's name of the disk.
        disk: String,
    },
}

/// Wipes disks, one after the other, and tells how that goes.
///
/// # Errors
/// The disks are not those that were reported, or one of them refused; those before it are wiped.
pub fn wipe(given: &Wiping, run: &dyn Run, site: &dyn Site) -> Result<(), WipeError> {
    let teller = Teller { site, bytes: given.disks.iter().map(size).sum(), done: 0 };
    let outcome = all(given, run, teller);
    if let Err(error) = &outcome {
        let stage = Stage { name: "wipe".into(), ..Stage::default() };
        let teller = Teller { site, bytes: 0, done: 0 };
        teller.tell(ended(stage, site, StageOutcome::Failed, error.to_string()), 0, false);
    }
    outcome
}

fn all(given: &Wiping, run: &dyn Run, mut teller: Teller<'_>) -> Result<(), WipeError> {
    let found = read(run)?;
    if let Some(other) = given.disks.iter().find(|disk| !found.iter().any(|found| is_same(disk, found))) {
        let id = if other.serial.is_empty() { &other.wwn } else { &other.serial };
        return Err(WipeError::Changed { disk: other.name.clone(), id: id.clone() });
    }
    let mut last = Stage { name: "wipe".into(), ..Stage::default() };
    for disk in &given.disks {
        let name = disk.name.clone();
        let started = Some(Time::cut(teller.site.now()));
        let total_bytes = Some(disk.size_bytes);
        let stage = Stage { name: format!("wipe-{name}"), started, total_bytes, ..Stage::default() };
        teller.tell(stage.clone(), 0, false);
        let device = Path::new("/dev").join(&name);
        let told = |bytes: u64| {
            let done_bytes = i64::try_from(bytes).ok();
            teller.tell(Stage { done_bytes, ..stage.clone() }, bytes, false);
        };
        let how = erase(run, &device, size(disk), &mut { told })
            .map_err(|source| WipeError::Refused { disk: name.clone(), source })?;
        let after = read(run)?;
        if after.iter().any(|found| is_same(disk, found) && found.contents != Contents::default()) {
            return Err(WipeError::StillThere { disk: name });
        }
        teller.done += size(disk);
        last = ended(stage, teller.site, StageOutcome::Done, said(disk, how));
        teller.tell(last.clone(), 0, false);
    }
    teller.tell(last, 0, true);
    Ok(())
}

fn read(run: &dyn Run) -> Result<Vec<Disk>, WipeError> {
    let mut problems = Vec::new();
    let (disks, _) = observe::disks(&Tree::new("/"), run, &mut problems);
    problems.into_iter().next().map_or(Ok(disks), |problem| Err(WipeError::Unreadable(problem)))
}

fn is_same(wanted: &WipedDisk, found: &Disk) -> bool {
    let WipedDisk { name, serial, wwn, size_bytes } = wanted;
    (name, serial, wwn, size_bytes) == (&found.name, &found.serial, &found.wwn, &found.size_bytes)
}

fn size(disk: &WipedDisk) -> u64 {
    u64::try_from(disk.size_bytes).unwrap_or_default()
}

/// What was wiped, for the record.
fn said(disk: &WipedDisk, how: Erasure) -> String {
    let WipedDisk { name, serial, wwn, size_bytes } = disk;
    let names = [("serial", serial), ("WWN", wwn)].into_iter().filter(|(_, id)| !id.is_empty());
    let names: String = names.map(|(what, id)| format!(", {what} {id}")).collect();
    format!("disk {name}{names}, {size_bytes} bytes: {how}")
}

fn ended(stage: Stage, site: &dyn Site, outcome: StageOutcome, message: String) -> Stage {
    let ended = Some(Time::cut(site.now()));
    Stage { ended, outcome: Some(outcome), message: Some(message), ..stage }
}

/// Tells a site how far wiping has come.
struct Teller<'a> {
    site: &'a dyn Site,
    bytes: u64,
    done: u64,
}

impl Teller<'_> {
    fn tell(&self, stage: Stage, of_this: u64, finished: bool) {
        let done = (self.done + of_this).saturating_mul(100).checked_div(self.bytes).unwrap_or_default();
        self.site.tell(&Progress {
            plan: WIPE.into(),
            stage,
            percent: i32::try_from(done.min(100)).unwrap_or(100),
            expected_end: None,
            finished,
            clock: Some(Time::cut(self.site.now())),
        });
    }
}
