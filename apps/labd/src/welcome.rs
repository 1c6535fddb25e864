//! The first words of a labd that was started for the first time: what to type next.

use std::{fmt::Write, path::Path};

/// What a newcomer is told. `server` is the API's URL.
pub fn text(server: &str, pin: &str, data_dir: &Path, kubeconfig: &Path) -> String {
    let mut text = String::new();
    let (data_dir, kubeconfig) = (data_dir.display(), kubeconfig.display());
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "
Lab is ready at {server}. In another terminal:

    export KUBECONFIG={kubeconfig}
    kubectl get servers
    kubectl explain server.spec

Everything is kept in {data_dir}; {kubeconfig} is the key to it.
Others recognise this server by its authority's fingerprint: {pin}
Stop it with Ctrl-C; the next start goes on where this one ended.

"
    );
    text
}
