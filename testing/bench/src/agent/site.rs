//! A labd of the benchmark's own, and a real agent that has joined it.

use crate::process::{Process, free_address};
use anyhow::Context;
use lab_client::{Client, Connection, Invitation, Kubeconfig, WriteParams, config::Overrides};
use lab_kinds::iam::{
    JoinToken,
    join_token::{JoinTokenSpec, Joiner},
};
use lab_object::Json;
use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// labd, and its administrator.
pub struct Site {
    pub labd: Process,
    pub directory: PathBuf,
    pub kubeconfig: PathBuf,
    pub address: SocketAddr,
    pub client: Client,
    programs: PathBuf,
    connection: Connection,
}

impl Site {
    /// Starts labd on an empty directory.
    pub async fn start(programs: &Path, directory: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(directory)?;
        let address = free_address()?;
        let kubeconfig = directory.join("labd/admin.kubeconfig");
        let labd = start(programs, directory, address, &kubeconfig).await?;
        let connection = Kubeconfig::read(&kubeconfig)?.connection(&Overrides::default())?;
        let client = Client::connect("lab-bench", &connection)?;
        Ok(Self {
            labd,
            directory: directory.into(),
            kubeconfig,
            address,
            client,
            programs: programs.into(),
            connection,
        })
    }

    /// Stops labd, and starts it again on the same directory and address.
    pub async fn restarted(self) -> anyhow::Result<Self> {
        self.labd.stop()?;
        let labd = start(&self.programs, &self.directory, self.address, &self.kubeconfig).await?;
        Ok(Self { labd, ..self })
    }

    /// labctl as the administrator.
    pub fn labctl(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.programs.join("labctl"));
        command.args(arguments).env("KUBECONFIG", &self.kubeconfig).env("HOME", &self.directory);
        command
    }

    /// What lets so many agents join.
    pub async fn invitation(&self, uses: i32) -> anyhow::Result<Invitation> {
        let spec = JoinTokenSpec {
            joiner: Joiner::Agent,
            token_hash: None,
            uses,
            expires: None,
            environment: None,
            server: None,
            site: None,
        };
        let mut token = JoinToken::new("", spec);
        token.metadata.name = None;
        token.metadata.generate_name = Some("bench-".into());
        let made = self.client.resource().create(&token, &WriteParams::default()).await?;
        Ok(Invitation {
            server: self.connection.server.value.clone(),
            ca_hash: self.connection.authority_hash()?.context("labd's kubeconfig names its authority")?,
            token: made.status.token.context("the answer shows the token")?,
            proxy: None,
        })
    }

    /// How many agents labd counts.
    pub async fn connected(&self) -> anyhow::Result<usize> {
        let request = http::Request::get("/metrics").body(bytes::Bytes::new())?;
        let doing = "read labd's figures";
        let answer = self.client.send(doing, request).await?;
        let text = self.client.collect(doing, answer.into_body()).await?;
        let text = String::from_utf8_lossy(&text);
        let line = text.lines().find_map(|line| line.strip_prefix("lab_agents_connected "));
        line.context("labd's figures count agents")?.trim().parse().context("it is a number")
    }

    /// The revision of the store.
    pub async fn revision(&self) -> anyhow::Result<i64> {
        let list: Json = self.client.get_json("/apis/iam.lab/v1alpha1/jointokens").await?;
        let revision = list.pointer("/metadata/resourceVersion").and_then(Json::as_str);
        revision.and_then(|text| text.parse().ok()).context("a list says its revision")
    }
}

async fn start(
    programs: &Path,
    directory: &Path,
    address: SocketAddr,
    kubeconfig: &Path,
) -> anyhow::Result<Process> {
    let mut command = Command::new(programs.join("labd"));
    command.args(["--no-bastion", "--log", "warn", "--listen", &address.to_string(), "--data-dir"]);
    command.arg(directory.join("labd"));
    let ready = async || ask(kubeconfig).await.is_ok();
    Process::start(&mut command, &directory.join("labd.log"), ready).await
}

async fn ask(kubeconfig: &Path) -> anyhow::Result<Json> {
    let connection = Kubeconfig::read(kubeconfig)?.connection(&Overrides::default())?;
    Ok(Client::connect("lab-bench", &connection)?.get_json("/version").await?)
}

/// A machine whose agent is the real one.
pub struct Machine {
    pub process: Process,
}

impl Machine {
    /// Joins, starts the daemon, and waits until commands run on it.
    pub async fn join(site: &Site, agent: &Path, name: &str) -> anyhow::Result<Self> {
        let place = site.directory.join(name);
        fs::create_dir_all(&place)?;
        let Invitation { server, ca_hash, token, .. } = site.invitation(1).await?;
        let file = place.join("token");
        fs::write(&file, token)?;
        let places = [
            ("--config", "agent.toml"),
            ("--state-dir", "state"),
            ("--run-dir", "run"),
            ("--sshd-dir", "ssh"),
            ("--sshd-pid", "ssh/pid"),
        ];
        let places: Vec<_> = places
            .iter()
            .flat_map(|(flag, path)| [(*flag).into(), place.join(path).into_os_string()])
            .collect();
        let mut join = Command::new(agent);
        join.args(["join", "--name", name, "--server", &server, "--ca-hash", &ca_hash, "--token-file"]);
        super::whole(join.arg(&file).args(&places))?;
        let mut run = Command::new(agent);
        run.arg("run").args(&places);
        let ready = async || {
            let mut command = site.labctl(&["exec", name, "--", "true"]);
            command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
        };
        let process = Process::start(&mut run, &place.join("log"), ready).await?;
        Ok(Self { process })
    }
}
