//! Kubeconfig files: reading, and merging several as kubectl does (the first to say something wins).

use super::{ConfigError, Connection, Credentials, Material, Overrides, Source, Sourced};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// One or more kubeconfig files, merged.
#[derive(Debug, Default)]
pub struct Kubeconfig {
    files: Vec<File>,
    looked_at: Vec<PathBuf>,
}

/// A context: a server, and who to be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// Its name.
    pub name: String,
    /// The name of its cluster entry.
    pub cluster: String,
    /// The name of its user entry.
    pub user: String,
    /// The namespace meant where none is named.
    pub namespace: Option<String>,
    /// The file it stands in.
    pub file: PathBuf,
}

#[derive(Debug)]
struct File {
    path: PathBuf,
    content: Content,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Content {
    current_context: Option<String>,
    clusters: Option<Vec<ClusterEntry>>,
    contexts: Option<Vec<ContextEntry>>,
    users: Option<Vec<UserEntry>>,
}

#[derive(Debug, Deserialize)]
struct ClusterEntry {
    name: String,
    #[serde(default)]
    cluster: Option<ClusterFields>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct ClusterFields {
    server: Option<String>,
    tls_server_name: Option<String>,
    insecure_skip_tls_verify: Option<bool>,
    certificate_authority: Option<PathBuf>,
    certificate_authority_data: Option<String>,
    proxy_url: Option<String>,
}

#[derive(Debug, Deserialize)]
struct ContextEntry {
    name: String,
    #[serde(default)]
    context: Option<ContextFields>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ContextFields {
    cluster: Option<String>,
    user: Option<String>,
    namespace: Option<String>,
}

#[derive(Debug, Deserialize)]
struct UserEntry {
    name: String,
    #[serde(default)]
    user: Option<UserFields>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct UserFields {
    client_certificate: Option<PathBuf>,
    client_certificate_data: Option<String>,
    client_key: Option<PathBuf>,
    client_key_data: Option<String>,
    token: Option<String>,
    // In camelCase, unlike its neighbours.
    #[serde(rename = "tokenFile")]
    token_file: Option<PathBuf>,
    username: Option<String>,
    exec: Option<serde_json::Value>,
    auth_provider: Option<serde_json::Value>,
    #[serde(rename = "as")]
    impersonate: Option<String>,
}

impl std::fmt::Debug for UserFields {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("UserFields(…)")
    }
}

/// `line 1, column 7: unclosed bracket '['`.
fn where_and_why(error: &serde_saphyr::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    let Some(at) = error.location() else { return line.trim().into() };
    let place = format!("line {} column {}", at.line(), at.column());
    // The parser names the place before or after what it says.
    let why = match line.split_once(&format!("{place}: ")) {
        Some((_, why)) => why,
        None => line.split(&format!(" at {place}")).next().unwrap_or(line),
    };
    format!("line {}, column {}: {}", at.line(), at.column(), why.trim())
}

impl Kubeconfig {
    /// Reads the files of a list such as `KUBECONFIG`'s; those that do not exist are passed over.
    pub fn load(paths: &[PathBuf]) -> Result<Self, ConfigError> {
        let mut config = Self { files: Vec::new(), looked_at: paths.to_vec() };
        for path in paths {
            match std::fs::read_to_string(path) {
                Ok(text) => config.add(path, &text)?,
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(source) => return Err(ConfigError::Read { path: path.clone(), source }),
            }
        }
        Ok(config)
    }

    /// Reads one file that must exist.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.into(), source })?;
        Self::of_text(path, &text)
    }

    /// Takes the text of a file; errors name it `path`.
    pub(crate) fn of_text(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let mut config = Self { files: Vec::new(), looked_at: vec![path.into()] };
        config.add(path, text)?;
        Ok(config)
    }

    fn add(&mut self, path: &Path, text: &str) -> Result<(), ConfigError> {
        let content: Option<Content> = if text.trim().is_empty() {
            None
        } else {
            // The parser's message may quote the document; only its first line is sure not to.
            serde_saphyr::from_str(text)
                .map_err(|e| ConfigError::Syntax { path: path.into(), why: where_and_why(&e) })?
        };
        self.files.push(File { path: path.into(), content: content.unwrap_or_default() });
        Ok(())
    }

    /// The files that were found, in order.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|f| f.path.as_path())
    }

