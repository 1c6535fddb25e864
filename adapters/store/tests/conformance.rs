//! The embedded store keeps what [`lab_store::Store`] promises.

use lab_store::{Embedded, Options, conformance};
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_store_conforms() {
    conformance::run(
        async || tempfile::tempdir().expect("a directory"),
        async |dir: &tempfile::TempDir| {
            Arc::new(Embedded::open(dir.path(), Options::default()).expect("opens"))
                as Arc<dyn lab_store::Store>
        },
    )
    .await;
}
