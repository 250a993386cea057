//! `gwasp send`: an author that gives notices to a broker.

use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;

use crate::config::BrokerAddress;
use crate::listeners::vtp::author::{Receipt, submit};

/// Sends notices to a VOEvent broker, as an author, and prints its receipts.
///
/// Exit code 0 when every one was acknowledged, else 1. A broker that closes without a receipt
/// may or may not have taken the event; sending it again is safe, brokers know duplicates.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  gwasp send notice.xml --to 127.0.0.1:8098")]
pub(super) struct Args {
    /// VOEvent documents; - is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The broker's author port, by convention 8098.
    #[arg(long, value_name = "HOST:PORT")]
    to: BrokerAddress,
    /// How long to wait for the connection, and again for each receipt.
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = humantime::parse_duration)]
    timeout: Duration,
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut all_acked = true;
    // One after the other, each on a connection of its own.
    for file in &args.files {
        let document = read(file)?;
        let receipt = submit(&args.to, &document, args.timeout)
            .await
            .with_context(|| format!("{} was not sent", file.display()))?;
        all_acked &= matches!(receipt, Receipt::Ack { .. });
        writeln!(
            io::stdout().lock(),
            "{}: {}",
            file.display(),
            told(&receipt)
        )?;
    }
    Ok(if all_acked {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    let mut document = Vec::new();
    if file == Path::new("-") {
        io::stdin()
            .lock()
            .read_to_end(&mut document)
            .context("cannot read standard input")?;
    } else {
        document =
            std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    }
    Ok(document)
}

/// A receipt in words; what a stranger wrote is escaped.
fn told(receipt: &Receipt) -> String {
    match receipt {
        Receipt::Ack {
            response: Some(response),
        } => format!("ack by {}", response.escape_debug()),
        Receipt::Ack { response: None } => "ack".to_owned(),
        Receipt::Nak {
            reason: Some(reason),
        } => format!("nak: {}", reason.trim().escape_debug()),
        Receipt::Nak { reason: None } => "nak without a reason".to_owned(),
        Receipt::None { why } => format!("no receipt: {why}"),
    }
}
