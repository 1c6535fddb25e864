//! Connects to a port of this machine for somebody at the other end of a stream.

use crate::{
    exec::{Frames, Last, Taken},
    serve::{Body, bad, streamed},
};
use bytes::Bytes;
use http::Response;
use hyper::body::Incoming;
use lab_wire::{
    agent::Forward,
    stream::{Ended, Frame, MAX_PAYLOAD},
};
use std::net::{Ipv4Addr, Ipv6Addr};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
};

/// Answers a request to connect to a port.
pub(crate) fn answer(query: &str, body: Incoming) -> Response<Body> {
    let Forward { port } = match Forward::from_query(query) {
        Ok(forward) => forward,
        Err(error) => return bad(&error),
    };
    let (out, response) = streamed();
    tokio::spawn(async move {
        tracing::info!(port, "a port is connected to");
        let last = match connect(port).await {
            Ok(stream) => {
                let (from, to) = stream.into_split();
                tokio::select! {
                    ended = speak(from, &out) => ended,
                    () = listen(to, Frames::new(body)) => None,
                    () = out.closed() => None,
                }
            }
            Err(error) => Some(Ended::Failed(&format!("port {port}: {error}")).into_frame()),
        };
        if let Some(last) = last {
            // Whoever is gone by now does not hear it.
            let _ = out.send(last).await;
        }
    });
    response
}

async fn connect(port: u16) -> std::io::Result<TcpStream> {
    let stream = match TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
        Ok(stream) => stream,
        Err(error) => TcpStream::connect((Ipv6Addr::LOCALHOST, port)).await.map_err(|_| error)?,
    };
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn speak(mut from: OwnedReadHalf, out: &mpsc::Sender<Bytes>) -> Option<Bytes> {
    let mut said = vec![0; MAX_PAYLOAD];
    loop {
        match from.read(&mut said).await {
            Ok(0) => return Some(Ended::Code(0).into_frame()),
            Ok(length) => out.send(Frame::Output(&said[..length]).to_bytes().into()).await.ok()?,
            Err(error) => return Some(Ended::Failed(&error.to_string()).into_frame()),
        }
    }
}

/// Passes on what the other end sends, until there is no other end.
async fn listen(to: OwnedWriteHalf, mut frames: Frames) {
    let mut to = Some(to);
    loop {
        match frames.next().await {
            Ok(Some(Taken::Input(data))) => {
                if let Some(stream) = &mut to
                    && stream.write_all(&data).await.is_err()
                {
                    to = None;
                }
            }
            // Dropping this half ends it; the other goes on.
            Ok(Some(Taken::InputEnd)) => to = None,
            Ok(Some(Taken::Resize(..) | Taken::Signal(_))) => {}
            Ok(None) => return,
            Err(why) => return tracing::warn!(why, "a stream was not understood"),
        }
    }
}
