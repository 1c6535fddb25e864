//! What there is to know about one kind, as data, and how its file says it.

use lab_object::{FieldError, GroupVersion, GroupVersionKind, GroupVersionResource, Json, Resource, Schema};
use schemars::JsonSchema;
use std::{borrow::Cow, fmt, ops::Deref, sync::Arc, sync::LazyLock};

/// Text that is part of the program for kinds compiled in, and owned for kinds added while it runs.
pub type Text = Cow<'static, str>;

/// Whether a kind's objects live in a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// They do not.
    Cluster,
    /// They do.
    Namespaced,
}

/// The JSON type of a column, as tables declare it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// Text.
    String,
    /// A whole number.
    Integer,
    /// A moment, shown as the time since.
    Date,
    /// `true` or `false`.
    Boolean,
}

/// Where a column's cells come from.
#[derive(Clone)]
pub enum Cell {
    /// A path of fields, such as `status.phase`; a list in between yields its values joined by commas.
    Path(Text),
    /// A function of the object.
    With(fn(&Json) -> Json),
}

/// A printer column.
#[derive(Clone)]
pub struct Column {
    /// The heading, in the form `Phase`.
    pub name: Text,
    /// The type.
    pub kind: ColumnType,
    /// One sentence, shown by tools that explain columns.
    pub description: Text,
    /// 0 is always shown; higher only with `-o wide`.
    pub priority: u8,
    /// Where its cells come from.
    pub cell: Cell,
}

impl Column {
    /// A column of text at a path.
    pub fn path(name: &'static str, path: &'static str, description: &'static str) -> Self {
        Self {
            name: name.into(),
            kind: ColumnType::String,
            description: description.into(),
            priority: 0,
            cell: Cell::Path(path.into()),
        }
    }

    /// A column of text that is computed from the object.
    pub fn with(name: &'static str, cell: fn(&Json) -> Json, description: &'static str) -> Self {
        Self { cell: Cell::With(cell), ..Self::path(name, "", description) }
    }

    /// The same, of another type.
    #[must_use]
    pub fn of_type(mut self, kind: ColumnType) -> Self {
        self.kind = kind;
        self
    }

    /// The same, only shown with `-o wide`.
    #[must_use]
    pub fn wide(mut self) -> Self {
        self.priority = 1;
        self
    }

    /// The object's name.
    pub fn name() -> Self {
        Self::path("Name", "metadata.name", "Name of the object, unique within its kind and namespace.")
    }

    /// The time since the object was created.
    pub fn age() -> Self {
        Self::path("Age", "metadata.creationTimestamp", "Time since the object was created.")
            .of_type(ColumnType::Date)
    }
}

/// A field that field selectors may name. A path through lists matches when any element does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectableField(pub Text);

/// A part of an object with a path of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subresource {
    /// `status`: written apart from `spec`.
    Status,
    /// `scale`: replicas, as `autoscaling/v1.Scale`.
    Scale {
        /// Path of the wanted replicas.
        spec: Text,
        /// Path of the observed replicas.
        status: Text,
    },
    /// `finalize`: the namespace's own finalizers.
    Finalize,
    /// `token`: a service account's token request.
    Token,
    /// `log`: what a machine says and what happened to it, as server-sent events; only read.
    Log,
    /// `logs`: takes the lines of many machines from a bastion; only written.
    Logs,
    /// `password`: sets a user's password.
    Password,
    /// `tunnel`: a machine's agent opens its connection; HTTP/1.1's `Upgrade`.
    Tunnel,
    /// `agent`: how a machine's agent stands at this moment; only read.
    Agent,
    /// `exec`: runs a command on a machine; HTTP/1.1's `Upgrade`.
    Exec,
    /// `portforward`: connects to a port of a machine; HTTP/1.1's `Upgrade`.
    PortForward,
    /// `sshcertificate`: a certificate to log in to a machine with.
    SshCertificate,
    /// `journal`: what a running machine's services say; only read.
    Journal,
}

impl Subresource {
    /// The path segment.
    pub fn path(&self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Scale { .. } => "scale",
            Self::Finalize => "finalize",
            Self::Token => "token",
            Self::Log => "log",
            Self::Logs => "logs",
            Self::Password => "password",
            Self::Tunnel => "tunnel",
            Self::Agent => "agent",
            Self::Exec => "exec",
            Self::PortForward => "portforward",
            Self::SshCertificate => "sshcertificate",
            Self::Journal => "journal",
        }
    }
}

/// How a kind's names must look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameRule {
    /// RFC 1123 subdomain: at most 253 of `[a-z0-9.-]`.
    Subdomain,
    /// RFC 1123 label: at most 63 of `[a-z0-9-]`.
    Label,
}

