//! `DiskLayout`: what a disk is divided into, and what of it outlives a new installation.

use super::server::MachineRole;
use super::server::hardware::FirmwareType;
use super::size::Size;
use crate::typed::{ApiVersion, KindName, resource};
use crate::{Column, Define, Kind, check};
use lab_object::{FieldError, Json, ObjectMeta};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// DiskLayout says what a machine's disk is divided into, and what of it outlives a new installation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiskLayout {
    /// Group and version of the object's form: `metal.lab/v1alpha1`.
    #[serde(default)]
    pub api_version: ApiVersion<Self>,
    /// The object's kind: `DiskLayout`.
    #[serde(default)]
    pub kind: KindName<Self>,
    /// Standard object metadata.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// The partitions and volumes.
    pub spec: DiskLayoutSpec,
}

/// The partitions and volumes of a layout.
///
/// Sizes are rounded up to whole 4Mi. On a disk that is too small for all of them, the volume without `size` falls to its
/// least size first; then every partition and volume with a `minSize` gives up the same share of what it has above that,
/// until they fit. When even the least sizes do not fit, the plan is refused with the shortfall. When a machine is
/// installed again, this holds for the volumes that are made anew; what is preserved or reused keeps the size it has.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiskLayoutSpec {
    /// Name of the LVM volume group that holds the volumes. A machine whose disks have one of this name is installed
    /// again rather than anew, keeping what is preserved.
    #[serde(default = "DiskLayoutSpec::default_volume_group")]
    #[schemars(regex(pattern = r"^[a-zA-Z0-9_+][-a-zA-Z0-9_+.]{0,126}$"))]
    pub volume_group: String,
    /// Partitions before the volume group, in this order. Machines with BIOS get a boot partition of 1 MiB in addition.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub partitions: Vec<LayoutPartition>,
    /// Volumes in the volume group.
    #[schemars(length(min = 1, max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub volumes: Vec<Volume>,
    /// File systems in memory.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["mount"]))]
    pub tmpfs: Vec<Tmpfs>,
}

impl DiskLayoutSpec {
    /// The volume group of a layout that names none.
    pub fn default_volume_group() -> String {
        "labvg".into()
    }
}

/// A partition of a layout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LayoutPartition {
    /// Its name, also in the partition table, such as `efi`.
    #[schemars(regex(pattern = r"^[a-z][-a-z0-9_]{0,35}$"))]
    pub name: String,
    /// Size, such as `600Mi`.
    pub size: Size,
    /// The least size on small disks, and of a partition that is reused. Without it, `size` is not reduced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_size: Option<Size>,
    /// What stands in it.
    pub file_system: FileSystem,
    /// Where it is mounted, such as `/boot/efi`.
    #[schemars(regex(pattern = r"^/([-A-Za-z0-9_.+]+(/[-A-Za-z0-9_.+]+)*)?$"))]
    pub mount: String,
    /// What becomes of it when the machine is installed again.
    pub on_reprovision: OnReprovision,
    /// Only on machines with this firmware; without it, on all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firmware: Option<FirmwareType>,
}

/// A volume of a layout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Volume {
    /// Its name in the volume group, such as `root`.
    #[schemars(regex(pattern = r"^[a-z][-a-z0-9_.]{0,62}$"))]
    pub name: String,
    /// Size, such as `33Gi`. Without it, all that the others leave; one volume of each role can be so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Size>,
    /// The least size on small disks. Without it, `size` is not reduced; a volume without `size` needs at least this, or
    /// 1Gi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_size: Option<Size>,
    /// What stands in it.
    pub file_system: FileSystem,
    /// Where it is mounted, such as `/var`; absent for swap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^/([-A-Za-z0-9_.+]+(/[-A-Za-z0-9_.+]+)*)?$"))]
    pub mount: Option<String>,
    /// Mount options, one per entry, such as `noatime`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "set"), inner(regex(pattern = r"^[A-Za-z0-9_.:=-]+$")))]
    pub mount_options: Vec<String>,
    /// What becomes of it when the machine is installed again.
    pub on_reprovision: OnReprovision,
    /// Only on machines of these roles; without any, on all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub roles: Vec<MachineRole>,
}

impl Volume {
    /// Whether machines of this role get the volume.
    pub fn is_for(&self, role: MachineRole) -> bool {
        self.roles.is_empty() || self.roles.contains(&role)
    }
}

/// What stands in a partition or volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FileSystem {
    /// FAT, as UEFI demands of its partition.
    Vfat,
    /// Linux's ext4.
    Ext4,
    /// XFS.
    Xfs,
    /// Swap space.
    Swap,
}

