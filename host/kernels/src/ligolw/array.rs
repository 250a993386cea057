//! Arrays and the encodings of their streams.

use super::LigolwError;
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

/// Collects an array's stream, fed piece by piece.
#[derive(Debug)]
pub(super) struct ArrayStream {
    name: String,
    dims: Vec<Dim>,
    encoding: Encoding,
    delimiter: char,
    text: String,
}

impl ArrayStream {
    /// The caller has bounded the product of the dimensions.
    pub(super) fn new(
        name: &str,
        dims: Vec<Dim>,
        encoding: Encoding,
        delimiter: char,
    ) -> Result<Self, LigolwError> {
        let stream = Self {
            name: name.to_owned(),
            dims,
            encoding,
            delimiter,
            text: String::new(),
        };
        if stream.dims.len() == 2 {
            return Ok(stream);
        }
        Err(stream.error("it needs two <Dim>s: samples and components"))
    }

    fn error(&self, problem: impl Into<String>) -> LigolwError {
        LigolwError::Array {
            array: self.name.clone(),
            problem: problem.into(),
        }
    }

    pub(super) fn feed(&mut self, text: &str) {
        self.text.push_str(text);
    }

    pub(super) fn finish(self) -> Result<Array, LigolwError> {
        let (len, components) = (self.dims[0].len, self.dims[1].len);
        let values = match self.encoding {
            Encoding::Text => transpose(&self.parse_text(len * components)?, components),
            Encoding::Base64 {
                little_endian,
                bytes,
            } => self.decode(little_endian, bytes)?,
        };
        if values.len() != len * components {
            let found = values.len();
            return Err(self.error(format!("{found} numbers, not {len} x {components}")));
        }
        Ok(Array {
            name: self.name,
            step: self.dims[0].scale,
            len,
            values,
        })
    }

    fn parse_text(&self, expected: usize) -> Result<Vec<f64>, LigolwError> {
        let mut values = Vec::with_capacity(expected.min(1 << 20));
        let separator = |c: char| c.is_whitespace() || c == self.delimiter;
        for token in self.text.split(separator).filter(|token| !token.is_empty()) {
            let value = token.parse().ok();
            let shown: String = token.chars().take(60).collect();
            values.push(value.ok_or_else(|| self.error(format!("{shown:?} is no number")))?);
        }
        Ok(values)
    }

    fn decode(&self, little_endian: bool, bytes: usize) -> Result<Vec<f64>, LigolwError> {
        let lenient =
            GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
        let engine = GeneralPurpose::new(&base64::alphabet::STANDARD, lenient);
        let packed: String = self.text.split_whitespace().collect();
        let raw = match engine.decode(packed) {
            Ok(raw) => raw,
            Err(error) => return Err(self.error(format!("not base64: {error}"))),
        };
        if !raw.len().is_multiple_of(bytes) {
            let found = raw.len();
            return Err(self.error(format!("{found} bytes are no whole {bytes}-byte numbers")));
        }
        let read = |chunk: &[u8]| {
            let mut word = [0; 8];
            for (to, from) in word.iter_mut().zip(chunk) {
                *to = *from;
            }
            let [a, b, c, d, ..] = word;
            match (bytes, little_endian) {
                (4, true) => f64::from(f32::from_le_bytes([a, b, c, d])),
                (4, false) => f64::from(f32::from_be_bytes([a, b, c, d])),
                (_, true) => f64::from_le_bytes(word),
                (_, false) => f64::from_be_bytes(word),
            }
        };
        Ok(raw.chunks_exact(bytes).map(read).collect())
    }
}

/// Sample-major to component-major.
fn transpose(values: &[f64], components: usize) -> Vec<f64> {
    let of = |k: usize| values.iter().skip(k).step_by(components.max(1)).copied();
    (0..components).flat_map(of).collect()
}
