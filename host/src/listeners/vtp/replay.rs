//! Playing notices from files: which, in what order, and how fast.
//!
//! A *score* is the notices in the order in which they are played, each with its distance from
//! the one before. Spacing as recorded follows `Who/Date`, the moment at which the author wrote
//! the notice, which is nearest to when it was sent; a notice without a readable one follows
//! the notice before it at once, in the order of file names.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use gwasp_formats::{NoticeType, Scan, VoEventHead, scan};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::broadcast::Event;

/// Largest file that is taken for a notice.
const MAX_FILE: u64 = 64 << 20;

/// A notice from a file.
#[derive(Clone, Debug)]
pub struct Notice {
    /// Where it comes from.
    pub path: PathBuf,
    /// What is sent.
    pub event: Event,
    /// Its type, where it has one.
    pub notice_type: Option<NoticeType>,
    /// `Who/Date`, where it can be read.
    pub date: Option<Timestamp>,
}

/// Why a file cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is no notice.
    #[error("{path} cannot be played: {reason}")]
    NoNotice {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// Notices, and files that were passed over.
#[derive(Debug, Default)]
pub struct Loaded {
    /// What can be played, in the order of the arguments and of file names.
    pub notices: Vec<Notice>,
    /// Files in directories that cannot be played.
    pub passed_over: Vec<LoadError>,
}

/// Loads the files of `paths`, and of directories among them every `*.xml`.
///
/// # Errors
/// [`LoadError`] for a file that was named and cannot be played, and for a directory that cannot
/// be read. What cannot be played in a directory is passed over and told.
pub fn load(paths: &[PathBuf]) -> Result<Loaded, LoadError> {
    let mut loaded = Loaded::default();
    for path in paths {
        if !path.is_dir() {
            loaded.notices.push(load_file(path)?);
            continue;
        }
        for file in xml_files(path)? {
            match load_file(&file) {
                Ok(notice) => loaded.notices.push(notice),
                Err(error) => loaded.passed_over.push(error),
            }
        }
    }
    Ok(loaded)
}

fn xml_files(directory: &Path) -> Result<Vec<PathBuf>, LoadError> {
    let unreadable = |source| LoadError::Read {
        path: directory.to_owned(),
        source,
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path
            .extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("xml"))
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn load_file(path: &Path) -> Result<Notice, LoadError> {
    let unreadable = |source| LoadError::Read {
        path: path.to_owned(),
        source,
    };
    let no_notice = |reason| LoadError::NoNotice {
        path: path.to_owned(),
        reason,
    };
    let len = fs::metadata(path).map_err(unreadable)?.len();
    if len > MAX_FILE {
        return Err(no_notice(format!(
            "it has {len} bytes, the limit is {MAX_FILE}"
        )));
    }
    let document = fs::read(path).map_err(unreadable)?;
    let head = match scan(&document, &[]) {
        Ok(Scan::VoEvent(head)) => head,
        Ok(_) => return Err(no_notice("it is no VOEvent".to_owned())),
        Err(error) => return Err(no_notice(error.to_string())),
    };
    let VoEventHead {
        ivorn: Some(ivorn),
        notice_type,
        date,
        ..
    } = head
    else {
        return Err(no_notice(
            "it has no ivorn, so nobody can acknowledge it".to_owned(),
        ));
    };
    Ok(Notice {
        path: path.to_owned(),
        event: Event {
            ivorn: ivorn.into(),
            document: document.into(),
        },
        notice_type,
        date: date.as_deref().and_then(parse_date),
    })
}

/// Reads an `xs:dateTime`; one without a zone is UTC.
fn parse_date(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(time) = text.parse() {
        return Some(time);
    }
    let civil: DateTime = text.parse().ok()?;
    TimeZone::UTC.to_timestamp(civil).ok()
}

/// How fast a score is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// One notice after each interval.
    Every(Duration),
    /// As recorded, with gaps cut to this.
    Recorded {
        /// The longest gap.
        longest: Duration,
    },
}

/// Notices with the wait before each.
pub type Score = Vec<(Duration, Notice)>;

/// Puts `notices` in order, with the wait before each; the first is played at once.
pub fn arrange(mut notices: Vec<Notice>, pace: Pace) -> Score {
    if let Pace::Recorded { .. } = pace {
        date_the_undated(&mut notices);
        notices.sort_by_key(|notice| notice.date);
    }
    let mut before: Option<Option<Timestamp>> = None;
    let mut score = Vec::with_capacity(notices.len());
    for notice in notices {
        let wait = match (before, pace) {
            (None, _) => Duration::ZERO,
            (Some(_), Pace::Every(interval)) => interval,
            (Some(before), Pace::Recorded { longest }) => gap(before, notice.date).min(longest),
        };
        before = Some(notice.date);
        score.push((wait, notice));
    }
    score
}

/// Gives each undated notice the date of the one before it.
fn date_the_undated(notices: &mut [Notice]) {
    let mut before = None;
    for notice in notices {
        notice.date = notice.date.or(before);
        before = notice.date;
    }
}

fn gap(before: Option<Timestamp>, after: Option<Timestamp>) -> Duration {
    let (Some(before), Some(after)) = (before, after) else {
        return Duration::ZERO;
    };
    Duration::try_from(after.duration_since(before)).unwrap_or_default()
}

/// So many per second or minute, as in `10/s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Time between two.
    pub interval: Duration,
}

