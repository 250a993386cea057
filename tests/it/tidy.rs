//! The repository's own rules: who may know whom, how long a file may be, what lies where.
//!
//! The tables are those of ARCHITECTURE.md ("Rooms"). A rule that stands in the way of good
//! code is changed here and there together.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use toml::Table;

use crate::harness::root;

/// Modules of the host, and which others each may name.
const MODULES: [(&str, &[&str]); 27] = [
    ("text", &[]),
    ("explain", &[]),
    ("complaint", &["*"]),
    ("packet", &[]),
    ("intake", &["packet"]),
    ("config", &["text"]),
    ("routes", &["packet", "text"]),
    (
        "listeners",
        &["packet", "intake", "config", "explain", "text"],
    ),
    ("broker", &[]),
    ("stop", &["broker", "explain", "text"]),
    ("task", &["broker", "packet", "routes"]),
    (
        "dispatch",
        &[
            "broker", "explain", "intake", "packet", "routes", "stop", "task", "text",
        ],
    ),
    (
        "operations",
        &[
            "broker", "dispatch", "effects", "packet", "routes", "task", "text",
        ],
    ),
    ("plugins", &["config", "packet", "routes", "text"]),
    ("services", &["config", "text"]),
    (
        "effects",
        &[
            "broker", "config", "explain", "packet", "routes", "services", "task", "text",
        ],
    ),
    (
        "workers",
        &[
            "broker", "config", "effects", "explain", "packet", "plugins", "stop", "task", "text",
        ],
    ),
    (
        "rollout",
        &[
            "broker",
            "complaint",
            "config",
            "explain",
            "packet",
            "plugins",
            "routes",
            "stop",
            "text",
            "workers",
        ],
    ),
    ("settings", &["config", "explain", "rollout"]),
    (
        "dryrun",
        &[
            "broker", "config", "dispatch", "effects", "packet", "plugins", "routes", "task",
            "workers",
        ],
    ),
    (
        "backtest",
        &[
            "broker", "dispatch", "dryrun", "effects", "packet", "routes", "task", "workers",
        ],
    ),
    (
        "bench",
        &[
            "broker",
            "config",
            "dispatch",
            "effects",
            "intake",
            "listeners",
            "packet",
            "plugins",
            "routes",
            "services",
            "stop",
            "workers",
        ],
    ),
    (
        "control",
        &[
            "broker",
            "complaint",
            "config",
            "effects",
            "explain",
            "listeners",
            "operations",
            "packet",
            "rollout",
            "routes",
            "settings",
            "stop",
            "text",
            "workers",
        ],
    ),
    ("guest_build", &["plugins"]),
    ("lib", &[]),
    ("host", &["*"]),
    ("cli", &["*"]),
];

/// Packages, which of ours each may depend on, and which of others it must not.
const PACKAGES: [(&str, &[&str], &[&str]); 10] = [
    (
        "gwasp",
        &["gwasp-formats", "gwasp-store", "gwasp-kernels"],
        &[],
    ),
    ("gwasp-store", &[], &["reqwest", "wasmtime", "rustls"]),
    (
        "gwasp-kernels",
        &[],
        &["tokio", "reqwest", "wasmtime", "rustls", "rusqlite"],
    ),
    ("gwasp-kernels-fuzz", &["gwasp-kernels"], &["tokio"]),
    (
        "gwasp-formats",
        &[],
        &["tokio", "reqwest", "wasmtime", "rustls", "rusqlite"],
    ),
    ("gwasp-macros", &["gwasp-formats"], &["tokio", "wasmtime"]),
    (
        "gwasp-sdk",
        &["gwasp-formats", "gwasp-macros"],
        &["tokio", "wasmtime"],
    ),
    ("gwasp-tests", &["gwasp-store"], &["tokio", "wasmtime"]),
    ("effects-probe", &["gwasp-sdk"], &["tokio", "wasmtime"]),
    ("xtask", &["gwasp-tests"], &["tokio", "wasmtime"]),
];

