//! A way from one network to another, by a socket in a folder.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// Takes connections from one side and opens one on the other for each, for ever.
async fn pass<A, B, Accept, Open>(mut accept: impl FnMut() -> Accept, open: impl Fn() -> Open)
where
    A: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    B: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    Accept: Future<Output = io::Result<A>>,
    Open: Future<Output = io::Result<B>> + Send + 'static,
{
    // Whoever cannot be passed on finds the connection closed, as with a labd that is not there.
    while let Ok(mut from) = accept().await {
        let opened = open();
        tokio::spawn(async move {
            if let Ok(mut to) = opened.await {
                let _ = copy_bidirectional(&mut from, &mut to).await;
            }
        });
    }
}

/// From connections on loopback to the socket.
pub async fn outwards(listener: TcpListener, socket: PathBuf) {
    let accept = || async { listener.accept().await.map(|(stream, _)| stream) };
    pass(accept, || UnixStream::connect(socket.clone())).await;
}

/// From the socket to a port on loopback.
pub async fn inwards(listener: UnixListener, port: u16) {
    let accept = || async { listener.accept().await.map(|(stream, _)| stream) };
    pass(accept, move || TcpStream::connect(("127.0.0.1", port))).await;
}
