//! `What`: params, alone and in groups.

use serde::Serialize;

use super::FieldError;
use crate::nearest::nearest;

/// What the notice says was measured: params and groups of params, in the document's order.
///
/// Tables are not read.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct What {
    /// Params that are in no group.
    pub params: Vec<Param>,
    /// Groups; they do not nest.
    pub groups: Vec<Group>,
    /// Text for people.
    pub description: Option<String>,
    /// Address of more.
    pub reference: Option<String>,
}

/// Params that belong together.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Group {
    /// Its name; some producers give only a type.
    pub name: Option<String>,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Its params, in the document's order.
    pub params: Vec<Param>,
    /// Text for people.
    pub description: Option<String>,
}

/// One measured value, kept as text: a number that does not parse spoils nothing else.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Param {
    /// Its name, as in `TrigID`; empty where the document has none.
    pub name: String,
    /// The `value` attribute, else the text of the `Value` child.
    pub value: Option<String>,
    /// Its unit as it stands; see [`Param::unit`].
    pub unit: Option<String>,
    /// Its unified content descriptor, as in `pos.eq.ra`.
    pub ucd: Option<String>,
    /// What the producer says it is: `string`, `int`, `float`; it need not be true.
    pub data_type: Option<String>,
    /// Text for people.
    pub description: Option<String>,
}

impl What {
    /// Finds a param that is in no group; of several with one name the first.
    ///
    /// # Errors
    ///
    /// When there is none; the error says where one with such a name is.
    pub fn param(&self, name: &str) -> Result<&Param, FieldError> {
        find(&self.params, name).ok_or_else(|| FieldError::NoParam {
            name: name.to_owned(),
            hint: self.hint_for_param(name),
        })
    }

    /// Finds a group by its name; of several with one name the first.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn group(&self, name: &str) -> Result<&Group, FieldError> {
        let mut groups = self.groups.iter();
        let found = groups.find(|group| group.name.as_deref() == Some(name));
        found.ok_or_else(|| FieldError::NoGroup {
            name: name.to_owned(),
            hint: did_you_mean(
                name,
                self.groups.iter().filter_map(|group| group.name.as_deref()),
            ),
        })
    }

    fn hint_for_param(&self, name: &str) -> String {
        let in_group = self
            .groups
            .iter()
            .find(|group| find(&group.params, name).is_some());
        match in_group.and_then(|group| group.name.as_deref()) {
            Some(group) => format!(", but Group `{group}` has one: param_in({group:?}, {name:?})"),
            None => did_you_mean(name, self.params.iter().map(|param| param.name.as_str())),
        }
    }
}

impl Group {
    /// Finds a param of this group; of several with one name the first.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn param(&self, name: &str) -> Result<&Param, FieldError> {
        find(&self.params, name).ok_or_else(|| FieldError::NoParam {
            name: name.to_owned(),
            hint: format!(
                " in Group `{}`{}",
                self.name.as_deref().unwrap_or_default(),
                did_you_mean(name, self.params.iter().map(|param| param.name.as_str()))
            ),
        })
    }
}

impl Param {
    /// Returns the value as text, without white space around it.
    ///
    /// # Errors
    ///
    /// When it has none; an empty value is a value.
    pub fn as_str(&self) -> Result<&str, FieldError> {
        let value = self.value.as_deref().map(str::trim);
        value.ok_or_else(|| FieldError::NoValue {
            param: self.name.clone(),
        })
    }

    /// Returns the value as a number, in the unit of [`Param::unit`].
    ///
    /// # Errors
    ///
    /// When it has none or it is not a number.
    pub fn as_f64(&self) -> Result<f64, FieldError> {
        let value = self.as_str()?;
        value
            .parse()
            .map_err(|_not_a_number| self.is_not("a number"))
    }

    /// Returns the value as an integer; flag words such as `0x4000` are read as hexadecimal.
    ///
    /// # Errors
    ///
    /// When it has none or it is not an integer; `5.0` is none.
    pub fn as_i64(&self) -> Result<i64, FieldError> {
        let value = self.as_str()?;
        let number = match value
            .strip_prefix("0x")
            .or_else(|| value.strip_prefix("0X"))
        {
            Some(hex) if !hex.starts_with(['+', '-']) => i64::from_str_radix(hex, 16),
            _ => value.parse(),
        };
        number.map_err(|_not_an_integer| self.is_not("an integer"))
    }

    /// Returns the value as a truth: `true`, `yes`, `1` or `false`, `no`, `0`, in any case.
    ///
    /// # Errors
    ///
    /// When it has none or it is another word.
    pub fn as_bool(&self) -> Result<bool, FieldError> {
        match self.as_str()?.to_ascii_lowercase().as_str() {
            "true" | "yes" | "1" => Ok(true),
            "false" | "no" | "0" => Ok(false),
            _ => Err(self.is_not("true or false")),
        }
    }

    /// Returns the unit without the brackets that some producers put around it.
    pub fn unit(&self) -> Option<&str> {
        let unit = self.unit.as_deref()?.trim();
        let inner = unit
            .strip_prefix('[')
            .and_then(|unit| unit.strip_suffix(']'));
        Some(inner.unwrap_or(unit).trim()).filter(|unit| !unit.is_empty())
    }

    fn is_not(&self, wanted: &'static str) -> FieldError {
        FieldError::WrongType {
            param: self.name.clone(),
            value: self.value.clone().unwrap_or_default(),
            wanted,
        }
    }
}

fn find<'a>(params: &'a [Param], name: &str) -> Option<&'a Param> {
    params.iter().find(|param| param.name == name)
}

fn did_you_mean<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    match nearest(name, known).as_slice() {
        [] => String::new(),
        names => format!("; did you mean `{}`?", names.join("` or `")),
    }
}