/// What may lie beside these, dot-files apart.
const TOP_LEVEL: [&str; 16] = [
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "clippy.toml",
    "docs",
    "examples",
    "guest-sdk",
    "host",
    "plugins",
    "rustfmt.toml",
    "tests",
    "xtask",
];

/// Lines of a file before its tests, comments and blanks apart.
const MAX_LINES: usize = 500;

/// Files of the repository, relative to its root: what git knows or would add.
fn files() -> Vec<PathBuf> {
    let listed = Command::new("git")
        .current_dir(root())
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .output();
    let files: Vec<PathBuf> = match listed {
        Ok(output) if output.status.success() => {
            let names = String::from_utf8(output.stdout).unwrap();
            names.split_terminator('\0').map(PathBuf::from).collect()
        }
        // A copy without its history.
        _ => walk(root()),
    };
    let mut files: Vec<PathBuf> = files
        .into_iter()
        .filter(|file| root().join(file).is_file())
        .collect();
    files.sort();
    files.dedup();
    assert!(
        files.len() > 50,
        "only {} files found in {}",
        files.len(),
        root().display()
    );
    files
}

fn walk(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            files.extend(walk(&path));
        } else if path.is_file() && path.extension().is_none_or(|extension| extension != "wasm") {
            files.push(path.strip_prefix(root()).unwrap().to_owned());
        }
    }
    files
}

fn is_rust(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "rs")
}

/// The lines before a file's tests, numbered from 1, comments and blanks apart.
fn production_lines(file: &Path) -> Vec<(usize, String)> {
    if file.ends_with("tests.rs") || file.components().any(|part| part.as_os_str() == "tests") {
        return Vec::new();
    }
    let text = std::fs::read_to_string(root().join(file)).unwrap();
    before_tests(&text)
}

/// A module of tests in a file of its own is passed over; what else is for tests ends the rest.
fn before_tests(text: &str) -> Vec<(usize, String)> {
    let mut lines = text.lines().enumerate().peekable();
    let mut production = Vec::new();
    while let Some((index, line)) = lines.next() {
        if line.starts_with("#[cfg(test)]") {
            let is_elsewhere =
                |line: &str| line.starts_with("mod ") && line.trim_end().ends_with(';');
            match lines.next_if(|(_, next)| is_elsewhere(next)) {
                Some(_) => continue,
                None => break,
            }
        }
        if !line.trim().is_empty() && !line.trim_start().starts_with("//") {
            production.push((index + 1, line.to_owned()));
        }
    }
    production
}

#[test]
fn a_module_of_tests_elsewhere_does_not_end_the_production_code() {
    let text = "mod a;\n#[cfg(test)]\nmod tests;\n\n// Why.\nfn f() {}\n\
                #[cfg(test)]\nmod more {\n    fn g() {}\n}\n";
    let expected = [(1, "mod a;".to_owned()), (6, "fn f() {}".to_owned())];
    assert_eq!(before_tests(text), expected);
}

/// Fails with all that is wrong at once.
#[track_caller]
fn check_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// The host's module that a file belongs to.
fn module(file: &Path) -> Option<String> {
    let inside = file.strip_prefix("host/src").ok()?;
    let first = inside.iter().next()?.to_string_lossy().into_owned();
    Some(first.trim_end_matches(".rs").to_owned())
}

/// Modules that a file names by `crate::`, with the lines; `use crate::{a::B, c}` names two.
fn named_modules(lines: &[(usize, String)]) -> Vec<(usize, String)> {
    let mut named = Vec::new();
    for (place, (number, line)) in lines.iter().enumerate() {
        for (at, path) in line.match_indices("crate::") {
            let rest = &line[at + path.len()..];
            let following = lines[place + 1..].iter();
            match rest.strip_prefix('{') {
                Some(group) => named.extend(of_group(*number, group, following)),
                None => named.push((*number, first_name(rest))),
            }
        }
    }
    named
}

