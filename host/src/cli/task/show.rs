//! `gwasp task show`.

use std::io::Write;
use std::process::ExitCode;

use gwasp_store::{Decided, FailedAttempt, Nanos, Origin, Reader, TaskDetail};
use jiff::Timestamp;
use serde::Serialize;

use super::live::Live;
use super::next::{Surroundings, sentence, told};
use super::{Row, effects, find, is_open, names};
use crate::cli::store::StoreArgs;
use crate::cli::table;
use crate::explain::Code;
use crate::packet::{Digest, unix_nanos};
use crate::text::printable;

/// Shows one task: what it did, why it failed, who decided what, and what is next.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    store: StoreArgs,
    /// The task's id, or its beginning.
    id: String,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let reader = args.store.open()?;
    // What runs is asked for first: a task that ends meanwhile is shown as it ended.
    let live = Live::ask(&args.store).await?;
    let detail = find(&reader, &args.id)?;
    let (effects, is_shadow) = effects::of(&reader.journal(detail.task.id)?)?;
    let next = next(&reader, &detail, &live)?;
    if args.json {
        let mut row = Row::of(detail.task, &live);
        row.result = detail
            .result
            .map(|result| String::from_utf8_lossy(&result).into_owned());
        row.shadow |= is_shadow;
        row.waits_for = names(&detail.waits_for);
        table::print_json(&[Shown {
            row,
            next,
            history: history(&detail.past, &detail.decisions, &detail.failed)
                .iter()
                .map(Past::of)
                .collect(),
            effects,
        }])?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut out = std::io::stdout().lock();
    print_head(&mut out, &detail, &Row::of(detail.task.clone(), &live))?;
    if is_shadow || detail.task.is_shadow {
        writeln!(out, "mode      shadow: nothing that it asked for was made")?;
    }
    if let Some(next) = next {
        table::field(&mut out, "next", &next)?;
    }
    if let Some(failure) = &detail.task.failure
        && let Some(code) = Code::of_failure(&failure.kind, &failure.message)
    {
        writeln!(out, "explain   gwasp explain {code}: {}", code.title())?;
    }
    print_history(
        &mut out,
        &history(&detail.past, &detail.decisions, &detail.failed),
    )?;
    drop(out);
    effects::print(&effects)?;
    Ok(ExitCode::SUCCESS)
}

/// A task with what became of it, as a program reads it.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    row: Row,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    history: Vec<Past>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    effects: Vec<effects::Effect>,
}

fn next(reader: &Reader, detail: &TaskDetail, live: &Live) -> anyhow::Result<Option<String>> {
    let now = Timestamp::now();
    let pauses = told(reader.pauses(unix_nanos(now))?);
    let plugins = reader.plugins()?;
    let plugin = plugins.iter().find(|one| one.plugin == detail.task.plugin);
    let around = Surroundings {
        live,
        pauses: &pauses,
        disabled: plugin.and_then(|plugin| plugin.disabled),
        current: plugin.and_then(|plugin| plugin.current),
        now,
    };
    Ok(sentence(&detail.task, &around))
}

/// What happened to a task, in the order in which it did.
#[derive(Debug)]
enum Happened<'a> {
    Failed(&'a FailedAttempt),
    Decided(&'a Decided),
}

/// What happened to a task, as a program reads it.
#[derive(Serialize)]
struct Past {
    at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    /// Why the attempt failed, or the word for the decision.
    what: String,
    /// The message of the failure, or who decided.
    text: String,
}

impl Past {
    fn of(happened: &Happened<'_>) -> Self {
        match happened {
            Happened::Failed(failed) => Self {
                at: table::moment(failed.at),
                attempt: Some(failed.attempt),
                what: failed.failure.kind.clone(),
                text: failed.failure.message.clone(),
            },
            Happened::Decided(decided) => Self {
                at: table::moment(decided.at),
                attempt: None,
                what: decided.what.clone(),
                text: decided.who.clone(),
            },
        }
    }
}

fn history<'a>(
    past: &'a [FailedAttempt],
    decisions: &'a [Decided],
    failed: &'a [FailedAttempt],
) -> Vec<Happened<'a>> {
    let failures = past.iter().chain(failed).map(Happened::Failed);
    let decisions = decisions.iter().map(Happened::Decided);
    let mut history: Vec<Happened<'a>> = failures.chain(decisions).collect();
    history.sort_by_key(|happened| match happened {
        Happened::Failed(failed) => failed.at,
        Happened::Decided(decided) => decided.at,
    });
    history
}