/// What becomes of a partition or volume when the machine is installed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnReprovision {
    /// It is not opened for writing; its data are there afterwards.
    Preserve,
    /// Its file system is made anew; its data are lost.
    Recreate,
    /// Its file system stays, and the new system's files are written into it.
    Reuse,
}

/// A file system in memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tmpfs {
    /// Where it is mounted, such as `/tmp`.
    #[schemars(regex(pattern = r"^/[-A-Za-z0-9_.+]+(/[-A-Za-z0-9_.+]+)*$"))]
    pub mount: String,
    /// The most it can hold, such as `4Gi`.
    pub size: Size,
}

resource!(DiskLayout, "metal.lab", "v1alpha1", "disklayouts", namespaced: false);

impl Define for DiskLayout {
    fn define() -> Kind {
        Kind::of::<Self>("disklayout")
            .short_names(&["layout", "dl"])
            .categories(&["metal"])
            .columns([
                Column::path(
                    "Volume Group",
                    "spec.volumeGroup",
                    "The LVM volume group that holds the volumes.",
                ),
                Column::with(
                    "Size",
                    total,
                    "What partitions and volumes take together, without a role's own.",
                ),
                Column::with("Preserved", preserved, "Where what outlives a new installation is mounted."),
                Column::path("Volumes", "spec.volumes.name", "The volumes.").wide(),
            ])
            .selectable(&["spec.volumeGroup"])
            .validated_by(validate)
    }

    fn example() -> Self {
        Self::labvg()
    }
}

impl DiskLayout {
    /// The layout that a new installation of Lab comes with.
    pub fn labvg() -> Self {
        use {FileSystem::*, MachineRole::*, OnReprovision::*};
        let (mib, gib) = (Size::of_mib, Size::of_gib);
        let partition = |name: &str, size, min_size, file_system, mount: &str, firmware| LayoutPartition {
            name: name.into(),
            size,
            min_size: Some(min_size),
            file_system,
            mount: mount.into(),
            on_reprovision: Reuse,
            firmware,
        };
        let volume =
            |name: &str, mount: &str, size, min_size, on_reprovision, roles: &[MachineRole]| Volume {
                name: name.into(),
                size,
                min_size: Some(min_size),
                file_system: Xfs,
                mount: Some(mount.into()),
                mount_options: Vec::new(),
                on_reprovision,
                roles: roles.to_vec(),
            };
        let swap = Volume {
            file_system: Swap,
            mount: None,
            ..volume("swap", "", Some(gib(27)), gib(1), Recreate, &[])
        };
        let spec = DiskLayoutSpec {
            volume_group: DiskLayoutSpec::default_volume_group(),
            partitions: vec![
                partition("efi", mib(600), mib(200), Vfat, "/boot/efi", Some(FirmwareType::Uefi)),
                partition("boot", gib(3), gib(1), Ext4, "/boot", None),
            ],
            volumes: vec![
                swap,
                volume("root", "/", Some(gib(33)), gib(8), Recreate, &[]),
                volume("var", "/var", Some(gib(100)), gib(6), Recreate, &[]),
                volume("log", "/var/log", Some(gib(10)), gib(1), Recreate, &[]),
                volume("home", "/home", Some(gib(10)), gib(1), Preserve, &[]),
                volume("srv", "/srv", Some(gib(20)), gib(1), Preserve, &[]),
                volume("longhorn", "/var/lib/longhorn", None, gib(1), Preserve, &[Worker]),
                volume(
                    "rancher",
                    "/var/lib/rancher",
                    Some(gib(20)),
                    gib(4),
                    Preserve,
                    &[Infra, Labcontroller],
                ),
            ],
            tmpfs: vec![Tmpfs { mount: "/tmp".into(), size: gib(4) }],
        };
        let metadata = ObjectMeta { name: Some("labvg".into()), ..Default::default() };
        Self { metadata, spec, ..Default::default() }
    }
}

/// The sum of all sizes that every role has.
fn total(layout: &Json) -> Json {
    let partitions = check::each(layout, "spec.partitions[]").into_iter();
    let volumes = check::each(layout, "spec.volumes[]").into_iter().filter(|(_, v)| v.get("roles").is_none());
    let sizes = partitions.chain(volumes).filter_map(|(_, v)| v["size"].as_str()?.parse::<Size>().ok());
    Size::of_bytes(sizes.map(|size| size.bytes).fold(0, u64::saturating_add)).to_string().into()
}

fn preserved(layout: &Json) -> Json {
    let volumes = check::each(layout, "spec.volumes[]").into_iter();
    let kept = volumes.filter(|(_, v)| v["onReprovision"] == "preserve");
    kept.filter_map(|(_, v)| v["mount"].as_str()).collect::<Vec<_>>().join(",").into()
}

