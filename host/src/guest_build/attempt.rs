//! A build that somebody watches: it can be given up, and what the compiler says is kept.
//!
//! Cargo and all that it starts are a process group of their own, which ends with the value.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use cargo_metadata::Message;
use cargo_metadata::diagnostic::DiagnosticLevel;
use rustix::process::{Pid, Signal, kill_process_group};

use super::component::Component;
use super::packages::Workspace;
use super::toolchain::Toolchain;
use super::{BuildError, artifact, cargo, component, module_of};

/// Messages of the compiler that are kept.
const MOST_MESSAGES: usize = 100;
/// Longest of them, bytes.
const LONGEST_MESSAGE: usize = 64 << 10;
/// Lines of Cargo's own that are kept, the last ones.
const LAST_LINES: usize = 40;

/// A build under way.
#[derive(Debug)]
pub(crate) struct Attempt {
    cargo: String,
    workspace: Workspace,
    child: Child,
    said: Option<JoinHandle<std::io::Result<Said>>>,
    lines: Arc<Mutex<VecDeque<String>>>,
    reader: Option<JoinHandle<()>>,
}

/// What Cargo's messages have.
#[derive(Debug, Default)]
struct Said {
    modules: Vec<(String, PathBuf)>,
    /// As the compiler renders them, errors first.
    messages: Vec<String>,
    errors: usize,
}

/// How a build ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// Well; the compiler may have warned.
    Built {
        /// What was built, in the order of the workspace's guests.
        components: Vec<Component>,
        /// Warnings, as the compiler renders them.
        warnings: Vec<String>,
    },
    /// The compiler, or Cargo, refused it for these reasons.
    Refused(Vec<String>),
}

impl Attempt {
    /// Starts a build of the guests of one workspace; messages have colours for a terminal.
    ///
    /// # Errors
    /// [`BuildError::Cargo`].
    pub(crate) fn start(
        toolchain: &Toolchain,
        workspace: &Workspace,
        colours: bool,
    ) -> Result<Self, BuildError> {
        let name = toolchain.cargo().display().to_string();
        let messages = if colours {
            "json-diagnostic-rendered-ansi"
        } else {
            "json"
        };
        let mut command = cargo(toolchain, workspace, messages);
        command
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0);
        let mut child = command.spawn().map_err(|source| BuildError::Cargo {
            cargo: name.clone(),
            source,
        })?;
        let lines = Arc::<Mutex<VecDeque<String>>>::default();
        let said = child.stdout.take();
        let said = said.map(|stdout| std::thread::spawn(move || said_in(stdout)));
        let kept = Arc::clone(&lines);
        let reader = child.stderr.take();
        let reader = reader.map(|stderr| std::thread::spawn(move || keep_lines(stderr, &kept)));
        Ok(Self {
            cargo: name,
            workspace: workspace.clone(),
            child,
            said,
            lines,
            reader,
        })
    }

    /// What Cargo said last of what it does.
    pub(crate) fn progress(&self) -> Option<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.back().map(|line| line.trim().to_owned())
    }

    /// How it ended; none while it goes on.
    ///
    /// # Errors
    /// [`BuildError`], where it is not the compiler who refused it.
    pub(crate) fn ended(&mut self) -> Result<Option<Ended>, BuildError> {
        let status = self.child.try_wait();
        let status = status.map_err(|source| self.failed(source))?;
        status.map(|status| self.outcome(status)).transpose()
    }

    fn outcome(&mut self, status: ExitStatus) -> Result<Ended, BuildError> {
        let said = self.said.take().map(JoinHandle::join);
        let said = match said {
            Some(Ok(said)) => said.map_err(|source| self.failed(source))?,
            _ => Said::default(),
        };
        if let Some(reader) = self.reader.take() {
            // A reader that panicked has kept what it read before.
            drop(reader.join());
        }
        if !status.success() {
            return Ok(Ended::Refused(self.reasons(said)));
        }
        let guests = self.workspace.guests.iter();
        let components = guests
            .map(|guest| artifact(guest, &said.modules))
            .map(|found| found.and_then(|(package, path)| component(package, path)))
            .collect::<Result<_, _>>()?;
        Ok(Ended::Built {
            components,
            warnings: said.messages,
        })
    }

    /// The compiler's errors; where it has none, what Cargo says itself.
    fn reasons(&self, mut said: Said) -> Vec<String> {
        if said.errors > 0 {
            said.messages.truncate(said.errors);
            return said.messages;
        }
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = |line: &&String| {
            let progress = [
                "Compiling",
                "Updating",
                "Downloading",
                "Downloaded",
                "Locking",
            ];
            let first = line.split_whitespace().next().unwrap_or_default();
            !progress.contains(&first)
        };
        vec![
            lines
                .iter()
                .filter(is_news)
                .cloned()
                .collect::<Vec<_>>()
                .join("\n"),
        ]
    }

    fn failed(&self, source: std::io::Error) -> BuildError {
        BuildError::Cargo {
            cargo: self.cargo.clone(),
            source,
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(group) = group {
            // It may have ended just now.
            kill_process_group(group, Signal::KILL).ok();
        }
        drop(self.child.wait());
    }
}