/// A text that is no rate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no rate; write it like `10/s`, `0.5/s` or `600/m`")]
pub struct NoRate(String);

impl FromStr for Rate {
    type Err = NoRate;

    fn from_str(text: &str) -> Result<Self, NoRate> {
        parse_rate(text).ok_or_else(|| NoRate(text.to_owned()))
    }
}

fn parse_rate(text: &str) -> Option<Rate> {
    let (count, unit) = text.trim().split_once('/').unwrap_or((text, "s"));
    let count: f64 = count
        .trim()
        .parse()
        .ok()
        .filter(|count| *count > 0.0 && f64::is_finite(*count))?;
    let seconds = match unit.trim() {
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    let interval = Duration::try_from_secs_f64(seconds / count).ok()?;
    Some(Rate { interval })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(name: &str, date: Option<&str>) -> Notice {
        Notice {
            path: name.into(),
            event: Event {
                ivorn: name.into(),
                document: "".into(),
            },
            notice_type: None,
            date: date.and_then(parse_date),
        }
    }

    #[track_caller]
    fn check(pace: Pace, notices: &[(&str, Option<&str>)], expected: &[(u64, &str)]) {
        let notices = notices
            .iter()
            .map(|(name, date)| notice(name, *date))
            .collect();
        let score = arrange(notices, pace);
        let score: Vec<_> = score
            .iter()
            .map(|(wait, notice)| (wait.as_secs(), &*notice.event.ivorn))
            .collect();
        assert_eq!(score, expected);
    }

    #[test]
    fn an_interval_keeps_the_order_and_plays_the_first_at_once() {
        let notices = [
            ("b", Some("2026-01-02T00:00:00")),
            ("a", Some("2026-01-01T00:00:00")),
            ("c", None),
        ];
        let pace = Pace::Every(Duration::from_secs(2));
        check(pace, &notices, &[(0, "b"), (2, "a"), (2, "c")]);
    }

    #[test]
    fn recorded_spacing_follows_the_dates_and_cuts_long_gaps() {
        let notices = [
            ("later", Some("2026-01-01T00:00:40Z")),
            ("undated", None),
            ("first", Some("2026-01-01T00:00:10")),
            ("next year", Some("2027-01-01T00:00:00")),
        ];
        let pace = Pace::Recorded {
            longest: Duration::from_secs(60),
        };
        check(
            pace,
            &notices,
            &[
                (0, "first"),
                (30, "later"),
                (0, "undated"),
                (60, "next year"),
            ],
        );
    }

    #[test]
    fn a_date_without_a_zone_is_utc() {
        assert_eq!(
            parse_date("2026-11-21T17:50:06"),
            parse_date(" 2026-11-21T17:50:06Z\n")
        );
        assert_eq!(
            parse_date("2026-11-21T17:50:06"),
            parse_date("2026-11-21T18:50:06+01:00")
        );
        assert_eq!(parse_date("2016-01--3T03:05:12"), None);
    }

    #[test]
    fn a_rate_is_a_number_per_unit() {
        for (text, micros) in [("10/s", 100_000), ("0.5/s", 2_000_000), ("600/m", 100_000)] {
            let rate = text.parse::<Rate>().unwrap();
            assert_eq!(rate.interval, Duration::from_micros(micros), "{text}");
        }
        for text in ["", "0/s", "-1/s", "ten/s", "10/day", "NaN/s", "inf/s"] {
            assert_eq!(text.parse::<Rate>(), Err(NoRate(text.to_owned())));
        }
    }

    #[test]
    fn a_directory_plays_its_xml_files_by_name_and_passes_over_the_rest() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
        write(
            "b.xml",
            "<VOEvent ivorn='ivo://b'><Who><Date>2026-01-01T00:00:00</Date></Who></VOEvent>",
        );
        write("a.XML", "<VOEvent ivorn='ivo://a'/>");
        write("c.xml", "<html/>");
        write("d.xml", "<VOEvent/>");
        write("notes.txt", "no notice");
        let loaded = load(&[directory.path().to_owned()]).unwrap();
        let ivorns: Vec<_> = loaded.notices.iter().map(|n| &*n.event.ivorn).collect();
        assert_eq!(ivorns, ["ivo://a", "ivo://b"]);
        assert_eq!(loaded.notices[1].date, parse_date("2026-01-01T00:00:00Z"));
        assert_eq!(loaded.passed_over.len(), 2);
        assert!(
            load(&[directory.path().join("c.xml")]).is_err(),
            "it was named"
        );
    }
}
