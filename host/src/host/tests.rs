//! A host without listeners, and a plugin directory that the tests write to.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gwasp_store::Reader;
use tokio::task::JoinHandle;

use super::{End, Host, HostError, Places};
use crate::broker::{Broker, NewPacket, NewTask, Offer, Origin, RetryPolicy, State, TaskId};
use crate::config::Config;
use crate::packet::Digest;
use crate::plugins::{AddressSpace, compile_worker};
use crate::rollout::{Fate, PluginState, PluginView, Plugins, PluginsError, Reloaded};
use crate::settings::Unchanging;
use crate::stop::StopSignal;

/// Tells the child process what to compile: the file, where to, and for which address space.
const CHILD: &str = "GWASP_TEST_COMPILE";
/// What takes longer on any machine hangs.
const LIMIT: Duration = Duration::from_secs(60);
/// The only plugin.
const PLUGIN: &str = "p";

/// The directories of a host.
struct Place(tempfile::TempDir);

/// A host that runs.
struct Running {
    broker: Arc<dyn Broker>,
    plugins: Plugins,
    store: PathBuf,
    stop: StopSignal,
    ended: JoinHandle<Result<End, HostError>>,
}

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        fs::create_dir(place.path("plugins")).unwrap();
        let program = place.path("compiler");
        let this = std::env::current_exe().unwrap();
        let script = format!(
            "#!/bin/sh\nwhile [ -e {:?} ]; do sleep 0.05; done\n\
             {CHILD}=\"$2:$3:$5\" exec {this:?} --exact \
             host::tests::a_process_that_is_told_to_compiles --nocapture\n",
            place.path("hold")
        );
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self) -> PathBuf {
        self.path("plugins").join(format!("{PLUGIN}.wasm"))
    }

    /// Puts a version into the directory at once; returns its digest.
    fn put(&self, bytes: &[u8]) -> Digest {
        let new = self.path("plugins").join(".new");
        fs::write(&new, bytes).unwrap();
        fs::rename(&new, self.file()).unwrap();
        Digest::of(bytes)
    }

    /// Has compilers wait until [`Place::let_go`].
    fn hold_compilers(&self) {
        fs::write(self.path("hold"), "").unwrap();
    }

    fn let_go(&self) {
        fs::remove_file(self.path("hold")).unwrap();
    }

    /// Has a directory that is not empty when the plugin's file goes.
    fn put_other(&self) {
        fs::write(self.path("plugins").join("other.wasm"), version("other")).unwrap();
    }

    async fn host(&self) -> Running {
        let config = "[queues.general]\nconcurrency = 2\n";
        let config = Config::parse(config, "test").unwrap();
        let places = Places {
            store: self.path("store"),
            plugins: self.path("plugins"),
            cache: self.path("cache"),
            program: self.path("compiler"),
        };
        let stop = StopSignal::default();
        let source = Arc::new(Unchanging(config.clone()));
        let host = Host::new(&config, &places, stop.clone(), source);
        let host = host.await.unwrap();
        Running {
            broker: Arc::clone(&host.broker),
            plugins: host.plugins(),
            store: places.store,
            stop,
            ended: tokio::spawn(host.run(|| {})),
        }
    }
}

impl Running {
    async fn stop(self) {
        self.stop.drain.cancel();
        let ended = tokio::time::timeout(LIMIT, self.ended).await.unwrap();
        assert_eq!(ended.unwrap().unwrap(), End::Clean);
    }

    /// The plugin's view.
    async fn view(&self) -> PluginView {
        let views = self.plugins.list().await.unwrap();
        let found = views.into_iter().find(|view| view.plugin == PLUGIN);
        found.expect("it is listed")
    }

    /// All plugins, and how they are.
    async fn states(&self) -> Vec<(String, PluginState)> {
        let views = self.plugins.list().await.unwrap().into_iter();
        views.map(|view| (view.plugin, view.state)).collect()
    }

    /// Waits until the plugin looks like this.
    async fn wait_for(&self, what: &str, is_so: impl Fn(&PluginView) -> bool) {
        let seen = async {
            while !is_so(&self.view().await) {
                tokio::task::yield_now().await;
            }
        };
        let in_time = tokio::time::timeout(LIMIT, seen).await;
        in_time.unwrap_or_else(|_late| panic!("waited for {what}"));
    }