/// Reads Cargo's messages to their end.
fn said_in(stdout: impl Read) -> std::io::Result<Said> {
    let mut said = Said::default();
    let mut warnings: Vec<String> = Vec::new();
    let mut errors: Vec<String> = Vec::new();
    for message in Message::parse_stream(BufReader::new(stdout)) {
        match message? {
            Message::CompilerArtifact(artifact) => said.modules.extend(module_of(artifact)),
            Message::CompilerMessage(message) => {
                let list = match message.message.level {
                    DiagnosticLevel::Error | DiagnosticLevel::Ice => &mut errors,
                    DiagnosticLevel::Warning => &mut warnings,
                    _ => continue,
                };
                let is_sum = message.message.spans.is_empty()
                    && (message.message.message.starts_with("aborting due to")
                        || message.message.message.ends_with("emitted"));
                let Some(mut text) = message.message.rendered.filter(|_| !is_sum) else {
                    continue;
                };
                text.truncate(text.floor_char_boundary(LONGEST_MESSAGE));
                let text = text.trim_end().to_owned();
                // A library of two kinds is compiled twice.
                if list.len() < MOST_MESSAGES && !list.contains(&text) {
                    list.push(text);
                }
            }
            _ => {}
        }
    }
    said.errors = errors.len();
    said.messages = errors;
    said.messages.append(&mut warnings);
    Ok(said)
}

/// Keeps the last lines of what Cargo says itself.
fn keep_lines(stderr: impl Read, kept: &Mutex<VecDeque<String>>) {
    let mut reader = BufReader::new(stderr);
    let mut line = Vec::new();
    loop {
        line.clear();
        let limited = &mut (&mut reader).take(LONGEST_MESSAGE as u64);
        match limited.read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        let mut lines = kept.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() >= LAST_LINES {
            lines.pop_front();
        }
        lines.push_back(text);
    }
}

#[cfg(test)]
mod tests {
    use super::said_in;

    fn message(level: &str, text: &str, spans: &str) -> String {
        format!(
            r#"{{"reason":"compiler-message","package_id":"path+file:///p#0.1.0","manifest_path":"/p/Cargo.toml","target":{{"kind":["cdylib"],"crate_types":["cdylib"],"name":"p","src_path":"/p/src/lib.rs","edition":"2024","doc":true,"doctest":true,"test":true}},"message":{{"rendered":"{level}: {text}\n\n","children":[],"code":null,"level":"{level}","message":"{text}","spans":{spans}}}}}"#
        ) + "\n"
    }

    #[test]
    fn errors_come_first_each_once_and_sums_are_left_out() {
        let span = r#"[{"file_name":"src/lib.rs","byte_start":0,"byte_end":1,"line_start":1,"line_end":1,"column_start":1,"column_end":2,"is_primary":true,"text":[],"label":null,"suggested_replacement":null,"suggestion_applicability":null,"expansion":null}]"#;
        let messages = [
            message("warning", "unused", span),
            message("error", "mismatched types", span),
            message("error", "mismatched types", span),
            message(
                "error",
                "aborting due to 1 previous error; 1 warning emitted",
                "[]",
            ),
        ];
        let said = said_in(messages.concat().as_bytes()).unwrap();
        assert_eq!(
            said.messages,
            ["error: mismatched types", "warning: unused"]
        );
        assert_eq!(said.errors, 1);
    }
}
