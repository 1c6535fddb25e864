//! `labctl port-forward`: a machine's port on this one.

use super::stream::{Machine, Said, feed};
use crate::{
    failure::{Exit, Failure, Outcome},
    output,
    session::Session,
};
use lab_wire::agent::Forward;
use std::{net::Ipv4Addr, sync::Arc};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    task::JoinSet,
};

/// Reach a port of a machine as one of this computer
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  labctl port-forward db-1 5432            localhost:5432 is the machine's own 5432
  labctl port-forward db-1 8080:80 9090    several; 8080 here is 80 there
  labctl port-forward db-1 :80             a free port here, which is told
  labctl port-forward db-1 22 --stdio      over standard input and output, as ssh's ProxyCommand wants it")]
pub struct Args {
    /// The server, by name, hostname, UID, MAC or IP
    #[arg(value_name = "SERVER", add = crate::complete::names_of("servers"))]
    machine: String,
    /// The ports: there, or here and there
    #[arg(required = true, value_name = "[HERE:]THERE", value_parser = parse)]
    ports: Vec<Ports>,
    /// Connect once, over standard input and output
    #[arg(long)]
    stdio: bool,
}

/// A port here, 0 for any that is free, and the one there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ports {
    here: u16,
    there: u16,
}

fn parse(text: &str) -> Result<Ports, &'static str> {
    let why = "is not PORT, HERE:THERE or :THERE, with ports from 1 to 65535";
    let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0).ok_or(why);
    match text.split_once(':') {
        None => port(text).map(|port| Ports { here: port, there: port }),
        Some(("", there)) => Ok(Ports { here: 0, there: port(there)? }),
        Some((here, there)) => Ok(Ports { here: port(here)?, there: port(there)? }),
    }
}

/// Runs the command.
pub async fn run(args: Args, session: &Session) -> Outcome {
    let machine = Arc::new(Machine::find(session, &args.machine).await?);
    if args.stdio {
        let [Ports { there, .. }] = args.ports.as_slice() else {
            return Err(Failure::usage("--stdio takes one port"));
        };
        return connect(&machine, *there, tokio::io::stdin(), tokio::io::stdout()).await;
    }
    let mut listening = JoinSet::new();
    for Ports { here, there } in args.ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, here)).await.map_err(|error| {
            Failure::new(Exit::Failed, format!("cannot listen at 127.0.0.1:{here}: {error}"))
        })?;
        output::line(&format!("127.0.0.1:{} is {}:{there}", listener.local_addr()?.port(), machine.called))?;
        listening.spawn(serve(machine.clone(), listener, there));
    }
    tokio::select! {
        Some(Ok(failed)) = listening.join_next() => Err(failed),
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

async fn serve(machine: Arc<Machine>, listener: TcpListener, there: u16) -> Failure {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => return Failure::new(Exit::Failed, format!("cannot accept connections: {error}")),
        };
        let machine = machine.clone();
        tokio::spawn(async move {
            // That one connection fails is told, and the next may be made.
            let _ = stream.set_nodelay(true);
            let (from, to) = stream.into_split();
            if let Err(failure) = connect(&machine, there, from, to).await {
                output::tell_failure(&failure);
            }
        });
    }
}

/// One connection, until the machine ends it.
async fn connect(
    machine: &Machine,
    port: u16,
    from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
) -> Outcome {
    let query = Forward { port }.to_query();
    let (mut frames, sink) = machine.open("forward the port", "portforward", &query).await?;
    let heard = async {
        loop {
            match frames.next().await? {
                Said::Output(data) | Said::Complaint(data) => {
                    to.write_all(&data).await?;
                    to.flush().await?;
                }
                Said::Code(_) | Said::Signal(_) => {
                    to.shutdown().await?;
                    return Ok(());
                }
                Said::Failed(why) => return Err(Failure::new(Exit::Failed, why)),
            }
        }
    };
    let fed = async {
        feed(from, sink).await;
        std::future::pending::<Outcome>().await
    };
    tokio::select! {
        heard = heard => heard,
        fed = fed => fed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports() {
        let check = |text: &str, expected: Option<(u16, u16)>| {
            assert_eq!(parse(text).ok().map(|ports| (ports.here, ports.there)), expected, "{text}");
        };
        check("22", Some((22, 22)));
        check("8080:80", Some((8080, 80)));
        check(":80", Some((0, 80)));
        for bad in ["", "0", "x", "80:", "0:80", "1:2:3", "65536"] {
            check(bad, None);
        }
    }
}
