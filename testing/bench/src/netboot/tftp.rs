//! TFTP as firmware fetches, with blocking clients that do nothing else: what is measured is the server.

use super::servers::SERVER;
use anyhow::{Context, bail};
use lab_rack::place::Neighbour;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// MB/s of so many clients at once, each with an address of its own: as UEFI asks (blocks of 1468, four at a time) or as iPXE does (1432,
/// one). `bytes` is the file's size; one client fetches the whole file, several a tenth of it.
pub fn rate(neighbour: &Neighbour, clients: usize, uefi: bool, bytes: f64) -> anyhow::Result<f64> {
    neighbour.run(|| {
        let name = if clients == 1 { "tftp.bin" } else { "tftp-tenth.bin" };
        let began = Instant::now();
        let sizes: anyhow::Result<Vec<u64>> = std::thread::scope(|scope| {
            let fetching: Vec<_> = (0..clients)
                .map(|at| scope.spawn(move || fetch([10, 9, 251, at as u8 + 1].into(), name, uefi)))
                .collect();
            fetching.into_iter().map(|one| one.join().expect("a client does not panic")).collect()
        });
        let took = began.elapsed().as_secs_f64();
        let sizes = sizes?;
        // Within a block, as a tenth of a file is rounded.
        if sizes.iter().any(|size| (*size as f64 - bytes).abs() > 1500.0) {
            bail!("files of {sizes:?} bytes came, and they have {bytes}");
        }
        Ok(sizes.iter().sum::<u64>() as f64 / 1e6 / took)
    })
}

fn fetch(from: Ipv4Addr, name: &str, uefi: bool) -> anyhow::Result<u64> {
    let socket = UdpSocket::bind((from, 0)).context("binding a client's address")?;
    socket.set_read_timeout(Some(Duration::from_millis(500)))?;
    let options = if uefi { "blksize\x001468\0windowsize\x004\0" } else { "blksize\x001432\0tsize\x000\0" };
    let mut last = format!("\0\x01{name}\0octet\0{options}").into_bytes();
    let mut server: SocketAddr = (SERVER.parse::<Ipv4Addr>()?, 69).into();
    let (mut block, mut window) = (512, 1_u64);
    let (mut blocks, mut since, mut size, mut silent) = (0_u64, 0, 0_u64, 0);
    socket.send_to(&last, server)?;
    let mut buffer = [0; 2048];
    loop {
        let (length, peer) = match socket.recv_from(&mut buffer) {
            Ok(received) => received,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                silent += 1;
                if silent > 20 {
                    bail!("{name} did not come: {blocks} blocks did");
                }
                socket.send_to(&last, server)?;
                continue;
            }
            Err(error) => return Err(error).context("receiving"),
        };
        server = peer;
        let [0, kind, high, low, data @ ..] = &buffer[..length] else { continue };
        match kind {
            5 => bail!("{name}: {}", String::from_utf8_lossy(data)),
            6 => {
                let words: Vec<&[u8]> = buffer[2..length].split(|&byte| byte == 0).collect();
                for pair in words.chunks_exact(2) {
                    let number = std::str::from_utf8(pair[1]).ok().and_then(|text| text.parse().ok());
                    match (pair[0], number) {
                        (b"blksize", Some(number)) => block = number as usize,
                        (b"windowsize", Some(number)) => window = number,
                        _ => {}
                    }
                }
                last = vec![0, 4, 0, 0];
            }
            3 if u16::from_be_bytes([*high, *low]) == (blocks + 1) as u16 => {
                (blocks, since, size, silent) = (blocks + 1, since + 1, size + data.len() as u64, 0);
                let whole = data.len() < block;
                if !whole && since < window {
                    continue;
                }
                last = [&[0, 4][..], &(blocks as u16).to_be_bytes()].concat();
                since = 0;
                if whole {
                    socket.send_to(&last, server)?;
                    return Ok(size);
                }
            }
            _ => continue,
        }
        socket.send_to(&last, server)?;
    }
}
