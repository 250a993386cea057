use super::{Config, Layer, Layered, QueueConfig};

/// What is said of a text, with the place as line and column.
#[track_caller]
fn check(text: &str, place: (usize, usize), says: &[&str]) {
    let said = Config::parse(text, "gwasp.toml").unwrap_err().to_string();
    let (line, column) = place;
    let place = format!(" --> gwasp.toml:{line}:{column}\n");
    for part in says.iter().copied().chain([place.as_str(), " | ", "^"]) {
        assert!(said.contains(part), "no {part:?} in\n{said}");
    }
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
        .filter(|line| line.starts_with('[') && !line.starts_with("[profiles."))
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
    // One of the three ways to say where a secret is.
    let others = ["secrets.* env", "secrets.* credential"];
    missing.retain(|key| !there.contains(key) && !others.contains(&key.as_str()));
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

#[track_caller]
fn check_layers(layers: &[Layer], path: &[&str], value: &str, origin: Option<&str>) {
    let layered = Layered::read(layers).unwrap();
    let all = super::reload::leaves(&layered.config);
    assert_eq!(all[&path.join(".")].to_string(), value);
    let path: Vec<String> = path.iter().map(|key| (*key).to_owned()).collect();
    let place = layered.origin(&path).map(super::Place::origin);
    assert_eq!(place.as_deref(), origin);
}

#[test]
fn a_later_layer_lies_over_an_earlier_one_key_by_key() {
    let layers = [
        Layer::variable("GWASP__DRAIN__DEADLINE", "40s"),
        Layer::file(
            "a.toml",
            "[drain]\ndeadline = \"30s\"\n[queues.a]\nserial = true",
        ),
        Layer::file("b.toml", "\u{feff}# ü\n[queues.a]\nconcurrency = 3"),
        Layer::variable("GWASP__KERNELS__CONCURRENCY", "2"),
    ];
    check_layers(
        &layers,
        &["drain", "deadline"],
        "\"40s\"",
        Some("$GWASP__DRAIN__DEADLINE"),
    );
    check_layers(
        &layers,
        &["queues", "a", "serial"],
        "true",
        Some("a.toml:4"),
    );
    check_layers(
        &layers,
        &["queues", "a", "concurrency"],
        "3",
        Some("b.toml:3"),
    );
    check_layers(
        &layers,
        &["kernels", "concurrency"],
        "2",
        Some("$GWASP__KERNELS__CONCURRENCY"),
    );
    check_layers(&layers, &["retention", "packets"], "\"30days\"", None);
}

#[test]
fn a_list_is_replaced_as_a_whole() {
    let list = |name| format!("[grants.p]\ntasks = [\"{name}.*\"]");
    let layers = [Layer::file("a", &list("a")), Layer::file("b", &list("b"))];
    check_layers(&layers, &["grants", "p", "tasks"], "[\"b.*\"]", Some("b:2"));
}

const PROFILES: &str = "[profiles.test.drain]\ndeadline = \"1s\"\n[drain]\ndeadline = \"2s\"\n";

#[test]
fn a_profile_lies_over_all_files_and_below_the_environment() {
    let named = format!("profile = \"test\"\n{PROFILES}");
    let deadline = ["drain", "deadline"];
    check_layers(
        &[Layer::file("a", PROFILES)],
        &deadline,
        "\"2s\"",
        Some("a:4"),
    );
    let mut layers = vec![
        Layer::file("a", &named),
        Layer::file("b", "[drain]\ndeadline = \"3s\""),
    ];
    check_layers(&layers, &deadline, "\"1s\"", Some("a:3"));
    layers.push(Layer::variable("GWASP__DRAIN__DEADLINE", "4s"));
    check_layers(
        &layers,
        &deadline,
        "\"4s\"",
        Some("$GWASP__DRAIN__DEADLINE"),
    );
    let by_variable = [
        Layer::file("a", PROFILES),
        Layer::variable("GWASP__PROFILE", "test"),
    ];
    check_layers(&by_variable, &deadline, "\"1s\"", Some("a:2"));
}

#[test]
fn a_mistake_in_any_profile_is_shown_in_its_place() {
    check(
        "profile = \"tset\"\n[profiles.test]",
        (1, 11),
        &["is `test` meant?"],
    );
    check(
        "[profiles.test.drain]\ndedline = \"1s\"",
        (2, 1),
        &["is `deadline` meant?"],
    );
    check("[profiles.a.profiles.b]", (1, 13), &["no profiles"]);
    check("profiles = 3", (1, 12), &["[profiles.NAME]"]);
}

#[test]
fn a_mistake_in_a_later_layer_is_shown_in_its_place() {
    let first = Layer::file("a.toml", GCN);
    for (layer, says) in [
        (
            Layer::file("b.toml", "\n[drain]\n\tdeadlin = 3"),
            "--> b.toml:3:2\n",
        ),
        (Layer::file("b.toml", "[drain"), "--> b.toml:1:7\n"),
        (
            Layer::variable("GWASP__DRAIN__DEADLIN", "3s"),
            "GWASP__DRAIN__DEADLIN=3s\n  |               ^^^^^^^\nis `deadline` meant?",
        ),
        (
            Layer::variable("GWASP__DRAIN__DEADLINE", "soon"),
            "GWASP__DRAIN__DEADLINE=soon\n  |                        ^^^^",
        ),
    ] {
        let said = Layered::read(&[first.clone(), layer])
            .unwrap_err()
            .to_string();
        assert!(said.contains(says), "{said}");
    }
}

#[test]
fn a_configuration_that_is_shown_can_be_read_again() {
    let config = Config::parse(EXAMPLE, "examples/gwasp.toml").unwrap();
    assert_eq!(
        config.services["gracedb"].origin.url().host_str(),
        Some("gracedb-playground.ligo.org")
    );
    let mut shown: toml::Table = toml::Table::try_from(&config).unwrap();
    shown.remove("profile");
    let text = toml::to_string(&shown).unwrap();
    let again = Config::parse(&text, "shown").unwrap();
    let changes = super::reload::Changes::between(&config, &again);
    assert_eq!(
        (changes.applied, changes.needs_restart.len()),
        (vec!["profile".to_owned()], 0)
    );
}

/// The schema of what stands at a key of a table.
fn below<'a>(
    root: &'a serde_json::Value,
    mut schema: &'a serde_json::Value,
    key: &str,
) -> Option<&'a serde_json::Value> {
    while let Some(reference) = schema["$ref"].as_str() {
        schema = root.pointer(reference.strip_prefix('#')?)?;
    }
    let parts = ["anyOf", "oneOf", "allOf"].into_iter();
    let parts = parts.filter_map(|part| schema[part].as_array()).flatten();
    let own = schema["properties"].get(key);
    let any = Some(&schema["additionalProperties"]).filter(|any| any.is_object());
    own.or(any)
        .or_else(|| parts.into_iter().find_map(|part| below(root, part, key)))
}

