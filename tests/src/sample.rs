//! The example notices, and what the example plugins are to do with them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// Files of `examples/notices` with the handlers that run on them, by plugin; the other files
/// have none.
const HANDLERS: [(&str, &str); 2] = [
    ("04_fermi_gbm_gnd_pos.xml", "log_position"),
    ("05_fermi_gbm_fin_pos.xml", "log_position"),
];

/// A notice that the sample sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Its file.
    pub file: PathBuf,
    /// Its IVORN.
    pub ivorn: String,
    /// The handlers that run on it.
    pub handlers: Vec<&'static str>,
}

/// Reads the notices in `dir`, in the order of their names.
///
/// # Errors
/// When a file cannot be read, or a file with handlers is missing.
pub fn notices(dir: &Path) -> Result<Vec<Notice>> {
    let entries = std::fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))?;
    let mut files: Vec<PathBuf> = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "xml"))
        .collect();
    files.sort();
    for (file, _) in HANDLERS {
        let path = dir.join(file);
        anyhow::ensure!(files.contains(&path), "{} is missing", path.display());
    }
    files.into_iter().map(notice).collect()
}

/// Writes the notice of the made-up candidate, whose files `server` has, into `dir`; the plugin
/// `localize` runs on it. `original` is the notice of that example.
///
/// # Errors
/// When a file cannot be read or written.
pub fn candidate(original: &Path, dir: &Path, server: SocketAddr) -> Result<Notice> {
    std::fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
    let text = std::fs::read_to_string(original)
        .with_context(|| format!("reading {}", original.display()))?;
    let file = dir.join("candidate.xml");
    std::fs::write(&file, text.replace("127.0.0.1:8000", &server.to_string()))?;
    Ok(Notice {
        handlers: vec!["localize.localize"],
        ..notice(file)?
    })
}

/// Writes `notices` into `dir`, each under an IVORN of its own that ends in `suffix`, so that
/// they are other notices; answers these.
///
/// # Errors
/// When a file cannot be read or written.
pub fn copies(notices: &[Notice], dir: &Path, suffix: &str) -> Result<Vec<Notice>> {
    std::fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
    let copy = |notice: &Notice| {
        let text = std::fs::read_to_string(&notice.file)?;
        let name = notice
            .file
            .file_name()
            .unwrap_or_default()
            .to_string_lossy();
        let ivorn = format!("{}_{suffix}", notice.ivorn);
        let file = dir.join(format!("{suffix}_{name}"));
        std::fs::write(&file, text.replace(&notice.ivorn, &ivorn))?;
        let handlers = notice.handlers.clone();
        Ok(Notice {
            file,
            ivorn,
            handlers,
        })
    };
    notices.iter().map(copy).collect()
}

fn notice(file: PathBuf) -> Result<Notice> {
    let text =
        std::fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    let ivorn = text
        .split("ivorn=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .with_context(|| format!("{} has no ivorn", file.display()))?
        .to_owned();
    let name = file.file_name().unwrap_or_default();
    let handlers = HANDLERS
        .iter()
        .filter(|(of, _)| name == *of)
        .map(|(_, handler)| *handler)
        .collect();
    Ok(Notice {
        file,
        ivorn,
        handlers,
    })
}