    #[track_caller]
    fn check_reloaded(reloaded: &[Reloaded], fate: &Fate) {
        let fates: Vec<_> = reloaded.iter().map(|reloaded| &reloaded.fate).collect();
        assert_eq!(fates, [fate]);
    }

    async fn check_reload(&self, fate: Fate) {
        let reloaded = self.plugins.reload().await.unwrap();
        Self::check_reloaded(&reloaded, &fate);
    }

    async fn check_roll_back(&self, to: Option<Digest>, version: Digest) {
        let reloaded = self.plugins.roll_back(PLUGIN, to).await.unwrap();
        Self::check_reloaded(&reloaded, &Fate::Loaded { version });
        let view = self.view().await;
        let current = (view.state, view.current);
        assert_eq!(current, (PluginState::Active, Some(version)));
    }

    /// Makes a task of the plugin, which nobody has asked for yet.
    async fn submit(&self, number: u8) -> TaskId {
        let id = TaskId([number; 16]);
        let (generation, _) = self.broker.routes().unwrap();
        let accepted = self.broker.accept(generation, vec![offer(id)]).await;
        assert_eq!(accepted.unwrap().len(), 1);
        id
    }

    /// What a new task returns, and the version that it ran on.
    async fn run(&self, number: u8) -> (String, Digest) {
        let id = self.submit(number).await;
        let ended = tokio::time::timeout(LIMIT, self.ended(id));
        ended.await.unwrap()
    }

    async fn ended(&self, id: TaskId) -> (String, Digest) {
        let mut last = 0;
        loop {
            let reader = Reader::open(&self.store).unwrap();
            let detail = reader.task_by_id(id).unwrap().unwrap();
            if detail.task.state == State::Success {
                let result = String::from_utf8(detail.result.unwrap().to_vec()).unwrap();
                let version = Digest::from_bytes(detail.task.version.unwrap());
                return (result, version);
            }
            last = self.broker.watch(last).await.unwrap();
        }
    }
}

fn offer(id: TaskId) -> Offer {
    let task = NewTask {
        id,
        plugin: PLUGIN.to_owned(),
        handler: "run".to_owned(),
        queue: "general".to_owned(),
        origin: Origin::Packet,
        parent: None,
        priority: 5,
        due: 0,
        order_key: None,
        policy: RetryPolicy {
            retries: 0,
            backoff_ms: 1_000,
            max_backoff_ms: 1_000,
            timeout_ms: 30_000,
            deadline: None,
        },
        args: None,
    };
    Offer {
        packet: NewPacket {
            source: "gcn".to_owned(),
            key: "60200".to_owned(),
            id: format!("ivo://gwasp.test/{}", id.0[0]),
            identity: [id.0[0]; 32],
            digest: *Digest::of(&[id.0[0]; 8]).as_bytes(),
            role: "observation".to_owned(),
            received: 1,
            sent: None,
            content_type: "application/xml".to_owned(),
            headers: Vec::new(),
            flags: Vec::new(),
            payload: Bytes::from(vec![id.0[0]; 8]),
        },
        tasks: vec![task],
        unmatched: None,
    }
}

/// A version whose runs return `result`; its handler waits in `queue`.
fn version_in(result: &str, queue: &str) -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |file: &str| fs::read_to_string(root.join(file)).unwrap();
    let manifest = format!(
        "{{\"format\":1,\"sdk\":\"0.1.0\",\"entries\":[{{\"name\":\"run\",\"kind\":\"handler\",\
         \"keys\":[{{\"notice\":60200}}],\"options\":[[\"queue\",\"{queue}\"]]}}]}}"
    );
    let data = format!(
        "(data (i32.const 32) \"\\{:02x}\")(data (i32.const 0x8000) \"{result}\")",
        result.len()
    );
    let [low, high, ..] = manifest.len().to_le_bytes();
    let described = format!(
        "(data (i32.const 0) \"\\00\\00\\01\\00\\{low:02x}\\{high:02x}\")\
         (data (i32.const 0x10000) \"{}\")",
        manifest.replace('"', "\\22")
    );
    let text = read("tests/guests/wat/version.wat");
    let text = text
        .replace(";; RESULT", &data)
        .replace(";; MANIFEST", &described);
    let mut module = wat::parse_str(text).unwrap();
    let mut resolve = wit_parser::Resolve::default();
    let wit = read("guest-sdk/wit/dev/gwasp.wit");
    let package = resolve.push_str("gwasp.wit", &wit).unwrap();
    let world = resolve.select_world(&[package], Some("plugin")).unwrap();
    let encoding = wit_component::StringEncoding::UTF8;
    wit_component::embed_component_metadata(&mut module, &resolve, world, encoding).unwrap();
    module
}