/// What is made for every object of a kind that stands for a token: the token itself, which only the answer to the
/// object's creation shows (in `status.token`), and its SHA-256, which is stored (in `spec.tokenHash`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenRule {
    /// What tokens of the kind begin with, so that people and scanners for leaked secrets recognise them.
    pub prefix: &'static str,
    /// For how many seconds a token is good whose object names no end in `spec.expires`.
    pub life: i64,
}

/// A schema that is built when it is first looked at; reads as a [`Schema`].
#[derive(Clone)]
pub struct LazySchema(Arc<LazyLock<Arc<Schema>, BuildSchema>>);

type BuildSchema = Box<dyn FnOnce() -> Arc<Schema> + Send>;

impl LazySchema {
    /// A schema that `build` makes when it is first needed.
    pub fn new(build: impl FnOnce() -> Schema + Send + 'static) -> Self {
        Self(Arc::new(LazyLock::new(Box::new(move || Arc::new(build())))))
    }

    /// The schema, to keep.
    pub fn shared(&self) -> Arc<Schema> {
        Arc::clone(&self.0)
    }
}

impl Deref for LazySchema {
    type Target = Schema;
    fn deref(&self) -> &Schema {
        &self.0
    }
}

impl AsRef<Schema> for LazySchema {
    fn as_ref(&self) -> &Schema {
        self
    }
}

impl From<Schema> for LazySchema {
    fn from(schema: Schema) -> Self {
        Self::new(move || schema)
    }
}

/// Checks an object that is valid by its schema; the second argument is the stored object on update.
pub type Validate = fn(&Json, Option<&Json>) -> Vec<FieldError>;

/// All there is to know about a kind.
#[derive(Clone)]
pub struct Kind {
    /// The group; empty for the core group.
    pub group: String,
    /// The version.
    pub version: String,
    /// The kind, in CamelCase.
    pub kind: String,
    /// The path segment.
    pub plural: String,
    /// For people and for `kubectl get <singular>`.
    pub singular: String,
    /// Abbreviations.
    pub short_names: Vec<String>,
    /// Categories, such as `all`.
    pub categories: Vec<String>,
    /// Whether objects live in a namespace.
    pub scope: Scope,
    /// Names' form.
    pub name_rule: NameRule,
    /// Printer columns after `Name`; `Age` is added at the end of the default ones (see [`Kind::table`]).
    pub columns: Vec<Column>,
    /// `columns` are all there are: neither `Name` nor `Age` is added (Kubernetes' events are shown like that).
    pub bare_table: bool,
    /// Fields for field selectors besides `metadata.name` and `metadata.namespace`.
    pub selectable: Vec<SelectableField>,
    /// Subresources.
    pub subresources: Vec<Subresource>,
    /// The schema of a whole object.
    pub schema: LazySchema,
    /// Checks that the schema cannot express; the object is valid by its schema when this is called.
    /// The second argument is the stored object on update.
    pub validate: Option<Validate>,
    /// Defaults that the schema cannot express, applied after the schema's own, on every write.
    pub default: Option<fn(&mut Json)>,
    /// Other names by which one object may be asked for (hostname, UID, MAC, IP), in canonical form.
    pub aliases: Option<fn(&Json) -> Vec<String>>,
    /// Names of objects that are always there and cannot be deleted.
    pub permanent: &'static [&'static str],
    /// A valid object, for documentation.
    pub example: Option<fn() -> Json>,
    /// One of Kubernetes' own kinds: strategic merge patches and protobuf bodies are taken.
    pub built_in: bool,
    /// Objects come to be by themselves, outside of the store: they can be read and nothing else.
    pub read_only: bool,
    /// Objects of this kind stand for tokens, which are made with them.
    pub token: Option<TokenRule>,
    /// Objects hold what must not be read where they lie, on disk and in backups.
    pub confidential: bool,
}

/// A kind that is compiled in: its file says how it is registered and shows one.
pub trait Define: Resource + JsonSchema {
    /// The registration, usually begun with [`Kind::of`].
    fn define() -> Kind;
    /// A valid object such as an operator would write, with the status it would have.
    fn example() -> Self;
}

