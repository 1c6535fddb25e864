//! Objects as others want to see them: `Table` for people, `PartialObjectMetadata` for caches, YAML for readers.

use crate::{fault, mask::Mask, negotiate::View};
use bytes::Bytes;
use jiff::Timestamp;
use lab_kinds::{Cell, Column, ColumnType, Kind};
use lab_object::{Json, ListMeta, PartialObjectMetadata, Path, Reason, Status, Time, table};
use serde::Serialize;

/// What a table's rows carry of their objects (`includeObject`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Include {
    /// Nothing.
    None,
    /// `PartialObjectMetadata`; the default.
    #[default]
    Metadata,
    /// The whole object.
    Object,
}

impl Include {
    /// Reads the query parameter `includeObject`.
    ///
    /// # Errors
    /// 400 for any other word.
    pub fn parse(value: Option<&str>) -> Result<Self, Status> {
        match value {
            None | Some("" | "Metadata") => Ok(Self::Metadata),
            Some("None") => Ok(Self::None),
            Some("Object") => Ok(Self::Object),
            Some(other) => {
                let message =
                    format!("includeObject={other:?} is not supported: it is None, Metadata or Object");
                Err(Status::failure(Reason::BadRequest, message))
            }
        }
    }
}

/// How stored objects are shown in one answer.
pub struct Render<'a> {
    /// Their kind.
    pub kind: &'a Kind,
    /// The view that was negotiated; [`View::Json`] gives the objects as they are stored.
    pub view: View,
    /// What a table's rows carry.
    pub include: Include,
    /// The time against which ages are told.
    pub now: Timestamp,
}

/// A table's columns, ready to be filled in.
struct Columns {
    columns: Vec<(Column, Option<Path>)>,
    mask: Mask,
}

impl Columns {
    fn of(kind: &Kind) -> Self {
        let parsed = |column: Column| {
            let path = match &column.cell {
                Cell::Path(path) => Path::parse(path).ok(),
                Cell::With(_) => None,
            };
            (column, path)
        };
        let columns: Vec<_> = kind.table().into_iter().map(parsed).collect();
        let mask = Mask::of(columns.iter().map(|(column, _)| &column.cell));
        Self { columns, mask }
    }

    fn definitions(&self) -> Vec<table::ColumnDefinition> {
        self.columns.iter().map(|(column, _)| definition(column)).collect()
    }
}

