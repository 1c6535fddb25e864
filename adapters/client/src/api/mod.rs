//! One kind's objects: read, write, watch.

mod params;
mod path;

pub use params::{
    DeleteParams, Deleted, FieldValidation, ListParams, Patch, PatchParams, Propagation, WatchParams,
    WriteParams,
};
pub(crate) use path::Path;

use crate::{Client, Error, Response, watch::Watch};
use bytes::Bytes;
use http::{Method, header};
use lab_object::{Json, ListMeta, Status};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::marker::PhantomData;

/// A whole list, or a part of one.
#[derive(Debug, Clone, Deserialize)]
pub struct List<T> {
    /// The revision it was read at, and where it goes on.
    #[serde(default)]
    pub metadata: ListMeta,
    /// The objects.
    pub items: Vec<T>,
}

/// The objects of one kind, everywhere or in one namespace. Made by [`Client`]; cheap to clone.
#[derive(Debug)]
pub struct Api<T> {
    client: Client,
    path: Path,
    objects: PhantomData<fn() -> T>,
}

impl<T> Clone for Api<T> {
    fn clone(&self) -> Self {
        Self { client: self.client.clone(), path: self.path.clone(), objects: PhantomData }
    }
}

impl<T> Api<T> {
    pub(crate) fn new(client: Client, path: Path) -> Self {
        Self { client, path, objects: PhantomData }
    }

    /// The client this came from.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// How errors name the resource: `servers.metal.lab`.
    pub fn resource_name(&self) -> String {
        self.path.resource_name()
    }

    /// The same objects in another form, such as `Json` or `Box<RawValue>`.
    pub fn of<U>(&self) -> Api<U> {
        Api::new(self.client.clone(), self.path.clone())
    }

    fn doing(&self, verb: &str, name: Option<&str>) -> String {
        match name {
            Some(name) => format!("{verb} {} {name:?}", self.resource_name()),
            None => format!("{verb} {}", self.resource_name()),
        }
    }
}

impl<T: DeserializeOwned> Api<T> {
    /// Reads one object.
    pub async fn get(&self, name: &str) -> Result<T, Error> {
        let doing = self.doing("get", Some(name));
        self.call(&doing, Method::GET, &self.path.object(name, None, ""), JSON, Bytes::new()).await
    }

    /// Reads one object if there is one.
    pub async fn get_opt(&self, name: &str) -> Result<Option<T>, Error> {
        match self.get(name).await {
            Ok(object) => Ok(Some(object)),
            Err(e) if e.is_not_found() => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Lists objects, or a part of them when `params.limit` is set.
    pub async fn list(&self, params: &ListParams) -> Result<List<T>, Error> {
        let doing = self.doing("list", None);
        self.call(&doing, Method::GET, &self.path.collection(&params.query()), JSON, Bytes::new()).await
    }

    /// Lists all objects, in parts of `params.limit` (500 when it is not set).
    pub async fn list_all(&self, params: &ListParams) -> Result<List<T>, Error> {
        let mut params = ListParams { limit: params.limit.or(Some(500)), ..params.clone() };
        let mut whole = self.list(&params).await?;
        while let Some(token) = whole.metadata.continue_token.take().filter(|t| !t.is_empty()) {
            params.continue_token = Some(token);
            params.resource_version = None;
            params.resource_version_match = None;
            let part = self.list(&params).await?;
            whole.items.extend(part.items);
            whole.metadata = part.metadata;
        }
        Ok(whole)
    }

    /// Deletes one object. It may stay for a while, held by finalizers.
    pub async fn delete(&self, name: &str, params: &DeleteParams) -> Result<Deleted<T>, Error> {
        let doing = self.doing("delete", Some(name));
        let target = self.path.object(name, None, &params.query());
        let answer: Json = self.call(&doing, Method::DELETE, &target, JSON, params.body()).await?;
        if answer.get("kind").and_then(Json::as_str) == Some("Status") {
            return Ok(Deleted::Gone);
        }
        let object = serde_json::from_value(answer).map_err(|source| Error::Answer {
            doing,
            server: self.client.server().into(),
            source,
        })?;
        Ok(Deleted::Going(Box::new(object)))
    }

    /// Deletes all objects that the selectors match.
    pub async fn delete_collection(&self, which: &ListParams, params: &DeleteParams) -> Result<(), Error> {
        let doing = self.doing("delete", None);
        let query = [which.query(), params.query()].into_iter().filter(|q| !q.is_empty()).collect::<Vec<_>>();
        let target = self.path.collection(&query.join("&"));
        self.call::<Json>(&doing, Method::DELETE, &target, JSON, params.body()).await.map(drop)
    }

    /// Changes one object by a patch.
    pub async fn patch(&self, name: &str, patch: &Patch, params: &PatchParams) -> Result<T, Error> {
        self.patch_part(name, None, patch, params).await
    }

    /// Changes one object's status by a patch.
    pub async fn patch_status(&self, name: &str, patch: &Patch, params: &PatchParams) -> Result<T, Error> {
        self.patch_part(name, Some("status"), patch, params).await
    }

    /// Changes a subresource by a patch.
    pub async fn patch_part(
        &self,
        name: &str,
        part: Option<&str>,
        patch: &Patch,
        params: &PatchParams,
    ) -> Result<T, Error> {
        let doing = self.doing(if matches!(patch, Patch::Apply(_)) { "apply" } else { "patch" }, Some(name));
        let body = self.encode(&doing, patch.document())?;
        let target = self.path.object(name, part, &params.query(patch, self.client.field_manager()));
        self.call(&doing, Method::PATCH, &target, patch.content_type(), body).await
    }

    /// Watches for changes. See [`Watch`].
    pub async fn watch(&self, params: &WatchParams) -> Result<Watch<T>, Error> {
        let doing = self.doing("watch", None);
        let target = self.path.collection(&params.query());
        let response = self.send(&doing, Method::GET, &target, JSON, Bytes::new()).await?;
        Ok(Watch::new(self.client.clone(), doing, response.into_body()))
    }

    async fn call<R: DeserializeOwned>(
        &self,
        doing: &str,
        method: Method,
        target: &str,
        content_type: &'static str,
        body: Bytes,
    ) -> Result<R, Error> {
        let response = self.send(doing, method, target, content_type, body).await?;
        let body = self.client.collect(doing, response.into_body()).await?;
        self.client.decode(doing, &body)
    }

    fn encode<B: Serialize>(&self, doing: &str, object: &B) -> Result<Bytes, Error> {
        let bytes = serde_json::to_vec(object)
            .map_err(|e| Error::Request { doing: doing.into(), why: e.to_string() })?;
        Ok(bytes.into())
    }

    async fn send(
        &self,
        doing: &str,
        method: Method,
        target: &str,
        content_type: &'static str,
        body: Bytes,
    ) -> Result<Response, Error> {
        let mut request = doing_request(doing, method, target, JSON, body)?;
        if !request.body().is_empty() {
            request.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static(content_type));
        }
        self.client.send(doing, request).await
    }
}

impl<T: Serialize + DeserializeOwned> Api<T> {
    /// Creates an object.
    pub async fn create(&self, object: &T, params: &WriteParams) -> Result<T, Error> {
        let doing = self.doing("create", None);
        let body = self.encode(&doing, object)?;
        let target = self.path.collection(&params.query(self.client.field_manager()));
        self.call(&doing, Method::POST, &target, JSON, body).await
    }

