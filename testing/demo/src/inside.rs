//! The part with a network of its own: the switch, labd, the machines, and what is done with them.

use crate::lab::{Labctl, Labd};
use crate::screen::{Screen, Watched};
use crate::story::{Machine, Story};
use crate::{Options, relay};
use anyhow::{Context, bail};
use lab_client::config::{Kubeconfig, Overrides};
use lab_client::{Client, Informer, InformerOptions};
use lab_kinds::metal::Server;
use lab_rack::faults::Faults;
use lab_rack::place::ip;
use lab_rack::qemu::{Accelerator, Firmware};
use lab_rack::switch::Switch;
use std::fs;
use std::os::unix;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixListener;

/// The interface between labd and the machines.
const TAP: &str = "rack";

/// Runs everything until Ctrl-C, or until all was shown if nobody wants to look around.
pub fn run(options: &Options, given: &[String]) -> anyhow::Result<()> {
    let [port, sockets] = given else { bail!("--inside is given by the program itself") };
    let port = port.parse().context("--inside: the port")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.context("starting the runtime")?.block_on(begin(options, port, Path::new(sockets)))
}

async fn begin(options: &Options, port: u16, sockets: &Path) -> anyhow::Result<()> {
    ip(&["link", "set", "lo", "up"])?;
    let switch = Switch::open(sockets, TAP, Faults::NONE)?;
    ip(&["address", "add", "10.99.0.1/24", "dev", TAP])?;
    let api = UnixListener::bind(sockets.join("labd")).context("opening labd's socket")?;
    tokio::spawn(relay::inwards(api, port));
    let files = options.folder.join("data/boot/files");
    fs::create_dir_all(&files).with_context(|| format!("making {}", files.display()))?;
    unix::fs::symlink(options.artefacts.join("systems"), files.join("systems"))
        .context("linking the artefacts")?;

    let screen = Arc::new(Screen::new());
    screen.act("labd starts: control plane, store and boot server in one process");
    let labd = Labd::start(&options.programs.join("labd"), &options.folder, port).await?;
    if let Some(memory) = labd.memory() {
        screen.say(&format!("It takes {memory:.0} MiB of memory. Its API is https://127.0.0.1:{port}."));
    }
    let machines = vec![machine(1, "bios-1", Firmware::Bios), machine(2, "uefi-1", Firmware::Uefi)];
    screen.watch(
        informer(&labd.kubeconfig())?,
        machines.iter().map(|machine| machine.watched.clone()).collect(),
    );
    let drawing = tokio::spawn(draw(screen.clone()));
    let labctl = Labctl {
        program: options.programs.join("labctl"),
        kubeconfig: labd.kubeconfig(),
        screen: screen.clone(),
    };
    let accelerator = tokio::task::spawn_blocking(Accelerator::found).await?;
    let story = Story {
        labctl,
        switch,
        accelerator,
        folder: options.folder.clone(),
        artefacts: options.artefacts.clone(),
    };
    // Whoever is in the middle of something is dropped, and the machines with it.
    let result = tokio::select! {
        result = told(story, machines, options, &labd, &screen) => result,
        _ = tokio::signal::ctrl_c() => Ok(()),
    };
    drawing.abort();
    screen.end();
    screen.say("\nThe machines are switched off, and what they left is removed.");
    let stopped = labd.stop().await;
    result.and(stopped)
}

async fn told(
    story: Story,
    mut machines: Vec<Machine>,
    options: &Options,
    labd: &Labd,
    screen: &Screen,
) -> anyhow::Result<()> {
    if let Err(error) = story.tell(&mut machines).await {
        story.explain(&machines).await;
        return Err(error);
    }
    if let Some(memory) = labd.memory() {
        screen.say(&format!("labd takes {memory:.0} MiB of memory after all this."));
    }
    if options.no_wait {
        return Ok(());
    }
    screen.say(&next(&options.programs, &labd.kubeconfig()));
    std::future::pending().await
}

/// What to try next, in another terminal.
fn next(programs: &Path, kubeconfig: &Path) -> String {
    let (programs, kubeconfig) = (programs.display(), kubeconfig.display());
    format!(
        "\nEverything goes on running until Ctrl-C. In another terminal:\n\n\
         \x20   export KUBECONFIG={kubeconfig} PATH={programs}:$PATH\n\
         \x20   labctl get servers -o wide\n\
         \x20   labctl describe server uefi-1          # hardware, disks, stages, timeline\n\
         \x20   labctl exec -it uefi-1 -- bash          # a shell on the machine\n\
         \x20   labctl logs bios-1 -f                   # all that it said since its first packet\n\
         \x20   labctl get audit                        # who did what\n\
         \x20   kubectl get servers,bastions,networks   # the same objects, with plain kubectl\n\
         \x20   kubectl explain server.spec.install\n"
    )
}

async fn draw(screen: Arc<Screen>) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    loop {
        ticks.tick().await;
        screen.refresh();
    }
}

fn informer(kubeconfig: &Path) -> anyhow::Result<Informer<Server>> {
    let connection = Kubeconfig::read(kubeconfig)?.connection(&Overrides::default())?;
    let client = Client::connect("lab-demo", &connection)?;
    Ok(Informer::start(client.resource(), InformerOptions::everything(1)))
}

fn machine(number: u8, hostname: &str, firmware: Firmware) -> Machine {
    let watched = Watched {
        server: format!("52-54-00-00-99-{number:02x}"),
        called: hostname.into(),
        firmware: if firmware == Firmware::Bios { "BIOS" } else { "UEFI" },
    };
    Machine::off(number, firmware, watched)
}
