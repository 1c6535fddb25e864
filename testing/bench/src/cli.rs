//! labctl beside kubectl: the same question to the same labd, whole processes from start to exit, in turns.

use crate::{
    figures::{Row, ms, print},
    process::{Place, Process, free_address, ticks},
};
use anyhow::{Context, bail};
use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// How much to measure.
#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    place: Place,
    /// Runs of each command; the median is printed.
    #[arg(long, default_value_t = 21)]
    runs: usize,
    /// Runs of each command whose processor time is counted; the mean is printed.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    processor_runs: u32,
    /// Servers that are listed.
    #[arg(long, default_value_t = 1000)]
    servers: usize,
    /// The kubectl to stand beside.
    #[arg(long, default_value = "kubectl")]
    kubectl: PathBuf,
}

/// Runs everything and prints the report.
pub async fn run(options: &Options) -> anyhow::Result<()> {
    let directory = tempfile::tempdir_in(&options.place.directory)?;
    let data = directory.path().join("labd");
    let kubeconfig = data.join("admin.kubeconfig");
    let bench = Bench {
        home: directory.path().into(),
        kubeconfig,
        labctl: options.place.programs.join("labctl"),
        options,
    };
    let mut command = Command::new(options.place.programs.join("labd"));
    command.args(["--listen", &free_address()?.to_string(), "--data-dir"]).arg(&data);
    let ready = async || bench.kubeconfig.is_file() && bench.ask(&bench.labctl, &["version"]).is_ok();
    let labd = Process::start(&mut command, &directory.path().join("labd.log"), ready).await?;
    eprintln!("labd answers; entering {} servers", options.servers);
    bench.fill()?;
    let table = bench.compare("get servers, table", &["get", "servers"])?;
    let rows = vec![
        bench.compare("get servers -o json", &["get", "servers", "-o", "json"])?,
        bench.compare("get server <one>", &["get", "server", "server-7"])?,
        bench.compare("--help", &["--help"])?,
        bench.processor("get servers, processor time", &["get", "servers"])?,
    ];
    let help = bench.processor("--help, processor time", &["--help"])?;
    println!("{} servers, {} runs", options.servers, options.runs);
    let wanted = [
        format!(
            "get servers is {:.1} times as fast as kubectl (wanted: 5)",
            table.ratio().unwrap_or_default()
        ),
        format!("--help takes {:.1} ms of processor time (wanted: at most 5)", help.ours()),
    ];
    print("kubectl", &[vec![table], rows, vec![help]].concat());
    println!("\n{}", wanted.join("\n"));
    labd.stop()
}

struct Bench<'a> {
    home: PathBuf,
    kubeconfig: PathBuf,
    labctl: PathBuf,
    options: &'a Options,
}

impl Bench<'_> {
    /// Runs a command to its end; its output is read and dropped, as by a pager.
    fn ask(&self, program: &Path, arguments: &[&str]) -> anyhow::Result<Duration> {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("HOME", &self.home)
            .stdin(Stdio::null());
        let began = Instant::now();
        let output = command.output().with_context(|| format!("starting {}", program.display()))?;
        let took = began.elapsed();
        if !output.status.success() {
            bail!("{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
        }
        Ok(took)
    }

    fn fill(&self) -> anyhow::Result<()> {
        let mut text = String::new();
        for i in 0..self.options.servers {
            writeln!(
                text,
                "---\napiVersion: metal.lab/v1alpha1\nkind: Server\nmetadata: {{name: server-{i}, labels: {{rack: r{}}}}}\n\
                 spec: {{hostname: host-{i}, role: worker, environment: dev, macs: [\"52:54:00:00:{:02x}:{:02x}\"]}}",
                i % 40,
                i / 256 % 256,
                i % 256
            )?;
        }
        let path = self.home.join("servers.yaml");
        fs::write(&path, text)?;
        self.ask(&self.labctl, &["create", "-f", &path.to_string_lossy()]).map(drop)
    }

    /// Both in turns, so that whatever else the machine does meets both. The first run, which fills kubectl's cache of
    /// discovery, does not count.
    fn compare(&self, what: &str, arguments: &[&str]) -> anyhow::Result<Row> {
        eprintln!("{what}: {} runs of each", self.options.runs);
        let (mut ours, mut theirs) = (vec![], vec![]);
        for run in 0..=self.options.runs {
            let our_time = self.ask(&self.labctl, arguments)?;
            let their_time = self.ask(&self.options.kubectl, arguments)?;
            if run > 0 {
                ours.push(ms(our_time));
                theirs.push(ms(their_time));
            }
        }
        Ok(Row::cost(what, "ms", &ours, &theirs))
    }

    /// The mean processor time of a run. The kernel counts it in ticks of 10 ms, so only the sum of many runs says much.
    fn processor(&self, what: &str, arguments: &[&str]) -> anyhow::Result<Row> {
        eprintln!("{what}: {} runs of each", self.options.processor_runs);
        let of = |program: &Path| -> anyhow::Result<f64> {
            let runs = self.options.processor_runs;
            let before = children_ticks()?;
            for _ in 0..runs {
                self.ask(program, arguments)?;
            }
            Ok((children_ticks()? - before) as f64 * 10.0 / f64::from(runs))
        };
        Ok(Row::cost(what, "ms", &[of(&self.labctl)?], &[of(&self.options.kubectl)?]))
    }
}

/// Processor time of all ended children, user and system, in ticks (proc(5): cutime and cstime).
fn children_ticks() -> anyhow::Result<u64> {
    let [user, system] = ticks(std::process::id(), [13, 14])?;
    Ok(user + system)
}
