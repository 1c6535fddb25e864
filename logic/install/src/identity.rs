//! What makes a system out of an image one machine's own: its name, who may log in, how it is hardened, what its role needs.
//!
//! All of it are files, so that it can be looked at beforehand; only the account itself is made by the system's own tools.

use lab_kinds::metal::operating_system::{Family, OperatingSystem};
use lab_kinds::metal::server::{MachineRole, Server};

/// A file of the new system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Where, as the system sees it.
    pub path: String,
    /// Its mode bits.
    pub mode: u32,
    /// What is in it.
    pub text: String,
}

/// The account that an operator logs in with. It has no password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// Its number, the same on every machine and after each installation, so that what it owns on a preserved `/home`
    /// stays its own.
    pub uid: u32,
    /// The group whose members may use sudo.
    pub group: &'static str,
}

/// The account of a machine.
pub fn account(server: &Server, system: &OperatingSystem) -> Account {
    let name = server.spec.admin.name().to_owned();
    let group = match system.spec.family {
        Family::Debian | Family::Ubuntu => "sudo",
        Family::Fedora | Family::Other => "wheel",
    };
    Account { name, uid: 1000, group }
}

/// The name that the machine gives itself: the wished one, or else its object's.
pub fn hostname(server: &Server) -> String {
    server
        .spec
        .hostname
        .clone()
        .or_else(|| server.metadata.name.clone())
        .unwrap_or_else(|| "localhost".into())
}

/// The files that are written into every installed system.
pub fn files(server: &Server, system: &OperatingSystem) -> Vec<File> {
    let account = account(server, system);
    let name = &account.name;
    let file = |path: String, mode, text: String| File { path, mode, text };
    let hostname = hostname(server);
    let short = hostname.split('.').next().unwrap_or_default();
    let names = if short == hostname { hostname.clone() } else { format!("{hostname} {short}") };
    let keys: String =
        server.spec.admin.authorized_keys.iter().map(|key| format!("{}\n", key.trim())).collect();
    let mut files = vec![
        file("/etc/hostname".into(), 0o644, format!("{hostname}\n")),
        file(
            "/etc/hosts".into(),
            0o644,
            format!("127.0.0.1 localhost\n127.0.1.1 {names}\n::1 localhost ip6-localhost ip6-loopback\n"),
        ),
        // Empty: systemd makes a new one when the machine first starts, so that no two machines share one.
        file("/etc/machine-id".into(), 0o444, String::new()),
        // Not in the home folder, which may be preserved and is not opened by an installation.
        file(format!("/etc/ssh/authorized_keys.d/{name}"), 0o644, keys),
        file("/etc/ssh/sshd_config.d/10-lab.conf".into(), 0o644, SSHD.into()),
        file("/etc/sudoers.d/90-lab".into(), 0o440, format!("{name} ALL=(ALL:ALL) NOPASSWD: ALL\n")),
        file(
            "/etc/tmpfiles.d/lab-home.conf".into(),
            0o644,
            format!(
                "# The home folder, made when the machine starts: /home may outlive its system.\nd /home/{name} 0700 {name} {name}\n"
            ),
        ),
        file("/etc/sysctl.d/90-lab.conf".into(), 0o644, sysctls(server)),
        file("/etc/systemd/network/80-lab-dhcp.network".into(), 0o644, DHCP.into()),
        file("/etc/default/grub.d/50-lab.cfg".into(), 0o644, grub(server, system)),
    ];
    if runs_workloads(server) {
        files.push(file("/etc/modules-load.d/lab.conf".into(), 0o644, "br_netfilter\noverlay\n".into()));
    }
    files
}

/// Keys only, and nobody as root.
const SSHD: &str = "AuthorizedKeysFile /etc/ssh/authorized_keys.d/%u .ssh/authorized_keys\n\
    PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin no\nX11Forwarding no\n";

/// Every wired NIC asks for its address; the machine does not wait for those that nobody answers.
const DHCP: &str = "[Match]\nType=ether\nKind=!*\n\n[Link]\nRequiredForOnline=routable\n\n[Network]\nDHCP=yes\n\n\
    [DHCPv4]\nClientIdentifier=mac\n";

fn runs_workloads(server: &Server) -> bool {
    !matches!(server.spec.role, None | Some(MachineRole::Vanilla))
}

