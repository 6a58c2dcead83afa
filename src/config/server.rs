//! `[server]`: the status page.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::problem::Problems;

/// Where `serve` shows its page unless told otherwise.
const DEFAULT_OF_SERVE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9464);
/// In place of an address: no page.
const OFF: &str = "off";

/// The status page, and what machines read beside it. It only shows; nothing can be changed through it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// The address and port on which the status page is served, such as `127.0.0.1:9464` or `0.0.0.0:9464`, or `off`. Who
    /// reaches the address sees names of categories and errors. Default: `127.0.0.1:9464` for `serve`, off for `run`.
    #[schemars(extend("examples" = ["127.0.0.1:9464"]))]
    pub listen: Option<String>,
    /// Names by which browsers and probes may ask for the page, besides `localhost` and plain addresses, such as
    /// `exporter.example.com`. A name that is not listed is refused, so that no foreign site can read the page through a
    /// browser. `*` allows all. Default: none.
    #[schemars(extend("examples" = [["exporter.example.com"]]))]
    pub hosts: Vec<String>,
}

impl ServerConfig {
    /// Where `serve` shows the page; none where it is switched off.
    pub fn of_serve(&self) -> Option<SocketAddr> {
        match &self.listen {
            None => Some(DEFAULT_OF_SERVE),
            Some(_) => self.of_run(),
        }
    }

    /// Where `run` shows the page; none unless an address is set.
    pub fn of_run(&self) -> Option<SocketAddr> {
        parse(self.listen.as_deref()?)?.ok()
    }

    pub(super) fn check(&self, problems: &mut Problems) {
        let key = "server.listen";
        match self.listen.as_deref().and_then(parse) {
            None => {}
            Some(Err(())) => problems.error(
                key,
                "this is not an address of this machine with a port",
                "write numbers, such as `127.0.0.1:9464` or `[::1]:9464`; or `off` for no page",
            ),
            Some(Ok(address)) if !address.ip().is_loopback() => problems.warn(
                key,
                "everybody who reaches this address can read the status page: there is no password and no encryption",
                "keep it on `127.0.0.1`, or let a firewall, a network policy or a proxy decide who reaches it",
            ),
            Some(Ok(_)) => {}
        }
        let is_host = |host: &String| {
            host == "*"
                || (!host.is_empty() && host.chars().all(|char| char.is_ascii_alphanumeric() || "-._".contains(char)))
        };
        if let Some(wrong) = self.hosts.iter().find(|host| !is_host(host)) {
            problems.error(
                "server.hosts",
                format!("`{wrong}` is not the name of a host"),
                "write the name alone, without a scheme and a port, such as `exporter.example.com`",
            );
        }
    }
}

/// The address that is meant; none where the page is switched off.
fn parse(listen: &str) -> Option<Result<SocketAddr, ()>> {
    match listen.trim() {
        "" | OFF => None,
        address => Some(address.parse().map_err(|_| ())),
    }
}
