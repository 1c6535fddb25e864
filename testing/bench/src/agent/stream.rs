//! A command's stream alone, over a connection that is open already: from the request until the machine said how it ended. A stream
//! takes its connection over, so the next one has to be open before it is asked for.

use super::site::Site;
use crate::api::labd::tls;
use anyhow::{Context, bail};
use bytes::{Buf, Bytes, BytesMut};
use http::{Request, StatusCode, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use lab_wire::{
    agent::Exec,
    stream::{Ended, Frame, PROTOCOL},
};
use rustls::pki_types::ServerName;
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};
use tokio::{io::AsyncReadExt, net::TcpStream};
use tokio_rustls::TlsConnector;

/// Asks labd straight, without labctl.
pub struct Straight {
    address: SocketAddr,
    tls: TlsConnector,
}

impl Straight {
    /// As labd's administrator.
    pub fn new(site: &Site) -> anyhow::Result<Self> {
        Ok(Self { address: site.address, tls: tls(&site.kubeconfig)? })
    }

    /// Opens a connection, and then counts the time in which a command is run over it.
    pub async fn run(&self, machine: &str, command: &str) -> anyhow::Result<Duration> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let stream = self.tls.connect(ServerName::from(self.address.ip()), stream).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection.with_upgrades());
        let query = Exec { command: vec![command.into()], ..Exec::default() }.to_query();
        let request = Request::post(format!("/apis/metal.lab/v1alpha1/servers/{machine}/exec?{query}"))
            .header(header::HOST, "localhost")
            .header(header::CONNECTION, "upgrade")
            .header(header::UPGRADE, PROTOCOL)
            .body(Empty::<Bytes>::new())?;
        let began = Instant::now();
        let answer = sender.send_request(request).await?;
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            bail!("a stream was answered with {}", answer.status());
        }
        let mut stream = TokioIo::new(hyper::upgrade::on(answer).await?);
        let mut said = BytesMut::new();
        loop {
            while let Some((frame, length)) = Frame::read(&said)? {
                match frame {
                    Frame::Ended(Ended::Code(0)) => return Ok(began.elapsed()),
                    Frame::Ended(ended) => bail!("{command} ended with {ended:?}"),
                    _ => said.advance(length),
                }
            }
            if stream.read_buf(&mut said).await.context("reading a stream")? == 0 {
                bail!("the stream ended before the command");
            }
        }
    }
}
