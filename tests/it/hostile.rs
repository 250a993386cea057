//! Plugins that do wrong, by mistake or on purpose: what they meet, and that nobody else does.

pub(crate) mod guests;
mod loading;
mod running;

use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use gwasp_tests::gwasp::Gwasp;
use gwasp_tests::process::{Process, Stream};

/// What takes longer on any machine is not bounded.
const LIMIT: Duration = Duration::from_secs(240);

/// Writable memory that the program under test and each of its children may have, in KiB. The
/// compiler's own limit is below it.
const MEMORY_KIB: u64 = 1_400 << 10;

/// What a command left that ran under limits of time and memory.
struct Bounded {
    status: ExitStatus,
    stdout: String,
    stderr: String,
}

/// Runs `gwasp ARGS` with a cache of its own and bounded memory: beyond it the program dies by a
/// signal, which no test takes for an answer.
fn bounded(gwasp: &Gwasp, cache: &Path, args: &[&str]) -> Bounded {
    let inner = gwasp.command();
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(format!("ulimit -d {MEMORY_KIB} && exec \"$@\""))
        .arg("sh")
        .arg(inner.get_program())
        .args(args)
        .env("CACHE_DIRECTORY", cache)
        .env_remove("RUST_LOG")
        .env_remove("RUST_BACKTRACE");
    let mut process = Process::spawn("gwasp", command).unwrap();
    let (mut stdout, mut stderr) = (String::new(), String::new());
    while let Some(line) = process.next_line(LIMIT) {
        let text = match line.stream {
            Stream::Stdout => &mut stdout,
            Stream::Stderr => &mut stderr,
        };
        text.push_str(&line.text);
        text.push('\n');
    }
    Bounded {
        status: process.wait(LIMIT).unwrap(),
        stdout,
        stderr,
    }
}