fn validate(new: &Json, _: Option<&Json>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for path in [
        "spec.partitions[].size",
        "spec.partitions[].minSize",
        "spec.volumes[].size",
        "spec.volumes[].minSize",
        "spec.tmpfs[].size",
    ] {
        errors.extend(check::sizes(new, path));
    }
    for path in ["spec.partitions[].mount", "spec.volumes[].mount", "spec.tmpfs[].mount"] {
        errors.extend(check::texts(new, path, plain_path));
    }
    if !errors.is_empty() {
        return errors;
    }
    let Some(spec) = check::typed::<DiskLayoutSpec>(new, "/spec") else { return errors };
    for (at, partition) in spec.partitions.iter().enumerate() {
        let place = format!("spec.partitions[{at}]");
        errors.extend(min_size_error(&place, Some(partition.size), partition.min_size));
        errors.extend(preserve_error(&place, &partition.mount, partition.on_reprovision));
    }
    for (at, volume) in spec.volumes.iter().enumerate() {
        errors.extend(volume_errors(&format!("spec.volumes[{at}]"), volume));
    }
    let roles = [MachineRole::Vanilla, MachineRole::Worker, MachineRole::Infra, MachineRole::Labcontroller];
    // What is wrong for all roles alike is said once.
    let mut found: Vec<FieldError> = roles.into_iter().flat_map(|role| role_errors(&spec, role)).collect();
    found.sort_by(|a, b| a.field.cmp(&b.field));
    found.dedup_by(|a, b| a.field == b.field);
    errors.extend(found);
    errors
}

/// No `.` and `..` among the segments.
fn plain_path(mount: &str) -> Result<(), &'static str> {
    if mount.split('/').any(|segment| segment == "." || segment == "..") {
        Err("must not contain . or .. as a segment")
    } else {
        Ok(())
    }
}

fn min_size_error(place: &str, size: Option<Size>, min: Option<Size>) -> Option<FieldError> {
    let (size, min) = (size?, min?);
    let why = || format!("must not be more than size ({size})");
    (min > size).then(|| FieldError::invalid(format!("{place}.minSize"), &min.to_string().into(), why()))
}

fn volume_errors(place: &str, volume: &Volume) -> Vec<FieldError> {
    let mut errors: Vec<_> = min_size_error(place, volume.size, volume.min_size).into_iter().collect();
    let mount = || format!("{place}.mount");
    match (volume.file_system, &volume.mount) {
        (FileSystem::Swap, Some(_)) => errors.push(FieldError::forbidden(mount(), "swap is not mounted")),
        (FileSystem::Swap, None) | (_, Some(_)) => {}
        (_, None) => errors.push(FieldError::required(mount(), "a file system is mounted somewhere")),
    }
    if let Some(mount) = &volume.mount {
        errors.extend(preserve_error(place, mount, volume.on_reprovision));
    }
    errors
}