fn print_head(out: &mut impl Write, detail: &TaskDetail, row: &Row) -> std::io::Result<()> {
    let task = &detail.task;
    let version = task.version.map(Digest::from_bytes);
    writeln!(out, "task      {}", row.id)?;
    writeln!(out, "handler   {}", table::clean(&row.handler))?;
    if let Some(version) = version {
        writeln!(out, "version   {version}")?;
    }
    writeln!(out, "queue     {}", table::clean(&row.queue))?;
    let s = if row.attempts == 1 { "" } else { "s" };
    match &row.run {
        Some(run) => writeln!(
            out,
            "state     {}: attempt {} since {}",
            row.state, run.attempt, run.since
        )?,
        None => writeln!(
            out,
            "state     {} after {} attempt{s}",
            row.state, row.attempts
        )?,
    }
    if let Some(began) = cut_off(detail).filter(|_| row.run.is_none()) {
        let text = format!(
            "a run of {} did not end: the host stopped, or gave it back",
            table::moment(began)
        );
        table::field(out, "", &text)?;
    }
    for called in names(&detail.waits_for) {
        writeln!(out, "waits     for task {called}")?;
    }
    let cause = match (task.origin, task.parent) {
        (Origin::Packet, _) => String::new(),
        (Origin::Redispatch, _) => ", by `gwasp packet redispatch`".to_owned(),
        (Origin::Beat, _) => ", by a schedule".to_owned(),
        (Origin::Call | Origin::Spawn, Some(parent)) => format!(", by task {parent}"),
        (Origin::Call | Origin::Spawn, None) => ", by a task".to_owned(),
    };
    writeln!(out, "made      {}{cause}", row.made)?;
    if let Some(deadline) = &row.deadline {
        writeln!(out, "deadline  {deadline}")?;
    }
    if let Some(ended) = &row.ended {
        writeln!(out, "ended     {ended}")?;
    }
    writeln!(out, "cpu       {} µs", row.cpu_us)?;
    if let Some(packet) = row.packet {
        writeln!(out, "packet    {packet}")?;
    }
    if let Some(result) = &detail.result {
        let result = String::from_utf8_lossy(result);
        // Lines of a result stand under it, so that none reads as a line of this table.
        let result = printable(&result).replace('\n', "\n          ");
        writeln!(out, "result    {result}")?;
    }
    Ok(())
}

/// When a run began that left a trace and has no end, where there is one.
fn cut_off(detail: &TaskDetail) -> Option<Nanos> {
    let began = detail.task.started.filter(|_| is_open(detail.task.state))?;
    let last = detail.failed.last();
    last.is_none_or(|failed| failed.at < began).then_some(began)
}

