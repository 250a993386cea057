//! `gwasp check --connect`: tries every connection that a host would make, all at once.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::pin::Pin;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::runtime::Handle;

use super::Findings;
use crate::cli::table;
use crate::complaint::Said;
use crate::config::{BrokerAddress, Config, ListenerConfig, ServiceConfig, VtpConfig};
use crate::explain::code;
use crate::listeners::vtp::{Hello, probe};
use crate::services::{HttpMethod, HttpRequest, HttpServices};

/// What is not there by then is told as not there.
const ALL: Duration = Duration::from_secs(30);

/// One connection: what it is called, and what became of it.
type Attempt<'a> = Pin<Box<dyn Future<Output = (String, anyhow::Result<String>)> + 'a>>;

/// Tries all connections, and writes a line for each.
pub(super) async fn run(config: &Config, findings: &mut Findings) -> anyhow::Result<()> {
    // No secrets: a request without one says as much about the connection.
    let http = HttpServices::new(&config.services, &BTreeMap::new(), Handle::current())?;
    let mut attempts: Vec<Attempt<'_>> = Vec::new();
    for (name, listener) in &config.listeners {
        let ListenerConfig::Vtp(vtp) = listener;
        for broker in &vtp.brokers {
            attempts.push(Box::pin(in_time(
                format!("listener `{name}`, {broker}"),
                try_broker(vtp, broker),
            )));
        }
    }
    for (name, service) in &config.services {
        attempts.push(Box::pin(in_time(
            format!("service `{name}`, {}", service.origin.url()),
            try_service(&http, service),
        )));
    }
    if !attempts.is_empty() && std::io::stderr().is_terminal() {
        let (number, time) = (attempts.len(), ALL.as_secs());
        let text = format!("trying {number} connections, for {time} s at most\n");
        std::io::stderr().lock().write_all(text.as_bytes())?;
    }
    // Each is told of when it is known, so that one that is slow does not look like a hang.
    let mut attempts: FuturesUnordered<Attempt<'_>> = attempts.into_iter().collect();
    while let Some((what, end)) = attempts.next().await {
        let mut out = std::io::stdout().lock();
        let what = table::clean(&what);
        match end {
            Ok(said) => writeln!(out, "connect   {what}: {}", table::clean(&said))?,
            Err(error) => findings.would_not_work(&error.context(what)),
        }
    }
    Ok(())
}

async fn in_time(
    what: String,
    attempt: impl Future<Output = anyhow::Result<String>>,
) -> (String, anyhow::Result<String>) {
    let end = tokio::time::timeout(ALL, attempt).await;
    let late = || {
        let text = format!("no answer within {} s", ALL.as_secs());
        Err(Said::new(code::PEER_CONNECT, text).into())
    };
    (what, end.unwrap_or_else(|_elapsed| late()))
}

async fn try_broker(vtp: &VtpConfig, broker: &BrokerAddress) -> anyhow::Result<String> {
    let began = Instant::now();
    Ok(match probe(vtp, broker).await? {
        Hello::Frame => format!("speaks VTP ({:.0?})", began.elapsed()),
        Hello::Silent => "takes the connection, and sent nothing yet".to_owned(),
    })
}

/// Any answer will do: which paths a service has is not known.
async fn try_service(http: &HttpServices, service: &ServiceConfig) -> anyhow::Result<String> {
    let url = service.origin.url().to_string();
    let found = http.service_of(&url)?;
    let found = found.ok_or_else(|| anyhow!("no service covers its own origin {url}"))?;
    let began = Instant::now();
    let request = HttpRequest {
        method: HttpMethod::Head,
        url,
        headers: Vec::new(),
        secret: None,
        body: bytes::Bytes::new(),
    };
    let status = http.send(found, &request, None).await?.status;
    Ok(format!("answers HTTP {status} ({:.0?})", began.elapsed()))
}
