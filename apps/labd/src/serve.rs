//! Starts every service over one store, serves until told to stop, and ends in order.

use crate::{
    audit, backup, bastion,
    config::Settings,
    credentials::{Credentials, TENDING},
    data_dir::{DataDir, Layout},
    figures,
    keys::{self, Sealer},
    kubeconfig, log, recovery, seed, welcome,
};
use anyhow::Context;
use bytes::Buf;
use http_body_util::{BodyExt, Full};
use jiff::Timestamp;
use lab_api_server::{ApiServer, Caller, Extra, Options, Pieces, RoleBased, audit::Recording, health};
use lab_audit::Trail;
use lab_boot_site::{Labd, Place, SiteFigures};
use lab_client::{Client, InProcess};
use lab_controllers::Controllers;
use lab_object::Time;
use lab_store::{Embedded, Store};
use std::{
    io::Write,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Instant, SystemTime},
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    task::JoinSet,
};

/// Serves until SIGTERM or SIGINT. `started` is when the process began.
pub fn run(settings: Settings, started: Instant) -> anyhow::Result<()> {
    log::begin(&settings);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let outcome = runtime.block_on(serve(settings, started));
    // Whatever still blocks a thread is not worth waiting for: the store has been closed.
    runtime.shutdown_background();
    outcome
}

async fn serve(settings: Settings, started: Instant) -> anyhow::Result<()> {
    let directory = DataDir::open(&settings.data_dir)?;
    let layout = directory.layout();
    let is_new = !layout.pki().exists();
    let listener = TcpListener::bind(settings.listen).await.with_context(|| {
        format!("cannot listen at {}; name another address with --listen ADDR:PORT", settings.listen)
    })?;
    let address = listener.local_addr().context("cannot read the address listened at")?;
    let credentials = Credentials::open(&layout, &settings, address, SystemTime::now())?;
    let (tls, pin) = (credentials.tls()?, credentials.pin());
    let issuer = Some(Arc::new(credentials.issuer(&layout, &settings)?));

    let trail = audit::open(&layout, &settings.audit)?;
    let sealer = open_keys(&layout, &settings)?;
    let store = open_store(&layout, &trail, sealer.clone())?;
    let is_empty = store.revision() == 0;
    let synced = Arc::new(AtomicBool::new(false));
    let authorizer = RoleBased::follow(store.clone()).await.context("cannot read who may do what")?;
    let site_figures = SiteFigures::default();
    let options = Options {
        authorizer,
        issuer,
        ..options(&store, &trail, &sealer, &synced, directory.path(), &site_figures)
    };
    let api = ApiServer::new(lab_kinds::registry(), store.clone(), options);
    audit::note(&api, "start", audit::began(&trail)).await;
    let client = Client::new("labd", in_process(api.clone()));
    seed::sow(&client, is_empty).await?;
    let controllers = start_controllers(&client, &api, &settings);
    let bastion = match &settings.bastion {
        Some(told) => {
            let client = Client::new("bastion", in_process(api.clone()));
            let labd = Labd { place: Place::Here(address), ca_hash: pin.clone() };
            let running = bastion::start(&client, told, directory.path(), labd)?;
            site_figures.are_of(running.site());
            Some(running)
        }
        None => None,
    };
    let mut tending = JoinSet::new();
    tending.spawn(tend(credentials));
    tending.spawn(audit::tend(api.clone(), trail.clone(), settings.audit.clone()));
    tending.spawn(recovery::watch(store.clone(), trail.clone()));
    tending.spawn(keys::follow(sealer, store.clone(), settings.keys.clone()));

    let server = kubeconfig::url(address);
    if is_new {
        let text = welcome::text(&server, &pin, directory.path(), &layout.admin_kubeconfig());
        // A closed stdout keeps nobody from serving.
        let _ = std::io::stdout().write_all(text.as_bytes());
    }
    let mut watched = controllers.synced();
    tokio::spawn(async move {
        watched.wait().await;
        synced.store(true, Ordering::Relaxed);
        tracing::info!(%address, took = ?started.elapsed(), "ready");
    });
    let signal = stop_signal()?;
    let stop = async move {
        signal.await;
        // Clients go before the server, our own as well.
        if let Some(bastion) = bastion {
            bastion.stop().await;
        }
        controllers.stop().await;
    };
    let served =
        lab_api_server::serve(listener, Arc::new(tls), api.clone(), stop).await.context("cannot serve");
    tending.shutdown().await;
    audit::note(&api, "stop", String::new()).await;
    // The runtime's threads do nothing else any more; blocking this one is fine. The store leaves its last entries to the trail.
    store.close();
    trail.close();
    tracing::info!("stopped");
    served
}