/// The system's own files come anew with each installation, and cannot where nothing may be written.
fn preserve_error(place: &str, mount: &str, on_reprovision: OnReprovision) -> Option<FieldError> {
    // Below these, everything is the system's. `/var` holds the list of its packages; below it, data may stand.
    let below = |folder: &str| {
        mount.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let own = ["/bin", "/boot", "/efi", "/etc", "/lib", "/lib64", "/sbin", "/usr"].into_iter().any(below);
    let of_system = (own && !below("/usr/local")) || matches!(mount, "/" | "/var" | "/var/lib");
    let why = "what stands here comes with the system and cannot outlive a new installation; choose recreate or reuse";
    (on_reprovision == OnReprovision::Preserve && of_system)
        .then(|| FieldError::invalid(format!("{place}.onReprovision"), &"preserve".into(), why))
}

/// What is wrong on machines of one role: no root, two file systems at one place, two volumes that take the rest.
fn role_errors(spec: &DiskLayoutSpec, role: MachineRole) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let (mut mounts, mut rest) = (Vec::new(), None);
    // Partitions for different firmware are never on one machine.
    for firmware in [FirmwareType::Uefi, FirmwareType::Bios] {
        let here = |p: &LayoutPartition| p.firmware.is_none_or(|f| f == firmware);
        let all = spec.partitions.iter().enumerate().filter(|(_, p)| here(p));
        let places: Vec<_> =
            all.map(|(at, p)| (p.mount.as_str(), format!("spec.partitions[{at}].mount"))).collect();
        if mounts.len() < places.len() {
            mounts = places;
        }
    }
    for (at, volume) in spec.volumes.iter().enumerate().filter(|(_, v)| v.is_for(role)) {
        mounts.extend(volume.mount.as_deref().map(|m| (m, format!("spec.volumes[{at}].mount"))));
        if volume.size.is_none()
            && let Some(first) = rest.replace(&volume.name)
        {
            let why =
                format!("a machine of the same role gives the rest of its disk to volume {first:?} already");
            errors.push(FieldError::required(format!("spec.volumes[{at}].size"), why));
        }
    }
    mounts.extend(
        spec.tmpfs.iter().enumerate().map(|(at, t)| (t.mount.as_str(), format!("spec.tmpfs[{at}].mount"))),
    );
    if !mounts.iter().any(|(mount, _)| *mount == "/") {
        errors.push(FieldError::required(
            "spec.volumes",
            "on machines of every role a volume must be mounted at /",
        ));
    }
    for (at, (mount, place)) in mounts.iter().enumerate() {
        if mounts[..at].iter().any(|(other, _)| other == mount) {
            errors.push(FieldError::duplicate(place.as_str(), &(*mount).into()));
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(spec: Json, fields: &[&str]) {
        let errors = validate(&json!({"spec": spec}), None);
        let found: Vec<_> = errors.iter().map(|e| e.field.as_str()).collect();
        assert_eq!(found, fields, "{errors:?}");
    }

    fn volume(name: &str, mount: &str, more: Json) -> Json {
        let mut volume = json!({"name": name, "mount": mount, "size": "1Gi", "fileSystem": "xfs", "onReprovision": "recreate"});
        for (key, value) in more.as_object().expect("an object") {
            volume[key] = value.clone();
        }
        volume
    }

    #[test]
    fn refuses() {
        let root = || volume("root", "/", json!({}));
        let with = |other: Json| json!({"volumes": [root(), other]});
        check(json!({"volumes": [root()]}), &[]);
        check(json!({"volumes": [volume("a", "/a", json!({}))]}), &["spec.volumes"]);
        check(json!({"volumes": [volume("a", "/", json!({"roles": ["worker"]}))]}), &["spec.volumes"]);
        check(
            json!({"volumes": [volume("a", "/", json!({"onReprovision": "preserve"}))]}),
            &["spec.volumes[0].onReprovision"],
        );
        check(with(volume("a", "/", json!({}))), &["spec.volumes[1].mount"]);
        for (mount, allowed) in [
            ("/boot", false),
            ("/boot/efi", false),
            ("/usr", false),
            ("/usr/share", false),
            ("/var", false),
            ("/usr/local", true),
            ("/usr2", true),
            ("/var/lib/longhorn", true),
        ] {
            let fields: &[&str] = if allowed { &[] } else { &["spec.volumes[1].onReprovision"] };
            check(with(volume("a", mount, json!({"onReprovision": "preserve"}))), fields);
        }
        check(with(volume("a", "/a/../b", json!({}))), &["spec.volumes[1].mount"]);
        check(with(volume("a", "/a", json!({"fileSystem": "swap"}))), &["spec.volumes[1].mount"]);
        check(with(volume("a", "/a", json!({"mount": null}))), &["spec.volumes[1].mount"]);
        check(with(volume("a", "/a", json!({"minSize": "2Gi"}))), &["spec.volumes[1].minSize"]);
        check(with(volume("a", "/a", json!({"size": "99999999Ti"}))), &["spec.volumes[1].size"]);
        let rest = |role: &str| volume(role, &format!("/{role}"), json!({"size": null, "roles": [role]}));
        check(json!({"volumes": [root(), rest("worker"), rest("infra")]}), &[]);
        let all = volume("a", "/a", json!({"size": null}));
        check(json!({"volumes": [root(), rest("worker"), all]}), &["spec.volumes[2].size"]);
        let boot = |firmware: &str| {
            json!({"name": firmware, "size": "1Gi", "fileSystem": "ext4", "mount": "/boot", "onReprovision": "reuse",
                "firmware": firmware})
        };
        check(json!({"volumes": [root()], "partitions": [boot("uefi"), boot("bios")]}), &[]);
        let mut grown = boot("uefi");
        grown["minSize"] = "2Gi".into();
        check(json!({"volumes": [root()], "partitions": [grown]}), &["spec.partitions[0].minSize"]);
        check(
            json!({"volumes": [root()], "partitions": [boot("uefi"), boot("uefi")]}),
            &["spec.partitions[1].mount"],
        );
        check(
            json!({"volumes": [root()], "tmpfs": [{"mount": "/", "size": "1Gi"}]}),
            &["spec.tmpfs[0].mount"],
        );
    }

    #[test]
    fn the_default_layout_in_a_table() {
        let layout = serde_json::to_value(DiskLayout::labvg()).expect("its keys are strings");
        assert_eq!(total(&layout), "208472Mi");
        assert_eq!(preserved(&layout), "/home,/srv,/var/lib/longhorn,/var/lib/rancher");
    }
}
