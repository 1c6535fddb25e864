//! What people and the installed system read.

use crate::machine::*;
use lab_install::{describe, fstab};
use lab_kinds::metal::server::{Plan, Transport};

#[track_caller]
fn reads(found: &str, expected: &str) {
    assert_eq!(found, expected.strip_prefix('\n').unwrap_or(expected), "found:\n{found}");
}

#[test]
fn tables_of_file_systems() {
    let check = |machine: &Machine, expected: &str| reads(&fstab::render(&machine.plan()), expected);
    let mut machine = Machine::new(Worker, vec![nvme(500 * GIB)]);
    machine.layout.spec.volumes[5].mount_options = vec!["noatime".into(), "nodev".into()];
    check(
        &machine,
        "
# Written by the installation. Partitions by file system, volumes by name.
/dev/labvg/root                            /                  xfs    defaults,x-systemd.device-timeout=10min       0 0
UUID=ee1cbc00-3523-86c3-a2e0-8eb7445c1d7d  /boot              ext4   defaults,x-systemd.device-timeout=10min       0 2
/dev/labvg/home                            /home              xfs    defaults,x-systemd.device-timeout=10min       0 0
/dev/labvg/srv                             /srv               xfs    noatime,nodev,x-systemd.device-timeout=10min  0 0
/dev/labvg/var                             /var               xfs    defaults,x-systemd.device-timeout=10min       0 0
UUID=5A82-007D                             /boot/efi          vfat   umask=0077,x-systemd.device-timeout=10min     0 2
/dev/labvg/log                             /var/log           xfs    defaults,x-systemd.device-timeout=10min       0 0
/dev/labvg/longhorn                        /var/lib/longhorn  xfs    defaults,x-systemd.device-timeout=10min       0 0
/dev/labvg/swap                            none               swap   sw,x-systemd.device-timeout=10min             0 0
tmpfs                                      /tmp               tmpfs  nosuid,nodev,mode=1777,size=4294967296        0 0
",
    );
    // What is kept is mounted as what it is, by the identifier it has; what no mount is for is left out.
    let mut machine = Machine::new(Worker, vec![nvme(500 * GIB)]).bios().installed();
    machine.server.spec.role = Some(Vanilla);
    machine.partition(2).signature.uuid = "5b0e".into();
    machine.volume("home").signature = of("ext4");
    check(
        &machine,
        "
# Written by the installation. Partitions by file system, volumes by name.
/dev/labvg/root  /         xfs    defaults,x-systemd.device-timeout=10min  0 0
UUID=5b0e        /boot     ext4   defaults,x-systemd.device-timeout=10min  0 2
/dev/labvg/home  /home     ext4   defaults,x-systemd.device-timeout=10min  0 2
/dev/labvg/srv   /srv      xfs    defaults,x-systemd.device-timeout=10min  0 0
/dev/labvg/var   /var      xfs    defaults,x-systemd.device-timeout=10min  0 0
/dev/labvg/log   /var/log  xfs    defaults,x-systemd.device-timeout=10min  0 0
/dev/labvg/swap  none      swap   sw,x-systemd.device-timeout=10min        0 0
tmpfs            /tmp      tmpfs  nosuid,nodev,mode=1777,size=4294967296   0 0
",
    );
}

/// The text without its last lines, hash and approval, which are looked at elsewhere.
fn body(plan: &Plan) -> String {
    let text = describe::text(plan);
    match text.split_once("\nhash sha256:") {
        Some((body, rest)) => {
            let state = if plan.approved { "approved" } else { "not approved" };
            assert_eq!(rest.lines().nth(1), Some(state));
            body.into()
        }
        None => text,
    }
}

#[test]
fn plans() {
    let disks = vec![foreign(nvme(500 * GIB)), disk("sda", Transport::Usb, 32 * GIB)];
    let mut machine = Machine::new(Worker, disks);
    machine.install().approve = machine.plan().hash;
    reads(
        &body(&machine.plan()),
        "
debian-13 with layout labvg, role worker, UEFI

nvme0n1  wipe
  identity  serial S-nvme0n1
  size      536.9 GB (536870912000 bytes), NVMe
  now       gpt: vfat, unknown, ext4
  why       It is the only disk that can be taken.
    1 efi       600Mi  vfat         /boot/efi  create
    2 boot        3Gi  ext4         /boot      create
    3 labvg  508326Mi  LVM2_member  -          create

sda  keep
  identity  serial S-sda
  size      34.4 GB (34359738368 bytes), USB
  now       empty
  why       USB disks are never taken.

volume group labvg: create
    swap          27Gi  swap  -                  create
    root          33Gi  xfs   /                  create
    var          100Gi  xfs   /var               create
    log           10Gi  xfs   /var/log           create
    home          10Gi  xfs   /home              create
    srv           20Gi  xfs   /srv               create
    longhorn  303524Mi  xfs   /var/lib/longhorn  create  It takes what the others leave.

in memory
    /tmp  4Gi  tmpfs

Lost when this is carried out:
  all of nvme0n1 (serial S-nvme0n1): gpt: vfat, unknown, ext4
",
    );
    let mut machine = Machine::new(Vanilla, vec![nvme(500 * GIB)]).installed();
    machine.volume("home").size_bytes = 8 * GIB;
    reads(
        &body(&machine.plan()),
        "
debian-13 with layout labvg, role vanilla, UEFI

nvme0n1  install again
  identity  serial S-nvme0n1
  size      536.9 GB (536870912000 bytes), NVMe
  now       gpt: vfat, ext4, LVM labvg
  why       It holds volume group labvg, which is installed again.
    1 efi       600Mi  vfat         /boot/efi  reuse
    2 boot        3Gi  ext4         /boot      reuse
    3 labvg  508326Mi  LVM2_member  -          keep   It holds volume group labvg.

volume group labvg: keep, 305572Mi stay free
    swap   27Gi  swap  -         recreate
    root   33Gi  xfs   /         recreate
    var   100Gi  xfs   /var      recreate
    log    10Gi  xfs   /var/log  recreate
    home    8Gi  xfs   /home     preserve  It keeps its size; the layout has 10Gi.
    srv    20Gi  xfs   /srv      preserve

in memory
    /tmp  4Gi  tmpfs

Lost when this is carried out:
  volume labvg/swap
  volume labvg/root
  volume labvg/var
  volume labvg/log
",
    );
    let small = Machine::new(Vanilla, vec![nvme(GIB)]);
    let refusal = small.try_plan().expect_err("it is too small");
    let plan = lab_install::plan::refused(&small.server, &small.observed(), &refusal);
    reads(
        &body(&plan),
        "
debian-13 with layout labvg, role vanilla, UEFI

Refused: nvme0n1 (serial S-nvme0n1) is 19540213760 bytes too small: it has 1073741824 of the 20613955584 bytes that layout \
         \"labvg\" needs at least for role vanilla: reduce sizes or minSizes in the layout, or take a larger disk.

nvme0n1  keep
  identity  serial S-nvme0n1
  size      1.1 GB (1073741824 bytes), NVMe
  now       empty
",
    );
}