/// Reads the keys, and makes one where there is none.
fn open_keys(layout: &Layout<'_>, settings: &Settings) -> anyhow::Result<Arc<Sealer>> {
    let dir = &settings.keys;
    if keys::keyring(dir)?.is_none() {
        let (id, path) = keys::add(dir)?;
        let had_data = layout.store().exists();
        tracing::info!(key = %id, path = %path.display(), had_data, "made a key to encrypt secrets with; keep a copy of it");
    }
    let keyring = keys::keyring(dir)?.with_context(|| format!("there is no key in {}", dir.display()))?;
    Ok(Arc::new(Sealer::new(keyring, &lab_kinds::registry())))
}

fn open_store(layout: &Layout<'_>, trail: &Arc<Trail>, sealer: Arc<Sealer>) -> anyhow::Result<Arc<Embedded>> {
    let path = layout.store();
    let recording = Recording::new(trail.clone()).context("cannot read how far the audit trail has come")?;
    let notes = Some(Arc::new(recording) as Arc<dyn lab_store::Notes>);
    let options = lab_store::Options { notes, seal: Some(sealer), ..lab_store::Options::default() };
    let store = Embedded::open(&path, options)
        .with_context(|| format!("cannot open the store in {}", path.display()))?;
    Ok(Arc::new(store))
}

/// How the API serves, and when it counts as ready.
fn options(
    store: &Arc<Embedded>,
    trail: &Arc<Trail>,
    sealer: &Arc<Sealer>,
    synced: &Arc<AtomicBool>,
    data_dir: &Path,
    site: &SiteFigures,
) -> Options {
    let (writable, recorded, synced) = (store.clone(), trail.clone(), synced.clone());
    let checks = vec![
        health::Check {
            name: "store-writable",
            run: Arc::new(move || writable.figures().unwritable.map_or(Ok(()), |why| Err(why.to_string()))),
        },
        health::Check {
            name: "audit-writable",
            run: Arc::new(move || recorded.check_writable().map_err(|error| error.to_string())),
        },
        health::Check {
            name: "controllers-synced",
            run: Arc::new(move || match synced.load(Ordering::Relaxed) {
                true => Ok(()),
                false => Err("they have not seen all objects yet".into()),
            }),
        },
    ];
    let mut metrics = figures::registry(store.clone(), trail.clone(), SystemTime::now());
    metrics.register_collector(Box::new(site.clone()));
    let releases = data_dir;
    let (copied, sealer, data_dir) = (store.clone(), sealer.clone(), data_dir.to_owned());
    let backup = Extra {
        path: backup::stream::PATH,
        answer: Arc::new(move || backup::stream::answer(&copied, &sealer, &data_dir, Time(Timestamp::now()))),
    };
    Options {
        version: health::version(env!("CARGO_PKG_VERSION")),
        metrics,
        checks,
        extra: vec![backup],
        releases: Some(Layout(releases).agents()),
        audit: Some(trail.clone()),
        ..Options::default()
    }
}

/// The way from parts of this process to the API, without a socket.
fn in_process(api: Arc<ApiServer>) -> impl lab_client::Transport {
    InProcess::new("labd", move |request: lab_client::Request| {
        let api = api.clone();
        async move {
            let answer = api.handle(request.map(Full::new), Caller::internal("labd")).await;
            let whole = |mut pieces: Pieces| pieces.copy_to_bytes(pieces.remaining());
            answer.map(|body| body.map_frame(move |frame| frame.map_data(whole)))
        }
    })
}

fn start_controllers(client: &Client, api: &ApiServer, settings: &Settings) -> Controllers {
    let options = lab_controllers::Options { keep_events: settings.keep_events, seed: rand::random() };
    lab_controllers::start(client, api.registry(), &options)
}

/// Renews what runs out, for as long as labd runs.
async fn tend(mut credentials: Credentials) {
    let mut ticks = tokio::time::interval(TENDING);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // The first tick is at once, and everything was made just now.
    ticks.tick().await;
    loop {
        ticks.tick().await;
        if let Err(error) = credentials.tend(SystemTime::now()) {
            tracing::error!("certificates could not be renewed, will try again: {error:#}");
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
        tracing::info!("stopping; requests that are under way may end (once more to stop at once)");
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            std::process::exit(1);
        });
    })
}
