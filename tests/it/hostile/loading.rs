//! Files that are no plugins, and plugins that misbehave before they run.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use gwasp_tests::gwasp::Gwasp;
use tempfile::TempDir;

use super::guests::{self, describing, in_world, module, text, wit};
use super::{Bounded, bounded};

/// A plugin directory with an honest plugin in it, and a cache.
struct Bench {
    gwasp: Gwasp,
    dir: TempDir,
}

impl Bench {
    fn new() -> Self {
        let bench = Self {
            gwasp: Gwasp::from_environment().unwrap(),
            dir: tempfile::tempdir().unwrap(),
        };
        std::fs::create_dir(bench.plugins()).unwrap();
        bench.put("honest", &module("honest"));
        bench
    }

    fn plugins(&self) -> PathBuf {
        self.dir.path().join("plugins")
    }

    fn cache(&self) -> PathBuf {
        self.dir.path().join("cache")
    }

    fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.plugins().join(format!("{name}.wasm"));
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn check(&self) -> Bounded {
        let plugins = self.plugins();
        bounded(
            &self.gwasp,
            &self.cache(),
            &["check", "--plugins", plugins.to_str().unwrap()],
        )
    }
}

/// The plugin is refused with these words, and the honest one beside it is not.
#[track_caller]
fn check_refused(bytes: &[u8], says: &[&str]) {
    let bench = Bench::new();
    bench.put("hostile", bytes);
    check_answer(&bench.check(), says);
}

#[track_caller]
fn check_answer(answer: &Bounded, says: &[&str]) {
    let Bounded {
        status,
        stdout,
        stderr,
    } = answer;
    assert_eq!(status.code(), Some(1), "{status}: {stderr}");
    assert!(stdout.contains("plugin    honest"), "{stdout}{stderr}");
    for words in ["hostile.wasm is refused"].iter().chain(says) {
        assert!(stderr.contains(words), "no {words:?} in {stderr}");
    }
    let escapes = |text: &str| text.contains(|c: char| c.is_control() && c != '\n');
    assert!(!escapes(stderr) && !escapes(stdout), "{stderr:?}{stdout:?}");
}

#[track_caller]
fn check_loads(answer: &Bounded) {
    assert!(answer.status.success(), "{}", answer.stderr);
    assert!(
        answer.stdout.contains("plugin    honest"),
        "{}",
        answer.stdout
    );
}

#[test]
fn an_honest_plugin_loads() {
    check_loads(&Bench::new().check());
}

#[test]
fn a_file_that_is_no_webassembly_is_refused() {
    check_refused(b"", &["no complete WebAssembly", "`gwasp build`"]);
    check_refused(&[0x5a; 100_000], &["no complete WebAssembly"]);
    let whole = module("honest");
    check_refused(&whole[..whole.len() / 2], &["no complete WebAssembly"]);
}

#[test]
fn a_module_without_a_world_is_refused() {
    let module = wat::parse_str("(module)").unwrap();
    check_refused(
        &module,
        &["not made for this host", "gwasp-sdk", "`describe`"],
    );
}

/// A module whose world is no component.
fn module_with_garbage() -> Vec<u8> {
    let mut module = wat::parse_str("(module)").unwrap();
    let name = "component-type:wit-bindgen:0.61.1:gwasp:plugin@0.1.0:plugin:encoded world";
    let mut section = vec![u8::try_from(name.len()).unwrap()];
    section.extend(name.bytes());
    section.extend([0xff; 40]);
    module.push(0);
    module.push(u8::try_from(section.len()).unwrap());
    module.extend(section);
    module
}

#[test]
fn a_world_that_is_no_world_is_refused() {
    check_refused(&module_with_garbage(), &["cannot be made a component"]);
}

#[test]
fn a_file_larger_than_memory_is_refused_unread() {
    let bench = Bench::new();
    let path = bench.put("hostile", b"");
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_len(1 << 40).unwrap();
    check_answer(
        &bench.check(),
        &["1099511627776 bytes; the limit is 67108864"],
    );
}

#[test]
fn a_file_that_never_ends_is_refused_unread() {
    let bench = Bench::new();
    std::os::unix::fs::symlink("/dev/zero", bench.plugins().join("hostile.wasm")).unwrap();
    check_answer(&bench.check(), &["no regular file"]);
}

#[test]
fn a_plugin_that_never_says_what_it_is_is_stopped() {
    let says = ["`describe` failed", "1000 ms", "interrupt"];
    check_refused(&module("describe_loops"), &says);
    check_refused(&module("start_loops"), &says);
    check_refused(&module("post_return_loops"), &says);
}