fn version(result: &str) -> Vec<u8> {
    version_in(result, "general")
}

#[test]
fn a_process_that_is_told_to_compiles() {
    let Some(task) = std::env::var_os(CHILD) else {
        return;
    };
    let task = task.into_string().unwrap();
    let [input, output, space] = task.split(':').collect::<Vec<_>>()[..] else {
        panic!("{task}");
    };
    let space = match space {
        "ample" => AddressSpace::Ample,
        _ => AddressSpace::Short,
    };
    compile_worker(Path::new(input), Path::new(output), space).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_version_runs_and_the_one_before_is_listed() {
    let place = Place::new();
    let one = place.put(&version("one"));
    let host = place.host().await;
    assert_eq!(host.run(1).await, ("one".to_owned(), one));
    let two = place.put(&version("two"));
    host.check_reload(Fate::Loaded { version: two }).await;
    assert_eq!(host.run(2).await, ("two".to_owned(), two));
    let view = host.view().await;
    assert_eq!((view.state, view.current), (PluginState::Active, Some(two)));
    let listed: Vec<_> = view.versions.iter().map(|one| one.version).collect();
    assert_eq!(listed, [two, one]);
    assert!(view.versions.iter().all(|version| version.is_kept));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_file_changes_nothing_not_even_over_a_restart() {
    let place = Place::new();
    let one = place.put(&version("one"));
    let host = place.host().await;
    place.put(b"\0asm no plugin");
    let reloaded = host.plugins.reload().await.unwrap();
    assert!(matches!(reloaded[0].fate, Fate::Refused { .. }));
    let refused = host.view().await.refused.unwrap();
    assert_eq!(refused.version, Some(Digest::of(b"\0asm no plugin")));
    assert!(refused.reason.contains("no complete WebAssembly"));
    assert_eq!(host.run(1).await, ("one".to_owned(), one));
    host.stop().await;

    fs::remove_dir_all(place.path("cache")).unwrap();
    let host = place.host().await;
    assert_eq!(host.run(2).await, ("one".to_owned(), one));
    let two = place.put(&version("two"));
    host.check_reload(Fate::Loaded { version: two }).await;
    assert_eq!(host.view().await.refused, None);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_names_a_queue_without_a_pool_is_refused() {
    let place = Place::new();
    let one = place.put(&version("one"));
    let host = place.host().await;
    place.put(&version_in("two", "nowhere"));
    let reloaded = host.plugins.reload().await.unwrap();
    let Fate::Refused { reason } = &reloaded[0].fate else {
        panic!("{reloaded:?}");
    };
    assert!(reason.contains("[queues.nowhere]"), "{reason}");
    assert_eq!(host.run(1).await, ("one".to_owned(), one));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_goes_back_until_the_directory_has_another_version() {
    let place = Place::new();
    let one = place.put(&version("one"));
    let host = place.host().await;
    let two = place.put(&version("two"));
    host.check_reload(Fate::Loaded { version: two }).await;
    host.check_roll_back(None, one).await;
    assert_eq!(host.run(1).await, ("one".to_owned(), one));
    assert_eq!(host.view().await.passed_over, Some(two));
    // The same bytes under a new time are no new version.
    place.put(&version("two"));
    host.check_reload(Fate::PassedOver { version: two }).await;
    host.stop().await;

    let host = place.host().await;
    assert_eq!(host.run(2).await, ("one".to_owned(), one));
    let three = place.put(&version("three"));
    host.check_reload(Fate::Loaded { version: three }).await;
    assert_eq!(host.view().await.passed_over, None);
    assert_eq!(host.run(3).await, ("three".to_owned(), three));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn going_back_twice_goes_further_and_a_named_version_is_taken() {
    let place = Place::new();
    let one = place.put(&version("one"));
    let host = place.host().await;
    let two = place.put(&version("two"));
    host.check_reload(Fate::Loaded { version: two }).await;
    let three = place.put(&version("three"));
    host.check_reload(Fate::Loaded { version: three }).await;
    host.check_roll_back(None, two).await;
    host.check_roll_back(None, one).await;
    let none = host.plugins.roll_back(PLUGIN, None).await;
    assert!(matches!(none, Err(PluginsError::NoFormer(_))), "{none:?}");
    assert_eq!(host.view().await.passed_over, Some(three));
    host.check_roll_back(Some(three), three).await;
    assert_eq!(host.view().await.passed_over, None);
    let unknown = Digest::of(b"unknown");
    let gone = host.plugins.roll_back(PLUGIN, Some(unknown)).await;
    assert!(
        matches!(gone, Err(PluginsError::NotKept { .. })),
        "{gone:?}"
    );
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn putting_the_version_that_a_person_went_back_to_ends_the_decision() {
    let place = Place::new();
    let one = place.put(&version("one"));
    let host = place.host().await;
    let two = place.put(&version("two"));
    host.check_reload(Fate::Loaded { version: two }).await;
    host.check_roll_back(None, one).await;
    place.put(&version("one"));
    host.check_reload(Fate::Unchanged { version: one }).await;
    assert_eq!(host.view().await.passed_over, None);
    place.put(&version("two"));
    host.check_reload(Fate::Loaded { version: two }).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_that_is_disabled_has_no_routes_until_it_is_enabled() {
    let place = Place::new();
    place.put(&version("one"));
    let host = place.host().await;
    let waiting = TaskId([9; 16]);
    let disabled = host.plugins.disable(PLUGIN).await.unwrap();
    Running::check_reloaded(&disabled, &Fate::Disabled);
    assert!(host.broker.routes().unwrap().1.is_empty());
    assert_eq!(host.submit(9).await, waiting);
    let two = place.put(&version("two"));
    host.check_reload(Fate::Disabled).await;
    let view = host.view().await;
    assert_eq!((view.state, view.open), (PluginState::Disabled, 1));
    host.stop().await;

    let host = place.host().await;
    assert_eq!(host.view().await.state, PluginState::Disabled);
    let enabled = host.plugins.enable(PLUGIN).await.unwrap();
    Running::check_reloaded(&enabled, &Fate::Loaded { version: two });
    let ended = tokio::time::timeout(LIMIT, host.ended(waiting)).await;
    assert_eq!(ended.unwrap(), ("two".to_owned(), two));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_whose_file_is_gone_keeps_its_tasks_for_its_file() {
    let place = Place::new();
    place.put(&version("one"));
    place.put_other();
    let host = place.host().await;
    fs::remove_file(place.file()).unwrap();
    host.check_reload(Fate::Removed).await;
    let waiting = host.submit(9).await;
    let expected = [
        ("other".to_owned(), PluginState::Active),
        (PLUGIN.to_owned(), PluginState::Gone),
    ];
    assert_eq!(host.states().await, expected);
    let two = place.put(&version("two"));
    host.check_reload(Fate::Loaded { version: two }).await;
    let ended = tokio::time::timeout(LIMIT, host.ended(waiting)).await;
    assert_eq!(ended.unwrap(), ("two".to_owned(), two));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_misspelt_plugin_is_told_from_the_one_that_was_meant() {
    let place = Place::new();
    place.put(&version("one"));
    let host = place.host().await;
    let unknown = host.plugins.disable("q").await.unwrap_err().to_string();
    assert!(unknown.contains("is `p` meant?"), "{unknown}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_suggested_for_a_name_that_is_like_no_plugins() {
    let place = Place::new();
    place.put(&version("one"));
    let host = place.host().await;
    let unknown = host.plugins.disable("nix").await.unwrap_err().to_string();
    assert!(!unknown.contains("meant"), "{unknown}");
    host.stop().await;
}

/// The file is refused, and the version before it is being loaded while somebody asks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_while_a_former_version_is_loaded_is_answered() {
    let place = Place::new();
    let one = place.put(&version("one"));
    place.host().await.stop().await;
    fs::remove_file(place.file()).unwrap();
    fs::remove_dir_all(place.path("cache")).unwrap();
    let host = place.host().await;
    assert_eq!(host.view().await.state, PluginState::NotLoaded);
    place.hold_compilers();
    place.put(b"\0asm no plugin");
    host.wait_for("the former version", |view| {
        view.refused.is_some() && view.is_loading
    })
    .await;
    let asked = async { tokio::time::timeout(LIMIT, host.plugins.reload()).await };
    let released = async {
        // It is granted after the wish before it.
        host.view().await;
        place.let_go();
    };
    let (asked, ()) = tokio::join!(asked, released);
    let reloaded = asked.expect("an answer").unwrap();
    assert!(
        matches!(reloaded[0].fate, Fate::Refused { .. }),
        "{reloaded:?}"
    );
    assert_eq!(host.run(1).await, ("one".to_owned(), one));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_that_cannot_be_disabled_on_disk_goes_on_being_loaded() {
    let place = Place::new();
    place.put(&version("one"));
    let host = place.host().await;
    place.hold_compilers();
    place.put(&version("two"));
    host.wait_for("the second version", |view| view.is_loading)
        .await;
    // A store that is closed keeps nothing more, and can be read.
    host.broker.close().await.unwrap();
    let disabled = host.plugins.disable(PLUGIN).await;
    assert!(
        matches!(disabled, Err(PluginsError::Broker(_))),
        "{disabled:?}"
    );
    let view = host.view().await;
    assert_eq!((view.state, view.is_loading), (PluginState::Active, true));
    place.let_go();
    host.stop.drain.cancel();
    tokio::time::timeout(LIMIT, host.ended)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_others_can_write_to_is_refused_alone() {
    let place = Place::new();
    let one = place.put(&version("one"));
    place.put_other();
    let open_to_all = fs::Permissions::from_mode(0o666);
    fs::set_permissions(place.file(), open_to_all.clone()).unwrap();
    let host = place.host().await;
    let states = host.states().await;
    let expected = [
        ("other".to_owned(), PluginState::Active),
        (PLUGIN.to_owned(), PluginState::NotLoaded),
    ];
    assert_eq!(states, expected);
    let reason = host.view().await.refused.unwrap().reason;
    assert!(reason.contains("chmod go-w"), "{reason}");
    fs::set_permissions(place.file(), fs::Permissions::from_mode(0o644)).unwrap();
    host.check_reload(Fate::Loaded { version: one }).await;

    // What may be somebody else's does not take the place of what runs.
    place.put(&version("two"));
    fs::set_permissions(place.file(), open_to_all).unwrap();
    let reloaded = host.plugins.reload().await.unwrap();
    assert!(
        matches!(reloaded[0].fate, Fate::Refused { .. }),
        "{reloaded:?}"
    );
    assert_eq!(host.run(1).await, ("one".to_owned(), one));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_went_while_no_host_ran_goes_as_any_other() {
    let place = Place::new();
    let one = place.put(&version("one"));
    place.put_other();
    place.host().await.stop().await;
    fs::remove_file(place.file()).unwrap();
    let host = place.host().await;
    assert_eq!(host.view().await.state, PluginState::NotLoaded);
    let waiting = host.submit(9).await;
    // Who asks at once does not wait for the minute that a file has to come back.
    host.check_reload(Fate::Removed).await;
    let view = host.view().await;
    assert_eq!((view.state, view.open), (PluginState::Gone, 1));
    place.put(&version("one"));
    host.check_reload(Fate::Loaded { version: one }).await;
    let ended = tokio::time::timeout(LIMIT, host.ended(waiting)).await;
    assert_eq!(ended.unwrap(), ("one".to_owned(), one));
    host.stop().await;
}

/// A component of Python has tens of megabytes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_version_is_kept_like_any_other() {
    let place = Place::new();
    let mut bytes = version("one");
    // A custom section of no meaning: its id, its length in LEB128, a name of one byte.
    let length = 40_u32 << 20;
    bytes.push(0);
    bytes.extend((0..5).map(|at| {
        let more = if at < 4 { 0x80 } else { 0 };
        u8::try_from((length >> (7 * at)) & 0x7f).unwrap() | more
    }));
    bytes.extend([1, b'x']);
    bytes.resize(bytes.len() + (40 << 20) - 2, 0);
    let one = place.put(&bytes);
    let host = place.host().await;
    let two = place.put(&version("two"));
    host.check_reload(Fate::Loaded { version: two }).await;
    host.check_roll_back(None, one).await;
    assert_eq!(host.run(1).await, ("one".to_owned(), one));
    host.stop().await;
}
