//! The bastion, as the ramdisk speaks to it: JSON over plain HTTP.

mod image;

use image::Resuming;
use lab_node::install::Site;
use lab_wire::site::{DISCOVERY, Discovery, ORDERS, Orders, PROGRESS, Progress};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    io::{self, Read},
    time::Duration,
};

/// Why the bastion was not heard.
#[derive(Debug, thiserror::Error)]
pub enum BastionError {
    /// It was not reached, or refused.
    #[error("{address}: {source}")]
    Request {
        /// What was asked.
        address: String,
        /// Why it failed.
        source: Box<ureq::Error>,
    },
    /// It refused, and said why.
    #[error("{address}: {status}: {why}")]
    Refused {
        /// What was asked.
        address: String,
        /// The HTTP status.
        status: ureq::http::StatusCode,
        /// Its words.
        why: String,
    },
    /// It said what is not understood.
    #[error("{address} answered what is not understood: {source}")]
    Answer {
        /// What was asked.
        address: String,
        /// Why.
        source: serde_json::Error,
    },
}

/// The bastion of this machine.
#[derive(Debug, Clone)]
pub struct Bastion {
    agent: ureq::Agent,
    site: String,
    token: String,
}

/// The most that an answer may have: orders hold a plan and two objects.
const MOST: u64 = 16 << 20;

impl Bastion {
    /// The bastion at an address such as `http://10.9.0.2`, which knows this boot by its token.
    pub fn new(site: &str, token: &str) -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_connect(Some(Duration::from_secs(10)))
            .timeout_recv_response(Some(Duration::from_secs(60)))
            // Boot servers do not send elsewhere; whoever does is none.
            .max_redirects(0)
            .http_status_as_error(false)
            .build();
        Self { agent: config.into(), site: site.into(), token: token.into() }
    }

    /// Reports the hardware and hears what to do.
    ///
    /// # Errors
    /// The bastion is not reached, refuses, or is not understood.
    pub fn report(&self, discovery: &Discovery) -> Result<Orders, BastionError> {
        let (address, text) = self.post(DISCOVERY, discovery)?;
        understood(address, &text)
    }

    /// Asks what to do.
    ///
    /// # Errors
    /// The bastion is not reached, refuses, or is not understood.
    pub fn orders(&self) -> Result<Orders, BastionError> {
        let (address, text) = self.get(ORDERS)?;
        understood(address, &text)
    }

    /// Hands lines of its log on.
    ///
    /// # Errors
    /// The bastion is not reached, or refuses.
    pub fn log(&self, lines: &str) -> Result<(), BastionError> {
        let address = format!("{}/log/{}", self.site, self.token);
        text(&address, self.agent.post(&address).send(lines)).map(drop)
    }

    fn get(&self, path: &str) -> Result<(String, String), BastionError> {
        let address = format!("{}{path}{}", self.site, self.token);
        let answer = self.agent.get(&address).call();
        text(&address, answer).map(|text| (address, text))
    }

    fn post(&self, path: &str, body: &impl Serialize) -> Result<(String, String), BastionError> {
        let address = format!("{}{path}{}", self.site, self.token);
        let body = serde_json::to_vec(body)
            .map_err(|source| BastionError::Answer { address: address.clone(), source })?;
        let request = self.agent.post(&address).header("content-type", "application/json");
        text(&address, request.send(&body[..])).map(|text| (address, text))
    }

    /// What this machine's work needs of the bastion: the image at a path, and an ear for progress.
    pub fn site<'a>(&'a self, image: &'a str, show: &'a dyn Fn(&str)) -> SiteOf<'a> {
        SiteOf { bastion: self, image, show }
    }
}

fn text(
    address: &str,
    answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
) -> Result<String, BastionError> {
    let failed =
        |source: ureq::Error| BastionError::Request { address: address.into(), source: source.into() };
    let mut answer = answer.map_err(failed)?;
    let status = answer.status();
    let text = answer.body_mut().with_config().limit(MOST).read_to_string().map_err(failed)?;
    if status.is_success() {
        return Ok(text);
    }
    Err(BastionError::Refused { address: address.into(), status, why: text })
}

fn understood<T: DeserializeOwned>(address: String, text: &str) -> Result<T, BastionError> {
    serde_json::from_str(text).map_err(|source| BastionError::Answer { address, source })
}

/// What an installation needs from its bastion.
pub struct SiteOf<'a> {
    bastion: &'a Bastion,
    image: &'a str,
    show: &'a dyn Fn(&str),
}

/// An image at the bastion.
struct Image {
    bastion: Bastion,
    address: String,
}

impl image::Source for Image {
    fn from(&self, offset: u64) -> io::Result<Box<dyn Read>> {
        let failed = |why: &dyn std::fmt::Display| io::Error::other(format!("{}: {why}", self.address));
        let mut request = self.bastion.agent.get(&self.address);
        if offset > 0 {
            request = request.header("range", format!("bytes={offset}-"));
        }
        let answer = request.call().map_err(|error| failed(&error))?;
        let expected = if offset > 0 { 206 } else { 200 };
        if answer.status().as_u16() != expected {
            return Err(failed(&answer.status()));
        }
        Ok(Box::new(answer.into_body().into_with_config().limit(u64::MAX).reader()))
    }

    fn say(&self, text: &str) {
        tracing::warn!("{text}");
    }
}

impl Site for SiteOf<'_> {
    fn image(&self, from: u64) -> io::Result<Box<dyn Read>> {
        let address = format!("{}{}", self.bastion.site, self.image);
        Ok(Box::new(Resuming::of(Image { bastion: self.bastion.clone(), address }, from)?))
    }

    fn tell(&self, progress: &Progress) {
        let stage = &progress.stage;
        let state = match (stage.outcome, stage.done_bytes) {
            (Some(outcome), _) => format!("{outcome:?}").to_lowercase(),
            (None, Some(bytes)) => format!("{} MiB", bytes >> 20),
            (None, None) => "…".into(),
        };
        let message = stage.message.as_deref().unwrap_or_default();
        (self.show)(&format!("{:3} % {} {state} {message}", progress.percent, stage.name));
        // The installation goes on while the bastion is away: it needs it again only for the image.
        if let Err(error) = self.bastion.post(PROGRESS, progress) {
            tracing::warn!(%error, "progress was not told");
        }
    }

    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }
}
