//! `gwasp new`: writes a plugin to begin with.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, ensure};

/// The files of a new plugin. In their text `{{name}}` stands for the plugin's name and
/// `{{sdk}}` for where Cargo finds the SDK.
const TEMPLATE: [(&str, &str); 6] = [
    (
        ".gitignore",
        include_str!("../../../guest-sdk/template/.gitignore"),
    ),
    (
        "Cargo.toml",
        include_str!("../../../guest-sdk/template/Cargo.toml"),
    ),
    (
        "README.md",
        include_str!("../../../guest-sdk/template/README.md"),
    ),
    (
        "clippy.toml",
        include_str!("../../../guest-sdk/template/clippy.toml"),
    ),
    (
        "src/lib.rs",
        include_str!("../../../guest-sdk/template/src/lib.rs"),
    ),
    (
        "tests/fermi.xml",
        include_str!("../../../guest-sdk/template/tests/fermi.xml"),
    ),
];

/// Writes a plugin to begin with.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  gwasp new grb-mail                   writes grb-mail/ with a first handler and its test
  gwasp build grb-mail                 builds it into ./plugins")]
pub(super) struct Args {
    /// The plugin's name, and its folder's: letters, digits, `-` and `_`.
    name: String,

    /// Folder of the SDK's source.
    #[arg(long, value_name = "DIR")]
    sdk: Option<PathBuf>,
}

/// Writes the folder `NAME` with a plugin that `gwasp build` can build.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let name = &args.name;
    check_name(name)?;
    let dir = Path::new(name);
    ensure!(
        !dir.exists(),
        "`{name}` is there already; choose another name, or remove it"
    );
    let sdk = sdk(args.sdk.as_deref())?;
    for (file, text) in TEMPLATE {
        let path = dir.join(file);
        let text = text.replace("{{name}}", name).replace("{{sdk}}", &sdk);
        write(&path, &text).with_context(|| format!("writing {}", path.display()))?;
    }
    writeln!(
        std::io::stdout(),
        "{name}/src/lib.rs has a first handler; `gwasp dev {name}` builds and runs it at each \
         save, `gwasp build {name}` builds it into plugins/"
    )?;
    Ok(ExitCode::SUCCESS)
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    std::fs::File::create_new(path)?.write_all(text.as_bytes())
}

/// What Cargo and the file system take as a name alike.
fn check_name(name: &str) -> anyhow::Result<()> {
    let starts_well = name.starts_with(|first: char| first.is_ascii_lowercase());
    let rest_is_plain = name
        .chars()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_'));
    ensure!(
        starts_well && rest_is_plain && name.len() <= 64,
        "`{name}` cannot be a plugin's name; begin with a small letter and go on with small \
         letters, digits, `-` or `_`, 64 at most"
    );
    let taken = [
        "core",
        "std",
        "alloc",
        "test",
        "proc_macro",
        "gwasp-sdk",
        "self",
        "super",
        "crate",
    ];
    ensure!(
        !taken.contains(&name),
        "`{name}` means something else to Rust; choose another name"
    );
    Ok(())
}

/// Where Cargo finds the SDK, as the value of a dependency: the folder that is given, else the
/// source that this program was built from while that is there, else the published version.
fn sdk(given: Option<&Path>) -> anyhow::Result<String> {
    let built_from = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("guest-sdk");
    let dir = match given {
        Some(dir) => Some(
            dir.canonicalize()
                .with_context(|| format!("looking for {}", dir.display()))?,
        ),
        None => built_from.exists().then_some(built_from),
    };
    Ok(match dir {
        Some(dir) => format!("{{ path = {:?} }}", dir.display().to_string()),
        None => format!("{:?}", env!("CARGO_PKG_VERSION")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_name_is(name: &str, good: bool) {
        assert_eq!(check_name(name).is_ok(), good, "name {name:?}");
    }

    #[test]
    fn a_name_is_what_cargo_and_the_file_system_take() {
        for name in ["fermi-log", "a", "grb_2"] {
            check_name_is(name, true);
        }
        for name in ["", "Fermi", "2grb", "../up", "a/b", "a b", "é", "-x", "std"] {
            check_name_is(name, false);
        }
    }

    #[test]
    fn the_manifest_of_a_new_plugin_is_valid_toml() {
        let (_, manifest) = TEMPLATE
            .iter()
            .find(|(file, _)| *file == "Cargo.toml")
            .unwrap();
        let manifest = manifest
            .replace("{{name}}", "a")
            .replace("{{sdk}}", &sdk(None).unwrap());
        let manifest: toml::Table = manifest.parse().unwrap();
        assert_eq!(manifest["package"]["name"].as_str(), Some("a"));
        assert!(manifest["dependencies"]["gwasp-sdk"].is_table());
    }
}