fn sysctls(server: &Server) -> String {
    // All of SysRq, so that a machine that hangs can still be synced and restarted from its console.
    let mut text = String::from("kernel.sysrq = 1\n");
    if runs_workloads(server) {
        text.push_str(
            "net.ipv4.ip_forward = 1\nnet.ipv6.conf.all.forwarding = 1\nnet.bridge.bridge-nf-call-iptables = 1\n\
             net.bridge.bridge-nf-call-ip6tables = 1\nfs.inotify.max_user_instances = 8192\n\
             fs.inotify.max_user_watches = 524288\nvm.max_map_count = 262144\n",
        );
    }
    text
}

/// What the new system is called in the firmware's list of what it can start: GRUB derives it from the distributor's name.
pub fn boot_entry(system: &OperatingSystem) -> &'static str {
    match system.spec.family {
        Family::Debian => "debian",
        Family::Ubuntu => "ubuntu",
        Family::Fedora => "fedora",
        Family::Other => "linux",
    }
}

/// Plain text, as servers may have no screen, where GRUB's graphics wait for ever. Sourced by a shell: within single quotes it
/// takes every character as it is, and arguments have none of these.
fn grub(server: &Server, system: &OperatingSystem) -> String {
    let own = server.spec.install.iter().flat_map(|install| &install.kernel_arguments);
    let arguments: Vec<_> = system.spec.kernel_arguments.iter().chain(own).map(String::as_str).collect();
    format!(
        "GRUB_DISTRIBUTOR='{}'\nGRUB_TIMEOUT=2\nGRUB_TERMINAL=console\nGRUB_DISABLE_OS_PROBER=true\nGRUB_CMDLINE_LINUX_DEFAULT=''\n\
         GRUB_CMDLINE_LINUX='{}'\n",
        boot_entry(system),
        arguments.join(" ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab_kinds::Define;

    fn text(server: &Server, path: &str) -> Option<String> {
        let files = files(server, &OperatingSystem::example());
        files.into_iter().find(|file| file.path == path).map(|file| file.text)
    }

    #[test]
    fn a_machine_of_its_own() {
        let mut server = Server::example();
        server.spec.hostname = Some("db-1.lab.example".into());
        server.spec.admin.user = Some("ops".into());
        server.spec.admin.authorized_keys = vec!["ssh-ed25519 AAAA a@b\n".into(), "ssh-ed25519 BBBB".into()];
        server.spec.role = Some(MachineRole::Worker);
        assert_eq!(text(&server, "/etc/hostname").as_deref(), Some("db-1.lab.example\n"));
        let hosts = text(&server, "/etc/hosts").expect("every system has it");
        assert!(hosts.contains("127.0.1.1 db-1.lab.example db-1\n"), "{hosts}");
        let keys = text(&server, "/etc/ssh/authorized_keys.d/ops");
        assert_eq!(keys.as_deref(), Some("ssh-ed25519 AAAA a@b\nssh-ed25519 BBBB\n"));
        let sudo = text(&server, "/etc/sudoers.d/90-lab");
        assert_eq!(sudo.as_deref(), Some("ops ALL=(ALL:ALL) NOPASSWD: ALL\n"));
        assert!(text(&server, "/etc/modules-load.d/lab.conf").is_some());
        server.spec.role = Some(MachineRole::Vanilla);
        assert!(text(&server, "/etc/modules-load.d/lab.conf").is_none());
        assert_eq!(text(&server, "/etc/sysctl.d/90-lab.conf").as_deref(), Some("kernel.sysrq = 1\n"));
    }

    #[test]
    fn kernel_arguments_of_both() {
        let mut server = Server::example();
        let install = server.spec.install.as_mut().expect("the example has it");
        install.kernel_arguments = vec!["iommu=pt".into()];
        let grub = text(&server, "/etc/default/grub.d/50-lab.cfg").expect("every system has it");
        assert!(grub.ends_with("GRUB_CMDLINE_LINUX='quiet iommu=pt'\n"), "{grub}");
    }

    #[test]
    fn a_machine_without_a_name_of_its_own() {
        let server = Server::default();
        assert_eq!(hostname(&server), "localhost");
        assert_eq!(account(&server, &OperatingSystem::example()).name, "lab");
    }
}
