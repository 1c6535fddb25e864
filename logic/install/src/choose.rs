//! Which disk is taken, and why not another.
//!
//! A disk that holds the layout's volume group is installed again. Otherwise NVMe comes first, then SATA and SAS, then
//! virtio, among those on which the least sizes fit; among equals an empty one, one without platters, the larger one, and
//! at last the one whose WWN and serial number come first, so that the order in which the kernel found them never matters.

use crate::observed::{DiskId, Observed, called, disk_of, lies_on, place, signatures};
use crate::plan::Wanted;
use crate::refusal::Refusal;
use lab_kinds::metal::server::hardware::Contents;
use lab_kinds::metal::server::{Disk, DiskSelector, Transport, VolumeGroup};
use std::cmp::Reverse;

/// The disk that is taken.
#[derive(Debug)]
pub struct Choice<'a> {
    /// The disk.
    pub disk: &'a Disk,
    /// The group on it that is installed upon again, and the number of its partition.
    pub again: Option<(&'a VolumeGroup, i32)>,
    /// Why, as a sentence.
    pub why: String,
}

/// Chooses the disk of a plan.
pub fn choose<'a>(wanted: &Wanted, observed: &Observed<'a>) -> Result<Choice<'a>, Refusal> {
    if observed.disks.is_empty() {
        return Err(Refusal::NoDisks);
    }
    let choice = match installed(wanted, observed)? {
        Some(choice) => choice,
        None => fresh(wanted, observed)?,
    };
    recognisable(choice.disk, observed.disks)?;
    Ok(choice)
}

/// The disk that holds the layout's volume group.
fn installed<'a>(wanted: &Wanted, observed: &Observed<'a>) -> Result<Option<Choice<'a>>, Refusal> {
    let name = &wanted.layout.volume_group;
    let mut groups: Vec<_> = observed.volume_groups.iter().filter(|group| group.name == *name).collect();
    let group = match groups.as_slice() {
        [] => return Ok(None),
        [group] => *group,
        _ => {
            groups.sort_by(|a, b| a.uuid.cmp(&b.uuid));
            let places: Vec<_> =
                groups.iter().map(|g| format!("{} on {}", g.uuid, g.devices.join(", "))).collect();
            return Err(Refusal::TwoGroups { group: name.clone(), places: places.join("; ") });
        }
    };
    let foreign =
        |why: String| Refusal::ForeignGroup { group: name.clone(), place: group.devices.join(", "), why };
    if group.incomplete {
        return Err(foreign("some of its disks are missing".into()));
    }
    let [device] = group.devices.as_slice() else {
        return Err(foreign("lies on more than one device".into()));
    };
    let Some((disk, number)) = disk_of(device, observed.disks) else {
        return Err(foreign("does not lie on a disk of its own (it may lie on an array)".into()));
    };
    if let Some(why) = ruled_out(disk, observed).or_else(|| deselected(disk, wanted.selector)) {
        let disk = called(&disk.name, &disk.into());
        return Err(foreign(format!("stands on {disk}, which cannot be taken ({why})")));
    }
    let Some(number) = number else {
        return Err(foreign("lies on a whole disk, without partitions to start from".into()));
    };
    let ours = |volume: &str| wanted.layout.volumes.iter().any(|v| v.name == volume);
    if !group.volumes.is_empty() && !group.volumes.iter().any(|v| ours(&v.name)) {
        return Err(foreign("has none of the layout's volumes".into()));
    }
    let why = format!("It holds volume group {name}, which is installed again.");
    Ok(Some(Choice { disk, again: Some((group, number)), why }))
}

/// The disk for an installation from nothing.
fn fresh<'a>(wanted: &Wanted, observed: &Observed<'a>) -> Result<Choice<'a>, Refusal> {
    let rules = |disk: &'a Disk| match ruled_out(disk, observed).or_else(|| deselected(disk, wanted.selector))
    {
        Some(why) => Err((disk, why)),
        None => Ok(disk),
    };
    let (allowed, others): (Vec<_>, Vec<_>) = observed.disks.iter().map(rules).partition(Result::is_ok);
    let mut allowed: Vec<_> = allowed.into_iter().flatten().collect();
    allowed.sort_by_key(|disk| rank(disk, wanted.selector));
    if allowed.is_empty() {
        let mut reasons: Vec<_> = others
            .into_iter()
            .filter_map(Result::err)
            .map(|(disk, why)| format!("{}: {why}", called(&disk.name, &disk.into())))
            .collect();
        reasons.sort();
        return Err(Refusal::NoDisk { reasons: reasons.join("; ") });
    }
    let mut large = allowed.iter().filter(|disk| wanted.shortfall(disk).is_none());
    let Some(first) = large.next() else {
        // The one that comes closest is the one worth talking about.
        let closest = allowed.iter().max_by_key(|disk| disk.size_bytes).copied();
        return Err(closest.and_then(|disk| wanted.shortfall(disk)).unwrap_or(Refusal::NoDisks));
    };
    let why = match large.next() {
        None => "It is the only disk that can be taken.".to_owned(),
        Some(second) => {
            format!(
                "It comes before {}: {}.",
                called(&second.name, &(*second).into()),
                before(first, second, wanted.selector)
            )
        }
    };
    Ok(Choice { disk: first, again: None, why })
}

