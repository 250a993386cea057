//! `gwasp status`.

use std::io::Write;
use std::process::ExitCode;

use jiff::Timestamp;

use super::control::HostArgs;
use super::exit;
use super::table::{self, Column};
use crate::config::PRODUCTION;
use crate::control::{PluginStatus, Status, Verdict};
use crate::listeners::state::{Phase, Snapshot};
use crate::rollout::PluginState;

/// Shows how a running host is.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes, as monitoring has them:
  0   all is well
  1   somebody should look at it by day
  2   somebody should look at it now
  69  no host runs on this store

Examples:
  gwasp status
  gwasp status --json | jq .queues
  gwasp status --quiet || page-somebody")]
pub(super) struct Args {
    #[command(flatten)]
    host: HostArgs,
    /// As one JSON object.
    #[arg(long)]
    json: bool,
    /// Says nothing; the exit code is the answer.
    #[arg(long, short, conflicts_with = "json")]
    quiet: bool,
}

const PLUGINS: [Column; 3] = [
    Column::stays("PLUGIN"),
    Column::stays("STATE"),
    Column::stays("VERSION"),
];
const QUEUES: [Column; 8] = [
    Column::stays("QUEUE"),
    Column::stays("RUNNING"),
    Column::stays("READY"),
    Column::stays("PAUSED"),
    Column::stays("IN TURN"),
    Column::stays("LATER"),
    Column::stays("PARKED"),
    Column::stays("SLOTS"),
];
const LISTENERS: [Column; 8] = [
    Column::stays("STREAM"),
    Column::stays("STATE"),
    Column::stays("LAST PACKET"),
    Column::stays("KEPT"),
    Column::out("DUPLICATE", 3),
    Column::out("REFUSED", 4),
    Column::out("RECONNECTS", 2),
    Column::below("LAST ERROR", 1),
];
const RUNNING: [Column; 5] = [
    Column::stays("RUNNING"),
    Column::stays("FOR"),
    Column::out("ATTEMPT", 2),
    Column::out("QUEUE", 1),
    Column::stays("HANDLER"),
];
/// At most so many tasks that run are listed.
const LISTED: usize = 10;

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let client = match args.host.client()? {
        Ok(client) => client,
        Err(directory) => {
            if !args.quiet {
                table::say(&format!(
                    "no host runs on the store in {}",
                    directory.display()
                ))?;
            }
            return Ok(ExitCode::from(exit::UNAVAILABLE));
        }
    };
    let status: Status = client.get("/v1/status").await?;
    if args.json {
        table::print_json(&[&status])?;
    } else if !args.quiet {
        print(&status, Timestamp::now())?;
    }
    Ok(match status.verdict {
        Verdict::Ok => ExitCode::SUCCESS,
        Verdict::Warning => ExitCode::from(1),
        Verdict::Critical => ExitCode::from(2),
    })
}

fn print(status: &Status, now: Timestamp) -> std::io::Result<()> {
    let verdict = match status.verdict {
        Verdict::Ok => "OK",
        Verdict::Warning => "WARNING",
        Verdict::Critical => "CRITICAL",
    };
    table::say(&format!(
        "{verdict}: gwasp {} runs for {} (process {}), {} task{} open",
        status.version,
        span(status.started, now),
        status.pid,
        status.open,
        if status.open == 1 { "" } else { "s" }
    ))?;
    table::say(&place(status))?;
    let config = &status.config;
    table::say(&format!(
        "configuration of {:.0} ({})",
        config.applied, config.by
    ))?;
    for remark in &status.remarks {
        let word = match remark.verdict {
            Verdict::Ok => "note",
            Verdict::Warning => "warning",
            Verdict::Critical => "critical",
        };
        table::say(&format!("{word}: {}", remark.text))?;
    }
    let sections: [(&[Column], Vec<Vec<String>>); 4] = [
        (
            &LISTENERS,
            status
                .listeners
                .iter()
                .map(|one| listener(one, now))
                .collect(),
        ),
        (&PLUGINS, status.plugins.iter().map(plugin).collect()),
        (&QUEUES, queues(status)),
        (&RUNNING, running(status, now)),
    ];
    for (columns, rows) in sections {
        if !rows.is_empty() {
            writeln!(std::io::stdout())?;
            table::print(columns, &rows)?;
        }
    }
    Ok(())
}