/// What stands first in each part of a group that begins in line `number` and ends in this or a
/// following line.
fn of_group<'a>(
    number: usize,
    begin: &str,
    following: impl Iterator<Item = &'a (usize, String)>,
) -> Vec<(usize, String)> {
    let mut named = Vec::new();
    let (mut depth, mut is_first) = (1_u32, true);
    let lines = std::iter::once((number, begin));
    for (number, line) in lines.chain(following.map(|(number, line)| (*number, line.as_str()))) {
        for (at, c) in line.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 1 => return named,
                '}' => depth -= 1,
                ',' if depth == 1 => is_first = true,
                c if depth == 1 && is_first && c.is_alphabetic() => {
                    named.push((number, first_name(&line[at..])));
                    is_first = false;
                }
                _ => {}
            }
        }
    }
    named
}

fn first_name(path: &str) -> String {
    path.chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

#[test]
fn grouped_imports_name_each_of_their_modules() {
    let text = "use crate::packet::Key;\nuse crate::{\n    broker::{Broker, Input},\n    \
                routes::Routes, text,\n};\nfn f(x: crate::task::X) {}\nuse crate::{stop};";
    let lines: Vec<(usize, String)> = (1..).zip(text.lines().map(str::to_owned)).collect();
    let named = named_modules(&lines);
    let named: Vec<(usize, &str)> = named.iter().map(|(n, name)| (*n, name.as_str())).collect();
    let expected = [
        (1, "packet"),
        (3, "broker"),
        (4, "routes"),
        (4, "text"),
        (6, "task"),
        (7, "stop"),
    ];
    assert_eq!(named, expected);
}

#[test]
fn the_architecture_can_be_read_in_one_sitting() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let lines = text.lines().count();
    assert!(
        lines <= 250,
        "{lines} lines: put what is for few readers into docs/"
    );
}

#[test]
fn a_module_knows_only_those_that_its_room_allows() {
    let mut wrong = Vec::new();
    for file in files().iter().filter(|file| is_rust(file)) {
        let Some(module) = module(file).filter(|module| module != "main") else {
            continue;
        };
        let Some((_, allowed)) = MODULES.iter().find(|(name, _)| *name == module) else {
            wrong.push(format!(
                "{}: no room for `{module}` in tidy.rs",
                file.display()
            ));
            continue;
        };
        for (number, named) in named_modules(&production_lines(file)) {
            if named != module && !allowed.contains(&named.as_str()) && *allowed != ["*"] {
                let place = format!("{}:{number}", file.display());
                wrong.push(format!("{place}: `{module}` may not know `{named}`"));
            }
        }
    }
    check_none(&wrong);
}

#[test]
fn the_store_is_named_by_the_broker_and_those_who_wire_or_show_it() {
    let may = ["backtest", "broker", "bench", "cli", "complaint", "host"];
    let mut wrong = Vec::new();
    for file in files().iter().filter(|file| is_rust(file)) {
        if module(file).is_some_and(|module| !may.contains(&module.as_str())) {
            let lines = production_lines(file);
            if let Some((number, _)) = lines.iter().find(|(_, line)| line.contains("gwasp_store")) {
                let place = format!("{}:{number}", file.display());
                wrong.push(format!(
                    "{place}: names `gwasp_store`; take it from `broker`"
                ));
            }
        }
    }
    check_none(&wrong);
}

#[test]
fn the_host_knows_no_subcommand() {
    let mut wrong = Vec::new();
    for file in files().iter().filter(|file| is_rust(file)) {
        if module(file).is_some_and(|module| module != "cli" && module != "main") {
            let named = named_modules(&production_lines(file));
            if let Some((number, _)) = named.iter().find(|(_, name)| name == "cli") {
                wrong.push(format!("{}:{number}: names `cli`", file.display()));
            }
        }
    }
    check_none(&wrong);
}

