//! The packages are installed into an empty tree by the package managers themselves, and what lies there is used: the programs
//! run, man renders the pages, the shells complete, systemd understands the unit.

use anyhow::{Context, bail};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The packages of the debug programs, made once.
fn packages() -> &'static Path {
    static MADE: OnceLock<tempfile::TempDir> = OnceLock::new();
    MADE.get_or_init(|| {
        let programs = lab_e2e::program("labctl").expect("the programs are built");
        let programs = programs.parent().expect("programs lie in a folder");
        let folder = tempfile::tempdir().expect("a folder");
        make(programs, folder.path()).expect("the packages are made");
        folder
    })
    .path()
}

fn make(programs: &Path, output: &Path) -> anyhow::Result<String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lab-package"));
    command.args(["--compression", "0", "--programs"]).arg(programs).arg("--output").arg(output);
    run(command.env("SOURCE_DATE_EPOCH", "1700000000"))
}

/// Runs a command to its end and yields all it says; its failure is an error.
fn run(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("starting {command:?}"))?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    if !output.status.success() {
        bail!("{command:?}: {}\n{said}", output.status);
    }
    Ok(said)
}

/// The one file in the packages' folder whose name begins and ends so.
fn package(begin: &str, end: &str) -> anyhow::Result<PathBuf> {
    let mut entries = fs::read_dir(packages())?.filter_map(|e| Some(e.ok()?.path()));
    let fits = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(begin) && name.ends_with(end)
    };
    entries.find(fits).with_context(|| format!("no {begin}*{end} was made"))
}

/// Every package's name.
const ALL: [&str; 4] = ["labctl", "labd", "bastion", "lab-agent"];

/// The packages of one format, where a name is followed by `separator`.
fn every(separator: &str, end: &str) -> anyhow::Result<Vec<PathBuf>> {
    ALL.iter().map(|name| package(&format!("{name}{separator}"), end)).collect()
}

fn dpkg(root: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("dpkg");
    command.arg(format!("--root={}", root.display())).args(["--log=/dev/null", "--force-not-root"]);
    // The tree has neither libc nor a shell: the libraries are this system's, and scripts are told the tree's root.
    command.args(["--force-depends", "--force-script-chrootless"]).args(arguments);
    command.env("LC_ALL", "C.UTF-8");
    command
}

#[test]
fn debian() -> anyhow::Result<()> {
    let tree = tempfile::tempdir()?;
    let root = tree.path();
    for folder in ["updates", "info"] {
        fs::create_dir_all(root.join("var/lib/dpkg").join(folder))?;
    }
    fs::write(root.join("var/lib/dpkg/status"), "")?;
    run(dpkg(root, &["--install"]).args(every("_", ".deb")?))?;
    let status = run(&mut dpkg(root, &["--status", "labctl"]))?;
    assert!(status.contains("install ok installed"), "{status}");
    assert!(status.contains("Depends: libc6 (>= 2."), "{status}");
    // Nothing was altered, as dpkg itself sees it.
    assert_eq!(run(&mut dpkg(root, &["--verify"]))?, "");
    used(root, &root.join("usr/share/zsh/vendor-completions"))?;
    assert!(root.join("usr/share/doc/labctl/copyright").is_file());

    // What the administrator wrote stays when the program goes, and goes with a purge.
    let config = root.join("etc/lab/labd.toml");
    fs::write(&config, "listen = \"127.0.0.1:1\"\n")?;
    run(dpkg(root, &["--remove"]).args(ALL))?;
    assert!(!root.join("usr/bin/labd").exists() && config.exists());
    run(&mut dpkg(root, &["--purge", "labd"]))?;
    assert!(!config.exists());
    Ok(())
}

