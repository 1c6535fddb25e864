//! Passwords, tokens and keys, each used in the ways there are, and looked for afterwards wherever labd, labctl and bastion leave
//! words: logs of everything, what is printed, figures, the audit trail, process lists.

use anyhow::{Context, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use lab_client::{Client, Kubeconfig, config::Overrides};
use lab_e2e::labd::Labd;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

const PASSWORD: &str = "marked-password-1";
const NEXT: &str = "marked-password-2";
const WRONG: &str = "marked-password-wrong";
const SECRET: &str = "marked-secret-value";
/// Its base64, as Secrets have it.
const ENCODED: &str = "bWFya2VkLXNlY3JldC12YWx1ZQ==";
const BAD_TOKEN: &str = "lab-marked-token-that-is-none";
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs everything, then looks.
pub fn check() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let labd = Labd::start_with(&folder.path().join("labd"), &["--no-bastion", "--log", "trace"])?;
    let watched = Watched::begin();
    let mut lab = Lab::new(folder.path(), labd);
    lab.people()?;
    lab.programs()?;
    lab.machines()?;
    lab.figures()?;
    lab.rotate()?;
    lab.words.insert("process lists".into(), watched.end());
    lab.words.insert("labd's log".into(), lab.labd.log());
    lab.keys()?;
    for (place, text) in &lab.words {
        for secret in &lab.secrets {
            ensure!(!text.contains(secret.as_str()), "{place} tells {secret:?}:\n{}", around(text, secret));
        }
    }
    // Whoever finds nothing at all has not looked.
    for (place, text) in [
        ("labd's log", "TRACE"),
        ("labd's log", "operator-1"),
        ("bastion's log", "TRACE"),
        ("process lists", "labctl"),
        ("process lists", "--join-token-file"),
        ("/audit", "operator-1"),
        ("/metrics", "apiserver_request_total"),
    ] {
        ensure!(lab.words.get(place).is_some_and(|words| words.contains(text)), "{place} has no {text:?}");
    }
    ensure!(lab.secrets.len() > 25, "keys and tokens were looked for: {}", lab.secrets.len());
    lab.labd.stop()
}

/// The lines in which a text stands, as far as they help.
fn around(text: &str, secret: &str) -> String {
    let lines = text.lines().filter(|line| line.contains(secret));
    lines.take(3).map(|line| line.chars().take(400).collect::<String>() + "\n").collect()
}

struct Lab {
    folder: PathBuf,
    labd: Labd,
    /// What was left behind, by where.
    words: BTreeMap<String, String>,
    /// What nobody may find.
    secrets: BTreeSet<String>,
}

