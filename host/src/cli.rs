//! The command line: one file per subcommand, thin.
//!
//! stdout carries what a command was asked for, stderr everything else. Exit codes: 0 done,
//! 1 failed, 2 wrong usage, 69 no host runs, 70 a defect, 74 the disk failed, 75 try again later, 78 the
//! configuration cannot be used, 130 interrupted.

mod backtest;
mod bench;
mod build;
mod check;
mod compile_worker;
mod config;
mod control;
mod events;
mod explain;
mod glob;
mod layers;
mod ledger;
mod log;
mod new;
mod notice;
mod packet;
mod pause;
mod places;
mod plugin;
mod reload;
mod replay;
mod run;
mod send;
mod shell;
mod skymap;
mod sql;
mod status;
mod store;
mod systemd;
mod table;
mod tap;
mod task;
mod test;
mod version;
mod when;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser, Subcommand};

use crate::complaint::code_of;
use crate::text::printable;

/// Exit codes (sysexits.h), for supervisors and scripts.
pub(crate) mod exit {
    /// Nothing that could answer runs.
    pub(crate) const UNAVAILABLE: u8 = 69;
    /// The disk failed under the store; starting again reads what is on it.
    pub(crate) const DISK: u8 = 74;
    /// Another process has what this one needs; try again later.
    pub(crate) const TRY_LATER: u8 = 75;
    /// The configuration cannot be used; starting again does not help.
    pub(crate) const CONFIG: u8 = 78;
    /// Stopped by SIGINT or SIGTERM before it was done, as shells count it.
    pub(crate) const INTERRUPTED: u8 = 130;
}

/// Listens to alert streams, writes every packet down, and runs sandboxed handlers on it.
#[derive(Debug, Parser)]
#[command(
    name = "gwasp",
    version,
    about,
    max_term_width = 100,
    after_help = "Begin with `gwasp new my-plugin`. `cargo doc -p gwasp-sdk --open`, in the folder \
                  of a plugin, shows all that a handler can do."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the host: listeners, broker and workers in one process.
    Run(run::Args),
    /// Plays notices to VOEvent subscribers, as a broker.
    Replay(replay::Args),
    /// Sends notices to a VOEvent broker, as an author.
    Send(send::Args),
    /// Shows how a running host is.
    Status(status::Args),
    /// Looks at the plugins of a running host, and decides about them.
    Plugin(plugin::Args),
    /// Has a running host read its configuration again, then look at its plugin directory.
    Reload(reload::Args),
    /// Shows where every packet and task is, and whether that adds up.
    Ledger(ledger::Args),
    /// Stops handlers of a running host for a while.
    Pause(pause::PauseArgs),
    /// Ends a pause.
    Unpause(pause::UnpauseArgs),
    /// Looks at tasks, and decides about them.
    Task(task::Args),
    /// Looks at packets.
    Packet(packet::Args),
    /// Checks, copies and writes out what is kept.
    Store(store::Args),
    /// Answers a question in SQL from what is kept.
    Sql(sql::Args),
    /// Shows what happened, in order, and goes on with what happens.
    Events(events::Args),
    /// Shows packets and what becomes of them, a line each, as it happens.
    Tap(tap::Args),
    /// Shows what notices say.
    Notice(notice::Args),
    /// Makes, describes and converts gravitational-wave sky maps.
    Skymap(skymap::Args),
    /// Runs a plugin against notice files, without a host.
    Test(test::Args),
    /// Runs a plugin over the archive of packets, beside what was.
    Backtest(backtest::Args),
    /// Reads the configuration and the plugins, and starts nothing.
    Check(check::Args),
    /// Shows the configuration that is in force, its schema, or one to begin with.
    Config(config::Args),
    /// Tells what a code such as E0101 means, and what to do.
    Explain(explain::Args),
    /// Writes a plugin to begin with.
    New(new::Args),
    /// Builds plugins and puts them into a plugin directory.
    Build(build::Args),
    /// Runs the host under systemd: writes the units.
    Systemd(systemd::Args),
    /// Measures the host on this machine.
    Bench(bench::Args),
    /// Shows the version of the host and of what must fit it.
    Version(version::Args),
    /// Prints completions for a shell.
    Completions(shell::CompletionsArgs),
    /// Writes manual pages.
    Man(shell::ManArgs),
    #[command(hide = true)]
    CompileWorker(compile_worker::Args),
}

/// Parses the arguments and runs the command.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Run(args) => run::run(&args),
        Command::Replay(args) => asynchronous(replay::run(args)),
        Command::Send(args) => asynchronous(send::run(args)),
        Command::Status(args) => asynchronous(status::run(args)),
        Command::Plugin(args) => asynchronous(plugin::run(args)),
        Command::Reload(args) => asynchronous(reload::run(args)),
        Command::Ledger(args) => ledger::run(&args),
        Command::Pause(args) => asynchronous(pause::pause(args)),
        Command::Unpause(args) => asynchronous(pause::unpause(args)),
        Command::Task(args) => asynchronous(task::run(args)),
        Command::Packet(args) => asynchronous(packet::run(args)),
        Command::Store(args) => store::run(&args),
        Command::Sql(args) => sql::run(&args),
        Command::Events(args) => events::run(&args),
        Command::Tap(args) => tap::run(&args),
        Command::Notice(args) => notice::run(&args),
        Command::Skymap(args) => skymap::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Backtest(args) => backtest::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Config(args) => config::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::New(args) => new::run(&args),
        Command::Build(args) => build::run(&args),
        Command::Systemd(args) => systemd::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Version(args) => version::run(&args),
        Command::Completions(args) => shell::completions(&args, Cli::command()),
        Command::Man(args) => shell::man(&args, Cli::command()),
        Command::CompileWorker(args) => compile_worker::run(&args),
    };
    result.unwrap_or_else(|error| {
        if is_closed_pipe(&error) {
            // Whoever read has seen enough: `gwasp ledger | head -1`.
            return ExitCode::SUCCESS;
        }
        complain(&error);
        ExitCode::FAILURE
    })
}

/// Whether what a command printed was not read to its end.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    // A socket's error lies in an error of its own, and is none of these.
    let kind = match error.downcast_ref::<serde_json::Error>() {
        Some(error) => error.io_error_kind(),
        None => error.downcast_ref().map(std::io::Error::kind),
    };
    kind == Some(std::io::ErrorKind::BrokenPipe)
}

/// Runs a command that waits for sockets.
fn asynchronous(
    command: impl Future<Output = anyhow::Result<ExitCode>>,
) -> anyhow::Result<ExitCode> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("no threads for the command")?
        .block_on(command)
}

/// Writes an error and its causes to stderr, with its code and where that is explained.
pub(crate) fn complain(error: &anyhow::Error) {
    let text = format!("{error:#}");
    let text = printable(text.trim_end());
    let line = match code_of(error.as_ref()) {
        Some(code) => format!("error[{code}]: {text}\nexplain: gwasp explain {code}\n"),
        None => format!("error: {text}\n"),
    };
    // Where stderr is closed there is nobody to tell.
    drop(std::io::stderr().lock().write_all(line.as_bytes()));
}