    /// Replaces an object. With a resourceVersion in it, only if it was not changed since.
    pub async fn update(&self, name: &str, object: &T, params: &WriteParams) -> Result<T, Error> {
        self.update_part(name, None, object, params).await
    }

    /// Replaces an object's status.
    pub async fn update_status(&self, name: &str, object: &T, params: &WriteParams) -> Result<T, Error> {
        self.update_part(name, Some("status"), object, params).await
    }

    async fn update_part(
        &self,
        name: &str,
        part: Option<&str>,
        object: &T,
        params: &WriteParams,
    ) -> Result<T, Error> {
        let doing = self.doing("update", Some(name));
        let body = self.encode(&doing, object)?;
        let target = self.path.object(name, part, &params.query(self.client.field_manager()));
        self.call(&doing, Method::PUT, &target, JSON, body).await
    }
}

/// What comes with each row of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IncludeObject {
    /// Nothing but the cells.
    None,
    /// The object's metadata.
    Metadata,
    /// The whole object.
    Object,
}

/// Lists as the server prepares them for a terminal; `R` reads `meta.k8s.io/v1.Table`.
impl<T> Api<T> {
    /// Lists objects as a table.
    pub async fn list_table<R: DeserializeOwned>(
        &self,
        params: &ListParams,
        include: IncludeObject,
    ) -> Result<R, Error> {
        let doing = self.doing("list", None);
        let target = self.path.collection(&include.added_to(&params.query()));
        self.read_table(&doing, &target).await
    }

    /// Reads one object as a table of one row.
    pub async fn get_table<R: DeserializeOwned>(
        &self,
        name: &str,
        include: IncludeObject,
    ) -> Result<R, Error> {
        let doing = self.doing("get", Some(name));
        self.read_table(&doing, &self.path.object(name, None, &include.added_to(""))).await
    }

    /// Watches, each event carrying a table of one row.
    pub async fn watch_table<R: DeserializeOwned>(
        &self,
        params: &WatchParams,
        include: IncludeObject,
    ) -> Result<Watch<R>, Error> {
        let doing = self.doing("watch", None);
        let target = self.path.collection(&include.added_to(&params.query()));
        let request = doing_request(&doing, Method::GET, &target, TABLE, Bytes::new())?;
        let response = self.client.send(&doing, request).await?;
        Ok(Watch::new(self.client.clone(), doing, response.into_body()))
    }

    async fn read_table<R: DeserializeOwned>(&self, doing: &str, target: &str) -> Result<R, Error> {
        let request = doing_request(doing, Method::GET, target, TABLE, Bytes::new())?;
        let response = self.client.send(doing, request).await?;
        let body = self.client.collect(doing, response.into_body()).await?;
        self.client.decode(doing, &body)
    }
}

impl IncludeObject {
    fn added_to(self, query: &str) -> String {
        let value = match self {
            Self::None => "None",
            Self::Metadata => "Metadata",
            Self::Object => "Object",
        };
        let separator = if query.is_empty() { "" } else { "&" };
        format!("{query}{separator}includeObject={value}")
    }
}

/// The media type of tables.
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

/// The media type of objects.
pub(crate) const JSON: &str = "application/json";

/// A request with its target checked.
pub(crate) fn doing_request(
    doing: &str,
    method: Method,
    target: &str,
    accept: &'static str,
    body: Bytes,
) -> Result<http::Request<Bytes>, Error> {
    http::Request::builder()
        .method(method)
        .uri(target)
        .header(header::ACCEPT, accept)
        .body(body)
        .map_err(|e| Error::Request { doing: doing.into(), why: e.to_string() })
}

impl<T> Deleted<T> {
    /// Whether nothing is left of it.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Gone)
    }
}

/// A failure that came inside an answer, as an error.
pub(crate) fn refused(client: &Client, doing: &str, status: Status) -> Error {
    Error::Status { doing: doing.into(), server: client.server().into(), status: Box::new(status) }
}
