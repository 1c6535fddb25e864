//! Whether a step is done already.

use super::{Install, StepError};
use lab_install::steps::{Action, Done, Step, TableEntry, Target};
use lab_kinds::metal::server::hardware::{Partition, Signature};

impl Install<'_> {
    pub(super) fn is_done(&self, step: &Step) -> Result<bool, StepError> {
        let (hands, devices) = (&self.hands, &self.devices);
        Ok(match (&step.done, &step.action) {
            (Done::Never, _) => false,
            (Done::EmptyOrTable(uuid), _) => {
                hands.is_empty(devices.disk(), devices.sector_bytes)?
                    || hands.table_uuid(devices.disk(), devices.sector_bytes)?.eq_ignore_ascii_case(uuid)
            }
            (Done::Table(uuid), Action::PartitionTable { partitions, .. }) => {
                let partitions: Vec<_> = partitions.iter().map(partition).collect();
                hands.has_table(devices.disk(), uuid, &partitions, devices.sector_bytes)?
            }
            (Done::Identifier(uuid), Action::PhysicalVolume { on, .. } | Action::FileSystem { on, .. }) => {
                hands.identifier(&devices.path(on)?)?.eq_ignore_ascii_case(uuid)
            }
            (Done::Group(name, _), _) => hands.group_on(devices.group())?.as_ref() == Some(name),
            (Done::Size(bytes), Action::LogicalVolume { volume: Target::Volume(group, volume), .. }) => {
                let there = hands.volume_size(devices.group(), group, volume)? == Some(*bytes);
                if there {
                    // It may stand since an earlier boot.
                    hands.bring_up(devices.group(), group, volume)?;
                }
                there
            }
            (Done::Mounted(at), _) => hands.is_mounted(at)?,
            (Done::Marked(hash), _) => hands.read_file(&step.mark()).as_ref() == Some(hash),
            (Done::Table(_) | Done::Identifier(_) | Done::Size(_), _) => false,
        })
    }
}

/// An entry of a new table, as it is read again.
pub(super) fn partition(entry: &TableEntry) -> Partition {
    Partition {
        number: entry.number,
        name: entry.name.clone(),
        kind: entry.kind.to_lowercase(),
        uuid: entry.uuid.to_lowercase(),
        start_bytes: entry.start_bytes,
        size_bytes: entry.size_bytes,
        signature: Signature::default(),
    }
}
