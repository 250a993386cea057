//! The command line: one file per subcommand, thin.
//!
//! stdout carries what a command was asked for, stderr everything else. Exit codes: 0 done,
//! 1 failed, 2 wrong usage, 69 no host runs, 70 a defect, 74 the disk failed, 75 try again later, 78 the
//! configuration cannot be used, 130 interrupted.

mod backtest;
mod beat;
mod bench;
mod build;
mod check;
mod compile_worker;
mod config;
mod control;
mod dev;
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

// What a command is told of is beside its arguments: a text here would hide the longer one there.
#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Args),
    Replay(replay::Args),
    Send(send::Args),
    Status(status::Args),
    Plugin(plugin::Args),
    Reload(reload::Args),
    Ledger(ledger::Args),
    Pause(pause::PauseArgs),
    Unpause(pause::UnpauseArgs),
    Task(task::Args),
    Packet(packet::Args),
    Store(store::Args),
    Sql(sql::Args),
    Beat(beat::Args),
    Events(events::Args),
    Tap(tap::Args),
    Notice(notice::Args),
    Skymap(skymap::Args),
    /// Runs a plugin against notice files, without a host.
    Test(test::Args),
    Backtest(backtest::Args),
    Check(check::Args),
    Config(config::Args),
    Explain(explain::Args),
    New(new::Args),
    Dev(dev::Args),
    Build(build::Args),
    Systemd(systemd::Args),
    Bench(bench::Args),
    Version(version::Args),
    Completions(shell::CompletionsArgs),
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
        Command::Beat(args) => beat::run(&args),
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
        Command::Dev(args) => asynchronous(dev::run(args)),
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
