//! Which Rust toolchain builds for WebAssembly.
//!
//! Three routes, in the order in which they are tried: the toolchain in use has the target;
//! `rustup` adds it; Debian's own Rust builds the standard library along with the plugin.
//! Each route can be probed, and names the commands that would open it. Nothing here runs a
//! command that changes the machine.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The target that plugins are built for: no system interface, hence nothing to take away.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
/// A link into `lld-22`, which none of the other packages asks for. Without it the whole build
/// runs and then ends in "linker not found".
const DEBIAN_LINKER: &str = "/usr/bin/rust-lld";
const DEBIAN_PACKAGES: [&str; 5] = [
    "rustc-web",
    "cargo-web",
    "rust-web-src",
    "rust-web-llvm",
    "lld-22",
];

/// What to build with, as a person or a test may ask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Choice {
    /// The first route that is open or can be opened.
    #[default]
    Auto,
    /// Only a toolchain that has the target already.
    Installed,
    /// Only the target that rustup adds.
    Rustup,
    /// Only Debian's Rust.
    Debian,
}

impl Choice {
    /// The routes to try, in order.
    pub(crate) const fn routes(self) -> &'static [Route] {
        match self {
            Self::Auto => &[Route::Installed, Route::Rustup, Route::Debian],
            Self::Installed => &[Route::Installed],
            Self::Rustup => &[Route::Rustup],
            Self::Debian => &[Route::Debian],
        }
    }
}

/// A way to a toolchain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// The toolchain in use has the target.
    Installed,
    /// The toolchain in use gets it from rustup.
    Rustup,
    /// Debian's packages, with the standard library built from source.
    Debian,
}

/// The `cargo` and `rustc` that are in use here.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    /// What `CARGO` says, else `cargo`.
    pub(crate) cargo: PathBuf,
    /// What `RUSTC` says, else `rustc`.
    pub(crate) rustc: PathBuf,
}

/// A toolchain that can build plugins.
#[derive(Clone, Debug)]
pub(crate) struct Toolchain {
    cargo: PathBuf,
    builds_std: bool,
}

/// Commands that open a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remedy {
    /// Program and arguments of each command, in order.
    pub(crate) commands: Vec<Vec<String>>,
    /// Whether they change more than a Rust toolchain, so that a person is asked first.
    pub(crate) asks: bool,
}

impl Route {
    /// Answers the toolchain when the route is open for a build in `dir`.
    pub(crate) fn probe(self, programs: &Programs, dir: &Path) -> Option<Toolchain> {
        let open = match self {
            Self::Installed | Self::Rustup => has_target(&programs.rustc, dir),
            Self::Debian => debian_is_complete(),
        };
        open.then(|| match self {
            Self::Installed | Self::Rustup => Toolchain {
                cargo: programs.cargo.clone(),
                builds_std: false,
            },
            Self::Debian => Toolchain {
                cargo: PathBuf::from(DEBIAN_CARGO),
                builds_std: true,
            },
        })
    }

    /// The commands that would open it here, where there are any. `as_root` says whether this
    /// process may install packages by itself.
    pub(crate) fn remedy(self, as_root: bool) -> Option<Remedy> {
        match self {
            Self::Installed => None,
            Self::Rustup => answers("rustup", &["--version"]).then(|| Remedy {
                commands: vec![words(&["rustup", "target", "add", TARGET])],
                asks: false,
            }),
            Self::Debian => answers("apt-get", &["--version"]).then(|| {
                let sudo: &[&str] = if as_root { &[] } else { &["sudo"] };
                let install = ["apt-get", "install", "-y", "--no-install-recommends"];
                Remedy {
                    commands: vec![
                        words(&[sudo, &["apt-get", "update"]].concat()),
                        words(&[sudo, &install, &DEBIAN_PACKAGES].concat()),
                    ],
                    asks: true,
                }
            }),
        }
    }
}

impl Toolchain {
    /// Its `cargo`.
    pub(crate) fn cargo(&self) -> &Path {
        &self.cargo
    }

    /// Starts a command line for its `cargo`, cut off from the toolchain that started us.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.cargo);
        if self.builds_std {
            command
                .env("RUSTC", DEBIAN_RUSTC)
                // Building the standard library is not stable; Debian's compiler is a release.
                .env("RUSTC_BOOTSTRAP", "1")
                .env_remove("LD_LIBRARY_PATH")
                .env_remove("RUSTUP_TOOLCHAIN");
        }
        command
    }

    /// Arguments of `cargo build` that this toolchain needs.
    pub(crate) const fn build_args(&self) -> &'static [&'static str] {
        if self.builds_std {
            &["-Z", "build-std=std,panic_abort"]
        } else {
            &[]
        }
    }

    /// What it is, for a person.
    pub(crate) const fn describe(&self) -> &'static str {
        if self.builds_std {
            "Debian's Rust (the standard library is built along)"
        } else {
            "the installed Rust toolchain"
        }
    }
}

/// `rustc` prints the folder whether or not it exists, so the library itself is looked for.
fn has_target(rustc: &Path, dir: &Path) -> bool {
    let Some(libdir) = first_line(Command::new(rustc).current_dir(dir).args([
        "--print",
        "target-libdir",
        "--target",
        TARGET,
    ])) else {
        return false;
    };
    let Ok(entries) = std::fs::read_dir(libdir) else {
        return false;
    };
    entries.filter_map(Result::ok).any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with("libstd-") && name.ends_with(".rlib")
    })
}

fn debian_is_complete() -> bool {
    if !Path::new(DEBIAN_CARGO).exists() || !Path::new(DEBIAN_LINKER).exists() {
        return false;
    }
    // Debian 12's own rustc is too old and has no source beside it: this tells them apart.
    first_line(
        Command::new(DEBIAN_RUSTC)
            .env_remove("LD_LIBRARY_PATH")
            .args(["--print", "sysroot"]),
    )
    .is_some_and(|sysroot| {
        Path::new(&sysroot)
            .join("lib/rustlib/src/rust/library/std/Cargo.toml")
            .exists()
    })
}

fn first_line(command: &mut Command) -> Option<String> {
    let output = command.stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let line = text.lines().next()?.trim().to_owned();
    (output.status.success() && !line.is_empty()).then_some(line)
}

fn answers(program: &str, args: &[&str]) -> bool {
    Command::new(program)
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn words(command: &[&str]) -> Vec<String> {
    command.iter().map(|&word| word.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_toolchain_in_use_is_preferred_to_one_that_must_be_installed() {
        assert_eq!(
            Choice::Auto.routes(),
            [Route::Installed, Route::Rustup, Route::Debian]
        );
    }

    #[test]
    fn a_compiler_that_cannot_be_run_has_no_target() {
        assert!(!has_target(Path::new("no-such-rustc"), Path::new(".")));
    }

    #[test]
    fn only_the_route_through_debian_builds_the_standard_library() {
        let debian = Toolchain {
            cargo: PathBuf::from(DEBIAN_CARGO),
            builds_std: true,
        };
        let installed = Toolchain {
            cargo: PathBuf::from("cargo"),
            builds_std: false,
        };
        assert!(debian.build_args().contains(&"build-std=std,panic_abort"));
        assert!(installed.build_args().is_empty());
    }
}
