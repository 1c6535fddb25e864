//! Runs the boot server until it is told to stop, and ends in order.

use crate::config::{LogFormat, Settings};
use crate::labd;
use crate::status::Status;
use anyhow::Context;
use lab_boot_site::{Options, Ports, SiteFigures, System};
use std::{fs, io::IsTerminal, sync::Arc};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

/// Serves until SIGTERM or SIGINT.
pub fn run(settings: Settings) -> anyhow::Result<()> {
    begin_log(&settings);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let outcome = runtime.block_on(serve(settings));
    runtime.shutdown_background();
    outcome
}

async fn serve(settings: Settings) -> anyhow::Result<()> {
    let _lock = lock(&settings)?;
    fs::create_dir_all(&settings.files)
        .with_context(|| format!("cannot make {}", settings.files.display()))?;
    let mut stop = std::pin::pin!(stop_signal()?);
    // Until labd can be reached for the first time there is nothing to go on with.
    let (client, agents) = tokio::select! {
        () = &mut stop => return Ok(()),
        reached = labd::reach(&settings) => reached?,
    };
    let listener = TcpListener::bind(settings.status_listen).await.with_context(|| {
        format!(
            "cannot listen at {}; name another address with --status-listen ADDR:PORT",
            settings.status_listen
        )
    })?;
    let options = Options {
        name: settings.name.clone(),
        state: settings.data_dir.clone(),
        files: settings.files,
        ports: Some(Ports { http: settings.http_port, ..Ports::default() }),
        version: env!("CARGO_PKG_VERSION").into(),
        labd: agents,
        seed: rand::random(),
    };
    let running =
        lab_boot_site::start(&client, options, Arc::new(System)).context("cannot start the boot server")?;
    let figures = SiteFigures::default();
    figures.are_of(running.site());
    let status = Status::new(running.health(), figures);
    tracing::info!(bastion = settings.name, labd = client.server(), "started");
    tokio::select! {
        () = &mut stop => {}
        ended = status.serve(listener) => ended.context("cannot tell how the bastion is")?,
    }
    tracing::info!("stopping (once more to stop at once)");
    running.stop().await;
    tracing::info!("stopped");
    Ok(())
}

/// Only one bastion uses a data directory.
fn lock(settings: &Settings) -> anyhow::Result<fs::File> {
    let directory = &settings.data_dir;
    fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let path = directory.join("lock");
    let open = fs::File::options().create(true).truncate(false).write(true).open(&path);
    let file = open.with_context(|| format!("cannot open {}", path.display()))?;
    file.try_lock().with_context(|| {
        format!("another bastion is running on {}; stop it, or name another directory", directory.display())
    })?;
    Ok(file)
}

fn begin_log(settings: &Settings) {
    // The level was tried when the settings were read.
    let filter = tracing_subscriber::EnvFilter::new(&settings.log_level);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match settings.log_format {
        LogFormat::Json => builder.json().flatten_event(true).init(),
        LogFormat::Text => {
            let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            builder.with_ansi(colour).with_target(false).init();
        }
    }
}

/// Ready at the first SIGTERM or SIGINT. A second one ends the process where it is.
fn stop_signal() -> anyhow::Result<impl Future<Output = ()> + Send> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            std::process::exit(1);
        });
    })
}
