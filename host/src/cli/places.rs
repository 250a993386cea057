//! Where the host finds its directories: flags, then configuration, then what systemd set,
//! then the working directory.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::config::Config;
use crate::host::Places;

/// Reads an environment variable that holds a path.
#[expect(
    clippy::disallowed_methods,
    reason = "the command line reads the environment"
)]
pub(super) fn env_path(name: &str) -> Option<PathBuf> {
    std::env::var(name)
        .ok()
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

/// How wide `$COLUMNS` says that lines may be.
#[expect(
    clippy::disallowed_methods,
    reason = "the command line reads the environment"
)]
pub(super) fn columns() -> Option<usize> {
    let columns = std::env::var("COLUMNS").ok()?.parse().ok()?;
    (columns > 0).then_some(columns)
}

/// The state directory: `flag`, the configuration, `$STATE_DIRECTORY/store`, `./gwasp-state`.
pub(super) fn store(flag: Option<&Path>, config: &Config) -> anyhow::Result<PathBuf> {
    let directory = flag
        .map(Path::to_path_buf)
        .or_else(|| config.store.directory.clone())
        .or_else(|| env_path("STATE_DIRECTORY").map(|state| state.join("store")))
        .unwrap_or_else(|| PathBuf::from("gwasp-state"));
    absolute(&directory)
}

/// All of a host's directories.
pub(super) fn all(
    plugins: Option<&Path>,
    state: Option<&Path>,
    config: &Config,
) -> anyhow::Result<Places> {
    let plugins = plugins
        .map(Path::to_path_buf)
        .or_else(|| config.plugins.directory.clone())
        .or_else(|| env_path("STATE_DIRECTORY").map(|state| state.join("plugins")))
        .unwrap_or_else(|| PathBuf::from("plugins"));
    Ok(Places {
        store: store(state, config)?,
        plugins: absolute(&plugins)?,
        cache: cache(config)?,
        program: std::env::current_exe().context("the path of this program is not known")?,
    })
}

/// The cache of compiled plugins.
pub(super) fn cache(config: &Config) -> anyhow::Result<PathBuf> {
    let directory = config
        .plugins
        .cache
        .clone()
        .or_else(|| env_path("CACHE_DIRECTORY"))
        .or_else(|| env_path("XDG_CACHE_HOME").map(|cache| cache.join("gwasp")))
        .or_else(|| env_path("HOME").map(|home| home.join(".cache/gwasp")))
        .context("no cache directory: set [plugins] cache, or the environment variable HOME")?;
    absolute(&directory)
}

/// Where a user's configuration is: `$XDG_CONFIG_HOME`, `~/.config`.
pub(super) fn config_home() -> anyhow::Result<PathBuf> {
    env_path("XDG_CONFIG_HOME")
        .or_else(|| env_path("HOME").map(|home| home.join(".config")))
        .context("no home directory: set the environment variable HOME")
}

fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("`{}` is no path", path.display()))
}

/// Reads the configuration: all its layers, with the file at `path` above the others.
pub(super) fn config(path: Option<&Path>) -> anyhow::Result<Config> {
    Ok(super::layers::layered(path)?.config)
}
