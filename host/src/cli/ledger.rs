//! `gwasp ledger`.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use gwasp_store::{Account, GapMark, Ledger, Origin, Reader, RemovedRows, TaskCounts, day_of};
use serde::Serialize;

use super::store::StoreArgs;
use super::table::{self, Column};
use crate::routes::Unmatched;

/// Shows where every packet and task is, per stream and UTC day, and whether that adds up.
///
/// read = refused + duplicate + accepted + waiting + unconfirmed; accepted = matched +
/// unmatched; tasks made = succeeded + failed + revoked + open. Exit code 1 where it does not.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  gwasp ledger                      everything that is kept
  gwasp ledger --since 2026-11-01   from that day on
  gwasp ledger --verify             counts rows again and compares")]
pub(super) struct Args {
    #[command(flatten)]
    store: StoreArgs,
    /// First UTC day, e.g. 2026-11-01.
    #[arg(long, value_name = "DAY")]
    since: Option<jiff::civil::Date>,
    /// Recounts the rows and checks what is kept against its checksums.
    #[arg(long)]
    verify: bool,
    /// One JSON object a line: the accounts, then the gaps, then whether all was verified.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let reader = args.store.open()?;
    let since = match args.since {
        Some(day) => {
            let midnight = jiff::tz::TimeZone::UTC.to_timestamp(day.at(0, 0, 0, 0))?;
            day_of(i64::try_from(midnight.as_nanosecond())?)
        }
        None => i64::MIN,
    };
    let ledger = reader.ledger(since)?;
    let gaps = reader.gaps(None)?;
    if args.json {
        let rows: Vec<_> = ledger.accounts.iter().map(Row::of).collect();
        table::print_json(&rows)?;
        table::print_json(&gaps.iter().map(GapRow::of).collect::<Vec<_>>())?;
    } else {
        print(&ledger, &gaps)?;
    }
    let balances = report(&ledger);
    let sound = !args.verify || verify(&reader, args.json)?;
    Ok(if balances && sound {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

#[derive(Serialize)]
struct Row<'a> {
    source: &'a str,
    day: String,
    read: u64,
    refused: u64,
    duplicate: u64,
    accepted: u64,
    waiting: u64,
    unconfirmed: u64,
    matched: u64,
    unmatched: &'a std::collections::BTreeMap<String, u64>,
    tasks: Tasks,
    origins: std::collections::BTreeMap<&'static str, Tasks>,
    removed: Removed,
}

#[derive(Clone, Copy, Default, Serialize)]
struct Tasks {
    made: u64,
    succeeded: u64,
    failed: u64,
    revoked: u64,
    open: u64,
    /// Those of all these that made no effect.
    shadow: u64,
}

impl Tasks {
    fn add(mut self, counts: &TaskCounts) -> Self {
        self.made += counts.made;
        self.succeeded += counts.succeeded;
        self.failed += counts.failed;
        self.revoked += counts.revoked;
        self.open += counts.open;
        self.shadow += counts.shadow;
        self
    }
}

impl<'a> Row<'a> {
    fn of(account: &'a Account) -> Self {
        let listener = account.listener;
        Self {
            source: &account.source,
            day: table::day(account.day),
            read: listener.read,
            refused: listener.refused,
            duplicate: listener.duplicate,
            accepted: listener.accepted,
            waiting: listener.waiting,
            unconfirmed: listener.unconfirmed,
            matched: account.matched,
            unmatched: &account.unmatched,
            tasks: account.tasks.values().fold(Tasks::default(), Tasks::add),
            origins: account
                .tasks
                .iter()
                .map(|(origin, counts)| (name(*origin), Tasks::default().add(counts)))
                .collect(),
            removed: Removed::of(account.removed),
        }
    }

    /// The stream; tasks that came of no packet have none.
    const fn source(&self) -> &str {
        if self.source.is_empty() {
            "-"
        } else {
            self.source
        }
    }

    /// What stands under [`HEAD`].
    fn cells(&self) -> Vec<String> {
        let numbers = [
            self.read,
            self.refused,
            self.duplicate,
            self.unconfirmed,
            self.accepted,
            self.matched,
            self.unmatched.values().sum(),
            self.tasks.made,
            self.tasks.succeeded,
            self.tasks.failed,
            self.tasks.revoked,
            self.tasks.open,
        ];
        let mut cells = vec![self.day.clone(), self.source().to_owned()];
        cells.extend(numbers.iter().map(u64::to_string));
        cells
    }
}

/// What retention removed of the rows that are counted.
#[derive(Serialize)]
struct Removed {
    packets: u64,
    refusals: u64,
    tasks: u64,
}

impl Removed {
    const fn of(removed: RemovedRows) -> Self {
        Self {
            packets: removed.packets,
            refusals: removed.refusals,
            tasks: removed.tasks,
        }
    }
}

#[derive(Serialize)]
struct GapRow<'a> {
    gap: &'a str,
    last_packet: Option<String>,
    last_commit: String,
    next_start: String,
}

impl<'a> GapRow<'a> {
    fn of(gap: &'a GapMark) -> Self {
        Self {
            gap: &gap.source,
            last_packet: gap.last_packet.map(table::moment),
            last_commit: table::moment(gap.last_commit),
            next_start: table::moment(gap.next_start),
        }
    }
}

const HEAD: [&str; 14] = [
    "DAY",
    "SOURCE",
    "READ",
    "REFUSED",
    "DUPLICATE",
    "UNCONFIRMED",
    "ACCEPTED",
    "MATCHED",
    "UNMATCHED",
    "TASKS",
    "SUCCESS",
    "FAILURE",
    "REVOKED",
    "OPEN",
];

fn print(ledger: &Ledger, gaps: &[GapMark]) -> anyhow::Result<()> {
    let accounts: Vec<Row<'_>> = ledger.accounts.iter().map(Row::of).collect();
    let rows: Vec<Vec<String>> = accounts.iter().map(Row::cells).collect();
    let columns = HEAD.map(Column::stays);
    if table::fits(&columns, &rows) {
        table::print(&columns, &rows)?;
    } else {
        for account in &accounts {
            print_sums(account)?;
        }
    }
    print_unmatched(ledger)?;
    for account in accounts.iter().filter(|account| account.tasks.shadow > 0) {
        table::say(&format!(
            "in shadow mode: {} of the {} tasks of {} on {} made no effect",
            account.tasks.shadow,
            account.tasks.made,
            account.source(),
            account.day
        ))?;
    }
    print_removed(ledger)?;
    for gap in gaps {
        let row = GapRow::of(gap);
        table::say(&format!(
            "gap: packets of {} may be missing between {} and {}, when the host did not stop in order",
            row.gap, row.last_commit, row.next_start
        ))?;
    }
    Ok(())
}

/// Writes an account as the sums that must be right, for a terminal on which its row has no room.
fn print_sums(row: &Row<'_>) -> std::io::Result<()> {
    let (source, day) = (table::clean(row.source()), &row.day);
    let Tasks {
        made,
        succeeded,
        failed,
        revoked,
        open,
        shadow: _,
    } = row.tasks;
    let unmatched: u64 = row.unmatched.values().sum();
    let mut out = std::io::stdout().lock();
    writeln!(out, "{day}  {source}")?;
    let (read, accepted) = (row.read, row.accepted);
    let (duplicate, refused) = (row.duplicate, row.refused);
    writeln!(
        out,
        "  read {read} = accepted {accepted} + duplicate {duplicate} + refused {refused}"
    )?;
    let (waiting, unconfirmed) = (row.waiting, row.unconfirmed);
    if (waiting, unconfirmed) != (0, 0) {
        writeln!(out, "      + waiting {waiting} + unconfirmed {unconfirmed}")?;
    }
    let matched = row.matched;
    writeln!(
        out,
        "  accepted {accepted} = matched {matched} + unmatched {unmatched}"
    )?;
    writeln!(
        out,
        "  tasks {made} = success {succeeded} + failure {failed} + revoked {revoked} + open {open}"
    )
}

/// Says what retention took out of which account.
fn print_removed(ledger: &Ledger) -> anyhow::Result<()> {
    for account in &ledger.accounts {
        let removed = account.removed;
        if removed != RemovedRows::default() {
            let line = format!(
                "no longer kept: {} packets, {} refused and {} tasks of {} on {}",
                removed.packets,
                removed.refusals,
                removed.tasks,
                account.source,
                table::day(account.day)
            );
            table::say(&line)?;
        }
    }
    Ok(())
}

/// Says why packets made no task.
fn print_unmatched(ledger: &Ledger) -> std::io::Result<()> {
    let mut reasons = std::collections::BTreeMap::<&str, u64>::new();
    for (reason, packets) in ledger.accounts.iter().flat_map(|one| &one.unmatched) {
        *reasons.entry(reason).or_default() += packets;
    }
    for (reason, packets) in reasons {
        let advice = Unmatched::named(reason).map_or("", Unmatched::advice);
        table::say(&format!("unmatched: {packets} {reason}: {advice}"))?;
    }
    Ok(())
}

/// Says which rule does not hold.
fn report(ledger: &Ledger) -> bool {
    match ledger.balances() {
        Ok(()) => true,
        Err(imbalances) => {
            for imbalance in imbalances {
                super::complain(&anyhow::anyhow!("the ledger does not balance: {imbalance}"));
            }
            false
        }
    }
}

/// Says what differs or is damaged, and last whether anything is.
fn verify(reader: &Reader, json: bool) -> anyhow::Result<bool> {
    let verification = reader
        .verify(true)
        .context("the rows cannot be counted again")?;
    for imbalance in &verification.imbalances {
        super::complain(&anyhow::anyhow!("does not balance: {imbalance}"));
    }
    for difference in &verification.differences {
        super::complain(&anyhow::anyhow!("counters and rows differ: {difference:?}"));
    }
    for damage in verification.database.iter().chain(&verification.damaged) {
        super::complain(&anyhow::anyhow!("damaged: {damage}"));
    }
    let sound = verification.is_sound();
    let verdict = if sound {
        "verified: counters, rows and checksums agree"
    } else {
        "not verified: what differs or is damaged is named on stderr"
    };
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::json!({ "verified": sound }))?;
    } else {
        writeln!(out, "{verdict}")?;
    }
    Ok(sound)
}

const fn name(origin: Origin) -> &'static str {
    match origin {
        Origin::Packet => "packet",
        Origin::Call => "call",
        Origin::Spawn => "spawn",
        Origin::Beat => "beat",
        Origin::Redispatch => "redispatch",
    }
}
