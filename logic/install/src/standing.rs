//! The second look: whether the disks are still those that a plan was made for.
//!
//! A plan holds when every disk that belongs to the machine is there with the same identity, size and contents, and no
//! other has appeared. It also holds when it has begun: its disk may then bear what the plan makes (recognised by
//! identifiers that only this plan yields) and may lack what the plan destroys, but what it keeps must be as it was.

mod begun;
mod contents;

use crate::hash::{is_worked_on, matters};
use crate::observed::{DiskId, Observed, belongs, called, disk_of, place};
use crate::sizes::bytes;
use lab_kinds::metal::server::hardware::FirmwareType;
use lab_kinds::metal::server::{Disk, DiskPlan, Plan, Transport, VolumeGroup};

/// How far a plan that holds has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The disks are as they were when it was made.
    Untouched,
    /// It was begun on this machine, and can be carried on with.
    Begun,
}

/// What is not as it was when the plan was made. Each says as one sentence what changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Changed {
    /// It is no plan that can be carried out.
    #[error("the plan was refused and cannot be carried out")]
    Refused,
    /// The machine was started in another way.
    #[error("the plan was made for a machine that starts by {was}, and it was started by {is}")]
    Firmware {
        /// The plan's firmware.
        was: &'static str,
        /// The firmware now.
        is: &'static str,
    },
    /// A disk is not there any more.
    #[error("disk {disk} has vanished")]
    Vanished {
        /// The disk.
        disk: String,
    },
    /// A disk stands in another's place.
    #[error("where disk {was} was, there is now {is}")]
    Replaced {
        /// The disk of the plan.
        was: String,
        /// The disk that is there.
        is: String,
    },
    /// A disk has appeared.
    #[error("disk {disk} has appeared")]
    Appeared {
        /// The disk.
        disk: String,
    },
    /// A disk has another size.
    #[error("disk {disk} had {was} bytes and now has {is}")]
    Resized {
        /// The disk.
        disk: String,
        /// Bytes it had.
        was: u64,
        /// Bytes it has.
        is: u64,
    },
    /// The disk that is to be written to has become one that never is.
    #[error("disk {disk} can no longer be written to: {why}")]
    Unwritable {
        /// The disk.
        disk: String,
        /// Why.
        why: &'static str,
    },
    /// There is something else on a disk.
    #[error("on disk {disk}, {what}")]
    Contents {
        /// The disk.
        disk: String,
        /// What is other than it was, as a clause.
        what: String,
    },
    /// A volume group is other than it was.
    #[error("in volume group {group}, {what}")]
    Group {
        /// Its name.
        group: String,
        /// What is other than it was, as a clause.
        what: String,
    },
}

/// Whether the plan may be carried out on the disks as they are now.
pub fn still_holds(plan: &Plan, observed: &Observed) -> Result<Standing, Changed> {
    let (Some(hash), None) = (&plan.hash, &plan.refused) else { return Err(Changed::Refused) };
    if let Some(was) = plan.firmware.filter(|was| *was != observed.firmware) {
        let name = |firmware| match firmware {
            FirmwareType::Uefi => "UEFI",
            FirmwareType::Bios => "BIOS",
        };
        return Err(Changed::Firmware { was: name(was), is: name(observed.firmware) });
    }
    let pairs = pairs(plan, observed)?;
    let mut changed = None;
    for (planned, disk) in &pairs {
        let called = || called(&disk.name, &DiskId::from(*disk));
        if planned.size_bytes != disk.size_bytes {
            let (was, is) = (bytes(planned.size_bytes), bytes(disk.size_bytes));
            return Err(Changed::Resized { disk: called(), was, is });
        }
        if is_worked_on(planned) {
            writable(disk)?;
        }
        if let Some(what) = contents::difference(&planned.contents, &disk.contents) {
            let difference = Changed::Contents { disk: called(), what };
            if !is_worked_on(planned) {
                return Err(difference);
            }
            changed.get_or_insert(difference);
        }
    }
    let groups = Groups::of(plan, observed, &pairs);
    if let Some((difference, elsewhere)) = groups.difference() {
        if elsewhere {
            return Err(difference);
        }
        changed.get_or_insert(difference);
    }
    let Some(difference) = changed else { return Ok(Standing::Untouched) };
    let worked_on = pairs.iter().find(|(planned, _)| is_worked_on(planned));
    match worked_on {
        Some((planned, disk)) if begun::by(plan, hash, planned, disk, &groups) => Ok(Standing::Begun),
        _ => Err(difference),
    }
}

