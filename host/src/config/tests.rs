use super::{Config, QueueConfig};

/// What is said of a text, with the place as `line:column`.
#[track_caller]
fn check(text: &str, place: (usize, usize), says: &[&str]) {
    let said = Config::parse(text, "gwasp.toml").unwrap_err().to_string();
    let (line, column) = place;
    let place = format!("at line {line}, column {column}\n");
    for part in says
        .iter()
        .copied()
        .chain([place.as_str(), "^", "gwasp.toml"])
    {
        assert!(said.contains(part), "no {part:?} in\n{said}");
    }
    assert_eq!(said.matches("TOML parse error").count(), 1, "{said}");
}

const GCN: &str = "[listeners.gcn]\nkind = \"vtp\"\nbrokers = [\"127.0.0.1:8099\"]\n";

#[test]
fn a_mistake_in_a_listener_is_shown_in_its_place() {
    check(
        &format!("{GCN}silense = \"2m\""),
        (4, 1),
        &["is `silence` meant?"],
    );
    check(&format!("{GCN}silence = \"2 moons\""), (4, 11), &["moons"]);
    check(
        &format!("{GCN}[listeners.gcn.tls]\nca = \"x\""),
        (5, 1),
        &["is `ca_file` meant?"],
    );
    check(
        "[listeners.gcn]\nkind = \"vpt\"",
        (2, 8),
        &["is `vtp` meant?"],
    );
    check(
        "[listeners.gcn]\nbrokers = [\"a:1\"]",
        (1, 1),
        &["missing field `kind`"],
    );
    check(
        "[listeners.gcn]\nkind = \"vtp\"",
        (1, 1),
        &["missing field `brokers`"],
    );
    check(
        "[listeners.gcn]\nkind = \"vtp\"\nbrokers = [\"a\"]",
        (3, 11),
        &["no host:port"],
    );
    check(
        "[listeners.gcn]\nkind = \"vtp\"\nbrokers = []",
        (3, 11),
        &["no brokers"],
    );
    check("[listeners]\ngcn = 3", (2, 7), &["expected"]);
    check("listeners = 3", (1, 13), &["expected a map"]);
}

#[test]
fn a_mistake_in_any_other_table_is_shown_in_its_place() {
    check("[listenrs.gcn]", (1, 2), &["is `listeners` meant?"]);
    check(
        "[queues.a]\nconcurency = 3",
        (2, 1),
        &["is `concurrency` meant?"],
    );
    check("[queues.a]\nconcurrency = 0", (2, 15), &["nonzero"]);
    check("[queues.a]\nmemory = \"64\"", (2, 10), &["64MiB"]);
    check(
        "[grants.a]\nservces = []",
        (2, 1),
        &["is `services` meant?"],
    );
    check("[services.a]\norigin = \"a.org\"", (2, 10), &["no URL"]);
    check(
        "[services.a]\norigin = \"http://a.org\"\nresolve = { get = \"/x\" }",
        (3, 11),
        &["/by-key/{key}"],
    );
    check(
        "[secrets.a]\nfile = \"t\"\nservices = []\nvalue = \"x\"",
        (4, 9),
        &["`{}`"],
    );
    check("[drain]\ndeadline = 25", (2, 12), &["\"90s\""]);
    check("[queues.a]\nserial = \"yes\"", (2, 10), &["true or false"]);
    check(
        "[store]\ndirectry = \"x\"",
        (2, 1),
        &["is `directory` meant?"],
    );
    check("[store]\ndirectory = \"x", (2, 15), &[]);
}

const EXAMPLE: &str = include_str!("../../../examples/gwasp.toml");

/// The keys that a table of the example may have, as the message about a wrong one names them.
fn known_keys(header: &str) -> Vec<String> {
    let wrong = format!("{header}\nno_such_key = 1");
    let text = match header {
        "" => format!("no_such_key = 1\n{EXAMPLE}"),
        _ => EXAMPLE.replacen(header, &wrong, 1),
    };
    let said = Config::parse(&text, "").unwrap_err().to_string();
    let (_, keys) = said.split_once("expected ").unwrap();
    keys.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// `[services.archive.resolve]` is one of `services.*.resolve`.
fn kind_of(header: &str) -> String {
    let path: Vec<&str> = header.trim_matches(['[', ']']).split('.').collect();
    let named = |(at, part)| if at == 1 { "*" } else { part };
    path.into_iter()
        .enumerate()
        .map(named)
        .collect::<Vec<_>>()
        .join(".")
}

#[test]
fn the_example_has_every_key_of_every_table() {
    let example: toml::Table = EXAMPLE.parse().unwrap();
    for table in known_keys("") {
        assert!(example.contains_key(&table), "no {table}");
    }
    let headers: Vec<&str> = EXAMPLE
        .lines()
        .filter(|line| line.starts_with('['))
        .collect();
    let mut missing = std::collections::BTreeSet::new();
    let mut there = std::collections::BTreeSet::new();
    for header in headers {
        let kind = kind_of(header);
        let mut table = &example;
        for part in header.trim_matches(['[', ']']).split('.') {
            table = table[part].as_table().unwrap();
        }
        there.extend(table.keys().map(|key| format!("{kind} {key}")));
        missing.extend(known_keys(header).iter().map(|key| format!("{kind} {key}")));
    }
    missing.retain(|key| !there.contains(key));
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_example_says_what_the_defaults_are() {
    let example = Config::parse(EXAMPLE, "examples/gwasp.toml").unwrap();
    let default = Config::default();
    assert_eq!(example.drain.deadline, default.drain.deadline);
    assert_eq!(
        example.queues.get("general").unwrap(),
        QueueConfig::default()
    );
    let super::ListenerConfig::Vtp(vtp) = &example.listeners["gcn"];
    let mut plain = super::VtpConfig::with_brokers(vtp.brokers.clone());
    plain.tls.clone_from(&vtp.tls);
    assert_eq!(format!("{vtp:?}"), format!("{plain:?}"));
}