/// Whether the disk can be found again when the plan is carried out.
fn recognisable(disk: &Disk, disks: &[Disk]) -> Result<(), Refusal> {
    let id = DiskId::from(disk);
    let mut alike: Vec<_> =
        disks.iter().filter(|other| DiskId::from(*other) == id).map(|other| other.name.as_str()).collect();
    if alike.len() < 2 {
        return Ok(());
    }
    alike.sort_unstable();
    let id = if id.is_empty() {
        "they have neither serial number nor WWN".into()
    } else {
        format!("all have {id}")
    };
    Err(Refusal::Alike { disks: alike.join(" and "), id })
}

/// Why a disk is never taken, whatever is asked for.
pub fn ruled_out(disk: &Disk, observed: &Observed) -> Option<String> {
    if disk.transport == Some(Transport::Usb) {
        return Some("USB disks are never taken".into());
    }
    if disk.removable {
        return Some("removable media are never taken".into());
    }
    if disk.read_only {
        return Some("it is read-only".into());
    }
    if let Some(member) = signatures(&disk.contents).find(|s| s.kind.ends_with("_raid_member")) {
        let array =
            if member.member_of.is_empty() { String::new() } else { format!(" {}", member.member_of) };
        return Some(format!(
            "it belongs to a RAID array{array} ({}), which has to be dissolved first",
            member.kind
        ));
    }
    let shared = |group: &&VolumeGroup| {
        lies_on(group, &disk.name)
            && (group.incomplete || group.devices.iter().any(|d| place(d, &disk.name).is_none()))
    };
    let group = observed.volume_groups.iter().find(shared)?;
    Some(format!("volume group {} lies on it and on other disks as well", group.name))
}

/// Why the selector, or its absence, does not take a disk.
pub fn deselected(disk: &Disk, selector: &DiskSelector) -> Option<String> {
    let not = |field: &str| Some(format!("spec.install.diskSelector.{field} asks for another one"));
    let size = crate::sizes::bytes(disk.size_bytes);
    if !selector.serials.is_empty() && !selector.serials.contains(&disk.serial) {
        return not("serials");
    }
    if !selector.wwns.is_empty() && !selector.wwns.contains(&disk.wwn) {
        return not("wwns");
    }
    if !selector.transports.is_empty() && !disk.transport.is_some_and(|t| selector.transports.contains(&t)) {
        return not("transports");
    }
    let has = |model: &String| disk.model.to_lowercase().contains(&model.to_lowercase());
    if selector.model.as_ref().is_some_and(|model| !has(model)) {
        return not("model");
    }
    if selector.min_size.is_some_and(|least| size < least.bytes) {
        return not("minSize");
    }
    if selector.max_size.is_some_and(|most| size > most.bytes) {
        return not("maxSize");
    }
    let named = !(selector.serials.is_empty()
        && selector.wwns.is_empty()
        && selector.transports.is_empty()
        && selector.model.is_none());
    if !named && preference(disk.transport) == OTHERS {
        return Some(format!(
            "{} disks are taken only when spec.install.diskSelector names them",
            transport(disk.transport)
        ));
    }
    None
}

/// Behind all that are taken unasked.
const OTHERS: usize = 3;

fn preference(transport: Option<Transport>) -> usize {
    match transport {
        Some(Transport::Nvme) => 0,
        Some(Transport::Sata | Transport::Sas) => 1,
        Some(Transport::Virtio) => 2,
        _ => OTHERS,
    }
}

/// Ascending: what is taken first.
fn rank(disk: &Disk, selector: &DiskSelector) -> (usize, bool, bool, Reverse<i64>, DiskId) {
    let asked = selector.transports.iter().position(|t| disk.transport == Some(*t));
    (
        asked.unwrap_or_else(|| preference(disk.transport)),
        disk.contents != Contents::default(),
        disk.rotational,
        Reverse(disk.size_bytes),
        disk.into(),
    )
}

/// What put one disk before another.
fn before(first: &Disk, second: &Disk, selector: &DiskSelector) -> String {
    if rank(first, selector).0 != rank(second, selector).0 {
        return format!("{} is preferred to {}", transport(first.transport), transport(second.transport));
    }
    let empty = |disk: &Disk| disk.contents == Contents::default();
    match () {
        () if empty(first) != empty(second) => "nothing is on it".into(),
        () if first.rotational != second.rotational => "it has no turning platters".into(),
        () if first.size_bytes != second.size_bytes => "it is larger".into(),
        () => "they are alike, and its WWN and serial number come first".into(),
    }
}

/// A transport as people call it.
pub fn transport(transport: Option<Transport>) -> &'static str {
    match transport {
        Some(Transport::Nvme) => "NVMe",
        Some(Transport::Sata) => "SATA",
        Some(Transport::Sas) => "SAS",
        Some(Transport::Virtio) => "virtio",
        Some(Transport::Usb) => "USB",
        Some(Transport::Mmc) => "MMC",
        Some(Transport::Network) => "network",
        Some(Transport::Other) => "other",
        None => "unknown",
    }
}

/// Why a disk that is not the chosen one is left alone.
pub fn left_alone(disk: &Disk, choice: &Choice, wanted: &Wanted, observed: &Observed) -> String {
    let taken = called(&choice.disk.name, &choice.disk.into());
    let mut why = ruled_out(disk, observed)
        .or_else(|| deselected(disk, wanted.selector))
        .or_else(|| {
            let small = choice.again.is_none() && wanted.shortfall(disk).is_some();
            small.then(|| format!("it is too small for layout {}", wanted.layout_name))
        })
        .unwrap_or_else(|| match choice.again {
            Some(_) => format!("volume group {} stands on {taken}", wanted.layout.volume_group),
            None => format!("it comes after {taken}"),
        });
    if let Some(first) = why.get(..1).map(str::to_uppercase) {
        why.replace_range(..1, &first);
    }
    format!("{why}.")
}