#[test]
fn a_plugin_that_takes_memory_to_say_what_it_is_is_stopped() {
    check_refused(
        &module("memory_is_large"),
        &["64 MiB of memory", "exceeds memory limits"],
    );
    check_refused(
        &module("table_is_large"),
        &["table minimum size", "exceeds table limits"],
    );
    check_refused(
        &module("memory_grows"),
        &["`describe` failed", "out of bounds"],
    );
    let memories = "(memory 1000)".repeat(50);
    let many = text("honest").replace(";; MANIFEST", &memories);
    check_refused(
        &in_world(&many, &wit()),
        &["`describe` failed", "memory count"],
    );
}

#[test]
fn what_is_no_text_is_no_manifest() {
    check_refused(
        &module("describe_is_no_text"),
        &["`describe` failed", "utf-8"],
    );
    check_refused(
        &module("describe_lies_outside"),
        &["`describe` failed", "out of bounds"],
    );
}

#[test]
fn a_plugin_that_asks_for_the_time_to_say_what_it_is_is_refused() {
    check_refused(
        &module("describe_asks"),
        &["`describe` failed", "no host function"],
    );
}

#[test]
fn a_manifest_that_makes_no_sense_is_refused() {
    #[track_caller]
    fn check(manifest: &str, says: &[&str]) {
        check_refused(&describing("honest", manifest), says);
    }
    let entry = |name: &str, options: &str| {
        format!("{{\"name\":{name},\"kind\":\"task\",\"options\":{options}}}")
    };
    let manifest = |entries: &[String]| {
        format!(
            "{{\"format\":1,\"sdk\":\"0.1.0\",\"entries\":[{}]}}",
            entries.join(",")
        )
    };
    check("{\u{1b}[31m", &["manifest cannot be read"]);
    check("", &["manifest cannot be read"]);
    let twice = entry("\"f\"", "[]");
    check(
        &manifest(&[twice.clone(), twice]),
        &["two handlers are named `f`"],
    );
    let forged = entry("\"f\\u001b[31m\\nplugin forged\"", "[]");
    check(
        &manifest(&[forged]),
        &["cannot be named", "\\u{1b}[31m\\nplugin forged"],
    );
    let unknown = entry("\"f\"", "[[\"reties\",\"9\"]]");
    check(
        &manifest(&[unknown]),
        &["does not know the option `reties`"],
    );
    let timeout = entry("\"f\"", "[[\"timeout\",\"-1\"]]");
    check(&manifest(&[timeout]), &["is no duration"]);
    let many: Vec<String> = (0..10_000)
        .map(|n| entry(&format!("\"f{n}\""), "[]"))
        .collect();
    check(&manifest(&many), &["10000 handlers; the limit is 1000"]);
    let queues: Vec<String> = (0..100)
        .map(|n| entry(&format!("\"f{n}\""), &format!("[[\"queue\",\"q{n}\"]]")))
        .collect();
    check(&manifest(&queues), &["100 queues; the limit is 16"]);
    let newer = "{\"format\":2,\"sdk\":\"9.0.0\",\"handlers\":{}}";
    check(newer, &["made by a newer gwasp-sdk (9.0.0)"]);
    let misspelt = entry("\"f\"", "[]").replace("options", "optoins");
    check(&manifest(&[misspelt]), &["unknown field `optoins`"]);
    let long = format!(
        "{{\"format\":1,\"sdk\":\"{}\",\"entries\":[]}}",
        "s".repeat(2 << 20)
    );
    check(&long, &["`describe` failed"]);
}

#[test]
fn what_the_host_does_not_offer_is_named() {
    let component = wat::parse_str(text("imports_more")).unwrap();
    check_refused(
        &component,
        &[
            "this host does not offer `wasi:filesystem/preopens@0.2.6`, `gwasp:plugin/shell@0.1.0`",
            "`gwasp build`",
        ],
    );
}

#[test]
fn a_plugin_for_another_version_of_the_boundary_is_told_both() {
    let newer = wit().replace("@0.1.0", "@0.2.0");
    let guest = text("describe_asks").replace("@0.1.0", "@0.2.0");
    check_refused(
        &in_world(&guest, &newer),
        &["version 0.2.0 of gwasp:plugin", "this host offers 0.1"],
    );
}

