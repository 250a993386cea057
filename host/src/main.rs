//! The `gwasp` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    gwasp::cli::main()
}
