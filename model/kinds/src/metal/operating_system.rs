//! `OperatingSystem`: how one is installed, and from what.

use super::server::hardware::Architecture;
use super::size::Size;
use crate::typed::{ApiVersion, KindName, resource, unset};
use crate::{Column, Condition, Define, Kind, Subresource, check};
use lab_object::{FieldError, Json, ObjectMeta};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// OperatingSystem says how an operating system is installed, and from what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OperatingSystem {
    /// Group and version of the object's form: `metal.lab/v1alpha1`.
    #[serde(default)]
    pub api_version: ApiVersion<Self>,
    /// The object's kind: `OperatingSystem`.
    #[serde(default)]
    pub kind: KindName<Self>,
    /// Standard object metadata.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// How it is installed, and from what.
    pub spec: OperatingSystemSpec,
    /// What is the case with it.
    #[serde(default, skip_serializing_if = "unset")]
    pub status: OperatingSystemStatus,
}

/// How an operating system is installed, and from what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OperatingSystemSpec {
    /// The distribution, which decides how packages, boot loader and first boot are treated.
    pub family: Family,
    /// The release, such as `13`, `43` or `26.04`.
    #[schemars(regex(pattern = r"^[0-9A-Za-z][-0-9A-Za-z._]{0,31}$"))]
    pub release: String,
    /// The release's name where mirrors use it, such as `trixie`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[a-z][-a-z0-9]{0,31}$"))]
    pub codename: Option<String>,
    /// Who installs it: our own installer from an `image`, or the distribution's installer with `kickstart`,
    /// `autoinstall` or `preseed`.
    pub method: Method,
    /// The processors it is built for.
    #[serde(default = "default_architecture")]
    pub architecture: Architecture,
    /// The files it is installed from. Method `image` needs an `image`; the others need a `kernel` and an `initrd`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub artefacts: Vec<Artefact>,
    /// Package repositories for the distribution's installer, the first one being the main one. The installed system
    /// uses them as well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub repositories: Vec<Repository>,
    /// Packages installed in addition, by the distribution's names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 512), extend("x-kubernetes-list-type" = "set"),
        inner(regex(pattern = r"^[@A-Za-z0-9][-A-Za-z0-9+._:]{0,127}$")))]
    pub packages: Vec<String>,
    /// Kernel arguments of the installed system, one per entry, such as `quiet`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic"), inner(regex(pattern = r#"^[^\s"']+$"#)))]
    pub kernel_arguments: Vec<String>,
    /// Kernel arguments of the installer, one per entry, besides those that start it unattended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic"), inner(regex(pattern = r#"^[^\s"']+$"#)))]
    pub installer_arguments: Vec<String>,
    /// Memory that the installer needs, such as `2Gi`. Machines with less are refused beforehand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_memory: Option<Size>,
}

fn default_architecture() -> Architecture {
    Architecture::Amd64
}

/// A distribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Debian.
    Debian,
    /// Ubuntu.
    Ubuntu,
    /// Fedora.
    Fedora,
    /// Any other; installed from an image only.
    Other,
}

/// Who installs an operating system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Our own installer, from a root file system.
    Image,
    /// Anaconda (Fedora).
    Kickstart,
    /// Subiquity (Ubuntu).
    Autoinstall,
    /// Debian-Installer.
    Preseed,
}

/// A file that an operating system is installed from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Artefact {
    /// Its name among the artefacts, such as `kernel`.
    #[schemars(regex(pattern = r"^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$"))]
    pub name: String,
    /// What it is for.
    pub purpose: Purpose,
    /// Where it is fetched from: `https://…`, `http://…`, or `file:///…` for a folder on the bastion.
    #[schemars(length(max = 2048), regex(pattern = r"^(https?://[^\s/]|file:///)\S*$"))]
    pub url: String,
    /// SHA-256 of the file: `sha256:` and 64 hexadecimal digits. A file that does not fit is not served.
    #[schemars(regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub checksum: String,
    /// Size in bytes, where it is known beforehand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub size_bytes: Option<i64>,
}

/// What an artefact is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// The installer's kernel.
    Kernel,
    /// The installer's initial RAM disk.
    Initrd,
    /// The root file system, as a tar archive packed with zstd or as an OCI image layout.
    Image,
    /// The installer's own root file system (Anaconda's stage 2, Subiquity's ISO).
    Stage2,
    /// A file that the installer fetches by name.
    File,
}

/// A package repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Repository {
    /// Its name, such as `updates`.
    #[schemars(regex(pattern = r"^[a-z0-9]([-a-z0-9_.]{0,61}[a-z0-9])?$"))]
    pub name: String,
    /// Its address: `https://…` or `http://…`.
    #[schemars(length(max = 2048), regex(pattern = r"^https?://[^\s/]\S*$"))]
    pub url: String,
}

/// What is the case with an operating system.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct OperatingSystemStatus {
    /// The bastions that hold all of its artefacts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub ready_on: Vec<String>,
    /// Aspects of its state: `ArtefactsReady`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"],
        "x-kubernetes-patch-strategy" = "merge", "x-kubernetes-patch-merge-key" = "type"))]
    pub conditions: Vec<Condition>,
}