/// rpm changes its root, which only root may; others are root in a namespace of their own.
fn rpm(root: &Path, arguments: &[&str]) -> Command {
    let is_root = run(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    let mut command = Command::new(if is_root { "rpm" } else { "unshare" });
    if !is_root {
        command.args(["--map-root-user", "rpm"]);
    }
    command.arg("--root").arg(root).args(arguments).env("LC_ALL", "C.UTF-8");
    command
}

#[test]
fn red_hat() -> anyhow::Result<()> {
    let tree = tempfile::tempdir()?;
    let root = tree.path();
    let all = every("-0", ".rpm")?;
    run(Command::new("rpm").arg("--checksig").args(&all))?;
    run(&mut rpm(root, &["--initdb"]))?;
    // No shell in the tree, so no scripts: they are looked at in `scripts`.
    run(rpm(root, &["--nodeps", "--noscripts", "--install"]).args(&all))?;
    // Sizes, modes and digests are what the packages say.
    run(rpm(root, &["--verify", "--nodeps"]).args(ALL))?;
    let needs = run(&mut rpm(root, &["--query", "--requires", "labctl"]))?;
    assert!(needs.contains("libc.so.6(GLIBC_2."), "{needs}");
    assert_eq!(run(&mut rpm(root, &["--query", "--configfiles", "labd"]))?, "/etc/lab/labd.toml\n");
    let licence = run(&mut rpm(root, &["--query", "--licensefiles", "labctl"]))?;
    assert_eq!(licence, "/usr/share/licenses/labctl/LICENSE\n");
    used(root, &root.join("usr/share/zsh/site-functions"))?;

    run(rpm(root, &["--noscripts", "--erase"]).args(ALL))?;
    for gone in ["usr/bin/labctl", "usr/share/doc/labctl", "usr/lib/systemd/system/labd.service"] {
        assert!(!root.join(gone).exists(), "{gone} is still there");
    }
    Ok(())
}

/// Uses all that a package installed.
fn used(root: &Path, zsh: &Path) -> anyhow::Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        run(Command::new(root.join("usr/bin/labctl")).args(["version", "--client"]))?,
        format!("labctl {version}\n")
    );
    assert_eq!(run(Command::new(root.join("usr/bin/labd")).arg("version"))?, format!("labd {version}\n"));
    for name in ["bastion", "lab-agent"] {
        let said = run(Command::new(root.join("usr/bin").join(name)).arg("--version"))?;
        assert_eq!(said, format!("{name} {version}\n"));
    }
    let program = fs::read(root.join("usr/bin/labctl"))?;
    assert!(!program.windows(7).any(|w| w == b".symtab"), "labctl has its symbols still");
    man(root)?;
    bash(root)?;
    zsh_completes(root, zsh)?;
    fish(root)?;
    let config = root.join("etc/lab/labd.toml");
    let said = run(Command::new(root.join("usr/bin/labd")).arg("--config").arg(&config).arg("version"));
    said.context("labd reads the configuration that is installed")?;
    unit(root, "labd", "labd --config /etc/lab/labd.toml")?;
    unit(root, "bastion", "bastion --config /etc/lab/bastion.toml")?;
    unit(root, "lab-agent", "lab-agent run")
}

fn man(root: &Path) -> anyhow::Result<()> {
    let render = |page: &str| {
        let path = root.join("usr/share/man/man1").join(page);
        let mut command = Command::new("man");
        // A warning of the formatter would come among the text, and is a failure.
        command
            .args(["--warnings", "--local-file"])
            .arg(path)
            .env("MANWIDTH", "120")
            .env("LC_ALL", "C.UTF-8");
        let text = run(&mut command)?;
        anyhow::ensure!(!text.contains("warning:"), "{page}: {text}");
        Ok(text)
    };
    let folder = fs::read_dir(root.join("usr/share/man/man1"))?;
    let pages: Vec<String> =
        folder.map(|e| Ok(e?.file_name().to_string_lossy().into_owned())).collect::<anyhow::Result<_>>()?;
    for verb in ["get", "provision", "config-use-context"] {
        assert!(pages.contains(&format!("labctl-{verb}.1.gz")), "{pages:?}");
    }
    let text = render("labctl-provision.1.gz")?;
    for part in [
        "NAME\n       labctl-provision - Say what",
        "EXAMPLES\n         labctl provision db-1 --os",
        "--dry-run",
    ] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    let text = render("labctl.1.gz")?;
    for part in ["ENVIRONMENT\n", "LAB_KUBECONFIG", "EXIT STATUS\n", "8  nobody serves this yet"] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    for page in ["labd.1.gz", "bastion.1.gz"] {
        assert!(render(page)?.contains("EXAMPLES\n"), "{page}");
    }
    Ok(())
}

fn shell(root: &Path, program: &str, arguments: &[&str], text: &str) -> anyhow::Result<String> {
    let path = format!("{}:{}", root.join("usr/bin").display(), std::env::var("PATH")?);
    let home = root.join("home");
    fs::create_dir_all(&home)?;
    let mut command = Command::new(program);
    command.args(arguments).arg(text).env("PATH", path).env("HOME", &home).env("LC_ALL", "C.UTF-8");
    command.env("XDG_DATA_DIRS", root.join("usr/share")).env_remove("KUBECONFIG");
    run(&mut command)
}

fn bash(root: &Path) -> anyhow::Result<()> {
    let script = root.join("usr/share/bash-completion/completions/labctl");
    let text = format!(
        "set -e; . {}; complete -p labctl >/dev/null; COMP_WORDS=(labctl descr); COMP_CWORD=1; COMP_TYPE=9; \
         _clap_complete_labctl labctl descr labctl 2>/dev/null || true; echo \"${{COMPREPLY[@]}}\"",
        script.display()
    );
    assert_eq!(shell(root, "bash", &["--norc", "-c"], &text)?.trim(), "describe");
    Ok(())
}

