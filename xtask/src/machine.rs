//! What the machine must have, and installing what it has not.

use std::io::{IsTerminal as _, Write as _};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::step;

/// Debian packages of the tests. What builds plugins is `gwasp build`'s own affair.
const TEST_PACKAGES: [&str; 4] = ["python3", "python3-venv", "strace", "systemd"];

/// Whether this runs unattended in a CI, where a missing peer is a failure.
pub(crate) fn in_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false")
}

/// Installs the Debian packages that the tests need and that are missing.
pub(crate) fn install_test_packages(yes: bool) -> Result<()> {
    if !step::succeeds(Command::new("dpkg-query").arg("--version")) {
        step::say("no dpkg here: the tests need python3 with venv, strace and systemd");
        return Ok(());
    }
    let missing: Vec<&str> = TEST_PACKAGES
        .into_iter()
        .filter(|package| !is_installed(package))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut install = vec!["apt-get", "install", "-y", "--no-install-recommends"];
    install.extend(missing);
    change(
        "the tests need Debian packages",
        &[vec!["apt-get", "update"], install],
        yes,
    )
}

fn is_installed(package: &str) -> bool {
    let query = Command::new("dpkg-query")
        .args(["-W", "-f=${Status}", package])
        .output();
    query.is_ok_and(|output| output.stdout == b"install ok installed")
}

/// Runs commands that change the machine, after saying so; on a terminal it asks first.
fn change(why: &str, commands: &[Vec<&str>], yes: bool) -> Result<()> {
    let sudo = if rustix::process::geteuid().is_root() {
        ""
    } else {
        "sudo "
    };
    step::say(why);
    for command in commands {
        eprintln!("      {sudo}{}", command.join(" "));
    }
    ensure!(
        yes || agreed()?,
        "not run; run it yourself, then this again"
    );
    for command in commands {
        let line = format!("{sudo}{}", command.join(" "));
        // Another apt may have taken a file from under this one: one more try.
        run(&line).or_else(|_| run(&line))?;
    }
    Ok(())
}

fn run(line: &str) -> Result<()> {
    let mut words = line.split(' ');
    let program = words.next().context("an empty command")?;
    step::run(
        line,
        Command::new(program)
            .args(words)
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )
}

fn agreed() -> Result<bool> {
    if in_ci() || !std::io::stdin().is_terminal() {
        return Ok(true);
    }
    eprint!("    run this now? [Y/n] ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .context("reading the answer")?;
    Ok(matches!(
        answer.trim().to_lowercase().as_str(),
        "" | "y" | "yes"
    ))
}