#[test]
fn a_plugin_with_another_idea_of_a_packet_is_refused() {
    let other = wit().replace("        key: string,\n", "        key: list<u8>,\n");
    assert_ne!(other, wit());
    let guest = text("honest").replace(";; MANIFEST", "");
    check_refused(
        &in_world(&guest, &other),
        &["has other types", "gwasp-sdk", "handle"],
    );
}

#[test]
fn a_plugin_without_a_handler_function_is_refused() {
    let wit = wit();
    let (before, _) = wit.split_once("    /// Runs one handler.").unwrap();
    let guest = text("honest").replace(";; MANIFEST", "");
    check_refused(
        &in_world(&guest, &format!("{before}}}")),
        &["a function is missing", "no export `handle`"],
    );
}

#[test]
fn a_file_that_is_dear_to_compile_is_stopped_by_a_named_limit() {
    let bomb = guests::compile_bomb();
    assert!(bomb.len() < 1 << 20, "{} bytes", bomb.len());
    check_refused(
        &bomb,
        &[
            "the compiler was stopped",
            "60 s of CPU",
            "1024 MiB of memory",
        ],
    );
}

/// The files under a directory.
fn files_under(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_under(&path));
        } else {
            files.push(path);
        }
    }
    files
}

#[test]
fn compiled_code_that_was_changed_is_compiled_again() {
    let bench = Bench::new();
    check_loads(&bench.check());
    for change in [flip, truncate, empty, remove] {
        let files = files_under(&bench.cache());
        assert_eq!(files.len(), 2, "{files:?}");
        for file in files {
            change(&file);
            check_loads(&bench.check());
        }
    }
}

fn flip(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    let flipped = middle.saturating_sub(100)..(middle + 100).min(bytes.len());
    for byte in &mut bytes[flipped] {
        *byte ^= 0x55;
    }
    std::fs::write(path, bytes).unwrap();
}

fn truncate(path: &Path) {
    let bytes = std::fs::read(path).unwrap();
    std::fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
}

fn empty(path: &Path) {
    std::fs::write(path, b"").unwrap();
}

fn remove(path: &Path) {
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_refused_file_leaves_nothing_in_the_cache() {
    let bench = Bench::new();
    bench.put("hostile", &module_with_garbage());
    bench.check();
    let files = files_under(&bench.cache());
    assert_eq!(files.len(), 2, "{files:?}");
}

#[track_caller]
fn check_writable(path: &Path, bench: &Bench, says: &str) {
    let before = std::fs::metadata(path).unwrap().permissions();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
    let answer = bench.check();
    assert!(!answer.status.success(), "{}", answer.stdout);
    assert!(answer.stderr.contains(says), "{}", answer.stderr);
    std::fs::set_permissions(path, before).unwrap();
    check_loads(&bench.check());
}

#[test]
fn a_directory_or_plugin_that_others_can_write_to_is_refused() {
    let bench = Bench::new();
    check_loads(&bench.check());
    let plugins = bench.plugins();
    let says = format!("`chmod go-w {}`", plugins.display());
    check_writable(&plugins, &bench, &says);
    let file = plugins.join("honest.wasm");
    let says = format!("`chmod go-w {}`", file.display());
    check_writable(&file, &bench, &says);
    let cache = bench.cache();
    let says = format!("`chmod 700 {}`", cache.display());
    check_writable(&cache, &bench, &says);
}

#[test]
fn a_host_does_not_start_on_a_directory_that_others_can_write_to() {
    let bench = Bench::new();
    let plugins = bench.plugins();
    std::fs::set_permissions(&plugins, std::fs::Permissions::from_mode(0o777)).unwrap();
    let state = bench.dir.path().join("state");
    let args = [
        "--plugins",
        plugins.to_str().unwrap(),
        "--state",
        state.to_str().unwrap(),
    ];
    let answer = bounded(
        &bench.gwasp,
        &bench.cache(),
        &[&["run"], &args[..]].concat(),
    );
    // EX_CONFIG of sysexits.h: starting it again does not help.
    assert_eq!(answer.status.code(), Some(78), "{}", answer.stderr);
    assert!(answer.stderr.contains("chmod go-w"), "{}", answer.stderr);
}

#[test]
fn plugins_load_where_address_space_is_short() {
    let bench = Bench::new();
    let plugins = bench.plugins();
    let mut command = std::process::Command::new("sh");
    let inner = bench.gwasp.command();
    command
        .args(["-c", "ulimit -v 1500000 && exec \"$@\"", "sh"])
        .arg(inner.get_program())
        .args(["check", "--plugins", plugins.to_str().unwrap()])
        .env("CACHE_DIRECTORY", bench.cache());
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {stderr}", output.status);
}
