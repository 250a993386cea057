//! What a person's systemd has to do with a configuration: a reload that is refused, a secret that
//! it hands over, and a start that takes longer than the unit says.

use std::fs;

use super::{Supervised, Supervisor as _, UserBox, under_systemd};
use crate::faults::sender::{Again, Sender};
use crate::harness::test_plugin;
use crate::hostile::guests::version;
use crate::service::Service;

const CONFIG: &str = ".config/gwasp/gwasp.toml";
const PLUGINS: &str = ".local/state/gwasp/plugins";
/// A version that takes some seconds to compile.
const DEAR: usize = 2_000;

fn slots(host: &Supervised<UserBox>) -> String {
    let args = [
        "gwasp",
        "status",
        "--json",
        "--state",
        "/srv/gwasp/.local/state/gwasp/store",
    ];
    let answer = host.supervisor.run(&args);
    let status: serde_json::Value = serde_json::from_str(&answer.stdout).unwrap();
    status["queues"][0]["slots"].to_string()
}

#[test]
fn a_reload_that_is_refused_fails_and_the_host_goes_on_as_before() {
    let Some(host) = under_systemd("", "") else {
        return;
    };
    let systemd = &host.supervisor;
    systemd.must(&["start", "gwasp.service"]);
    let pid = systemd.pid();
    let good = host
        .stage
        .tables()
        .replace("concurrency = 8", "concurrency = 5");
    systemd.write(CONFIG, &good.replace("concurrency", "concurency"));
    let refused = systemd.systemctl(&["reload", "gwasp.service"]);
    assert!(!refused.status.success(), "{refused:?}");
    systemd.wait("the reason", |told| {
        told.contains("gwasp.toml:6:1") && told.contains("is `concurrency` meant?")
    });
    assert_eq!(systemd.property("ActiveState"), "active");
    assert_eq!(slots(&host), "8", "nothing was applied");

    systemd.write(CONFIG, &good);
    systemd.reload();
    assert_eq!(slots(&host), "5", "it returns when it is applied");
    assert_eq!(systemd.pid(), pid, "{}", systemd.told());
    host.finish(10);
}

#[test]
fn a_credential_of_systemd_reaches_the_service_that_it_is_for() {
    let service = Service::start();
    let address = format!("http://{}", service.address);
    let to = address.clone();
    let sender = Sender::start(Again::All, move |number| document(number, &to));
    let tables = format!(
        "[listeners.other]\nkind = \"vtp\"\nsource = \"other\"\nbrokers = [\"{}\"]\n\
         [services.probe]\norigin = \"{address}\"\n\
         [secrets.key]\ncredential = \"scitoken\"\nservices = [\"probe\"]\n\
         [grants.effects-probe]\nservices = [\"probe\"]\nsecrets = [\"key\"]\n[queues.one]\n",
        sender.address
    );
    let hands_over = "LoadCredential=scitoken:%h/.config/gwasp/scitoken\n";
    let Some(host) = under_systemd(&tables, hands_over) else {
        return;
    };
    let systemd = &host.supervisor;
    let probe = systemd.home().join(PLUGINS).join("effects-probe.wasm");
    fs::copy(test_plugin("effects-probe"), probe).unwrap();
    systemd.write(".config/gwasp/scitoken", "swordfish\n");
    systemd.must(&["start", "gwasp.service"]);
    sender.allow(1);
    systemd.wait("an upload", |_told| !service.uploads().is_empty());
    let uploads = service.uploads();
    assert_eq!(uploads[0].header("authorization"), Some("Bearer swordfish"));
    let told = systemd.told();
    assert!(!told.contains("secret cannot be used"), "{told}");
    assert!(!told.contains("swordfish"), "{told}");
    systemd.stop();
}

#[test]
fn a_start_that_takes_longer_than_the_unit_allows_is_waited_for() {
    let Some(host) = under_systemd("", "TimeoutStartSec=2\n") else {
        return;
    };
    let systemd = &host.supervisor;
    for number in 0..3 {
        let dear = version(number, "general", DEAR);
        let file = format!("dear-{number}.wasm");
        fs::write(systemd.home().join(PLUGINS).join(file), dear).unwrap();
    }
    systemd.own();
    systemd.must(&["start", "gwasp.service"]);
    let told = systemd.told();
    assert!(!told.contains("timed out"), "{told}");
    assert_eq!(systemd.starts(), 1, "{told}");
    host.finish(1);
}

/// A notice on which the probe uploads with its secret.
fn document(number: u64, service: &str) -> String {
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<voe:VOEvent ivorn="ivo://gwasp.test/credential#{number}" role="observation" version="2.0"
    xmlns:voe="http://www.ivoa.net/xml/VOEvent/v2.0">
  <Who><AuthorIVORN>ivo://gwasp.test/author</AuthorIVORN><Date>2026-01-02T04:05:28</Date></Who>
  <What>
    <Param name="Packet_Type" value="81"/>
    <Param name="Service" value="{service}"/>
  </What>
</voe:VOEvent>
"#
    )
}