/// A zsh at a terminal of its own finds the file in its `fpath`, and Tab completes at the first press.
fn zsh_completes(root: &Path, folder: &Path) -> anyhow::Result<()> {
    let text = format!(
        "zmodload zsh/zpty; zpty z zsh -f -i\n\
         zpty -w z 'PS1=; fpath=({} $fpath); autoload -Uz compinit; compinit -u -D; echo rea\"\"dy'\n\
         zpty -r z said '*ready*'\n\
         zpty -w -n z $'labctl descr\\t'\n\
         zpty -r z said '*labctl describe*' && print completed\n\
         zpty -d z",
        folder.display()
    );
    let script = root.join("home/complete.zsh");
    fs::create_dir_all(root.join("home"))?;
    fs::write(&script, text)?;
    let said = shell(root, "timeout", &["20", "zsh", "-f"], &script.to_string_lossy())?;
    assert!(said.contains("completed"), "{said}");
    Ok(())
}

fn fish(root: &Path) -> anyhow::Result<()> {
    let said = shell(
        root,
        "fish",
        &["--no-config", "-c"],
        &format!(
            "source {}; complete --do-complete 'labctl descr'",
            root.join("usr/share/fish/vendor_completions.d/labctl.fish").display()
        ),
    )?;
    assert!(said.starts_with("describe"), "{said}");
    Ok(())
}

/// systemd understands every line of a unit. The unit names /usr/bin, which here lies in the tree.
fn unit(root: &Path, name: &str, command: &str) -> anyhow::Result<()> {
    let text = fs::read_to_string(root.join(format!("usr/lib/systemd/system/{name}.service")))?;
    assert!(text.contains(&format!("ExecStart=/usr/bin/{command}\n")), "{text}");
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        // Containers are often without systemd; the machine that needs the unit is not.
        return Ok(());
    }
    let copy = root.join(format!("{name}.service"));
    fs::write(&copy, text.replace("/usr/bin/", &format!("{}/", root.join("usr/bin").display())))?;
    let said = run(Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&copy))?;
    assert_eq!(said, "", "{name}");
    Ok(())
}

/// What the scripts would do under systemd, with a systemctl that only writes down what it is asked.
#[test]
fn scripts() -> anyhow::Result<()> {
    let tree = tempfile::tempdir()?;
    let root = tree.path();
    fs::create_dir_all(root.join("run/systemd/system"))?;
    fs::create_dir_all(root.join("usr/bin"))?;
    let control = root.join("control");
    run(Command::new("dpkg-deb").arg("--control").arg(package("labd_", ".deb")?).arg(&control))?;
    let systemctl = root.join("usr/bin/systemctl");
    fs::write(&systemctl, "#!/bin/sh\necho \"$@\"\n")?;
    fs::set_permissions(&systemctl, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let check = |script: &str, argument: &str, with_systemd: bool, expected: &str| -> anyhow::Result<()> {
        let dpkg_root = if with_systemd { root.to_path_buf() } else { root.join("empty") };
        let script =
            format!("DPKG_ROOT={} {} {argument}", dpkg_root.display(), control.join(script).display());
        let said = shell(root, "sh", &["-c"], &script)?;
        assert_eq!(said, expected, "{script}");
        Ok(())
    };
    check("postinst", "configure", true, "daemon-reload\ntry-restart labd.service\n")?;
    check("postinst", "configure", false, "")?;
    check("postinst", "abort-upgrade", true, "")?;
    check("prerm", "upgrade", true, "")?;
    check("prerm", "remove", true, "disable --now labd.service\n")?;
    check("postrm", "remove", true, "daemon-reload\n")?;
    check("postrm", "purge", true, "")?;
    // RPM's name the system's own folder; here it is enough that the shell can read them.
    let scripts =
        run(Command::new("rpm").args(["--query", "--scripts", "--package"]).arg(package("labd-", ".rpm")?))?;
    assert_eq!(scripts.matches("scriptlet").count(), 3, "{scripts}");
    let lines: Vec<&str> = scripts.lines().filter(|line| !line.contains("scriptlet")).collect();
    shell(root, "sh", &["-n", "-c"], &lines.join("\n"))?;
    Ok(())
}

/// The same programs at the same time make the same bytes.
#[test]
fn again() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let programs = lab_e2e::program("labctl")?;
    make(programs.parent().context("programs lie in a folder")?, folder.path())?;
    let sums = |folder: &Path| fs::read_to_string(folder.join("SHA256SUMS"));
    assert_eq!(sums(folder.path())?, sums(packages())?);
    run(Command::new("sha256sum").args(["--check", "--quiet", "SHA256SUMS"]).current_dir(folder.path()))?;
    Ok(())
}