#[test]
fn a_package_depends_only_on_those_that_its_room_allows() {
    let mut wrong = Vec::new();
    for file in files().iter().filter(|file| file.ends_with("Cargo.toml")) {
        if file.starts_with("guest-sdk/template") {
            continue; // A text with holes; `gwasp new` is tested on its own.
        }
        let manifest: Table = std::fs::read_to_string(root().join(file))
            .unwrap()
            .parse()
            .unwrap();
        let Some(name) = manifest
            .get("package")
            .and_then(|package| package.get("name"))
        else {
            continue;
        };
        let name = name.as_str().unwrap();
        let known = PACKAGES.iter().find(|(package, ..)| *package == name);
        let (ours, banned): (&[&str], &[&str]) = match known {
            Some((_, ours, banned)) => (ours, banned),
            None if is_plugin(file) => (&["gwasp-sdk"], &["tokio", "wasmtime"]),
            None => panic!(
                "{}: no room for package `{name}` in tidy.rs",
                file.display()
            ),
        };
        let dependencies = manifest.get("dependencies").and_then(toml::Value::as_table);
        for dependency in dependencies.into_iter().flat_map(Table::keys) {
            let foreign = !dependency.starts_with("gwasp");
            if banned.contains(&dependency.as_str())
                || !(foreign || ours.contains(&dependency.as_str()))
            {
                wrong.push(format!("{name} may not depend on {dependency}"));
            }
        }
    }
    check_none(&wrong);
}

/// Plugins see the SDK and nothing else of ours.
fn is_plugin(manifest: &Path) -> bool {
    ["plugins", "examples", "guest-sdk/examples", "tests/guests"]
        .iter()
        .any(|room| manifest.starts_with(room))
}

#[test]
fn a_file_of_production_code_has_at_most_500_lines() {
    let mut wrong = Vec::new();
    for file in files().iter().filter(|file| is_rust(file)) {
        let lines = production_lines(file).len();
        if lines > MAX_LINES {
            wrong.push(format!(
                "{}: {lines} lines; split it by its nouns",
                file.display()
            ));
        }
    }
    check_none(&wrong);
}

#[test]
fn a_module_with_parts_is_a_file_beside_its_folder() {
    let found: Vec<String> = files()
        .iter()
        .filter(|file| file.ends_with("mod.rs"))
        .map(|file| format!("{}: name it after its folder, beside it", file.display()))
        .collect();
    check_none(&found);
}

#[test]
fn nothing_unknown_lies_at_the_top() {
    let top: BTreeSet<String> = files()
        .iter()
        .filter_map(|file| Some(file.iter().next()?.to_string_lossy().into_owned()))
        .collect();
    let unknown: Vec<String> = top
        .into_iter()
        .filter(|name| !name.starts_with('.'))
        .filter(|name| !TOP_LEVEL.contains(&name.as_str()))
        .map(|name| format!("{name} lies at the top; find it a room"))
        .collect();
    check_none(&unknown);
}

#[test]
fn no_file_names_a_path_of_somebodys_machine() {
    // Put together here, so that this file does not contain them.
    let paths = [
        ["/wo", "rk/"],
        ["/var/t", "mp/"],
        ["/ro", "ot/"],
        ["/ho", "me/"],
    ]
    .map(|halves| halves.concat());
    let mut wrong = Vec::new();
    for file in files() {
        let Ok(text) = std::fs::read_to_string(root().join(&file)) else {
            continue;
        };
        for (index, line) in text.lines().enumerate() {
            if paths.iter().any(|path| names_path(line, path)) {
                wrong.push(format!("{}:{}: {}", file.display(), index + 1, line.trim()));
            }
        }
    }
    check_none(&wrong);
}

/// Whether `path` begins in `line`, and is not the middle of a longer one.
fn names_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before
            .is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '~' | '}' | '/'))
    })
}