impl Lab {
    fn new(folder: &Path, labd: Labd) -> Self {
        let secrets = [PASSWORD, NEXT, WRONG, SECRET, ENCODED, BAD_TOKEN].map(Into::into).into();
        Self { folder: folder.into(), labd, words: BTreeMap::new(), secrets }
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).to_string_lossy().into_owned()
    }

    /// Runs labctl; what it prints is kept, but for what it was asked to print.
    fn labctl(
        &mut self,
        arguments: &[&str],
        input: &str,
        with: &[(&str, &str)],
        code: i32,
    ) -> anyhow::Result<String> {
        let mut child = Command::new(lab_e2e::program("labctl")?)
            .env("KUBECONFIG", self.labd.kubeconfig())
            .env("HOME", &self.folder)
            .envs(with.iter().copied())
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        // Who needs no input may have ended.
        child.stdin.take().context("it is piped")?.write_all(input.as_bytes()).ok();
        let output = child.wait_with_output()?;
        let (out, err) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
        ensure!(output.status.code() == Some(code), "labctl {arguments:?}: {:?}\n{out}{err}", output.status);
        let asked_for = arguments.contains(&"-o");
        let said = self.words.entry("what labctl says".into()).or_default();
        said.push_str(&err);
        said.push_str(if asked_for { "" } else { &out });
        Ok(out.trim().to_owned())
    }

    fn create(&mut self, object: &str) -> anyhow::Result<String> {
        self.labctl(&["create", "-f", "-", "-o", "jsonpath={.status.token}"], object, &[], 0)
    }

    /// Passwords, right and wrong; keys by which people log in.
    fn people(&mut self) -> anyhow::Result<()> {
        let user =
            "{apiVersion: iam.lab/v1alpha1, kind: User, metadata: {name: operator-1}, spec: {groups: [g]}}";
        self.create(user)?;
        let binding = "{apiVersion: iam.lab/v1alpha1, kind: RoleBinding, metadata: {name: g}, \
                       spec: {role: admin, subjects: [{kind: Group, name: g}]}}";
        self.create(binding)?;
        self.labctl(&["passwd", "operator-1", "--password-stdin"], PASSWORD, &[], 0)?;
        self.labctl(&["passwd", "operator-1", "--password-stdin"], "marked", &[], 1)?;
        let (url, hash) = (format!("https://{}", self.labd.address()), self.labd.fingerprint()?);
        let mine = self.path("operator.kubeconfig");
        let login = ["login", &url, "--ca-hash", &hash, "--user", "operator-1", "--kubeconfig", &mine];
        self.labctl(&login, "", &[("LAB_PASSWORD", WRONG)], 5)?;
        self.labctl(&login, "", &[("LAB_PASSWORD", PASSWORD)], 0)?;
        self.labctl(&["passwd", "operator-1", "--password-stdin"], NEXT, &[], 0)?;
        self.labctl(&[&login[..], &["--password-stdin"]].concat(), NEXT, &[], 0)?;
        self.labctl(&["get", "users", "--kubeconfig", &mine], "", &[], 0)?;
        Ok(())
    }

    /// API tokens, of service accounts too; Secrets.
    fn programs(&mut self) -> anyhow::Result<()> {
        let token = "{apiVersion: iam.lab/v1alpha1, kind: APIToken, metadata: {name: inventory}, spec: {user: operator-1}}";
        let token = self.create(token)?;
        ensure!(token.starts_with("lab-"), "a token is shown");
        let file = self.path("api-token");
        fs::write(&file, &token)?;
        let ca = self.labd.kubeconfig().with_file_name("pki").join("ca.crt");
        let (url, ca) = (format!("https://{}", self.labd.address()), ca.to_string_lossy().into_owned());
        let as_token = ["-s", &url, "--certificate-authority", &ca];
        let with = |more: &[&'static str]| [more, &as_token[..]].concat();
        for bad in [BAD_TOKEN, &token[..token.len() - 2]] {
            self.labctl(&with(&["get", "servers"]), "", &[("LAB_TOKEN", bad)], 5)?;
        }
        self.labctl(&with(&["get", "users"]), "", &[("LAB_TOKEN", &token)], 0)?;
        let by_file = [&with(&["get", "users"])[..], &["--token-file", &file]].concat();
        self.labctl(&by_file, "", &[], 0)?;
        let secret = format!(
            "{{apiVersion: v1, kind: Secret, metadata: {{name: s, namespace: default}}, stringData: {{k: {SECRET}}}}}"
        );
        self.labctl(&["apply", "-f", "-"], &secret, &[], 0)?;
        self.labctl(&["create", "-f", "-"], &secret.replace("stringData", "strungData"), &[], 1)?;
        self.labctl(&["create", "-f", "-"], &secret.replace("name: s,", "name: S_S,"), &[], 1)?;
        self.secrets.insert(token);
        Ok(())
    }

    /// Join tokens, and the bastion that joins by one.
    fn machines(&mut self) -> anyhow::Result<()> {
        let token =
            "{apiVersion: iam.lab/v1alpha1, kind: JoinToken, metadata: {name: t}, spec: {joiner: bastion}}";
        let token = self.create(token)?;
        ensure!(token.starts_with("lab-join-"), "a token is shown");
        let (file, data, log) = (self.path("join-token"), self.path("bastion"), self.path("bastion.log"));
        fs::write(&file, &token)?;
        let (url, hash) = (format!("https://{}", self.labd.address()), self.labd.fingerprint()?);
        let mut bastion = Command::new(lab_e2e::program("bastion")?)
            .args([
                "--name",
                "home-1",
                "--status-listen",
                "127.0.0.1:0",
                "--log",
                "trace",
                "--data-dir",
                &data,
            ])
            .args(["--server", &url, "--ca-hash", &hash, "--join-token-file", &file])
            .stdin(Stdio::null())
            .stderr(fs::File::create(&log)?)
            .spawn()?;
        let until = Instant::now() + PATIENCE;
        while !fs::read_to_string(&log)?.contains("started") && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(50));
        }
        bastion.kill()?;
        bastion.wait()?;
        let said = fs::read_to_string(&log)?;
        ensure!(said.contains("joined") && said.contains("started"), "the bastion joins: {said}");
        self.words.insert("bastion's log".into(), said);
        self.secrets.insert(token);
        Ok(())
    }

    /// What labd gives out of itself.
    fn figures(&mut self) -> anyhow::Result<()> {
        let connection = Kubeconfig::read(&self.labd.kubeconfig())?.connection(&Overrides::default())?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        for path in ["/metrics", "/audit", "/readyz?verbose"] {
            let text = runtime.block_on(async {
                let client = Client::connect("test", &connection)?;
                let request = http::Request::get(path).body(bytes::Bytes::new())?;
                let body = client.send("read it", request).await?.into_body();
                let bytes = client.collect("read it", body).await?;
                anyhow::Ok(String::from_utf8_lossy(&bytes).into_owned())
            })?;
            self.words.insert(path.into(), text);
        }
        Ok(())
    }

    /// Another key for secrets at rest, and for the administrator. The ones of before are looked for, too.
    fn rotate(&mut self) -> anyhow::Result<()> {
        self.keys()?;
        let data = self.path("labd/data");
        for command in ["rotate-key", "rotate-admin"] {
            let output =
                Command::new(lab_e2e::program("labd")?).args([command, "--data-dir", &data]).output()?;
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said).into_owned();
            ensure!(output.status.success(), "labd {command}: {said}");
            self.words.insert(format!("what labd {command} says"), said);
        }
        self.labctl(&["get", "users"], "", &[], 0)?;
        Ok(())
    }

    /// Every private key that lies in a file now: as it stands there, and line by line.
    fn keys(&mut self) -> anyhow::Result<()> {
        for file in files(&self.folder)? {
            let Ok(text) = fs::read_to_string(&file) else { continue };
            let connection =
                Kubeconfig::read(&file).and_then(|known| known.connection(&Overrides::default()));
            if let Some(key) = connection.ok().and_then(|connection| connection.credentials.client_key) {
                let pem = key.read_text()?;
                self.secrets.insert(BASE64_STANDARD.encode(&pem));
                self.secrets.extend(pem_lines(&pem));
            }
            if text.contains("PRIVATE KEY-----") {
                self.secrets.extend(pem_lines(&text));
            }
            if file.extension().is_some_and(|extension| extension == "key") {
                self.secrets.extend(text.lines().filter(|line| line.len() > 40).map(ToOwned::to_owned));
            }
        }
        Ok(())
    }
}