/// Each attempt that failed, and each decision. One that failed as an earlier one did says so.
fn print_history(out: &mut impl Write, history: &[Happened<'_>]) -> std::io::Result<()> {
    for (index, happened) in history.iter().enumerate() {
        match happened {
            Happened::Failed(failed) => print_failed(out, failed, &history[..index])?,
            Happened::Decided(decided) => {
                let (at, what, who) = (table::moment(decided.at), &decided.what, &decided.who);
                table::field(out, "decided", &format!("{at}  {what} ({who})"))?;
            }
        }
    }
    Ok(())
}

fn print_failed(
    out: &mut impl Write,
    attempt: &FailedAttempt,
    before: &[Happened<'_>],
) -> std::io::Result<()> {
    let (number, failure) = (attempt.attempt, &attempt.failure);
    let at = table::moment(attempt.at);
    let what = match failure.kind.as_str() {
        // What a person ended, and what came too late, is no attempt.
        "by-hand" | "dropped" => "ended".to_owned(),
        _ => format!("attempt {number} failed"),
    };
    let earlier = before.iter().find_map(|happened| match happened {
        Happened::Failed(failed) if failed.failure == *failure => Some(failed),
        _ => None,
    });
    if let Some(earlier) = earlier {
        let (first, at_first) = (earlier.attempt, table::moment(earlier.at));
        return writeln!(out, "{what} {at}, as attempt {first} of {at_first}");
    }
    writeln!(out, "{what} {at}")?;
    let code = Code::of_failure(&failure.kind, &failure.message);
    let code = code.map_or_else(String::new, |code| format!("[{code}]"));
    let message = table::clean(&format!("{}{code}: {}", failure.kind, failure.message));
    print_message(out, &message, table::edge())?;
    for line in failure.detail.iter().flat_map(|detail| detail.lines()) {
        writeln!(out, "    {}", printable(line))?;
    }
    Ok(())
}

/// A message is kept as one line for logs; here its lines may stand.
fn print_message(out: &mut impl Write, message: &str, edge: usize) -> std::io::Result<()> {
    const INDENT: &str = "    ";
    let lines = message.trim_end().split("\\n");
    let lines = lines.flat_map(|line| match line.trim() {
        "" => vec![String::new()],
        _ => table::lines(line, edge.saturating_sub(INDENT.len())),
    });
    for (index, line) in lines.enumerate() {
        let indent = if index == 0 { "  " } else { INDENT };
        writeln!(out, "{}", format!("{indent}{line}").trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use gwasp_store::{Decided, FailedAttempt, Failure};

    use super::{history, print_history, print_message};

    fn failed(at: i64, message: &str) -> FailedAttempt {
        FailedAttempt {
            attempt: 1,
            at,
            failure: Failure {
                kind: "journal".to_owned(),
                message: message.to_owned(),
                detail: None,
            },
        }
    }

    fn printed(past: &[FailedAttempt], decisions: &[Decided], now: &[FailedAttempt]) -> String {
        let mut out = Vec::new();
        print_history(&mut out, &history(past, decisions, now)).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_failure_neither_drives_a_terminal_nor_forges_a_line() {
        let mut failed = failed(0, "asked\u{9b}2J\nattempt 2 forged\\nand on");
        failed.failure.detail = Some("one\x1b[2J\ntwo".to_owned());
        let text = printed(&[], &[], &[failed]);
        let lines: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(
            lines,
            [
                "  journal[E0310]: asked\\u{9b}2J",
                "    attempt 2 forged",
                "    and on",
                "    one\\u{1b}[2J",
                "    two"
            ]
        );
    }

    #[test]
    fn a_message_is_broken_at_the_edge_and_keeps_its_lines() {
        let mut out = Vec::new();
        let message =
            "permanent[E0601]: may not keep values; have\\n\\n    [grants.p]\\n    kv = true";
        print_message(&mut out, message, 30).unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "  permanent[E0601]: may not",
                "    keep values; have",
                "",
                "        [grants.p]",
                "        kv = true",
            ]
        );
    }

    #[test]
    fn what_failed_and_who_decided_stand_in_the_order_of_time() {
        let decided = Decided {
            at: 2_000_000_000,
            what: "resumed".to_owned(),
            who: "user 7".to_owned(),
        };
        let text = printed(&[failed(0, "m")], &[decided], &[failed(3_000_000_000, "m")]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "attempt 1 failed 1970-01-01T00:00:00.000Z",
                "  journal[E0310]: m",
                "decided   1970-01-01T00:00:02.000Z  resumed (user 7)",
                "attempt 1 failed 1970-01-01T00:00:03.000Z, as attempt 1 of \
                 1970-01-01T00:00:00.000Z",
            ]
        );
    }
}
