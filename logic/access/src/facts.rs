//! What decisions look at in an object, read from its bytes or its tree without copying.

use lab_object::{Json, partial::Text};
use serde::Deserialize;

/// The fields of an object that decide who may do what to it. Which of them counts depends on its kind.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Facts<'a> {
    #[serde(borrow)]
    metadata: Metadata<'a>,
    #[serde(borrow)]
    spec: Option<Spec<'a>>,
    #[serde(borrow)]
    status: Option<Status<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Metadata<'a> {
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    namespace: Option<Text<'a>>,
    #[serde(borrow)]
    uid: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Spec<'a> {
    #[serde(borrow)]
    cloud: Option<Text<'a>>,
    #[serde(borrow)]
    environment: Option<Text<'a>>,
    #[serde(borrow)]
    server: Option<Text<'a>>,
    #[serde(borrow)]
    site: Option<Text<'a>>,
    #[serde(borrow)]
    role: Option<Text<'a>>,
    #[serde(borrow)]
    permissions: Vec<Text<'a>>,
    #[serde(borrow)]
    addresses: Vec<Address<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Address<'a> {
    #[serde(borrow)]
    network: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status<'a> {
    #[serde(borrow)]
    bastion: Option<Text<'a>>,
}

impl<'a> Facts<'a> {
    /// Reads a stored object.
    ///
    /// # Errors
    /// The bytes are no object, or a field that counts is of another type than in any kind of ours.
    pub fn read(object: &'a [u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(object)
    }

    /// Reads an object that was parsed.
    ///
    /// # Errors
    /// A field that counts is of another type than in any kind of ours.
    pub fn of(object: &'a Json) -> Result<Self, serde_json::Error> {
        Self::deserialize(object)
    }

    fn spec<'s>(&'s self, field: impl FnOnce(&'s Spec<'a>) -> &'s Option<Text<'a>>) -> Option<&'s str> {
        self.spec.as_ref().and_then(|spec| field(spec).as_deref())
    }

    /// The object's name.
    pub fn name(&self) -> Option<&str> {
        self.metadata.name.as_deref()
    }

    /// Its namespace.
    pub fn namespace(&self) -> Option<&str> {
        self.metadata.namespace.as_deref()
    }

    /// Its UID.
    pub fn uid(&self) -> Option<&str> {
        self.metadata.uid.as_deref()
    }

    /// The cloud a server stands in.
    pub fn cloud(&self) -> Option<&str> {
        self.spec(|spec| &spec.cloud)
    }

    /// The environment a server belongs to, or a token lets machines into.
    pub fn environment(&self) -> Option<&str> {
        self.spec(|spec| &spec.environment)
    }

    /// The server that a token is for.
    pub fn server(&self) -> Option<&str> {
        self.spec(|spec| &spec.server)
    }

    /// The site of a network or a bastion.
    pub fn site(&self) -> Option<&str> {
        self.spec(|spec| &spec.site)
    }

    /// The role that a binding gives.
    pub fn role(&self) -> Option<&str> {
        self.spec(|spec| &spec.role)
    }

    /// The permissions of a role.
    pub fn permissions(&self) -> impl Iterator<Item = &str> {
        self.spec.iter().flat_map(|spec| spec.permissions.iter().map(|text| &**text))
    }

    /// The networks a server is to have addresses in.
    pub fn networks(&self) -> impl Iterator<Item = &str> {
        self.spec.iter().flat_map(|spec| spec.addresses.iter().filter_map(|a| a.network.as_deref()))
    }

    /// The bastion that answers a server.
    pub fn bastion(&self) -> Option<&str> {
        self.status.as_ref().and_then(|status| status.bastion.as_deref())
    }
}