/// The lines of private keys that say something: the last ones may be short.
fn pem_lines(pem: &str) -> Vec<String> {
    let inside = pem.split("PRIVATE KEY-----").skip(1).step_by(2);
    inside
        .flat_map(str::lines)
        .filter(|line| line.len() > 20 && !line.contains('-'))
        .map(Into::into)
        .collect()
}

/// All files beneath a folder.
fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        match path.is_dir() {
            true => found.extend(files(&path)?),
            false => found.push(path),
        }
    }
    Ok(found)
}

/// Somebody else on this machine, who looks at the process list all the time.
struct Watched {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<BTreeSet<String>>,
}

impl Watched {
    fn begin() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let until = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut seen = BTreeSet::new();
            while !until.load(Ordering::Relaxed) {
                for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
                    // Most are no processes, and some are gone by now.
                    let Ok(arguments) = fs::read(process.path().join("cmdline")) else { continue };
                    let arguments = String::from_utf8_lossy(&arguments).replace('\0', " ");
                    let program = arguments.split(' ').next().and_then(|path| path.rsplit('/').next());
                    if program.is_some_and(|program| ["labd", "labctl", "bastion"].contains(&program)) {
                        seen.insert(arguments);
                    }
                }
                std::thread::sleep(Duration::from_millis(2));
            }
            seen
        });
        Self { stop, thread }
    }

    /// Every command line that was seen.
    fn end(self) -> String {
        self.stop.store(true, Ordering::Relaxed);
        let seen = self.thread.join().unwrap_or_default();
        seen.into_iter().collect::<Vec<_>>().join("\n")
    }
}
