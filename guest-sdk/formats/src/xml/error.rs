//! What can be wrong with a document as XML, and where.

/// What is wrong, and at which byte of the decoded text; see [`XmlError`] for the outside.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) at: usize,
    pub(crate) fault: XmlFault,
}

impl Fault {
    pub(crate) fn at(at: usize, fault: XmlFault) -> Self {
        Self { at, fault }
    }
}

/// Why a document is not readable as XML, with the place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault} (byte {offset}{})", Within(.within))]
pub struct XmlError {
    /// Byte of the input, counted from 0, at which the fault was seen.
    pub offset: usize,
    /// The open elements there, as in `VOEvent/What/Param`; empty outside the root.
    pub within: String,
    /// What is wrong.
    pub fault: XmlFault,
}

/// What is wrong with a document as XML.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum XmlFault {
    /// The input is empty or white space.
    #[error("the document is empty")]
    Empty,
    /// No element was found.
    #[error("the document has no element")]
    NoElement,
    /// The text is JSON, by its first character.
    #[error("this is not XML: it looks like JSON")]
    LooksLikeJson,
    /// The bytes are not valid in the encoding that the document declares or that XML presumes.
    #[error("the bytes are not {encoding}; a document in another encoding must declare it")]
    Undecodable {
        /// The encoding in which the document was read.
        encoding: &'static str,
    },
    /// An encoding other than UTF-8, UTF-16, ISO-8859-1 and US-ASCII.
    #[error("the encoding `{0}` is not supported; use UTF-8")]
    UnsupportedEncoding(String),
    /// A control character that XML does not allow, such as NUL.
    #[error("the control character U+{0:04X} is not allowed in XML")]
    ControlCharacter(u32),
    /// Text before the root element or before the declaration.
    #[error("there is text before the document")]
    TextBeforeDocument,
    /// Text after the root element.
    #[error("there is text after the document")]
    TextAfterDocument,
    /// An XML declaration that is not the first thing in the document.
    #[error("the XML declaration is not at the very beginning")]
    LateDeclaration,
    /// A document type after the root element began.
    #[error("a DOCTYPE stands inside or after the document")]
    LateDoctype,
    /// A second root element.
    #[error("a second document follows the first")]
    SecondDocument,
    /// A document type that declares entities, or could.
    #[error("the DOCTYPE declares entities, which are never expanded here")]
    DeclaresEntities,
    /// A reference to an entity other than the five predefined ones.
    #[error("the entity `&{0};` is unknown; only amp, lt, gt, quot and apos exist")]
    UnknownEntity(String),
    /// A character reference to no character that XML allows.
    #[error("`&{0};` refers to no character that XML allows")]
    BadCharacterReference(String),
    /// An `&` that begins no reference.
    #[error("an `&` stands alone; write it as `&amp;`")]
    LoneAmpersand,
    /// A `<` in an attribute's value.
    #[error("a `<` stands in an attribute's value; write it as `&lt;`")]
    LessThanInAttribute,
    /// A name that XML does not allow.
    #[error("`{0}` is not a name of an element or attribute")]
    BadName(String),
    /// The same attribute twice in one element.
    #[error("the attribute `{0}` stands twice in one element")]
    AttributeTwice(String),
    /// An attribute's value above the limit.
    #[error("the attribute `{name}` is longer than {limit} bytes")]
    AttributeTooLong {
        /// The attribute.
        name: String,
        /// The limit in bytes.
        limit: usize,
    },
    /// More attributes in one element than the limit.
    #[error("an element has more than {limit} attributes")]
    TooManyAttributes {
        /// The limit.
        limit: usize,
    },
    /// Elements nested deeper than the limit.
    #[error("elements are nested deeper than {limit}")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// The document ends while an element is open.
    #[error("the document ends inside `{0}`: it is cut short")]
    Unclosed(String),
    /// Anything else, in the words of the XML reader.
    #[error("{0}")]
    Syntax(String),
}

/// Writes `, in VOEvent/What` or nothing.
struct Within<'a>(&'a str);

impl std::fmt::Display for Within<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            "" => Ok(()),
            path => write!(f, ", in {path}"),
        }
    }
}
