//! The executor's second look.

use crate::machine::*;
use lab_install::standing::Standing;
use lab_kinds::metal::server::hardware::{Contents, FirmwareType, LogicalVolume, Signature};
use lab_kinds::metal::server::{Disk, Plan, Transport, VolumeGroup};

fn machine() -> Machine {
    let data = disk("sda", Transport::Sata, 900 * GIB);
    Machine::new(Worker, vec![foreign(nvme(500 * GIB)), data, disk("sdb", Transport::Usb, 32 * GIB)])
}

/// After this change of the machine a plan made before holds so far, or for this reason no more.
#[track_caller]
fn check(before: &Machine, change: impl FnOnce(&mut Machine, &Plan), expected: Result<Standing, &str>) {
    let plan = before.plan();
    let mut after = before.clone();
    change(&mut after, &plan);
    let found = after.standing(&plan).map_err(|changed| changed.to_string());
    assert_eq!(found, expected.map_err(String::from));
}

#[test]
fn disks() {
    let untouched = Ok(Standing::Untouched);
    let m = machine();
    check(&m, |_, _| {}, untouched);
    check(&m, |m, _| m.disks.reverse(), untouched);
    check(&m, |m, _| m.disks[0].name = "nvme7n1".into(), untouched);
    check(&m, |m, _| m.disks[0].contents.partitions.reverse(), untouched);
    check(&m, |m, _| m.disks.truncate(2), untouched);
    check(&m, |m, _| m.disks.push(disk("sdc", Transport::Network, GIB)), untouched);
    check(&m, |m, _| m.disks.truncate(1), Err("disk sda (serial S-sda) has vanished"));
    check(
        &m,
        |m, _| m.disks[0].serial = "S2".into(),
        Err("where disk nvme0n1 (serial S-nvme0n1) was, there is now nvme0n1 (serial S2)"),
    );
    check(
        &m,
        |m, _| m.disks.push(disk("sdc", Transport::Sata, GIB)),
        Err("disk sdc (serial S-sdc) has appeared"),
    );
    check(
        &m,
        |m, _| m.disks[0].size_bytes = 5,
        Err("disk nvme0n1 (serial S-nvme0n1) had 536870912000 bytes and now has 5"),
    );
    check(
        &m,
        |m, _| m.disks[0].read_only = true,
        Err("disk nvme0n1 (serial S-nvme0n1) can no longer be written to: it is read-only"),
    );
    check(
        &m,
        |m, _| m.disks[0].transport = Some(Transport::Usb),
        Err("disk nvme0n1 (serial S-nvme0n1) can no longer be written to: it is attached by USB"),
    );
    check(
        &m,
        |m, _| m.firmware = FirmwareType::Bios,
        Err("the plan was made for a machine that starts by UEFI, and it was started by BIOS"),
    );
    check(
        &m,
        |m, _| m.disks[1].contents.signature = of("xfs"),
        Err("on disk sda (serial S-sda), the whole disk held nothing that is known and now holds xfs"),
    );
    check(
        &m,
        |m, _| m.partition(3).signature = of("xfs"),
        Err("on disk nvme0n1 (serial S-nvme0n1), partition 3 held ext4 and now holds xfs"),
    );
    check(
        &m,
        |m, _| m.partition(3).number = 4,
        Err("on disk nvme0n1 (serial S-nvme0n1), partition 3 has vanished"),
    );
    check(
        &m,
        |m, _| {
            m.groups.push(VolumeGroup {
                uuid: "X".into(),
                name: "labvg".into(),
                devices: vec!["sda1".into()],
                ..VolumeGroup::default()
            });
        },
        Err("in volume group labvg, everything is new: it has appeared"),
    );
    let two = |a: &str, b: &str| {
        let nameless = |name: &str| Disk { serial: String::new(), ..disk(name, Transport::Other, GIB) };
        Machine::new(Vanilla, vec![nvme(500 * GIB), nameless(a), nameless(b)])
    };
    check(&two("sdx", "sdy"), |m, _| m.disks = two("sdy", "sdz").disks, untouched);
}

#[test]
fn begun_from_nothing() {
    let begun = Ok(Standing::Begun);
    let m = machine();
    check(&m, |m, _| m.disks[0].contents = Contents::default(), begun);
    check(&m, |m, _| m.partition(1).signature = Signature::default(), begun);
    let table = |m: &mut Machine, _: &Plan| {
        *m = m.clone().installed();
        m.groups.clear();
        m.disks[0].contents.partitions.iter_mut().for_each(|p| p.signature = Signature::default());
    };
    check(&m, table, begun);
    check(&m, |m, _| *m = m.clone().installed(), begun);
    check(
        &m,
        |m, _| {
            *m = m.clone().installed();
            m.group().volumes.truncate(2);
            m.volume("root").signature = Signature::default();
        },
        begun,
    );
    // What somebody else made meanwhile is not the plan's.
    let table = "there was a GPT partition table and there is no partition table";
    check(
        &m,
        |m, _| m.disks[0].contents = Contents { signature: of("xfs"), ..Contents::default() },
        Err(&format!("on disk nvme0n1 (serial S-nvme0n1), {table}")),
    );
    let changed = |change: fn(&mut Machine)| {
        let (plan, mut after) = (m.plan(), m.clone().installed());
        change(&mut after);
        after.standing(&plan).expect_err("that was not made by the plan");
    };
    changed(|m| m.volume("home").signature.uuid = "another".into());
    changed(|m| m.group().volumes.push(LogicalVolume { name: "mine".into(), ..LogicalVolume::default() }));
    changed(|m| m.partition(1).start_bytes += MIB);
    changed(|m| m.disks[1].contents.signature = of("xfs"));
}

#[test]
fn begun_again() {
    let m = machine().installed();
    let begun = Ok(Standing::Begun);
    check(&m, |_, _| {}, Ok(Standing::Untouched));
    check(&m, |m, _| *m = m.clone().installed(), begun);
    check(&m, |m, _| m.volume("root").signature = Signature::default(), begun);
    let changed = |change: fn(&mut Machine), expected: &str| check(&m, |m, _| change(m), Err(expected));
    let boot = m.clone().partition(2).signature.uuid.clone();
    let home = m.clone().volume("home").signature.uuid.clone();
    changed(
        |m| m.volume("home").signature.uuid = "another".into(),
        &format!("in volume group labvg, volume home held another xfs ({home}, now another)"),
    );
    changed(
        |m| m.volume("home").size_bytes = GIB,
        "in volume group labvg, volume home had 10737418240 bytes and now has 1073741824",
    );
    changed(
        |m| m.group().volumes.retain(|v| v.name != "srv"),
        "in volume group labvg, volume srv has vanished",
    );
    changed(
        |m| m.partition(2).signature = of("ext4"),
        &format!(
            "on disk nvme0n1 (serial S-nvme0n1), partition 2 held another ext4 ({boot}, now id-of-ext4)"
        ),
    );
    changed(|m| m.group().devices = vec!["sda1".into()], "in volume group labvg, the disks are other ones");
    changed(|m| m.groups.clear(), "in volume group labvg, nothing is left: it has vanished");
}

#[test]
fn a_refused_plan_never_holds() {
    let m = machine();
    let plan = lab_install::plan::refused(&m.server, &m.observed(), &lab_install::refusal::Refusal::NoDisks);
    let found = m.standing(&plan).map_err(|changed| changed.to_string());
    assert_eq!(found, Err("the plan was refused and cannot be carried out".into()));
}
