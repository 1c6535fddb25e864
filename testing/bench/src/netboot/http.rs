//! An image by HTTP, with blocking clients that read and forget.

use super::servers::SERVER;
use anyhow::{Context, bail};
use lab_rack::place::Neighbour;
use socket2::{Domain, Socket, Type};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Instant;

/// MB/s of so many clients that fetch the image at once, each from an address of its own.
pub fn rate(neighbour: &Neighbour, clients: usize, bytes: u64) -> anyhow::Result<f64> {
    neighbour.run(|| {
        let began = Instant::now();
        std::thread::scope(|scope| {
            let fetching: Vec<_> = (0..clients)
                .map(|at| scope.spawn(move || fetch([10, 9, 251, at as u8 + 1].into(), bytes)))
                .collect();
            fetching.into_iter().try_for_each(|one| one.join().expect("a client does not panic"))
        })?;
        Ok(bytes as f64 * clients as f64 / 1e6 / began.elapsed().as_secs_f64())
    })
}

fn fetch(from: Ipv4Addr, bytes: u64) -> anyhow::Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).context("making a socket")?;
    socket.bind(&SocketAddr::from((from, 0)).into()).context("binding a client's address")?;
    let server: Ipv4Addr = SERVER.parse()?;
    socket.connect(&SocketAddr::from((server, 80)).into()).context("connecting")?;
    let mut stream = TcpStream::from(socket);
    stream.write_all(b"GET /image.bin HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
    let mut buffer = vec![0; 256 << 10];
    let mut came = 0;
    loop {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        came += read as u64;
    }
    if came < bytes {
        bail!("{came} of {bytes} bytes came");
    }
    Ok(())
}
