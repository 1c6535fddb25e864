//! The steps that carry a plan out.

use crate::machine::*;
use lab_install::steps::{Action, Step, steps};

fn ids(steps: &[Step]) -> Vec<String> {
    let mark = |step: &Step| if step.point_of_no_return { "! " } else { "" };
    steps.iter().map(|step| format!("{}{}", mark(step), step.id)).collect()
}

const SYSTEM: [&str; 7] = ["unpackImage", "fstab", "identity", "bootLoader", "agent", "unmount", "report"];

#[test]
fn from_nothing_with_bios() {
    let plan = Machine::new(Vanilla, vec![nvme(500 * GIB)]).bios().plan();
    let first = [
        "check",
        "! wipeSignatures",
        "partitionTable",
        "physicalVolume",
        "volumeGroup",
        "volume/labvg/swap",
        "volume/labvg/root",
        "volume/labvg/var",
        "volume/labvg/log",
        "volume/labvg/home",
        "volume/labvg/srv",
        "fileSystem/partition/boot",
        "fileSystem/labvg/swap",
        "fileSystem/labvg/root",
        "fileSystem/labvg/var",
        "fileSystem/labvg/log",
        "fileSystem/labvg/home",
        "fileSystem/labvg/srv",
        "mount/",
        "mount/boot",
        "mount/home",
        "mount/srv",
        "mount/var",
        "mount/var/log",
    ];
    assert_eq!(ids(&steps(&plan)), [&first[..], &SYSTEM].concat());
}

#[test]
fn again_with_uefi() {
    let mut machine = Machine::new(Worker, vec![nvme(500 * GIB)]).installed();
    // The log grows into what root gives up.
    machine.volume("root").size_bytes += 6 * GIB;
    machine.volume("log").size_bytes -= 6 * GIB;
    let steps = steps(&machine.plan());
    let (before, system) = steps.split_at(steps.len() - 8);
    let first = [
        "check",
        "activateGroup",
        "! volume/labvg/root",
        "volume/labvg/swap",
        "volume/labvg/var",
        "volume/labvg/log",
        "fileSystem/labvg/swap",
        "fileSystem/labvg/root",
        "fileSystem/labvg/var",
        "fileSystem/labvg/log",
        "mount/",
        "mount/boot",
        "mount/var",
        "mount/boot/efi",
        "mount/var/log",
    ];
    assert_eq!(ids(before), first);
    assert_eq!(
        ids(system),
        ["unpackImage", "fstab", "identity", "bootLoader", "agent", "bootOrder", "unmount", "report"]
    );
    let left_out = steps.iter().find_map(|step| match &step.action {
        Action::UnpackImage { leave_out, .. } => Some(leave_out.join(" ")),
        _ => None,
    });
    assert_eq!(left_out.as_deref(), Some("/home /srv /var/lib/longhorn"));
    assert_eq!(steps[5].mark(), "/var/lib/lab/installed/volume_labvg_log");
}

#[test]
fn none_without_a_plan() {
    let machine = Machine::new(Vanilla, vec![nvme(GIB)]);
    let refusal = machine.try_plan().expect_err("it is too small");
    let plan = lab_install::plan::refused(&machine.server, &machine.observed(), &refusal);
    assert_eq!(plan.refused, Some(refusal.to_string()));
    assert!(steps(&plan).is_empty());
}