    /// The current context, and the file that names it.
    pub fn current_context(&self) -> Option<(&str, &Path)> {
        self.files.iter().find_map(|f| {
            let name = f.content.current_context.as_deref().filter(|name| !name.is_empty())?;
            Some((name, f.path.as_path()))
        })
    }

    /// Every context, the first of each name.
    pub fn contexts(&self) -> Vec<Context> {
        let mut found: Vec<Context> = Vec::new();
        for (file, entry) in entries(&self.files, |c| c.contexts.as_deref()) {
            if found.iter().all(|c| c.name != entry.name) {
                let fields = entry.context.as_ref();
                found.push(Context {
                    name: entry.name.clone(),
                    cluster: fields.and_then(|c| c.cluster.clone()).unwrap_or_default(),
                    user: fields.and_then(|c| c.user.clone()).unwrap_or_default(),
                    namespace: fields.and_then(|c| c.namespace.clone()).filter(|n| !n.is_empty()),
                    file: file.path.clone(),
                });
            }
        }
        found
    }

    /// Works out whom to ask and as whom. Flags and variables win over the files.
    pub fn connection(&self, overrides: &Overrides) -> Result<Connection, ConfigError> {
        let wanted = match (&overrides.context, self.current_context()) {
            (Some(context), _) => Some(context.clone()),
            (None, Some((name, path))) => {
                Some(Sourced::new(name.to_owned(), at(path, "current-context".into())))
            }
            (None, None) => None,
        };
        let mut connection = match (wanted, &overrides.server) {
            (Some(context), server) => self.of_context(&context, server.as_ref())?,
            (None, Some(server)) => Connection::to(server.value.clone(), server.source.clone()),
            (None, None) => return Err(self.no_server()),
        };
        if connection.timeout.is_none() {
            connection.timeout = overrides.timeout;
        }
        Ok(connection.overridden(overrides))
    }

    fn no_server(&self) -> ConfigError {
        let list =
            |paths: Vec<&Path>| paths.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ");
        let why = if self.files.is_empty() {
            format!("there is no {}", list(self.looked_at.iter().map(PathBuf::as_path).collect()))
        } else {
            format!("{} sets no current-context", list(self.files().collect()))
        };
        ConfigError::NoServer { why }
    }

    fn of_context(
        &self,
        context: &Sourced<String>,
        server: Option<&Sourced<String>>,
    ) -> Result<Connection, ConfigError> {
        let name = &context.value;
        let found = self.contexts().into_iter().find(|c| c.name == *name);
        let found = found.ok_or_else(|| {
            let known: Vec<_> = self.contexts().into_iter().map(|c| c.name).collect();
            let known = if known.is_empty() {
                "there are none".into()
            } else {
                format!("there are: {}", known.join(", "))
            };
            context.refuse(format!("names a context {name:?} that no kubeconfig has; {known}"))
        })?;
        let mut connection = self.of_cluster(&found, server)?;
        connection.credentials = self.of_user(&found)?;
        connection.namespace = found
            .namespace
            .map(|n| Sourced::new(n, at(&found.file, format!("contexts[{name}].context.namespace"))));
        connection.context = Some(found.name);
        Ok(connection)
    }

    fn of_cluster(
        &self,
        context: &Context,
        server: Option<&Sourced<String>>,
    ) -> Result<Connection, ConfigError> {
        let missing = || {
            let field = format!("contexts[{}].context.cluster", context.name);
            Sourced::new((), at(&context.file, field))
                .refuse(format!("names a cluster {:?} that no kubeconfig has", context.cluster))
        };
        let (file, entry) = entries(&self.files, |c| c.clusters.as_deref())
            .find(|(_, entry)| entry.name == context.cluster)
            .ok_or_else(missing)?;
        let path = &file.path;
        let field = |name: &str| at(path, format!("clusters[{}].cluster.{name}", entry.name));
        let fields = entry.cluster.as_ref();
        let text = |value: Option<&String>, name: &str| {
            value.filter(|v| !v.is_empty()).map(|v| Sourced::new(v.clone(), field(name)))
        };
        let refuse = |name: &str, why: &str| Err(Sourced::new((), field(name)).refuse(why));
        if fields.and_then(|c| c.insecure_skip_tls_verify) == Some(true) {
            let why = "is not supported: name the server's CA in certificate-authority instead";
            return refuse("insecure-skip-tls-verify", why);
        }
        if fields.and_then(|c| c.proxy_url.as_ref()).is_some_and(|url| !url.is_empty()) {
            return refuse("proxy-url", "is not supported: Lab connects directly");
        }
        let server = match server {
            Some(server) => server.clone(),
            None => match text(fields.and_then(|c| c.server.as_ref()), "server") {
                Some(server) => server,
                None => return refuse("server", "is missing"),
            },
        };
        let mut connection = Connection::to(server.value, server.source);
        connection.tls_server_name = text(fields.and_then(|c| c.tls_server_name.as_ref()), "tls-server-name");
        connection.certificate_authority = material(
            fields.and_then(|c| c.certificate_authority_data.as_deref()),
            fields.and_then(|c| c.certificate_authority.as_deref()),
            path,
            &|suffix| field(&format!("certificate-authority{suffix}")),
        )?;
        Ok(connection)
    }

