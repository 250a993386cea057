//! Which layer of a configuration wins, and that no secret is shown of any.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use gwasp_tests::gwasp::Answer;
use serde_json::Value;

use crate::harness::Scene;

/// The layers, the one that wins last: where each is, or which variable it is.
const LAYERS: [&str; 8] = [
    "system/config.toml",
    "system/conf.d/10-a.toml",
    "system/conf.d/20-b.toml",
    "user/gwasp/config.toml",
    "user/gwasp/conf.d/a.toml",
    "named.toml",
    "profile",
    "GWASP__DRAIN__DEADLINE",
];

/// The time that a layer says.
fn time(layer: usize) -> String {
    format!("{}s", layer + 1)
}

/// The value and the origin of the time, with the first `layers` of them.
fn shown(layers: usize) -> (String, String) {
    let scene = Scene::new().unwrap();
    let mut command = scene.gwasp.command();
    command.args(["config", "show", "--json", "--config"]);
    command.arg(scene.path("named.toml"));
    command.env("CONFIGURATION_DIRECTORY", scene.path("system"));
    command.env("XDG_CONFIG_HOME", scene.path("user"));
    fs::write(scene.path("named.toml"), "").unwrap();
    for (layer, name) in LAYERS.iter().enumerate().take(layers) {
        let text = format!("[drain]\ndeadline = \"{}\"\n", time(layer));
        match *name {
            "profile" => {
                // A file below wins in vain.
                let file = scene.path(LAYERS[0]);
                let lower = fs::read_to_string(&file).unwrap();
                fs::write(
                    file,
                    format!("{lower}\n[profiles.test{}", &text[1..])
                        .replace("[profiles.testdrain]", "[profiles.test.drain]"),
                )
                .unwrap();
                command.env("GWASP__PROFILE", "test");
            }
            variable if variable.starts_with("GWASP__") => {
                command.env(variable, time(layer));
            }
            file => {
                let file = scene.path(file);
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(file, text).unwrap();
            }
        }
    }
    let answer = Answer::of(&mut command).unwrap();
    let rows = answer
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let row: Option<Value> = rows
        .into_iter()
        .find(|row: &Value| row["key"] == "drain.deadline");
    let row = row.unwrap_or_else(|| panic!("{answer:?}"));
    let text = |key: &str| row[key].as_str().unwrap().to_owned();
    (text("value"), text("origin"))
}

#[test]
fn a_later_layer_wins_from_the_systems_file_to_the_environment() {
    assert_eq!(shown(0), ("25s".to_owned(), "default".to_owned()));
    for layers in 1..=LAYERS.len() {
        let (value, origin) = shown(layers);
        assert_eq!(value, time(layers - 1), "{origin}");
        let from = match LAYERS[layers - 1] {
            "profile" => "system/config.toml:5",
            from => from,
        };
        assert!(origin.contains(from), "{origin} for {from}");
    }
}

#[test]
fn a_flag_wins_over_the_environment() {
    let scene = Scene::new().unwrap();
    let mut command = scene.gwasp.command();
    command.env("GWASP__STORE__DIRECTORY", "/of/the/environment");
    command.args(["config", "show", "--json", "--state", "/of/the/flag"]);
    let answer = Answer::of(&mut command).unwrap();
    assert!(
        answer
            .stdout
            .contains("\"/of/the/flag\",\"origin\":\"--state\""),
        "{answer:?}"
    );
    assert!(!answer.stdout.contains("environment"), "{answer:?}");
}

fn check_shows_no_secret(scene: &Scene, config: &Path, args: &[&str]) {
    let mut command = scene.gwasp.command();
    command.args(args).arg("--config").arg(config);
    command
        .env("SWORD", "swordfish")
        .env("CREDENTIALS_DIRECTORY", scene.path("."));
    let answer = Answer::of(&mut command).unwrap();
    let all = format!("{}{}", answer.stdout, answer.stderr);
    assert!(
        !all.is_empty() && !all.contains("swordfish"),
        "{args:?}: {all}"
    );
}

#[test]
fn no_form_in_which_a_configuration_is_shown_has_a_secret_in_it() {
    let scene = Scene::new().unwrap();
    for name in ["held", "token"] {
        let file = scene.path(name);
        fs::write(&file, "swordfish").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let good = format!(
        "[services.s]\norigin = \"https://a.org\"\n\
         [secrets.a]\nfile = {:?}\nservices = [\"s\"]\n\
         [secrets.b]\nenv = \"SWORD\"\nservices = [\"s\"]\n\
         [secrets.c]\ncredential = \"token\"\nservices = [\"s\"]\n",
        scene.path("held")
    );
    let config = scene.path("gwasp.toml");
    let forms: [&[&str]; 4] = [
        &["config", "show"],
        &["config", "show", "--origin"],
        &["config", "show", "--json"],
        &["check"],
    ];
    fs::write(&config, &good).unwrap();
    for form in forms {
        check_shows_no_secret(&scene, &config, form);
    }
    fs::write(&config, format!("{good}token = \"swordfish\"\n")).unwrap();
    for form in forms {
        check_shows_no_secret(&scene, &config, form);
    }
}
