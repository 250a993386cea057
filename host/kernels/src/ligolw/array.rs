//! Arrays and the encodings of their streams.

use super::LigolwError;
use crate::work::{gathered, reserve_within};
use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

/// One axis of an array.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dim {
    /// Name, such as `Time` or `Frequency,Real`.
    pub name: String,
    /// Number of samples.
    pub len: usize,
    /// Step between samples, if the file says.
    pub scale: Option<f64>,
}

/// A two-dimensional array: samples along the first axis, components along the second.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Array {
    /// Name without suffix.
    pub name: String,
    /// Step of the first axis.
    pub step: Option<f64>,
    /// Samples of each component.
    pub len: usize,
    /// Component-major, `[n_components][len]`.
    values: Vec<f64>,
}

impl Array {
    /// The samples of a component; `None` when there is no such component.
    pub fn component(&self, k: usize) -> Option<&[f64]> {
        let start = k.checked_mul(self.len)?;
        self.values.get(start..start.checked_add(self.len)?)
    }
}

/// How a stream writes its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// Decimal text, sample by sample.
    Text,
    /// Base64 of binary numbers, component by component.
    Base64 { little_endian: bool, bytes: usize },
}

impl Encoding {
    pub(super) fn new(encoding: &str, kind: &str) -> Option<Self> {
        let mut words = encoding.split(',').map(str::trim);
        let little_endian = match (words.next()?, words.next()) {
            ("Text" | "text" | "", None) => return Some(Self::Text),
            ("base64" | "Base64", Some("LittleEndian")) => true,
            ("base64" | "Base64", Some("BigEndian")) => false,
            _ => return None,
        };
        let bytes = match kind {
            "real_8" => 8,
            "real_4" => 4,
            _ => return None,
        };
        Some(Self::Base64 {
            little_endian,
            bytes,
        })
    }
}

/// Base64 with or without its padding.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Characters of base64 that end where a number ends, of 4 bytes or of 8.
const GROUP: usize = 32;

/// Characters of the longest number in text.
const LONGEST: usize = 1_000;

/// Reads an array's stream, fed piece by piece; keeps its numbers, not its text.
#[derive(Debug)]
pub(super) struct ArrayStream {
    name: String,
    dims: [Dim; 2],
    encoding: Encoding,
    delimiter: char,
    /// How many numbers there should be.
    expected: usize,
    /// The start of a number, or of a group of base64.
    pending: String,
    /// In the order of the stream.
    values: Vec<f64>,
}

fn error(array: &str, problem: impl Into<String>) -> LigolwError {
    LigolwError::Array {
        array: array.to_owned(),
        problem: problem.into(),
    }
}

impl ArrayStream {
    /// The caller has bounded the product of the dimensions.
    pub(super) fn new(
        name: &str,
        dims: Vec<Dim>,
        encoding: Encoding,
        delimiter: char,
    ) -> Result<Self, LigolwError> {
        let needed = "it needs two <Dim>s: samples and components";
        let dims = <[Dim; 2]>::try_from(dims).map_err(|_other| error(name, needed))?;
        Ok(Self {
            name: name.to_owned(),
            expected: dims[0].len.saturating_mul(dims[1].len),
            dims,
            encoding,
            delimiter,
            pending: String::new(),
            values: Vec::new(),
        })
    }

    fn error(&self, problem: impl Into<String>) -> LigolwError {
        error(&self.name, problem)
    }

    pub(super) fn feed(&mut self, text: &str) -> Result<(), LigolwError> {
        match self.encoding {
            Encoding::Text => self.feed_text(text),
            Encoding::Base64 { .. } => {
                self.pending.extend(text.split_whitespace());
                self.decode(self.pending.len() / GROUP * GROUP)
            }
        }
    }

    pub(super) fn finish(mut self) -> Result<Array, LigolwError> {
        let (len, components) = (self.dims[0].len, self.dims[1].len);
        match self.encoding {
            Encoding::Text => self.end_number()?,
            Encoding::Base64 { .. } => self.decode(self.pending.len())?,
        }
        if self.values.len() != self.expected {
            let found = self.values.len();
            return Err(self.error(format!("{found} numbers, not {len} x {components}")));
        }
        let values = match self.encoding {
            Encoding::Text => gathered(self.expected, transposed(&self.values, components))?,
            Encoding::Base64 { .. } => self.values,
        };
        let [samples, _] = self.dims;
        Ok(Array {
            name: self.name,
            step: samples.scale,
            len,
            values,
        })
    }

    fn push(&mut self, value: f64) -> Result<(), LigolwError> {
        if self.values.len() >= self.expected {
            let [samples, components] = self.dims.each_ref().map(|dim| dim.len);
            let problem = format!("more numbers than {samples} x {components}");
            return Err(self.error(problem));
        }
        reserve_within(&mut self.values, 1, self.expected)?;
        self.values.push(value);
        Ok(())
    }

    fn feed_text(&mut self, text: &str) -> Result<(), LigolwError> {
        let delimiter = self.delimiter;
        let mut pieces = text.split(|c: char| c.is_whitespace() || c == delimiter);
        let Some(first) = pieces.next() else {
            return Ok(());
        };
        self.begin_number(first)?;
        for piece in pieces {
            self.end_number()?;
            self.begin_number(piece)?;
        }
        Ok(())
    }

    fn begin_number(&mut self, text: &str) -> Result<(), LigolwError> {
        if self.pending.len() + text.len() > LONGEST {
            let problem = format!("a number of more than {LONGEST} characters");
            return Err(self.error(problem));
        }
        self.pending.push_str(text);
        Ok(())
    }

    fn end_number(&mut self) -> Result<(), LigolwError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let Ok(value) = self.pending.parse() else {
            let shown: String = self.pending.chars().take(60).collect();
            return Err(self.error(format!("{shown:?} is no number")));
        };
        self.pending.clear();
        self.push(value)
    }

    /// Takes the numbers of the first `len` characters that wait.
    fn decode(&mut self, len: usize) -> Result<(), LigolwError> {
        let Encoding::Base64 {
            little_endian,
            bytes,
        } = self.encoding
        else {
            return Ok(());
        };
        let raw = match LENIENT.decode(&self.pending.as_bytes()[..len]) {
            Ok(raw) => raw,
            Err(error) => {
                let before = self.values.len();
                return Err(self.error(format!("not base64 after {before} numbers: {error}")));
            }
        };
        // What was decoded is ASCII.
        self.pending.drain(..len);
        if !raw.len().is_multiple_of(bytes) {
            let found = raw.len() + self.values.len() * bytes;
            return Err(self.error(format!("{found} bytes are no whole {bytes}-byte numbers")));
        }
        raw.chunks_exact(bytes)
            .try_for_each(|chunk| self.push(number(chunk, little_endian)))
    }
}

/// A number of 4 bytes or of 8.
fn number(chunk: &[u8], little_endian: bool) -> f64 {
    let mut word = [0; 8];
    for (to, from) in word.iter_mut().zip(chunk) {
        *to = *from;
    }
    let [a, b, c, d, ..] = word;
    match (chunk.len(), little_endian) {
        (4, true) => f64::from(f32::from_le_bytes([a, b, c, d])),
        (4, false) => f64::from(f32::from_be_bytes([a, b, c, d])),
        (_, true) => f64::from_le_bytes(word),
        (_, false) => f64::from_be_bytes(word),
    }
}

/// Sample-major to component-major.
fn transposed(values: &[f64], components: usize) -> impl Iterator<Item = f64> {
    let of = move |k: usize| values.iter().skip(k).step_by(components.max(1)).copied();
    (0..components).flat_map(of)
}
