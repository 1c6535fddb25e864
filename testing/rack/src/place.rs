//! Network namespaces, where a test has interfaces and ports of its own. They belong to a user namespace that this user may make, so that
//! nothing here needs root; a system that forbids them (`kernel.unprivileged_userns_clone`, `apparmor_restrict_unprivileged_userns`)
//! needs it.

use anyhow::{Context, bail};
use std::ffi::OsStr;
use std::fs;
use std::os::fd::AsFd;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Set for a program that runs in a namespace of its own.
const INSIDE: &str = "LAB_RACK_INSIDE";

/// Whether this program has a network of its own.
pub fn is_own() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Starts this program again with a network of its own, and waits for its end.
pub fn again<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> anyhow::Result<ExitStatus> {
    command(arguments)?.status().context("starting unshare (package util-linux)")
}

/// The command that starts this program again with a network of its own.
pub fn command<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> anyhow::Result<Command> {
    let program = std::env::current_exe().context("finding this program")?;
    // Root needs no user namespace, and some servers want to change their groups, which one forbids.
    let user: &[&str] = match rustix::process::geteuid().is_root() {
        true => &[],
        false => &["--user", "--map-root-user"],
    };
    let mut command = Command::new("unshare");
    command.args(user).args(["--net", "--fork", "--kill-child", "--"]);
    command.arg(program).args(arguments).env(INSIDE, "1");
    Ok(command)
}

/// Runs the rest of a test with a network of its own: true there, and false where the test has run there and is over.
///
/// # Panics
/// The test failed there.
pub fn inside(test: &str) -> bool {
    if is_own() {
        ip(&["link", "set", "lo", "up"]).expect("the loopback interface can be switched on");
        return true;
    }
    let status = again([test, "--exact", "--include-ignored", "--nocapture", "--test-threads=1"]);
    assert!(status.expect("a namespace can be made").success(), "{test} failed");
    false
}

/// Runs `ip`.
pub fn ip(arguments: &[&str]) -> anyhow::Result<()> {
    call(Command::new("ip").args(arguments))
}

fn call(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("starting {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// Another network namespace, joined to this one by a cable: `rack0` here, `rack1` there.
pub struct Neighbour {
    holder: Child,
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        // The namespace goes with the program that holds it, and the cable with the namespace.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

impl Neighbour {
    /// Our end of the cable.
    pub const HERE: &'static str = "rack0";
    /// The neighbour's end.
    pub const THERE: &'static str = "rack1";

    /// Makes the namespace and the cable, both ends switched on.
    pub fn new() -> anyhow::Result<Self> {
        let holder =
            Command::new("unshare").args(["--net", "sleep", "infinity"]).stdin(Stdio::null()).spawn();
        let neighbour = Self { holder: holder.context("starting unshare")? };
        let own = fs::read_link("/proc/self/ns/net").context("reading this namespace")?;
        let until = Instant::now() + Duration::from_secs(5);
        while fs::read_link(neighbour.namespace()).map_or(true, |there| there == own) {
            if Instant::now() > until {
                bail!("no network namespace was made within 5 s");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let process = neighbour.holder.id().to_string();
        ip(&["link", "add", Self::HERE, "type", "veth", "peer", "name", Self::THERE, "netns", &process])?;
        ip(&["link", "set", Self::HERE, "up"])?;
        neighbour.ip(&["link", "set", "lo", "up"])?;
        neighbour.ip(&["link", "set", Self::THERE, "up"])?;
        Ok(neighbour)
    }

    fn namespace(&self) -> String {
        format!("/proc/{}/ns/net", self.holder.id())
    }

    /// Runs `ip` there.
    pub fn ip(&self, arguments: &[&str]) -> anyhow::Result<()> {
        call(self.command("ip").args(arguments))
    }

    /// A command that runs there.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.holder.id().to_string(), "--net", "--", program]);
        command
    }

    /// Does something there, in a thread of its own; threads that it starts are there too.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> anyhow::Result<T> + Send) -> anyhow::Result<T> {
        let namespace = fs::File::open(self.namespace()).context("opening the neighbour's namespace")?;
        std::thread::scope(|scope| {
            let there = scope.spawn(|| {
                rustix::thread::move_into_link_name_space(
                    namespace.as_fd(),
                    Some(rustix::thread::LinkNameSpaceType::Network),
                )
                .context("entering the neighbour's namespace")?;
                work()
            });
            there.join().expect("the thread does not panic")
        })
    }

    /// Gives the server's side `10.9.0.1/16` and has all of `10.9.128.0/17` be the neighbour's own, so that thousands of machines can have
    /// their addresses without an entry for each.
    ///
    /// The kernel's table of neighbours holds 1,024 by default, for all namespaces together: traffic goes by way of one address. Others
    /// do not answer ARP, as addresses that nobody has do not.
    pub fn crowd(&self) -> anyhow::Result<()> {
        ip(&["address", "add", "10.9.0.1/16", "dev", Self::HERE])?;
        ip(&["route", "add", "10.9.128.0/17", "via", "10.9.255.254", "dev", Self::HERE, "onlink"])?;
        self.ip(&["address", "add", "10.9.255.254/32", "dev", Self::THERE])?;
        self.ip(&["route", "add", "10.9.0.1/32", "dev", Self::THERE])?;
        self.ip(&["route", "add", "local", "10.9.128.0/17", "dev", "lo"])?;
        call(self.command("sysctl").args(["-qw", "net.ipv4.conf.rack1.arp_ignore=1"]))
    }
}
