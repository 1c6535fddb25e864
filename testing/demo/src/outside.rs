//! The part that stays in the machine's own network: it holds the folder, lets labd be reached, and cleans up.

use crate::{Options, relay};
use anyhow::{Context, bail};
use lab_rack::place;
use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use tokio::net::TcpListener;

/// Runs the demonstration inside a network of its own, and removes what it leaves.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let beside = options.folder.with_extension("lock");
    fs::create_dir_all(&options.folder).with_context(|| format!("making {}", options.folder.display()))?;
    let lock = File::create(&beside).with_context(|| format!("creating {}", beside.display()))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            bail!("another demonstration is running in {}", options.folder.display())
        }
        Err(TryLockError::Error(error)) => return Err(error).context("taking the demonstration's lock"),
    }
    // What one left behind that was killed.
    clear(options)?;
    let result = watched();
    clear(options)?;
    result
}

fn clear(options: &Options) -> anyhow::Result<()> {
    fs::remove_dir_all(&options.folder).with_context(|| format!("removing {}", options.folder.display()))?;
    fs::create_dir_all(&options.folder)?;
    Ok(())
}

#[tokio::main]
async fn watched() -> anyhow::Result<()> {
    // A socket's path may be 107 bytes long, which a checkout's folder may use up.
    let sockets =
        tempfile::Builder::new().prefix("lab-demo-").tempdir().context("making a folder for sockets")?;
    let listener = TcpListener::bind("127.0.0.1:0").await.context("finding a free port")?;
    let port = listener.local_addr()?.port();
    let relay = tokio::spawn(relay::outwards(listener, sockets.path().join("labd")));
    let mut arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    arguments.extend(["--inside".into(), port.to_string().into(), sockets.path().into()]);
    // Ctrl-C reaches the part inside as well, which ends everything in order.
    let ignored = tokio::spawn(async { while tokio::signal::ctrl_c().await.is_ok() {} });
    let status =
        tokio::task::spawn_blocking(|| place::again(arguments)).await?.context("making a network")?;
    relay.abort();
    ignored.abort();
    match status.success() {
        true => Ok(()),
        false => bail!("see above"),
    }
}