fn writable(disk: &Disk) -> Result<(), Changed> {
    let why = if disk.read_only {
        "it is read-only"
    } else if disk.removable {
        "its medium is removable"
    } else if disk.transport == Some(Transport::Usb) {
        "it is attached by USB"
    } else {
        return Ok(());
    };
    Err(Changed::Unwritable { disk: called(&disk.name, &disk.into()), why })
}

/// Every disk of the plan that matters, with the one it is now.
fn pairs<'a>(plan: &'a Plan, observed: &Observed<'a>) -> Result<Vec<(&'a DiskPlan, &'a Disk)>, Changed> {
    let planned: Vec<_> = plan.disks.iter().filter(|disk| matters(disk)).collect();
    // The disk that the plan works on is looked for even where it no longer looks as if it belonged to the machine.
    let here = |disk: &&Disk| {
        belongs(disk.transport, disk.removable)
            || planned.iter().any(|p| is_worked_on(p) && DiskId::from(*p) == (*disk).into())
    };
    let mut now: Vec<_> = observed.disks.iter().filter(here).collect();
    let (mut pairs, mut missing) = (Vec::new(), Vec::new());
    for planned in planned {
        let id = DiskId::from(planned);
        let same: Vec<_> = now.iter().enumerate().filter(|(_, d)| DiskId::from(**d) == id).collect();
        // Among disks without identity, or alike, the one with the same contents and then the same size is meant.
        let best = same.iter().max_by_key(|(_, disk)| {
            (
                disk.contents == planned.contents,
                disk.size_bytes == planned.size_bytes,
                disk.name == planned.name,
            )
        });
        match best.map(|(at, _)| *at) {
            Some(at) => pairs.push((planned, now.swap_remove(at))),
            None => missing.push(planned),
        }
    }
    if let Some(planned) = missing.first() {
        let was = called(&planned.name, &DiskId::from(*planned));
        let instead = now.iter().find(|disk| disk.name == planned.name);
        return Err(match instead {
            Some(disk) => Changed::Replaced { was, is: called(&disk.name, &DiskId::from(*disk)) },
            None => Changed::Vanished { disk: was },
        });
    }
    match now.first() {
        Some(disk) => Err(Changed::Appeared { disk: called(&disk.name, &DiskId::from(*disk)) }),
        None => Ok(pairs),
    }
}

/// The volume groups then and now, and on which planned disks they lie.
struct Groups<'a> {
    was: Vec<(&'a VolumeGroup, Vec<Lies>)>,
    is: Vec<(&'a VolumeGroup, Vec<Lies>)>,
}

/// Where a device of a group lies: the place of its disk among the pairs and the partition's number there.
type Lies = Option<(usize, Option<i32>)>;

impl<'a> Groups<'a> {
    fn of(plan: &'a Plan, observed: &Observed<'a>, pairs: &[(&'a DiskPlan, &'a Disk)]) -> Self {
        let then = |device: &String| {
            pairs.iter().enumerate().find_map(|(at, (planned, _))| Some((at, place(device, &planned.name)?)))
        };
        let now = |device: &String| {
            pairs.iter().enumerate().find_map(|(at, (_, disk))| Some((at, place(device, &disk.name)?)))
        };
        // One that lies only on disks that do not matter does not matter.
        let matters = |group: &&VolumeGroup| {
            let elsewhere =
                |device: &String| disk_of(device, observed.disks).is_some() && now(device).is_none();
            group.devices.is_empty() || !group.devices.iter().all(elsewhere)
        };
        let places = |group: &VolumeGroup, find: &dyn Fn(&String) -> Lies| {
            let mut places: Vec<_> = group.devices.iter().map(find).collect();
            places.sort();
            places
        };
        Self {
            was: plan.found_volume_groups.iter().map(|g| (g, places(g, &then))).collect(),
            is: observed.volume_groups.iter().filter(matters).map(|g| (g, places(g, &now))).collect(),
        }
    }

    /// The first difference, and whether it is one that carrying out the plan cannot have made.
    fn difference(&self) -> Option<(Changed, bool)> {
        let named = |group: &VolumeGroup, what: String| Changed::Group { group: group.name.clone(), what };
        for (was, places) in &self.was {
            match self.is.iter().find(|(is, _)| is.uuid == was.uuid) {
                None => return Some((named(was, "nothing is left: it has vanished".into()), false)),
                Some((_, now)) if now != places => {
                    return Some((named(was, "the disks are other ones".into()), true));
                }
                Some((is, _)) => {
                    if let Some(what) = contents::group_difference(was, is) {
                        return Some((named(was, what), false));
                    }
                }
            }
        }
        let new = self.is.iter().find(|(is, _)| !self.was.iter().any(|(was, _)| was.uuid == is.uuid));
        new.map(|(group, _)| (named(group, "everything is new: it has appeared".into()), false))
    }
}
