//! Files in and out: bounded reading, and writing that leaves a whole file or none.

use std::fs::{File, Permissions};
use std::io::{Read as _, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use flate2::Compression;
use flate2::write::GzEncoder;
use gwasp_kernels::work::CancelToken;

/// Reads a file of at most `most` bytes.
pub(super) fn read(path: &Path, most: usize) -> anyhow::Result<Vec<u8>> {
    let name = path.display();
    let file = File::open(path).with_context(|| format!("{name} cannot be read"))?;
    let mut bytes = Vec::new();
    let limit = u64::try_from(most)?.saturating_add(1);
    file.take(limit)
        .read_to_end(&mut bytes)
        .with_context(|| format!("{name} cannot be read"))?;
    if bytes.len() > most {
        bail!("{name} has more than {most} bytes: it is not the file that is meant");
    }
    Ok(bytes)
}

/// Writes `pieces` to a file beside `path` and renames it once it is whole and on disk; a name
/// that ends in `.gz` is compressed. What is not a file, such as a pipe, is written directly.
pub(super) fn write(
    path: &Path,
    pieces: impl Iterator<Item = Vec<u8>>,
    cancel: &CancelToken,
) -> anyhow::Result<()> {
    let cannot = || format!("{} cannot be written", path.display());
    if path.metadata().is_ok_and(|found| !found.is_file()) {
        let file = File::options()
            .write(true)
            .open(path)
            .with_context(cannot)?;
        fill(file, path, pieces, cancel)?;
        return Ok(());
    }
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let mut temporary = tempfile::Builder::new();
    let temporary = temporary
        .prefix(".gwasp-")
        .suffix(".part")
        // As any program would create it: the umask takes away from these.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(parent.unwrap_or(Path::new(".")))
        .with_context(cannot)?;
    let file = fill(temporary.as_file(), path, pieces, cancel)?;
    file.sync_all().with_context(cannot)?;
    cancel_point(cancel)?;
    temporary.persist(path).with_context(cannot)?;
    Ok(())
}

fn fill<W: Write>(
    file: W,
    path: &Path,
    pieces: impl Iterator<Item = Vec<u8>>,
    cancel: &CancelToken,
) -> anyhow::Result<W> {
    let cannot = || format!("{} cannot be written", path.display());
    if path.extension().is_some_and(|extension| extension == "gz") {
        let mut encoder = GzEncoder::new(file, Compression::default());
        copy(&mut encoder, pieces, cancel, &cannot)?;
        encoder.finish().with_context(cannot)
    } else {
        let mut file = file;
        copy(&mut file, pieces, cancel, &cannot)?;
        Ok(file)
    }
}

fn copy(
    to: &mut impl Write,
    pieces: impl Iterator<Item = Vec<u8>>,
    cancel: &CancelToken,
    cannot: &dyn Fn() -> String,
) -> anyhow::Result<()> {
    for piece in pieces {
        cancel_point(cancel)?;
        to.write_all(&piece).with_context(cannot)?;
    }
    Ok(())
}

fn cancel_point(cancel: &CancelToken) -> Result<(), gwasp_kernels::work::Cancelled> {
    if cancel.is_cancelled() {
        Err(gwasp_kernels::work::Cancelled)
    } else {
        Ok(())
    }
}
