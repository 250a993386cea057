//! `WhereWhen`: where on the sky and when.

use serde::Serialize;

use crate::{NoticeTime, TimeError, TimeScale};

/// Where and when the event was, as the document has it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct WhereWhen {
    /// Id of the observatory, as in `GEOLUN`.
    pub observatory: Option<String>,
    /// Id of the coordinate system, as in `UTC-FK5-GEO`: time scale, frame, origin.
    pub coord_system: Option<String>,
    /// The text of `ISOTime`.
    pub iso_time: Option<String>,
    /// The coordinates.
    pub coords: Option<Coords>,
    /// Text for people.
    pub description: Option<String>,
}

/// Coordinates on the sky as the document has them: texts, not yet numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Coords {
    /// What the first is, usually `RA`.
    pub name1: Option<String>,
    /// What the second is, usually `Dec`.
    pub name2: Option<String>,
    /// The first.
    pub c1: Option<String>,
    /// The second.
    pub c2: Option<String>,
    /// The error circle's radius.
    pub error_radius: Option<String>,
    /// The unit of all; degrees where none is given. `deg-deg-m` gives one for each.
    pub unit: Option<String>,
}

/// A place on the sky.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Position {
    /// Right ascension in degrees, as the notice has it; usually in `[0, 360)`.
    pub ra: f64,
    /// Declination in degrees.
    pub dec: f64,
    /// Radius of the error circle in degrees. What part of the probability it holds is the
    /// producer's custom: 68 % for Fermi GBM, 90 % for Swift.
    pub error_radius: Option<f64>,
    /// Id of the coordinate system, as in `UTC-FK5-GEO`.
    pub frame: Option<String>,
}

/// Why a notice has no position, or none to point at.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PositionError {
    /// It has no coordinates.
    #[error("the notice has no position")]
    Missing,
    /// RA, Dec and error radius are all 0, which GCN writes where nothing is known.
    #[error("RA, Dec and error radius are 0, which means no position")]
    AllZero,
    /// A coordinate is not a number.
    #[error("{what} is `{text}`, which is not a number")]
    NotANumber {
        /// Which.
        what: &'static str,
        /// Its text.
        text: String,
    },
    /// A coordinate is in a unit that cannot be turned into degrees.
    #[error("{what} is in `{unit}`, which is not a known unit of angle")]
    UnknownUnit {
        /// Which.
        what: &'static str,
        /// The unit.
        unit: String,
    },
    /// There are coordinates, but of no place on the sky.
    #[error("RA {}, Dec {} is not a usable position: {reason}", .position.ra, .position.dec)]
    Unusable {
        /// What the document says, in degrees.
        position: Box<Position>,
        /// Why not.
        reason: &'static str,
    },
}

impl WhereWhen {
    /// Returns the event time.
    ///
    /// # Errors
    ///
    /// When the document's text is impossible as a time.
    pub fn time(&self) -> Result<Option<NoticeTime>, TimeError> {
        let Some(text) = self.iso_time.as_deref() else {
            return Ok(None);
        };
        NoticeTime::parse(text).map(|time| Some(time.with_scale(self.time_scale())))
    }

    /// Returns the scale in which the time counts.
    pub fn time_scale(&self) -> TimeScale {
        TimeScale::from_coord_system(self.coord_system.as_deref().unwrap_or_default())
    }

    /// Returns the position in degrees.
    ///
    /// # Errors
    ///
    /// When there is none, none that can be read, or one that is no place on the sky.
    pub fn position(&self) -> Result<Position, PositionError> {
        let coords = self.coords.as_ref().ok_or(PositionError::Missing)?;
        let position = Position {
            ra: coords.degrees(Axis::Ra)?.ok_or(PositionError::Missing)?,
            dec: coords.degrees(Axis::Dec)?.ok_or(PositionError::Missing)?,
            error_radius: coords.degrees(Axis::Radius)?,
            frame: self.coord_system.clone(),
        };
        position.check()
    }
}

impl Position {
    fn check(self) -> Result<Self, PositionError> {
        let zero = |number: f64| number.abs() < f64::MIN_POSITIVE;
        if zero(self.ra) && zero(self.dec) && self.error_radius.is_some_and(zero) {
            return Err(PositionError::AllZero);
        }
        let reason = match self.error_radius {
            Some(radius) if radius < 0.0 => "its error radius is negative",
            _ if self.dec.abs() > 90.0 => "its declination is beyond a pole",
            _ => return Ok(self),
        };
        let position = Box::new(self);
        Err(PositionError::Unusable { position, reason })
    }
}

/// One of the three numbers of a position.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Axis {
    Ra,
    Dec,
    Radius,
}

impl Coords {
    /// The first name is `Dec`: the two are the other way round.
    fn is_swapped(&self) -> bool {
        let starts = |name: &Option<String>, with: &str| {
            let name = name.as_deref().and_then(|name| name.get(..with.len()));
            name.is_some_and(|name| name.eq_ignore_ascii_case(with))
        };
        starts(&self.name1, "dec") && starts(&self.name2, "ra")
    }

    fn degrees(&self, axis: Axis) -> Result<Option<f64>, PositionError> {
        let (text, place) = match axis {
            Axis::Radius => (&self.error_radius, 1),
            _ if (axis == Axis::Ra) != self.is_swapped() => (&self.c1, 0),
            _ => (&self.c2, 1),
        };
        let Some(text) = text else {
            return Ok(None);
        };
        let number = text
            .trim()
            .parse()
            .ok()
            .filter(|number: &f64| number.is_finite());
        let number = number.ok_or_else(|| PositionError::NotANumber {
            what: axis.name(),
            text: text.clone(),
        })?;
        let unit = self.unit.as_deref().unwrap_or_default();
        axis.to_degrees(number, unit_at(unit, place)).map(Some)
    }
}

impl Axis {
    fn name(self) -> &'static str {
        match self {
            Self::Ra => "RA",
            Self::Dec => "Dec",
            Self::Radius => "the error radius",
        }
    }

    fn to_degrees(self, number: f64, unit: &str) -> Result<f64, PositionError> {
        match (unit.to_ascii_lowercase().as_str(), self) {
            ("" | "d" | "deg" | "degs" | "degree" | "degrees", _) => Ok(number),
            ("rad" | "radian" | "radians", _) => Ok(number.to_degrees()),
            ("arcmin" | "arcminute" | "arcminutes", _) => Ok(number / 60.0),
            ("arcsec" | "arcsecond" | "arcseconds", _) => Ok(number / 3600.0),
            ("h" | "hr" | "hrs" | "hour" | "hours" | "hourangle", Self::Ra) => Ok(number * 15.0),
            _ => Err(PositionError::UnknownUnit {
                what: self.name(),
                unit: unit.to_owned(),
            }),
        }
    }
}

/// The unit of one coordinate out of `deg`, `deg deg` or `deg-deg-m`.
fn unit_at(units: &str, place: usize) -> &str {
    let separators = |c: char| c.is_whitespace() || matches!(c, '-' | ',');
    let mut units = units.split(separators).filter(|unit| !unit.is_empty());
    let first = units.next().unwrap_or_default();
    match place {
        0 => first,
        _ => units.next().unwrap_or(first),
    }
}
