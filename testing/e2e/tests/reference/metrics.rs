//! Every metric, as labd's `/metrics` describes it.

use crate::cell;
use anyhow::Context;
use bytes::Bytes;
use lab_client::{Client, Kubeconfig, config::Overrides};
use lab_e2e::labd::Labd;
use std::{collections::BTreeMap, fmt::Write};

pub fn text() -> anyhow::Result<String> {
    let folder = tempfile::tempdir()?;
    let labd = Labd::start(folder.path())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let said = runtime.block_on(said(&labd))?;
    let mut described: BTreeMap<&str, (&str, &str)> = BTreeMap::new();
    for line in said.lines() {
        let entry = |rest: &'static str| line.strip_prefix(rest).and_then(|rest| rest.split_once(' '));
        if let Some((name, text)) = entry("# HELP ") {
            described.entry(name).or_default().1 = text;
        } else if let Some((name, kind)) = entry("# TYPE ") {
            described.entry(name).or_default().0 = kind;
        }
    }
    let mut text = String::from(
        "# Metrics\n\nWhat labd serves at `/metrics` to whoever may read it, in the OpenMetrics format. `bastion` has those of \
         the boot server at its `--status-listen` address.\n\n| Metric | Type | |\n|---|---|---|\n",
    );
    for (name, (kind, said)) in described {
        let _ = writeln!(text, "| `{name}` | {kind} | {} |", cell(said));
    }
    Ok(text)
}

async fn said(labd: &Labd) -> anyhow::Result<String> {
    let connection = Kubeconfig::read(&labd.kubeconfig())?.connection(&Overrides::default())?;
    let client = Client::connect("reference", &connection)?;
    let doing = "read the metrics";
    let answer = client.send(doing, http::Request::get("/metrics").body(Bytes::new())?).await?;
    let body = client.collect(doing, answer.into_body()).await?;
    String::from_utf8(body.to_vec()).context("the metrics are text")
}