impl Render<'_> {
    /// A list of objects, each given as its stored JSON.
    ///
    /// # Errors
    /// 500 when a stored object is not readable.
    pub fn list<'b>(
        &self,
        objects: impl IntoIterator<Item = &'b [u8]>,
        meta: &ListMeta,
    ) -> Result<Bytes, Status> {
        let mut out = Vec::with_capacity(16 * 1024);
        let (kind, api_version, items) = match self.view {
            View::Table => ("Table".into(), "meta.k8s.io/v1".into(), "rows"),
            View::PartialObjectMetadata => {
                ("PartialObjectMetadataList".into(), "meta.k8s.io/v1".into(), "items")
            }
            View::Json | View::Yaml => (format!("{}List", self.kind.kind), self.kind.api_version(), "items"),
        };
        head(&mut out, &kind, &api_version, meta);
        let columns = (self.view == View::Table).then(|| Columns::of(self.kind));
        if let Some(columns) = &columns {
            write_text(&mut out, ",\"columnDefinitions\":");
            write(&mut out, &columns.definitions());
        }
        write_text(&mut out, &format!(",\"{items}\":["));
        for (index, object) in objects.into_iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            match (&columns, self.view) {
                (Some(columns), _) => self.row(&mut out, columns, object)?,
                (None, View::PartialObjectMetadata) => write(&mut out, &partial(object)?),
                (None, _) => out.extend_from_slice(object),
            }
        }
        out.extend_from_slice(b"]}");
        if self.view == View::Yaml { yaml(&out) } else { Ok(out.into()) }
    }

    /// One object.
    ///
    /// # Errors
    /// 500 when it is not readable.
    pub fn object(&self, object: &[u8]) -> Result<Bytes, Status> {
        match self.view {
            View::Yaml => yaml(object),
            _ => self.event(object, true),
        }
    }

    /// The object of a watch event. A table's columns are only sent with the `first` event of a watch. Watches are
    /// JSON, so YAML is not made here.
    ///
    /// # Errors
    /// 500 when it is not readable.
    pub fn event(&self, object: &[u8], first: bool) -> Result<Bytes, Status> {
        let mut out = Vec::with_capacity(object.len() + 512);
        match self.view {
            View::Json | View::Yaml => out.extend_from_slice(object),
            View::PartialObjectMetadata => write(&mut out, &partial(object)?),
            View::Table => {
                let revision = lab_object::Partial::read(object).map_err(unreadable)?.resource_version;
                let meta =
                    ListMeta { resource_version: revision.map(|r| r.to_string()), ..Default::default() };
                let columns = Columns::of(self.kind);
                head(&mut out, "Table", "meta.k8s.io/v1", &meta);
                write_text(&mut out, ",\"columnDefinitions\":");
                write(&mut out, &if first { columns.definitions() } else { Vec::new() });
                write_text(&mut out, ",\"rows\":[");
                self.row(&mut out, &columns, object)?;
                out.extend_from_slice(b"]}");
            }
        }
        Ok(out.into())
    }

    /// The object of a BOOKMARK event: nothing but metadata, a resourceVersion and perhaps annotations.
    pub fn bookmark(&self, metadata: impl Serialize) -> Bytes {
        let mut out = Vec::with_capacity(256);
        let (kind, api_version) = match self.view {
            View::Table => ("Table", "meta.k8s.io/v1".into()),
            View::PartialObjectMetadata => ("PartialObjectMetadata", "meta.k8s.io/v1".into()),
            View::Json | View::Yaml => (self.kind.kind.as_str(), self.kind.api_version()),
        };
        head(&mut out, kind, &api_version, &metadata);
        if self.view == View::Table {
            write_text(&mut out, ",\"columnDefinitions\":[],\"rows\":[]");
        }
        out.push(b'}');
        out.into()
    }

    fn row(&self, out: &mut Vec<u8>, columns: &Columns, object: &[u8]) -> Result<(), Status> {
        let tree = columns.mask.read(object).map_err(unreadable)?;
        write_text(out, "{\"cells\":[");
        for (index, (column, path)) in columns.columns.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            write(out, &self.cell(column, path.as_ref(), &tree));
        }
        write_text(out, "],\"object\":");
        match self.include {
            Include::None => write_text(out, "null"),
            Include::Metadata => write(out, &partial(object)?),
            Include::Object => out.extend_from_slice(object),
        }
        out.push(b'}');
        Ok(())
    }

    fn cell(&self, column: &Column, path: Option<&Path>, tree: &Json) -> Json {
        let value = match (&column.cell, path) {
            (Cell::With(cell), _) => cell(tree),
            (Cell::Path(_), Some(path)) => table::cell(path, tree),
            (Cell::Path(_), None) => Json::Null,
        };
        match (column.kind, value) {
            (ColumnType::Date, Json::Null) => "<unknown>".into(),
            (ColumnType::Date, Json::String(text)) => match text.parse() {
                Ok(then) => lab_object::age::age(Time(then), Time(self.now)).into(),
                Err(_) => text.into(),
            },
            (_, value) => value,
        }
    }
}

/// What every answer begins with.
fn head(out: &mut Vec<u8>, kind: &str, api_version: &str, metadata: &impl Serialize) {
    write_text(out, &format!("{{\"kind\":\"{kind}\",\"apiVersion\":\"{api_version}\",\"metadata\":"));
    write(out, metadata);
}

/// A column as tables declare it.
fn definition(column: &Column) -> table::ColumnDefinition {
    let kind = match column.kind {
        ColumnType::String => "string",
        ColumnType::Integer => "integer",
        ColumnType::Boolean => "boolean",
        ColumnType::Date => "date",
    };
    let names_it = matches!(&column.cell, Cell::Path(path) if path == "metadata.name");
    table::ColumnDefinition {
        name: column.name.to_string(),
        kind: kind.into(),
        format: if names_it { "name" } else { "" }.into(),
        description: column.description.to_string(),
        priority: column.priority.into(),
    }
}

fn partial(object: &[u8]) -> Result<PartialObjectMetadata<'_>, Status> {
    PartialObjectMetadata::of(object).map_err(unreadable)
}

/// JSON as YAML, for a person to read.
fn yaml(json: &[u8]) -> Result<Bytes, Status> {
    let tree: Json = serde_json::from_slice(json).map_err(unreadable)?;
    serde_saphyr::to_string(&tree).map(Into::into).map_err(unreadable)
}

fn unreadable(error: impl std::error::Error) -> Status {
    fault::internal(format_args!("a stored object cannot be shown: {error}"))
}

fn write(out: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    serde_json::to_writer(out, value).expect("JSON values always serialise to memory");
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}
