//! Running other programs, with a line before each that says why.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};

/// Says what comes next.
pub(crate) fn say(what: &str) {
    eprintln!("==> {what}");
}

/// Runs `command` to its end; what it prints is passed on.
pub(crate) fn run(what: &str, command: &mut Command) -> Result<()> {
    say(what);
    let begin = Instant::now();
    let status = command
        .status()
        .with_context(|| format!("starting {command:?}"))?;
    ensure!(status.success(), "{what}: {}", describe(command, status));
    eprintln!("    done in {:.1} s", begin.elapsed().as_secs_f64());
    Ok(())
}

/// Runs `command` and answers its standard output; its standard error is passed on.
pub(crate) fn output(what: &str, command: &mut Command) -> Result<String> {
    say(what);
    let begin = Instant::now();
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("starting {command:?}"))?;
    ensure!(
        output.status.success(),
        "{what}: {}",
        describe(command, output.status)
    );
    eprintln!("    done in {:.1} s", begin.elapsed().as_secs_f64());
    String::from_utf8(output.stdout).context("its output is no UTF-8")
}

/// Whether `command` can be started and ends well; what it prints is dropped.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn describe(command: &Command, status: std::process::ExitStatus) -> String {
    format!(
        "`{}` ended with {status}",
        command.get_program().to_string_lossy()
    )
}
