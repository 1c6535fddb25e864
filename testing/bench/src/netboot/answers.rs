//! Boot answers: scripts of known machines, asked for over connections that are kept.

use super::servers::SERVER;
use anyhow::{Context, bail};
use lab_rack::place::Neighbour;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

/// How many connections ask.
const CONNECTIONS: usize = 16;

/// Answers a second.
pub fn rate(neighbour: &Neighbour, count: usize) -> anyhow::Result<f64> {
    neighbour.run(|| {
        let began = Instant::now();
        std::thread::scope(|scope| {
            let asking: Vec<_> =
                (0..CONNECTIONS).map(|at| scope.spawn(move || ask(at, count / CONNECTIONS))).collect();
            asking.into_iter().try_for_each(|one| one.join().expect("a client does not panic"))
        })?;
        Ok((count / CONNECTIONS * CONNECTIONS) as f64 / began.elapsed().as_secs_f64())
    })
}

fn ask(connection: usize, count: usize) -> anyhow::Result<()> {
    let stream = TcpStream::connect((SERVER, 80)).context("connecting")?;
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    let mut body = Vec::new();
    for at in 0..count {
        // Servers of the first 65,536, in an order that no cache likes.
        let machine = (at * CONNECTIONS + connection) * 7919 % 10_000;
        let mac = format!("52-54-01-00-{:02x}-{:02x}", machine >> 8, machine & 255);
        write!(writer, "GET /boot/{mac}/-/script.ipxe HTTP/1.1\r\nHost: x\r\n\r\n")?;
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                bail!("the server closed the connection");
            }
            if let Some(text) = line.strip_prefix("Content-Length: ") {
                length = text.trim().parse()?;
            }
            if line == "\r\n" {
                break;
            }
        }
        body.resize(length, 0);
        reader.read_exact(&mut body)?;
        if !body.starts_with(b"#!ipxe") {
            bail!("{mac} was answered with no script");
        }
    }
    Ok(())
}
