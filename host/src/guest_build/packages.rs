//! Which packages are plugins.
//!
//! A plugin is a package with a `cdylib` library that depends on `gwasp-sdk`. Cargo tells
//! which packages there are; nothing is guessed from folder names.

use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package, PackageId, TargetKind};

/// The crate that every plugin depends on.
const SDK: &str = "gwasp-sdk";

/// A Cargo workspace with the plugins in it that were asked for.
#[derive(Clone, Debug)]
pub(crate) struct Workspace {
    /// Folder of its root manifest.
    pub(crate) root: PathBuf,
    /// Where Cargo writes for it.
    pub(crate) target_dir: PathBuf,
    /// The plugins, at least one, by name.
    pub(crate) guests: Vec<Guest>,
}

/// A package that is a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Guest {
    /// Package name.
    pub(crate) name: String,
    /// Cargo's own name for the package.
    pub(crate) id: PackageId,
}

/// Why no plugins were found.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PackagesError {
    /// The path does not exist.
    #[error("looking for {}", path.display())]
    Path {
        /// What was given.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Cargo could not read the manifest.
    #[error("reading the packages of {}", dir.display())]
    Metadata {
        /// The folder.
        dir: PathBuf,
        /// What Cargo said.
        source: cargo_metadata::Error,
    },
    /// There are packages, and none of them is a plugin.
    #[error(
        "no plugin in {}; a plugin's Cargo.toml has `crate-type = [\"cdylib\"]` and depends on {SDK} (`gwasp new NAME` writes one)",
        dir.display()
    )]
    NoGuest {
        /// The folder.
        dir: PathBuf,
    },
}

/// The folder of each of `paths`, which are folders or manifests in them.
///
/// # Errors
/// [`PackagesError::Path`] when one does not exist.
pub(crate) fn folders(paths: &[PathBuf]) -> Result<Vec<PathBuf>, PackagesError> {
    let folder = |path: &PathBuf| {
        let full = path.canonicalize().map_err(|source| PackagesError::Path {
            path: path.clone(),
            source,
        })?;
        match full.parent() {
            Some(parent) if full.is_file() => Ok(parent.to_owned()),
            _ => Ok(full),
        }
    };
    paths.iter().map(folder).collect()
}

/// Finds the plugins in and below each of `dirs`, which are [`folders`], by workspace.
///
/// # Errors
/// [`PackagesError`] when one holds no plugin.
pub(crate) fn find(cargo: &Path, dirs: &[PathBuf]) -> Result<Vec<Workspace>, PackagesError> {
    let mut workspaces: Vec<Workspace> = Vec::new();
    for dir in dirs {
        let found = find_in(cargo, dir)?;
        match workspaces
            .iter_mut()
            .find(|workspace| workspace.root == found.root)
        {
            Some(workspace) => workspace.guests.extend(found.guests),
            None => workspaces.push(found),
        }
    }
    for workspace in &mut workspaces {
        workspace.guests.sort_by(|a, b| a.name.cmp(&b.name));
        workspace.guests.dedup();
    }
    Ok(workspaces)
}

fn find_in(cargo: &Path, dir: &Path) -> Result<Workspace, PackagesError> {
    let metadata = MetadataCommand::new()
        .cargo_path(cargo)
        .current_dir(dir)
        .no_deps()
        .exec()
        .map_err(|source| PackagesError::Metadata {
            dir: dir.to_owned(),
            source,
        })?;
    let guests = guests_below(&metadata, dir);
    if guests.is_empty() {
        return Err(PackagesError::NoGuest {
            dir: dir.to_owned(),
        });
    }
    Ok(Workspace {
        root: metadata.workspace_root.into_std_path_buf(),
        target_dir: metadata.target_directory.into_std_path_buf(),
        guests,
    })
}

fn guests_below(metadata: &Metadata, dir: &Path) -> Vec<Guest> {
    metadata
        .workspace_packages()
        .into_iter()
        .filter(|package| package.manifest_path.as_std_path().starts_with(dir))
        .filter(|package| is_guest(package))
        .map(|package| Guest {
            name: package.name.to_string(),
            id: package.id.clone(),
        })
        .collect()
}

fn is_guest(package: &Package) -> bool {
    let is_cdylib = package
        .targets
        .iter()
        .any(|target| target.is_kind(TargetKind::CDyLib));
    let knows_sdk = package
        .dependencies
        .iter()
        .any(|dependency| dependency.name == SDK && dependency.kind == DependencyKind::Normal);
    is_cdylib && knows_sdk
}
