//! labd as a user meets it: HTTPS with a client certificate, JSON, HTTP/1.1.

use super::{Peer, SIZE};
use crate::process::{Process, free_address};
use anyhow::{Context, bail};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde::Deserialize;
use std::{net::SocketAddr, path::Path, process::Command, sync::Arc, time::Instant};
use tokio::{net::TcpStream, sync::mpsc};
use tokio_rustls::TlsConnector;

/// A labd under measurement.
pub struct Labd {
    pub process: Process,
    pub peer: Api,
}

/// How to reach it.
#[derive(Clone)]
pub struct Api {
    address: SocketAddr,
    tls: TlsConnector,
}

#[derive(Deserialize)]
struct Kubeconfig {
    clusters: Vec<Named>,
    users: Vec<Named>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Named {
    #[serde(default)]
    cluster: Fields,
    #[serde(default)]
    user: Fields,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case", default)]
struct Fields {
    certificate_authority_data: String,
    client_certificate_data: String,
    client_key_data: String,
}

/// Starts labd on `directory/labd` and waits until `/readyz` is answered with 200.
pub async fn start(program: &Path, directory: &Path) -> anyhow::Result<Labd> {
    let data = directory.join("labd");
    let address = free_address()?;
    let mut command = Command::new(program);
    command.args(["--listen", &address.to_string(), "--data-dir"]).arg(&data);
    let kubeconfig = data.join("admin.kubeconfig");
    let ready = async || match api(address, &kubeconfig) {
        Ok(api) => api.ready().await.unwrap_or(false),
        Err(_) => false,
    };
    let process = Process::start(&mut command, &directory.join("labd.log"), ready).await?;
    Ok(Labd { process, peer: api(address, &kubeconfig)? })
}

fn api(address: SocketAddr, kubeconfig: &Path) -> anyhow::Result<Api> {
    Ok(Api { address, tls: tls(kubeconfig)? })
}

/// TLS as the user of a kubeconfig.
pub fn tls(kubeconfig: &Path) -> anyhow::Result<TlsConnector> {
    let text = std::fs::read_to_string(kubeconfig).context("reading the kubeconfig")?;
    let config: Kubeconfig = serde_saphyr::from_str(&text).context("reading the kubeconfig")?;
    let (Some(cluster), Some(user)) = (config.clusters.first(), config.users.first()) else {
        bail!("the kubeconfig names no cluster or no user");
    };
    let pem = |text: &str| STANDARD.decode(text).context("decoding the kubeconfig");
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&pem(&cluster.cluster.certificate_authority_data)?)?)?;
    let certificate = CertificateDer::from_pem_slice(&pem(&user.user.client_certificate_data)?)?;
    let key = PrivateKeyDer::from_pem_slice(&pem(&user.user.client_key_data)?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![certificate], key)?;
    Ok(TlsConnector::from(Arc::new(tls)))
}

const OBJECTS: &str = "/api/v1/namespaces/default/configmaps";
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

type Sender = http1::SendRequest<Full<Bytes>>;

impl Api {
    async fn ready(&self) -> anyhow::Result<bool> {
        let mut client = self.connect().await?;
        let answer = client.send_request(self.get("/readyz", "*/*")?).await?;
        Ok(answer.status().is_success())
    }

    fn get(&self, path: &str, accept: &str) -> anyhow::Result<Request<Full<Bytes>>> {
        let request = Request::get(path).header(header::HOST, "localhost").header(header::ACCEPT, accept);
        Ok(request.body(Full::default())?)
    }
}

impl Peer for Api {
    type Client = Sender;

    async fn connect(&self) -> anyhow::Result<Sender> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let stream = self.tls.connect(ServerName::from(self.address.ip()), stream).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }

    async fn create(&self, client: &mut Sender, name: &str) -> anyhow::Result<()> {
        let head = format!(
            r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"{name}","namespace":"default"}},"data":{{"payload":""#
        );
        let body = format!(r#"{head}{:x>1$}"}}}}"#, "", SIZE - head.len() - 3);
        let request = Request::post(OBJECTS)
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::from(body))?;
        client.ready().await?;
        let answer = client.send_request(request).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        if status != http::StatusCode::CREATED {
            bail!("creating {name}: {status}: {}", String::from_utf8_lossy(&body));
        }
        Ok(())
    }

    async fn list(&self, client: &mut Sender, table: bool) -> anyhow::Result<usize> {
        let request = self.get(OBJECTS, if table { TABLE } else { "application/json" })?;
        client.ready().await?;
        let answer = client.send_request(request).await?;
        if !answer.status().is_success() {
            bail!("listing: {}", answer.status());
        }
        let mut body = answer.into_body();
        let mut received = 0;
        while let Some(frame) = body.frame().await {
            received += frame?.data_ref().map_or(0, Bytes::len);
        }
        Ok(received)
    }

    async fn watch(&self) -> anyhow::Result<mpsc::Receiver<Instant>> {
        let mut client = self.connect().await?;
        // Without a revision the watch begins with what there is; nothing is written before all watches are open.
        let request = self.get(&format!("{OBJECTS}?watch=true&resourceVersion=0"), "application/json")?;
        let answer = client.send_request(request).await?;
        if !answer.status().is_success() {
            bail!("watching: {}", answer.status());
        }
        let (sender, receiver) = mpsc::channel(256);
        tokio::spawn(async move {
            let _open = client;
            let mut body = answer.into_body();
            while let Some(Ok(frame)) = body.frame().await {
                let lines = frame.data_ref().map_or(0, |d| d.iter().filter(|b| **b == b'\n').count());
                for _ in 0..lines {
                    if sender.send(Instant::now()).await.is_err() {
                        return;
                    }
                }
            }
        });
        Ok(receiver)
    }
}
