//! Whether a plan may be carried out.
//!
//! Every plan needs approval, also one that loses nothing: it will start another system. Approving means that
//! `spec.install.approve` names the plan's hash; whoever writes that agrees to the loss of all that [`losses`] names, and to
//! nothing else. The hash covers what stands on the disks, so that an approval ends by itself when they change.

use crate::hash;
use crate::observed::called;
use lab_kinds::metal::server::{Fate, FileSystemFate, Plan, Server};

/// Why a plan may not be carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unapproved {
    /// There is nothing to approve.
    #[error("there is no plan to approve: {why}")]
    Refused {
        /// Why there is none.
        why: String,
    },
    /// The plan was made for another machine.
    #[error("the plan was made for the machine with UUID {plan}, but this one has {machine}")]
    OtherMachine {
        /// The plan's machine.
        plan: String,
        /// This machine.
        machine: String,
    },
    /// Its contents are not what its hash says.
    #[error(
        "the plan was altered after it was made: its hash is {said}, but what it says hashes to {is}; have it made again"
    )]
    Altered {
        /// The hash it bears.
        said: String,
        /// The hash of its contents.
        is: String,
    },
    /// Nobody approved anything.
    #[error("plan {hash} waits for approval in spec.install.approve; {losses}")]
    Waiting {
        /// Its hash.
        hash: String,
        /// What approving means.
        losses: String,
    },
    /// Another plan was approved.
    #[error(
        "spec.install.approve names {approved}, but the disks or the wishes have changed since and the plan is now {hash}: \
         look at it and approve it again; {losses}"
    )]
    Stale {
        /// What was approved.
        approved: String,
        /// The hash of the plan as it stands.
        hash: String,
        /// What approving means.
        losses: String,
    },
}

/// Whether `spec.install.approve` names this very plan, unaltered and made for this machine.
pub fn approved(server: &Server, plan: &Plan) -> Result<(), Unapproved> {
    let (None, Some(said)) = (&plan.refused, &plan.hash) else {
        let why = plan.refused.clone().unwrap_or_else(|| "none has been made yet".into());
        return Err(Unapproved::Refused { why });
    };
    let machine = server.status.uuid.as_ref().or(server.spec.uuid.as_ref());
    if let (Some(plan), Some(machine)) = (&plan.machine, machine)
        && plan != machine
    {
        return Err(Unapproved::OtherMachine { plan: plan.clone(), machine: machine.clone() });
    }
    let is = hash::of(plan);
    if *said != is {
        return Err(Unapproved::Altered { said: said.clone(), is });
    }
    let hash = is;
    match server.spec.install.as_ref().and_then(|install| install.approve.as_ref()) {
        Some(approved) if *approved == hash => Ok(()),
        Some(approved) => {
            Err(Unapproved::Stale { approved: approved.clone(), hash, losses: what_approving_means(plan) })
        }
        None => Err(Unapproved::Waiting { hash, losses: what_approving_means(plan) }),
    }
}

/// What is lost when a plan is carried out, one entry each, such as `all of nvme0n1 (serial S1): gpt: ext4`.
pub fn losses(plan: &Plan) -> Vec<String> {
    let mut lost = Vec::new();
    for disk in &plan.disks {
        let called = called(&disk.name, &disk.into());
        if disk.fate == Fate::Wipe {
            lost.push(format!("all of {called}: {}", disk.now));
        }
        for partition in &disk.partitions {
            if partition.file_system_fate == Some(FileSystemFate::Recreate) {
                lost.push(format!("partition {} {} of {called}", partition.number, partition.name));
            }
        }
    }
    if let Some(group) = &plan.volume_group {
        for volume in &group.volumes {
            if volume.file_system_fate == Some(FileSystemFate::Recreate) {
                lost.push(format!("volume {}/{}", group.name, volume.name));
            }
        }
    }
    lost
}

/// What approving a plan means, as a clause.
pub fn what_approving_means(plan: &Plan) -> String {
    match losses(plan).as_slice() {
        [] => "nothing that is on a disk now is lost by it".into(),
        lost => format!("it destroys {}", lost.join(", ")),
    }
}
