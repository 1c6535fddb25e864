//! A machine of a test's own: its shell.

use anyhow::{Context, bail};
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

/// How long one block of a guide may take, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

/// A running machine; gone with all its processes when it is dropped.
pub struct Machine {
    child: Child,
    shell: ChildStdin,
    ended: Receiver<String>,
    shared: PathBuf,
    /// How many blocks it was given.
    count: usize,
}

impl Machine {
    /// Starts one with `unshare`, as it runs in the network that is meant. It works in the folder `shared`.
    pub fn start(mut unshare: Command, root: &Path, shared: &Path) -> anyhow::Result<Self> {
        let guides = Path::new(env!("CARGO_MANIFEST_DIR")).join("guides");
        let mut child = unshare
            .args(["--mount", "--pid", "--fork", "--kill-child", "--", "bash"])
            .arg(guides.join("machine.sh"))
            .arg(root)
            .arg(shared)
            .env("HOOKS", guides.join("hooks"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting a machine")?;
        let shell = child.stdin.take().context("its input is a pipe")?;
        let output = BufReader::new(child.stdout.take().context("its output is a pipe")?);
        let (tell, ended) = mpsc::channel();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                // Nobody listens any more when the test is over.
                let _ = tell.send(line);
            }
        });
        Ok(Self { child, shell, ended, shared: shared.into(), count: 0 })
    }

    /// Has its shell carry out a block; every command has to end well. What the block exports stays.
    pub fn run(&mut self, script: &str) -> anyhow::Result<()> {
        self.count += 1;
        let name = format!(".block-{}-{}", self.child.id(), self.count);
        fs::write(self.shared.join(&name), format!("set -eux -o pipefail\n{script}"))?;
        writeln!(self.shell, "cd /root/lab; . ./{name} </dev/null >{name}.out 2>&1; set +x; echo done")
            .context("the machine's shell is gone")?;
        // A shell that ends says nothing more, and neither does one that waits.
        let done = self.ended.recv_timeout(PATIENCE);
        if !done.as_ref().is_ok_and(|line| line == "done") {
            let said = fs::read_to_string(self.shared.join(format!("{name}.out"))).unwrap_or_default();
            bail!("the last command of these failed ({done:?}):\n{said}");
        }
        Ok(())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