/// Where it keeps what it has, and by which profile.
fn place(status: &Status) -> String {
    let store = status.store.display();
    let disk = status.disk.map_or_else(
        || "free space not known".to_owned(),
        |disk| format!("{} free", size(disk.free)),
    );
    let profile = status.profile.as_deref().unwrap_or(PRODUCTION);
    format!("store {store}, {disk}; profile {profile}")
}

/// A number of bytes, as disks are talked of.
fn size(bytes: u64) -> String {
    if bytes >= 10 << 30 {
        return format!("{} GiB", bytes >> 30);
    }
    format!("{} MiB", bytes >> 20)
}

fn listener(listener: &Snapshot, now: Timestamp) -> Vec<String> {
    let state = match listener.status.phase {
        Phase::Connecting => "connecting".to_owned(),
        Phase::Up { since } => format!("up for {}", span(since, now)),
        Phase::Waiting { until } => format!("again in {}", span(now, until)),
        Phase::Stopped => "stopped".to_owned(),
    };
    let last = listener.last_packet;
    // That of one that is not connected is among the remarks.
    let is_up = matches!(listener.status.phase, Phase::Up { .. });
    let last_error = listener.status.last_error.as_ref().filter(|_| is_up);
    vec![
        listener.name.clone(),
        state,
        last.map_or_else(
            || "never".to_owned(),
            |last| format!("{} ago", span(last, now)),
        ),
        listener
            .kept
            .saturating_sub(listener.duplicates)
            .to_string(),
        listener.duplicates.to_string(),
        listener.refused.to_string(),
        listener.reconnects.to_string(),
        last_error.map_or_else(String::new, |error| {
            format!("{} ago: {}", span(error.time, now), error.message)
        }),
    ]
}

fn plugin(plugin: &PluginStatus) -> Vec<String> {
    vec![
        plugin.plugin.clone(),
        state(plugin.state, plugin.is_shadow),
        plugin
            .version
            .map_or_else(|| "-".to_owned(), |version| version.short().to_string()),
    ]
}

fn queues(status: &Status) -> Vec<Vec<String>> {
    let queues = status.queues.iter();
    queues
        .map(|queue| {
            vec![
                queue.queue.clone(),
                queue.running.to_string(),
                queue.ready.to_string(),
                queue.paused.to_string(),
                queue.turn.to_string(),
                queue.later.to_string(),
                queue.parked.to_string(),
                queue.slots.to_string(),
            ]
        })
        .collect()
}

fn running(status: &Status, now: Timestamp) -> Vec<Vec<String>> {
    let mut rows: Vec<Vec<String>> = status
        .running
        .iter()
        .take(LISTED)
        .map(|task| {
            vec![
                task.task.chars().take(13).collect(),
                span(task.since, now),
                task.attempt.to_string(),
                task.queue.clone(),
                task.handler.clone(),
            ]
        })
        .collect();
    let more = status.running.len().saturating_sub(LISTED);
    if more > 0 {
        let mut row = vec![String::new(); RUNNING.len()];
        row[0] = format!("and {more} more");
        rows.push(row);
    }
    rows
}

/// A time between two moments, in its two largest units.
pub(super) fn span(from: Timestamp, to: Timestamp) -> String {
    let seconds = to.duration_since(from).as_secs().max(0);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min {} s", seconds % 60),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

/// A plugin's state, and whether it is in shadow mode.
pub(super) fn state(state: PluginState, is_shadow: bool) -> String {
    let mode = if is_shadow { " (shadow)" } else { "" };
    format!("{}{mode}", state.as_str())
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::span;

    #[track_caller]
    fn check(seconds: i64, expected: &str) {
        let from = Timestamp::UNIX_EPOCH;
        assert_eq!(
            span(from, from + SignedDuration::from_secs(seconds)),
            expected
        );
    }

    #[test]
    fn a_time_is_told_in_its_two_largest_units() {
        check(59, "59 s");
        check(61, "1 min 1 s");
        check(3_660, "1 h 1 min");
        check(90_000, "1 d 1 h");
        check(-5, "0 s");
    }
}
