use super::Config;

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
    check("[drain]\ndeadline = 25", (2, 12), &["duration"]);
    check(
        "[store]\ndirectry = \"x\"",
        (2, 1),
        &["is `directory` meant?"],
    );
    check("[store]\ndirectory = \"x", (2, 15), &[]);
}
