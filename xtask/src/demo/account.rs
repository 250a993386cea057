//! What happens in a host, told to a person while it happens, and counted.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use gwasp_tests::ledger::Ledger;
use gwasp_tests::process::Line;
use gwasp_tests::sample::Notice;

/// A live account of a host's log.
#[derive(Debug, Default)]
pub(crate) struct Account {
    notices: Vec<Notice>,
    /// Packets that were accepted, and how many tasks they made.
    packets: BTreeMap<String, u64>,
    /// Ends of tasks, by packet and handler.
    ends: BTreeMap<(String, String), Vec<bool>>,
}

impl Account {
    /// Notes that the host is sent `notices`.
    pub(crate) fn expect(&mut self, notices: Vec<Notice>) {
        self.notices.extend(notices);
    }

    /// Takes in one line of the host's log, and prints what a person wants to know of it;
    /// answers whether it is about a packet or a task.
    pub(crate) fn tell(&mut self, line: &Line) -> bool {
        let time = line.json["timestamp"]
            .as_str()
            .and_then(|stamp| stamp.get(11..23));
        let time = time.unwrap_or("            ");
        match (line.target(), line.message()) {
            ("gwasp::packet", "packet accepted" | "packet is a duplicate") => {
                self.packet(time, line);
            }
            ("gwasp::task", "task succeeded") => self.task(time, line, true),
            (
                "gwasp::task",
                "task failed, to be tried again" | "task set aside" | "task revoked",
            ) => {
                self.task(time, line, false);
            }
            _ => {
                Self::other(time, line);
                return false;
            }
        }
        true
    }

    fn packet(&mut self, time: &str, line: &Line) {
        let id = text(line, "id");
        let key = if text(line, "key").is_empty() {
            "(no type)"
        } else {
            text(line, "key")
        };
        if line.message() == "packet is a duplicate" {
            println!("{time}  packet   {key:<28} known already  {id}");
            return;
        }
        let tasks = line.field("tasks").as_u64().unwrap_or_default();
        let handlers = match tasks {
            0 => "no handler".to_owned(),
            1 => "1 handler".to_owned(),
            n => format!("{n} handlers"),
        };
        println!("{time}  packet   {key:<28} {handlers:<10}  {id}");
        self.packets.insert(id.to_owned(), tasks);
    }

    fn task(&mut self, time: &str, line: &Line, succeeded: bool) {
        let handler = text(line, "handler");
        let outcome = if succeeded { "succeeded" } else { "failed" };
        let cpu = line.field("cpu_us");
        let attempt = line.field("attempt");
        let id = text(line, "packet_id");
        println!(
            "{time}    task   {handler:<28} {outcome:<10}  in {cpu} µs, attempt {attempt}, of {id}"
        );
        if !succeeded {
            println!("{:14}  why: {}", "", text(line, "error"));
        }
        self.ends
            .entry((id.to_owned(), handler.to_owned()))
            .or_default()
            .push(succeeded);
    }

    /// Warnings and errors are shown, and what plugins log.
    fn other(time: &str, line: &Line) {
        let level = line.json["level"].as_str().unwrap_or_default();
        if level == "WARN" || level == "ERROR" || line.target() == "gwasp::plugin" {
            let why = ["reason", "error"].map(|name| text(line, name)).join("");
            let colon = if why.is_empty() { "" } else { ": " };
            println!("{time}    {level:<5}  {}{colon}{why}", line.message());
        }
    }

    /// Whether each notice has arrived and each task has ended.
    pub(crate) fn is_complete(&self) -> bool {
        let arrived = self
            .notices
            .iter()
            .all(|notice| self.packets.contains_key(&notice.ivorn));
        let made: u64 = self.packets.values().sum();
        arrived && u64::try_from(self.ends.len()).is_ok_and(|ended| ended >= made)
    }

    /// Prints what the ledger says.
    pub(crate) fn summarise(&self, ledger: &Ledger) {
        let tasks = ledger.tasks;
        println!();
        println!(
            "read {} = refused {} + duplicate {} + accepted {}",
            ledger.read, ledger.refused, ledger.duplicate, ledger.accepted
        );
        println!(
            "accepted {} = matched {} + unmatched {}",
            ledger.accepted, ledger.matched, ledger.unmatched
        );
        println!(
            "tasks {} = succeeded {} + failed {} + revoked {} + open {}",
            tasks.made, tasks.succeeded, tasks.failed, tasks.revoked, tasks.open
        );
        println!();
    }

    /// Compares with what the sample is to do.
    pub(crate) fn verify(&self, ledger: &Ledger) -> Result<()> {
        let mut expected = 0;
        for notice in &self.notices {
            for handler in &notice.handlers {
                expected += 1;
                let ends: Vec<bool> = self
                    .ends
                    .iter()
                    .filter(|((id, name), _)| *id == notice.ivorn && name.ends_with(handler))
                    .flat_map(|(_, ends)| ends.iter().copied())
                    .collect();
                ensure!(
                    ends == [true],
                    "{handler} was to succeed once on {}, but ended {ends:?}",
                    notice.ivorn
                );
            }
        }
        let tasks = ledger.tasks;
        ensure!(tasks.open == 0, "{} tasks are open", tasks.open);
        ensure!(
            tasks.succeeded == expected && tasks.made == expected,
            "{expected} tasks were to succeed, the ledger has {tasks:?}"
        );
        Ok(())
    }
}

fn text<'a>(line: &'a Line, field: &str) -> &'a str {
    line.field(field).as_str().unwrap_or_default()
}
