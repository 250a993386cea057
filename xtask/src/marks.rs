//! The tables that commands write into docs/measurements.md, each between its two marks.

use std::process::Command;

use anyhow::{Context as _, Result};

use crate::build::root;
use crate::step;

/// Puts `table` between `<!-- NAME: begin -->` and `<!-- NAME: end -->`.
pub(crate) fn replace(name: &str, table: &str) -> Result<()> {
    change(name, |_| table.to_owned())
}

/// Puts what `change` makes of the text between the marks of a name in its place.
pub(crate) fn change(name: &str, change: impl FnOnce(&str) -> String) -> Result<()> {
    let (begin, end) = (
        format!("<!-- {name}: begin -->"),
        format!("<!-- {name}: end -->"),
    );
    let file = root()?.join("docs/measurements.md");
    let text =
        std::fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    let missing = || format!("docs/measurements.md lacks the marks of {name}");
    let (before, rest) = text.split_once(&begin).with_context(missing)?;
    let (known, after) = rest.split_once(&end).with_context(missing)?;
    let table = change(known);
    std::fs::write(&file, format!("{before}{begin}\n{table}{end}{after}"))
        .with_context(|| format!("writing {}", file.display()))?;
    step::say(&format!("{} has the results", file.display()));
    Ok(())
}

/// The date, UTC.
pub(crate) fn today() -> Result<String> {
    let date = step::output(
        "asking for the date",
        Command::new("date").args(["-u", "+%Y-%m-%d"]),
    )?;
    Ok(date.trim().to_owned())
}

/// Processor and number of cores: what a reader needs to judge the numbers by.
pub(crate) fn this_machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("an unknown processor", |(_, model)| model);
    format!("{cores} cores of {model}")
}
