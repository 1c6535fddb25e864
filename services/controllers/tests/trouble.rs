//! Controllers and an API that fails: they go on trying, ever more seldom, and begin once it answers.

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;
use jiff::SignedDuration;
use lab_client::{Client, InProcess, Request};
use lab_controllers::{Options, start};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

#[tokio::test(start_paused = true)]
async fn a_failing_api_is_asked_ever_more_seldom() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let transport = InProcess::new("nobody", move |_: Request| {
        count.fetch_add(1, Ordering::SeqCst);
        let mut answer = Response::new(Full::new(Bytes::from_static(b"the store cannot write")));
        *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        async { answer }
    });
    let registry = lab_kinds::registry();
    let options = Options { keep_events: SignedDuration::from_hours(1), seed: 7 };
    let controllers = start(&Client::new("test", transport), &registry, &options);
    // One asker per kind; besides, one each for namespaces, events, one-shot boots, bastions and wiping, and three for plans.
    let followed = registry.kinds().iter().filter(|kind| !kind.read_only).count();
    let askers = followed + 8;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let first = asked.swap(0, Ordering::SeqCst);
    assert!((askers..askers * 14).contains(&first), "{first} requests of {askers} in the first minute");
    tokio::time::sleep(Duration::from_secs(600)).await;
    let later = asked.swap(0, Ordering::SeqCst) / 10;
    assert!((1..=askers * 4).contains(&later), "{later} requests of {askers} a minute later on");
    let mut synced = controllers.synced();
    let not_yet = tokio::time::timeout(Duration::from_secs(1), synced.wait()).await;
    assert!(not_yet.is_err(), "nothing was seen, so nothing is ready");
    controllers.stop().await;
    asked.store(0, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(asked.load(Ordering::SeqCst), 0, "stopped controllers ask nothing");
}
