//! `gwasp store check`.

use std::io::Write as _;
use std::process::ExitCode;

use gwasp_store::Verification;
use serde::Serialize;

use super::StoreArgs;
use crate::cli::table;

/// Checks every row, counter and payload, and says what to do about what is wrong.
///
/// A host may be running on the store. Exit code 1 where something is wrong; each finding says what to do.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    store: StoreArgs,
    /// Does not read payloads and blobs.
    #[arg(long)]
    quick: bool,
    /// One JSON object a line: the findings.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Finding {
    /// What is wrong.
    what: String,
    /// What to do.
    next: &'static str,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let found = args.store.open()?.verify(!args.quick)?;
    let findings = findings(&found);
    if args.json {
        table::print_json(&findings)?;
    } else {
        print(&findings, args.quick)?;
    }
    Ok(if findings.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn print(findings: &[Finding], quick: bool) -> std::io::Result<()> {
    for Finding { what, next } in findings {
        table::say(&format!("{what}: {next}"))?;
    }
    let of = if quick {
        "rows and counters"
    } else {
        "rows, counters, payloads and blobs"
    };
    let mut out = std::io::stdout().lock();
    match findings.len() {
        0 => writeln!(out, "sound: {of} are what was written"),
        number => writeln!(out, "{number} findings in {of}"),
    }
}

fn findings(found: &Verification) -> Vec<Finding> {
    let database = found.database.iter().map(|what| Finding {
        what: format!("the database is damaged ({what})"),
        next: "stop the host and `gwasp store restore` the newest backup that checks as sound; \
               without one, `gwasp store export` saves what can still be read",
    });
    let damaged = found.damaged.iter().map(|what| Finding {
        what: what.clone(),
        next: "the record is not used; check the disk. `gwasp packet show` names the packet, and \
               its sender or a backup may have it",
    });
    let imbalances = found.imbalances.iter().map(|what| Finding {
        what: what.to_string(),
        next: "nothing is lost by that, but a count is wrong: report it as a defect",
    });
    let differences = found.differences.iter().map(|difference| {
        let account = difference
            .counted
            .as_ref()
            .or(difference.recounted.as_ref());
        let (source, day) = account.map_or(("", 0), |account| (&*account.source, account.day));
        Finding {
            what: format!(
                "counters of `{source}` on {} differ from the rows",
                table::day(day)
            ),
            next: "the rows are what happened; `gwasp ledger --verify` shows both. Report it as \
                   a defect, unless the database is damaged too",
        }
    });
    database
        .chain(damaged)
        .chain(imbalances)
        .chain(differences)
        .collect()
}

#[cfg(test)]
mod tests {
    use gwasp_store::Verification;

    use super::findings;

    #[test]
    fn each_finding_says_what_to_do() {
        let found = Verification {
            database: vec!["row 3 missing from index tasks_id".to_owned()],
            damaged: vec!["segment 3 at offset 4096 is damaged".to_owned()],
            ..Verification::default()
        };
        let findings = findings(&found);
        assert_eq!(findings.len(), 2);
        assert!(findings.iter().all(|finding| !finding.next.is_empty()));
        assert!(super::findings(&Verification::default()).is_empty());
    }
}
