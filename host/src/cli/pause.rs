//! `gwasp pause` and `gwasp unpause`.

use std::process::ExitCode;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::control::HostArgs;
use super::table;
use crate::control::{Pause, PauseRequest, Scope, UnpauseRequest};

/// What is meant: one of these.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct What {
    /// A queue; or a handler, as PLUGIN.HANDLER.
    #[arg(value_name = "QUEUE|PLUGIN.HANDLER")]
    name: Option<String>,
    /// Everything.
    #[arg(long)]
    all: bool,
}

impl What {
    /// Names of queues have no point, those of handlers have one.
    fn scope(&self) -> Scope {
        match &self.name {
            None => Scope::All,
            Some(name) if name.contains('.') => Scope::Handler(name.clone()),
            Some(name) => Scope::Queue(name.clone()),
        }
    }
}

/// Stops handlers of a running host for a while; packets are kept, and their tasks wait.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  gwasp pause superevent --for 30m       a queue, for half an hour
  gwasp pause annotate.upload            a handler, until `gwasp unpause annotate.upload`
  gwasp pause --all                      every handler
What runs goes on to its end. A pause outlives the host; `gwasp status` shows it.")]
pub(super) struct PauseArgs {
    #[command(flatten)]
    host: HostArgs,
    #[command(flatten)]
    what: What,
    /// For how long, e.g. 30m; until somebody ends it where this is left out.
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    time: Option<Duration>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// Ends a pause, or with `--all` every pause; what waited is run.
#[derive(Debug, clap::Args)]
pub(super) struct UnpauseArgs {
    #[command(flatten)]
    host: HostArgs,
    #[command(flatten)]
    what: What,
    /// What is still paused, one JSON object a line.
    #[arg(long)]
    json: bool,
}

pub(super) async fn pause(args: PauseArgs) -> anyhow::Result<ExitCode> {
    let until = args
        .time
        .map(SignedDuration::try_from)
        .transpose()?
        .map(|time| Timestamp::now().checked_add(time))
        .transpose()?;
    let scope = args.what.scope();
    let wish = PauseRequest { scope, until };
    let paused: Pause = args.host.post("/v1/pause", &wish).await?;
    tell(&[paused], args.json)
}

pub(super) async fn unpause(args: UnpauseArgs) -> anyhow::Result<ExitCode> {
    let scope = args.what.scope();
    let wish = UnpauseRequest { scope };
    let left: Vec<Pause> = args.host.post("/v1/unpause", &wish).await?;
    if left.is_empty() && !args.json {
        table::say("nothing is paused any more")?;
    }
    tell(&left, args.json)
}

fn tell(pauses: &[Pause], json: bool) -> anyhow::Result<ExitCode> {
    if json {
        table::print_json(pauses)?;
        return Ok(ExitCode::SUCCESS);
    }
    for pause in pauses {
        table::say(&pause.to_string())?;
    }
    Ok(ExitCode::SUCCESS)
}