#[test]
fn the_schema_knows_every_key_of_the_example() {
    fn walk(root: &serde_json::Value, schema: &serde_json::Value, table: &toml::Table, at: &str) {
        for (key, value) in table {
            let inner =
                below(root, schema, key).unwrap_or_else(|| panic!("no {at}.{key} in {schema}"));
            match value.as_table() {
                Some(table) if key != "playground" => walk(root, inner, table, key),
                _ => {}
            }
        }
    }
    let schema = serde_json::to_value(schemars::schema_for!(Config)).unwrap();
    walk(&schema, &schema, &EXAMPLE.parse().unwrap(), "");
    assert!(below(&schema, &schema, "listenrs").is_none());
}

/// What is said of a text, which has a secret in it.
#[track_caller]
fn check_hidden(layers: &[Layer], says: &str) {
    let said = Layered::read(layers).unwrap_err().to_string();
    assert!(said.contains(says), "no {says:?} in\n{said}");
    assert!(!said.contains("swordfish"), "{said}");
}

#[test]
fn a_secret_that_was_written_in_place_of_a_reference_is_not_shown() {
    let table = |line: &str| [Layer::file("a", &format!("[secrets.key]\n{line}"))];
    check_hidden(&table("token = \"swordfish\""), "2 | token = …");
    check_hidden(&table("services = \"swordfish\""), "2 | services = …");
    check_hidden(
        &table("header = \"Key: swordfish\"\nservices = []"),
        "no name of a header",
    );
    check_hidden(
        &table("value = \"Bearer swordfish\"\nservices = []"),
        "one `{}`",
    );
    check_hidden(
        &table("credential = \"/swordfish\"\nservices = []"),
        "LoadCredential",
    );
    check_hidden(&table("file = swordfish"), "2 | file = …");
    check_hidden(
        &[Layer::file("a", "secrets.key.token = \"swordfish\"")],
        "1 | secrets.key.token = …",
    );
    check_hidden(
        &[Layer::file(
            "a",
            "[profiles.p.secrets.key]\ntoken = \"swordfish\"",
        )],
        "2 | token = …",
    );
    let variable = Layer::variable("GWASP__SECRETS__KEY__TOKEN", "swordfish");
    check_hidden(&[variable], "$GWASP__SECRETS__KEY__TOKEN");
    check_hidden(
        &[Layer::file(
            "a",
            "[services.s]\norigin = \"https://me:swordfish@a.org\"",
        )],
        "https://…@a.org",
    );
}