impl Kind {
    /// The registration of a typed kind, to be completed. Names are subdomains, there is no subresource.
    pub fn of<T: Define>(singular: &str) -> Self {
        Self {
            group: T::GROUP.into(),
            version: T::VERSION.into(),
            kind: T::KIND.into(),
            plural: T::PLURAL.into(),
            singular: singular.into(),
            short_names: Vec::new(),
            categories: Vec::new(),
            scope: if T::NAMESPACED { Scope::Namespaced } else { Scope::Cluster },
            name_rule: NameRule::Subdomain,
            columns: Vec::new(),
            bare_table: false,
            selectable: Vec::new(),
            subresources: Vec::new(),
            schema: LazySchema::new(crate::typed::schema_of::<T>),
            validate: None,
            default: None,
            aliases: None,
            permanent: &[],
            example: Some(|| serde_json::to_value(T::example()).expect("a kind's keys are strings")),
            built_in: false,
            read_only: false,
            token: None,
            confidential: false,
        }
    }

    /// Has a token made with every object.
    #[must_use]
    pub fn with_token(mut self, rule: TokenRule) -> Self {
        self.token = Some(rule);
        self
    }

    /// Sets the abbreviations.
    #[must_use]
    pub fn short_names(mut self, names: &[&str]) -> Self {
        self.short_names = names.iter().map(ToString::to_string).collect();
        self
    }

    /// Sets the categories.
    #[must_use]
    pub fn categories(mut self, names: &[&str]) -> Self {
        self.categories = names.iter().map(ToString::to_string).collect();
        self
    }

    /// Sets the printer columns.
    #[must_use]
    pub fn columns(mut self, columns: impl IntoIterator<Item = Column>) -> Self {
        self.columns = columns.into_iter().collect();
        self
    }

    /// Sets the fields that field selectors may name.
    #[must_use]
    pub fn selectable(mut self, fields: &[&'static str]) -> Self {
        self.selectable = fields.iter().map(|&f| SelectableField(f.into())).collect();
        self
    }

    /// Sets the names of objects that cannot be deleted.
    #[must_use]
    pub fn permanent(mut self, names: &'static [&'static str]) -> Self {
        self.permanent = names;
        self
    }

    /// Adds a subresource.
    #[must_use]
    pub fn subresource(mut self, subresource: Subresource) -> Self {
        self.subresources.push(subresource);
        self
    }

    /// Sets the form of names.
    #[must_use]
    pub fn named_by(mut self, rule: NameRule) -> Self {
        self.name_rule = rule;
        self
    }

    /// Sets the checks.
    #[must_use]
    pub fn validated_by(mut self, validate: Validate) -> Self {
        self.validate = Some(validate);
        self
    }

    /// Sets the defaults that the schema cannot express.
    #[must_use]
    pub fn defaulted_by(mut self, default: fn(&mut Json)) -> Self {
        self.default = Some(default);
        self
    }

    /// Sets how an object's other names are found.
    #[must_use]
    pub fn aliased_by(mut self, aliases: fn(&Json) -> Vec<String>) -> Self {
        self.aliases = Some(aliases);
        self
    }

    /// Marks the kind as one of Kubernetes' own.
    #[must_use]
    pub fn built_in(mut self) -> Self {
        self.built_in = true;
        self
    }

    /// Marks the kind as one whose objects can only be read.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// Marks the kind as one whose objects are encrypted at rest.
    #[must_use]
    pub fn confidential(mut self) -> Self {
        self.confidential = true;
        self
    }

    /// Every printer column in the order of a table: `Name`, the default ones, `Age`, the wide ones.
    pub fn table(&self) -> Vec<Column> {
        if self.bare_table {
            return self.columns.clone();
        }
        let (default, wide): (Vec<_>, Vec<_>) = self.columns.iter().cloned().partition(|c| c.priority == 0);
        let head = std::iter::once(Column::name());
        head.chain(default).chain([Column::age()]).chain(wide).collect()
    }

    /// `apiVersion` as objects carry it.
    pub fn api_version(&self) -> String {
        self.group_version().to_string()
    }

    /// The group and version.
    pub fn group_version(&self) -> GroupVersion {
        GroupVersion::new(&self.group, &self.version)
    }

    /// The kind with its group and version.
    pub fn gvk(&self) -> GroupVersionKind {
        GroupVersionKind { group: self.group.clone(), version: self.version.clone(), kind: self.kind.clone() }
    }

    /// The resource with its group and version.
    pub fn gvr(&self) -> GroupVersionResource {
        GroupVersionResource {
            group: self.group.clone(),
            version: self.version.clone(),
            resource: self.plural.clone(),
        }
    }

    /// `plural.group`, or only the plural in the core group: how messages name the resource.
    pub fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// Whether objects live in a namespace.
    pub fn namespaced(&self) -> bool {
        self.scope == Scope::Namespaced
    }

    /// Whether `status` is written apart.
    pub fn has_status(&self) -> bool {
        self.subresources.contains(&Subresource::Status)
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kind({}/{})", self.group_version(), self.kind)
    }
}