    fn of_user(&self, context: &Context) -> Result<Credentials, ConfigError> {
        if context.user.is_empty() {
            return Ok(Credentials::default());
        }
        let missing = || {
            let field = format!("contexts[{}].context.user", context.name);
            Sourced::new((), at(&context.file, field))
                .refuse(format!("names a user {:?} that no kubeconfig has", context.user))
        };
        let (file, entry) = entries(&self.files, |c| c.users.as_deref())
            .find(|(_, entry)| entry.name == context.user)
            .ok_or_else(missing)?;
        let Some(user) = &entry.user else { return Ok(Credentials::default()) };
        let path = &file.path;
        let field = |name: &str| at(path, format!("users[{}].user.{name}", entry.name));
        let unsupported = [
            (
                "exec",
                user.exec.is_some(),
                "is not supported: Lab runs no credential plugins; use a certificate or a token",
            ),
            ("auth-provider", user.auth_provider.is_some(), "is not supported: use a certificate or a token"),
            ("username", user.username.is_some(), "is not supported: use a certificate or a token"),
            ("as", user.impersonate.is_some(), "is not supported: Lab does not impersonate"),
        ];
        for (name, present, why) in unsupported {
            if present {
                return Err(Sourced::new((), field(name)).refuse(why));
            }
        }
        let token = match (&user.token, &user.token_file) {
            (Some(token), _) if !token.is_empty() => {
                Some(Sourced::new(Material::Inline(token.clone().into_bytes()), field("token")))
            }
            (_, Some(file)) if !file.as_os_str().is_empty() => {
                Some(Sourced::new(Material::File(beside(path, file)), field("tokenFile")))
            }
            _ => None,
        };
        Ok(Credentials {
            client_certificate: material(
                user.client_certificate_data.as_deref(),
                user.client_certificate.as_deref(),
                path,
                &|suffix| field(&format!("client-certificate{suffix}")),
            )?,
            client_key: material(
                user.client_key_data.as_deref(),
                user.client_key.as_deref(),
                path,
                &|suffix| field(&format!("client-key{suffix}")),
            )?,
            token,
        })
    }
}

fn entries<'a, T: 'a>(
    files: &'a [File],
    list: impl Fn(&'a Content) -> Option<&'a [T]> + 'a,
) -> impl Iterator<Item = (&'a File, &'a T)> {
    files.iter().flat_map(move |f| list(&f.content).unwrap_or_default().iter().map(move |entry| (f, entry)))
}

fn at(path: &Path, field: String) -> Source {
    Source::File { path: path.into(), field }
}

/// Paths in a kubeconfig are relative to the file they stand in.
fn beside(config: &Path, file: &Path) -> PathBuf {
    config.parent().map_or_else(|| file.into(), |folder| folder.join(file))
}

/// `…-data` wins over the file of the same name, as in kubectl.
fn material(
    data: Option<&str>,
    file: Option<&Path>,
    config: &Path,
    source: &dyn Fn(&str) -> Source,
) -> Result<Option<Sourced<Material>>, ConfigError> {
    if let Some(data) = data.filter(|d| !d.is_empty()) {
        let from = source("-data");
        let compact: String = data.split_whitespace().collect();
        return match BASE64_STANDARD.decode(compact) {
            Ok(bytes) => Ok(Some(Sourced::new(Material::Inline(bytes), from))),
            Err(e) => Err(ConfigError::Refused { from, why: format!("is not base64: {e}") }),
        };
    }
    let file = file.filter(|f| !f.as_os_str().is_empty());
    Ok(file.map(|f| Sourced::new(Material::File(beside(config, f)), source(""))))
}
