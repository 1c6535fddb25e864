//! What permissions cost: one decision, and a list that holds only what may be seen beside the same list for who may see
//! everything. In one process, without a network, where nothing else hides the difference.

use crate::{
    figures::{Row, ms, print},
    process::Place,
};
use anyhow::{Context, ensure};
use bytes::Bytes;
use futures_util::future::try_join_all;
use http::Request;
use http_body_util::{BodyExt, Full};
use lab_access::{Ask, Policy, Scope};
use lab_api_server::{ApiServer, Caller, Options as ServerOptions, RoleBased, encode, key};
use lab_kinds::Kind;
use lab_store::{Embedded, Expect, Store, Write};
use serde_json::{Value, json};
use std::{hint::black_box, sync::Arc, time::Instant};

/// How much to measure.
#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    place: Place,
    /// Servers that are listed.
    #[arg(long, default_value_t = 10_000)]
    servers: usize,
    /// Bindings of the user, each to one environment; the servers are spread over as many.
    #[arg(long, default_value_t = 100)]
    bindings: usize,
    /// Runs of each list; the median is printed.
    #[arg(long, default_value_t = 51)]
    runs: usize,
}

const USER: &str = "somebody";
/// Objects that are written together.
const TOGETHER: usize = 500;

/// Runs everything and prints the report.
pub async fn run(options: &Options) -> anyhow::Result<()> {
    let directory = tempfile::tempdir_in(&options.place.directory)?;
    let store: Arc<dyn Store> = Arc::new(Embedded::open(directory.path(), lab_store::Options::default())?);
    for objects in site(options)?.chunks(TOGETHER) {
        try_join_all(objects.iter().map(|write| store.write(write.clone()))).await?;
    }
    let authorizer = RoleBased::follow(store.clone()).await?;
    let server = ApiServer::new(
        lab_kinds::registry(),
        store,
        ServerOptions { authorizer, ..ServerOptions::default() },
    );
    let user = Caller::new(USER, [""; 0]);
    let (mut all, mut filtered) = (Vec::new(), Vec::new());
    // The first list reads where the servers stand; from then on that is known.
    let began = Instant::now();
    let first = list(&server, user.clone()).await?;
    let first_list = [ms(began.elapsed())];
    for _ in 0..options.runs {
        let began = Instant::now();
        let whole = list(&server, Caller::internal("bench")).await?;
        all.push(ms(began.elapsed()));
        let began = Instant::now();
        ensure!(list(&server, user.clone()).await?.len() == first.len(), "the lists differ");
        filtered.push(ms(began.elapsed()));
        ensure!(whole.len() == first.len(), "the user sees every server by its bindings");
    }
    println!(
        "{} servers, {} bindings, {} bytes, {} runs",
        options.servers,
        options.bindings,
        first.len(),
        options.runs
    );
    let rows = [
        Row::cost("a list of what may be seen", "ms", &filtered, &all),
        Row::cost("the first one", "ms", &first_list, &all),
        Row::cost("one decision", "ns", &decisions(options), &[]),
        Row::cost("permissions compiled", "us", &compiled(options), &[]),
    ];
    print("everything", &rows);
    Ok(())
}

async fn list(server: &ApiServer, caller: Caller) -> anyhow::Result<Bytes> {
    let request = Request::get("/apis/metal.lab/v1alpha1/servers").body(Full::new(Bytes::new()))?;
    let answer = server.handle(request, caller).await;
    ensure!(answer.status().is_success(), "listing: {}", answer.status());
    Ok(answer.into_body().collect().await?.to_bytes())
}

/// Roles, bindings and servers as they are stored.
fn site(options: &Options) -> anyhow::Result<Vec<Write>> {
    let registry = lab_kinds::registry();
    let kind = |name: &str| registry.by_name(name).cloned().with_context(|| format!("{name} is registered"));
    let (servers, roles, bindings) = (kind("servers")?, kind("roles")?, kind("rolebindings")?);
    let mut site = Vec::new();
    for (role, binding) in grants(options) {
        site.push(write(&roles, role));
        site.push(write(&bindings, binding));
    }
    let example = servers.example.context("servers have an example")?();
    for number in 0..options.servers {
        let mut server = example.clone();
        server["metadata"]["name"] = format!("server-{number:05}").into();
        server["spec"]["environment"] = environment(number % options.bindings).into();
        site.push(write(&servers, server));
    }
    Ok(site)
}

/// A role for each environment, and its binding.
fn grants(options: &Options) -> impl Iterator<Item = (Value, Value)> {
    (0..options.bindings).map(|number| {
        let name = environment(number);
        let permissions = [format!("apply:baremetal:{name}:*")];
        let subjects = [json!({"kind": "User", "name": USER})];
        (
            json!({"metadata": {"name": name}, "spec": {"permissions": permissions}}),
            json!({"metadata": {"name": name}, "spec": {"role": name, "subjects": subjects}}),
        )
    })
}

fn environment(number: usize) -> String {
    format!("environment-{number}")
}

fn write(kind: &Kind, object: Value) -> Write {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let key = key::object(key::DEFAULT_TENANT, kind, "", name).into();
    Write { key, value: Some(encode::value(&object)), expect: Expect::Absent }
}

fn policy(options: &Options) -> Policy {
    let mut policy = Policy::default();
    for (role, binding) in grants(options) {
        let name = role["metadata"]["name"].as_str().unwrap_or_default();
        policy.set("iam.lab", "roles", name, Some(&role));
        policy.set("iam.lab", "rolebindings", name, Some(&binding));
    }
    policy
}

/// Nanoseconds of one decision about a server, over all servers.
fn decisions(options: &Options) -> Vec<f64> {
    let access = policy(options).access(USER, &[]);
    let ask = Ask { verb: "get", group: "metal.lab", resource: "servers", subresource: "" };
    let environments: Vec<String> = (0..options.bindings).map(environment).collect();
    (0..options.runs)
        .map(|_| {
            let began = Instant::now();
            for number in 0..options.servers {
                let environment = Some(environments[number % options.bindings].as_str());
                black_box(access.admit(&ask));
                black_box(access.sees_server(Scope {
                    cloud: Some("baremetal"),
                    environment,
                    server: Some("server"),
                }));
            }
            began.elapsed().as_nanos() as f64 / options.servers as f64
        })
        .collect()
}

/// Microseconds until a caller's permissions are ready to decide.
fn compiled(options: &Options) -> Vec<f64> {
    let policy = policy(options);
    (0..options.runs)
        .map(|_| {
            let began = Instant::now();
            black_box(policy.access(USER, &[]));
            began.elapsed().as_secs_f64() * 1e6
        })
        .collect()
}
