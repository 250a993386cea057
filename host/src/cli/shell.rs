//! `gwasp completions` and `gwasp man`: what shells and `man` know of the command line.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Command;
use clap::builder::Resettable;

/// Prints completions for a shell.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  gwasp completions bash > ~/.local/share/bash-completion/completions/gwasp
  gwasp completions zsh > ~/.zfunc/_gwasp
  gwasp completions fish > ~/.config/fish/completions/gwasp.fish")]
pub(super) struct CompletionsArgs {
    /// Which shell.
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

/// Writes manual pages: one for gwasp, and one for each command.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  gwasp man | man -l -                 reads the first page
  gwasp man ~/.local/share/man/man1    writes all of them, for `man gwasp-run`")]
pub(super) struct ManArgs {
    /// Directory that the pages are written into; without it, the first is printed.
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
}

/// Prints the completions of `command`.
pub(super) fn completions(args: &CompletionsArgs, command: Command) -> anyhow::Result<ExitCode> {
    let script = completion_script(args.shell, command);
    std::io::stdout().lock().write_all(&script)?;
    Ok(ExitCode::SUCCESS)
}

fn completion_script(shell: clap_complete::Shell, mut command: Command) -> Vec<u8> {
    // The generator ends the process where it cannot write; memory it can.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "gwasp", &mut script);
    script
}

/// Prints or writes the manual of `command`.
pub(super) fn man(args: &ManArgs, command: Command) -> anyhow::Result<ExitCode> {
    let Some(directory) = &args.directory else {
        let (_, page) = page(command)?;
        std::io::stdout().lock().write_all(&page)?;
        return Ok(ExitCode::SUCCESS);
    };
    std::fs::create_dir_all(directory)
        .with_context(|| format!("{} cannot be made", directory.display()))?;
    let written = write_pages(directory, command)?;
    writeln!(
        std::io::stderr(),
        "{written} pages in {}",
        directory.display()
    )?;
    Ok(ExitCode::SUCCESS)
}

/// Writes the page of a command and those of its subcommands; answers how many.
fn write_pages(directory: &Path, mut command: Command) -> anyhow::Result<usize> {
    command = command.disable_help_subcommand(true);
    command.build();
    let mut waiting = vec![command];
    let mut written = 0;
    while let Some(command) = waiting.pop() {
        let below = command.get_subcommands();
        waiting.extend(below.filter(|below| !below.is_hide_set()).cloned());
        let (name, page) = page(command)?;
        let path = directory.join(name);
        std::fs::write(&path, page).with_context(|| format!("{} not written", path.display()))?;
        written += 1;
    }
    Ok(written)
}

fn page(command: Command) -> anyhow::Result<(String, Vec<u8>)> {
    let notes = command.get_after_help().map(ToString::to_string);
    let command = command.after_help(Resettable::Reset);
    let man = clap_mangen::Man::new(command)
        .source(format!("gwasp {}", env!("CARGO_PKG_VERSION")))
        .manual("GWASP");
    let mut page = Vec::new();
    man.render(&mut page)?;
    page.extend(sections(&notes.unwrap_or_default()).into_bytes());
    Ok((man.get_filename(), page))
}

/// What stands under the options, with its lines as they are: examples are no running text.
fn sections(notes: &str) -> String {
    let mut text = String::new();
    let mut last = "";
    for paragraph in notes.split("\n\n").filter(|one| !one.trim().is_empty()) {
        let (title, lines) = match paragraph.strip_prefix("Examples:\n") {
            Some(examples) => ("EXAMPLES", examples),
            None => ("NOTES", paragraph),
        };
        if title == last {
            text.push_str(".PP\n");
        } else {
            text.push_str(&format!(".SH {title}\n"));
        }
        last = title;
        let is_running = !lines.lines().any(|line| line.starts_with(' '));
        text.push_str(if is_running { ".fi\n" } else { ".nf\n" });
        for line in lines.lines() {
            let line = line.replace('\\', "\\e").replace('-', "\\-");
            // What begins a line of roff with a point or a quotation mark is a request.
            text.push_str(&format!("\\&{line}\n"));
        }
        text.push_str(".fi\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, ValueEnum as _};

    use super::*;
    use crate::cli::Cli;

    fn names() -> Vec<String> {
        let command = Cli::command();
        let shown = command.get_subcommands().filter(|one| !one.is_hide_set());
        shown.map(|one| one.get_name().to_owned()).collect()
    }

    #[test]
    fn completions_know_every_subcommand() {
        for shell in clap_complete::Shell::value_variants() {
            let script = completion_script(*shell, Cli::command());
            let script = String::from_utf8(script).unwrap();
            for name in names() {
                assert!(script.contains(&name), "{shell}: {name}");
            }
        }
    }

    #[test]
    fn the_manual_has_a_page_for_every_subcommand() {
        let dir = tempfile::tempdir().unwrap();
        let written = write_pages(dir.path(), Cli::command()).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), written);
        let first = std::fs::read_to_string(dir.path().join("gwasp.1")).unwrap();
        for name in names() {
            let page = dir.path().join(format!("gwasp-{name}.1"));
            assert!(page.is_file(), "{name}");
            // In roff a hyphen is written `\-`.
            assert!(first.replace('\\', "").contains(&name), "{name}");
        }
    }

    #[test]
    fn examples_keep_their_lines_in_the_manual() {
        let text = sections("Exit codes:\n  0  well\n\nExamples:\n  gwasp run --log a\n  .b");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                ".SH NOTES",
                ".nf",
                "\\&Exit codes:",
                "\\&  0  well",
                ".fi",
                ".SH EXAMPLES",
                ".nf",
                "\\&  gwasp run \\-\\-log a",
                "\\&  .b",
                ".fi"
            ]
        );
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