resource!(OperatingSystem, "metal.lab", "v1alpha1", "operatingsystems", namespaced: false);

impl OperatingSystem {
    /// An operating system of this name, about which nothing has been reported yet.
    pub fn new(name: impl Into<String>, spec: OperatingSystemSpec) -> Self {
        Self {
            api_version: ApiVersion::default(),
            kind: KindName::default(),
            metadata: ObjectMeta { name: Some(name.into()), ..Default::default() },
            spec,
            status: OperatingSystemStatus::default(),
        }
    }

    /// The first artefact that is for this.
    pub fn artefact(&self, purpose: Purpose) -> Option<&Artefact> {
        self.spec.artefacts.iter().find(|artefact| artefact.purpose == purpose)
    }
}

impl Define for OperatingSystem {
    fn define() -> Kind {
        Kind::of::<Self>("operatingsystem")
            .short_names(&["os"])
            .categories(&["metal"])
            .columns([
                Column::path("Family", "spec.family", "The distribution."),
                Column::path("Release", "spec.release", "The release."),
                Column::path("Method", "spec.method", "Who installs it."),
                Column::path("Architecture", "spec.architecture", "The processors it is built for."),
                Column::path("Artefacts", "spec.artefacts.name", "The files it is installed from.").wide(),
                Column::path("Ready On", "status.readyOn", "The bastions that hold all of them.").wide(),
            ])
            .selectable(&[
                "spec.family",
                "spec.release",
                "spec.method",
                "spec.architecture",
                "status.readyOn",
            ])
            .subresource(Subresource::Status)
            .validated_by(validate)
    }

    fn example() -> Self {
        let artefact = |name: &str, purpose, file: &str, checksum: &str| Artefact {
            name: name.into(),
            purpose,
            url: format!("https://mirror.lab.example/debian-13/{file}"),
            checksum: format!("sha256:{}", checksum.repeat(16)),
            size_bytes: None,
        };
        let spec = OperatingSystemSpec {
            family: Family::Debian,
            release: "13".into(),
            codename: Some("trixie".into()),
            method: Method::Image,
            architecture: Architecture::Amd64,
            artefacts: vec![artefact("root", Purpose::Image, "root.tar.zst", "9f2c")],
            repositories: vec![Repository {
                name: "main".into(),
                url: "https://deb.debian.org/debian".into(),
            }],
            packages: vec!["lldpd".into()],
            kernel_arguments: vec!["quiet".into()],
            installer_arguments: Vec::new(),
            min_memory: Some(Size::of_gib(1)),
        };
        Self::new("debian-13", spec)
    }
}

fn validate(new: &Json, _: Option<&Json>) -> Vec<FieldError> {
    let mut errors = check::sizes(new, "spec.minMemory");
    let (Some(method), Some(family)) =
        (check::typed::<Method>(new, "/spec/method"), check::typed::<Family>(new, "/spec/family"))
    else {
        return errors;
    };
    let fits = match method {
        Method::Image => true,
        Method::Kickstart => family == Family::Fedora,
        Method::Autoinstall => family == Family::Ubuntu,
        Method::Preseed => family == Family::Debian,
    };
    if !fits {
        let why = "this family has no such installer: fedora has kickstart, ubuntu autoinstall, debian preseed, and every \
                   family can be installed from an image";
        errors.push(FieldError::invalid("spec.method", &new["spec"]["method"], why));
    }
    let purposes: Vec<_> =
        check::each(new, "spec.artefacts[].purpose").into_iter().filter_map(|(_, p)| p.as_str()).collect();
    let needed: &[&str] = if method == Method::Image { &["image"] } else { &["kernel", "initrd"] };
    for purpose in needed {
        match purposes.iter().filter(|p| *p == purpose).count() {
            1 => {}
            0 => errors.push(FieldError::required(
                "spec.artefacts",
                format!("this method needs an artefact with purpose {purpose:?}"),
            )),
            _ => errors.push(FieldError::invalid(
                "spec.artefacts",
                &purposes.clone().into(),
                format!("only one artefact can have the purpose {purpose:?}"),
            )),
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn refuses() {
        let check = |family: &str, method: &str, purposes: &[&str], fields: &[&str]| {
            let artefacts: Vec<_> = purposes.iter().map(|p| json!({"purpose": p})).collect();
            let object = json!({"spec": {"family": family, "method": method, "artefacts": artefacts}});
            let found: Vec<_> = validate(&object, None).into_iter().map(|e| e.field).collect();
            assert_eq!(found, fields, "{object}");
        };
        check("debian", "image", &["image"], &[]);
        check("other", "image", &["image", "file", "file"], &[]);
        check("fedora", "kickstart", &["kernel", "initrd", "stage2"], &[]);
        check("ubuntu", "autoinstall", &["kernel", "initrd"], &[]);
        check("debian", "preseed", &["kernel", "initrd"], &[]);
        check("debian", "kickstart", &["kernel", "initrd"], &["spec.method"]);
        check("debian", "image", &["kernel"], &["spec.artefacts"]);
        check("debian", "image", &["image", "image"], &["spec.artefacts"]);
        check("debian", "preseed", &[], &["spec.artefacts", "spec.artefacts"]);
    }
}
