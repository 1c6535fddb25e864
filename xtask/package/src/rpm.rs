//! The RPM format.

use crate::{
    Form,
    contents::{File, Kind, Package, VERSION},
};
use anyhow::Context;
use rpm::{BuildConfig, CompressionWithLevel, Dependency, FileOptions, PackageBuilder};

/// Which packaging of the version this is.
const RELEASE: &str = "1";

/// `labctl-0.1.0-1.x86_64.rpm`.
pub fn file_name(package: &Package) -> String {
    format!("{}-{VERSION}-{RELEASE}.{}.rpm", package.name, package.program.machine.of_rpm())
}

/// The whole package.
pub fn build(package: &Package, form: &Form) -> anyhow::Result<Vec<u8>> {
    let machine = package.program.machine.of_rpm();
    let mut builder = PackageBuilder::new(package.name, VERSION, "Apache-2.0", machine, package.summary);
    // Version 4 and gzip: what every RPM still in use can read.
    let config =
        BuildConfig::v4().source_date(form.time).compression(CompressionWithLevel::Gzip(form.compression));
    builder.using_config(config).release(RELEASE).description(package.description).build_host("localhost");
    let program = FileOptions::new(format!("/usr/bin/{}", package.name)).permissions(0o755);
    builder.with_file_contents(package.program.stripped.clone(), program)?;
    for file in &package.files {
        add(&mut builder, package, file).with_context(|| format!("adding {}", file.path))?;
    }
    for folder in
        [format!("/usr/share/doc/{}", package.name), format!("/usr/share/licenses/{}", package.name)]
    {
        builder.with_dir_entry(FileOptions::dir(folder).permissions(0o755))?;
    }
    for (library, versions) in &package.program.needs {
        // As rpmbuild finds them; the marks are part of the name.
        builder.requires(Dependency::any(format!("{library}()(64bit)")));
        for version in versions {
            builder.requires(Dependency::any(format!("{library}({version})(64bit)")));
        }
    }
    if let Some(unit) = package.unit {
        scripts(&mut builder, unit);
    }
    let mut bytes = Vec::new();
    builder.build()?.write(&mut bytes)?;
    Ok(bytes)
}

fn add(builder: &mut PackageBuilder, package: &Package, file: &File) -> anyhow::Result<()> {
    let place = match file.kind {
        Kind::Licence => format!("/usr/share/licenses/{}/{}", package.name, file.path),
        Kind::Zsh => format!("/usr/share/zsh/site-functions/{}", file.path),
        Kind::Data | Kind::Config | Kind::Doc => file.path.clone(),
    };
    let options = FileOptions::new(place).permissions(0o644);
    let options = match file.kind {
        Kind::Data | Kind::Zsh => options,
        Kind::Config => options.config().noreplace(),
        Kind::Doc => options.doc(),
        Kind::Licence => options.license(),
    };
    builder.with_file_contents(file.content.clone(), options)?;
    Ok(())
}

/// An update restarts a running service; a removal stops it.
fn scripts(builder: &mut PackageBuilder, unit: &str) {
    let with_systemd = |what: &str| format!("if [ -d /run/systemd/system ]; then\n{what}fi\n");
    let if_removed = |what: &str| format!("\tif [ \"$1\" -eq 0 ]; then {what} || :; fi\n");
    let if_updated = |what: &str| format!("\tif [ \"$1\" -ge 1 ]; then {what} || :; fi\n");
    const RELOAD: &str = "\tsystemctl daemon-reload || :\n";
    builder.post_install_script(with_systemd(RELOAD));
    builder.pre_uninstall_script(with_systemd(&if_removed(&format!("systemctl disable --now {unit}"))));
    let restart = if_updated(&format!("systemctl try-restart {unit}"));
    builder.post_uninstall_script(with_systemd(&format!("{RELOAD}{restart}")));
}
